#!/usr/bin/env bats
# Snapshots of running processes: the bytes are of one instant, and the target notices next to nothing.

. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
	[ -z "${target:-}" ] || kill -KILL "$target" 2>/dev/null || true
}

@test "while the target writes at full speed: the bytes are of one instant" {
	start_sample page_writer
	for _ in 1 2 3 4 5; do
		"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --force --json -o cut.core >receipt 2>/dev/null
		jq -e '.mode == "snapshot" and .complete and (.passes | length) >= 2 and .final_bytes > 0' receipt
		jq -e '(.pause_parts | length == 5 and all(. > 0)) and (.pause_parts.copy_ns + .pause_parts.look_ns) <= .pause_ns
			and .held_bytes >= .final_bytes' receipt
		assert_of_one_instant cut.core
	done
	assert_sample_unharmed
	assert_left_alone "$SAMPLE_PID"
	# The check can fail: a live copy is not of one instant.
	"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode live -o live.core >/dev/null 2>&1
	run assert_of_one_instant live.core
	[ "$status" -eq 1 ]
	[[ $output == *"are not of the instant"* ]]
}

@test "pages that the target gives back and reads as zeros" {
	start_sample page_writer --discard 1
	for _ in 1 2 3; do
		"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --force --json -o cut.core >receipt 2>/dev/null
		jq -e '.mode == "snapshot" and .complete' receipt
		assert_of_one_instant cut.core --discard
	done
	assert_sample_unharmed
}

@test "a target that writes less is paused for what it wrote, not for what it holds" {
	start_sample page_writer --size 256M --rate 5000
	"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --json -o cut.core >receipt 2>/dev/null
	assert_of_one_instant cut.core
	jq -e '.copied_bytes >= 268435456 and .final_bytes < .copied_bytes / 16' receipt
	assert_sample_unharmed
}

# bats test_tags=long
# registered_numbers CORE: checks a core of `ring_user registered` by its struct registered (samples/ring_user.c).
registered_numbers() {
	PYTHONPATH=$LEAKHUNT_ROOT/tests/live PYTHONDONTWRITEBYTECODE=1 python3 - "$1" "$(truth victim)" <<-'EOF_PYTHON'
		import struct, sys
		from check_odd import segments
		core = open(sys.argv[1], "rb").read()
		loads = list(segments(core))
		def word(addr):
		    return next(struct.unpack_from("<Q", core, at + addr - start)[0]
		                for start, end, at in loads if start <= addr < end)
		victim = int(sys.argv[2], 16)
		buffer, pages, number = (word(victim + 8 * i) for i in range(3))
		found = [word(buffer + i * 4096) for i in range(pages)]
		stale = [each for each in found if each not in (number, number + 1)]
		print(f"{pages} pages, number {number}, {len(stale)} of other numbers: {stale[:3]}")
		sys.exit(bool(stale) or not pages)
	EOF_PYTHON
}

@test "what the kernel writes through a registered buffer is of the instant, too" {
	start_sample ring_user registered
	for _ in 1 2 3; do
		"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --region data --json -f -o dump.core >receipt
		registered_numbers dump.core
	done
	jq -e '.mode == "child"' receipt
	jq -r .mode_reason receipt | grep -F '1.00 MiB of its memory are registered with io_uring or a device'
}

@test "mappings that come, go, grow and move meanwhile" {
	cat >churn.py <<-'EOF_PYTHON'
		import ctypes, mmap, sys, threading, time
		libc = ctypes.CDLL(None, use_errno=True)
		libc.realloc.restype = libc.malloc.restype = ctypes.c_void_p
		libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
		libc.free.argtypes = [ctypes.c_void_p]
		fixed = bytearray(b"\x5a") * (64 << 20)
		running, failed = True, []
		def move():
		    size, block = 1 << 20, libc.malloc(1 << 20)
		    while running:
		        ctypes.memset(block, size >> 20, size)
		        size = size + (1 << 20) if size < (32 << 20) else 1 << 20
		        moved = libc.realloc(block, size)
		        if not moved:
		            failed.append("realloc")
		            return
		        block = moved
		def come_and_go():
		    while running:
		        with mmap.mmap(-1, 4 << 20) as memory:
		            memory[::4096] = b"x" * 1024
		threads = [threading.Thread(target=work) for work in (move, come_and_go)]
		for thread in threads: thread.start()
		print("READY", flush=True)
		sys.stdin.read()
		running = False
		for thread in threads: thread.join()
		print("FAILED" if failed or fixed.count(0x5A) != len(fixed) else "DONE", flush=True)
	EOF_PYTHON
	mkfifo input
	python3 churn.py <input >ready 3>&- &
	target=$!
	exec {held}>input
	is_ready() { grep -qs READY ready; }
	wait_until 100 is_ready
	for _ in 1 2 3 4 5; do
		# However long the pause: loaded machines stop threads late.
		"$LEAKHUNT" dump "$target" --region anon --region heap --max-pause 2s --force --json -o churn.core >receipt ||
			[ $? -eq 1 ]
		jq -e '.mode == "snapshot"' receipt
		eu-readelf -l churn.core >/dev/null
		gdb -batch -nx -ex 'info threads' "$(readlink -f "/proc/$target/exe")" churn.core >/dev/null 2>&1
	done
	assert_left_alone "$target"
	exec {held}>&-
	wait "$target"
	grep -q DONE ready
}

# start_filtered ACTION CALL: a process whose seccomp filter answers userfaultfd (323) and CALL with ACTION.
start_filtered() {
	cat >filtered.py <<-'EOF_PYTHON'
		import ctypes, struct, sys
		action, call = (int(word, 0) for word in sys.argv[1:])
		code = b"".join(struct.pack("HBBI", *insn) for insn in
		    [(0x20, 0, 0, 0), (0x15, 1, 0, 323), (0x15, 0, 1, call), (6, 0, 0, action), (6, 0, 0, 0x7FFF0000)])
		buffer = ctypes.create_string_buffer(code, len(code))
		program = struct.pack("HxxxxxxQ", 5, ctypes.addressof(buffer))
		libc = ctypes.CDLL(None, use_errno=True)
		assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
		assert libc.prctl(22, 2, ctypes.create_string_buffer(program), 0, 0) == 0  # PR_SET_SECCOMP
		print("READY", flush=True)
		sys.stdin.read()
		print("DONE", flush=True)
	EOF_PYTHON
	rm -f input ready
	mkfifo input
	python3 filtered.py "$@" <input >ready 3>&- &
	target=$!
	exec {held}>input
	is_ready() { grep -qs READY ready; }
	wait_until 100 is_ready
}

# bats test_tags=long
@test "under a seccomp filter: one that kills for userfaultfd is not tried, and no target dies" {
	for action in 0x80000000 0x00000000 0x00030000 0x00050001; do # kill process, kill thread, trap, EPERM
		for call in 323 56 61 231; do # userfaultfd only; clone, wait4, exit_group, too
			start_filtered "$action" "$call"
			"$LEAKHUNT" dump "$target" --force --json -o filtered.core >receipt 2>err
			case $action-$call in
			0x00050001-*) jq -e '.mode == "snapshot" or .mode == "child"' receipt ;;
			*-323) jq -e '.mode == "child" and (.mode_reason | contains("seccomp"))' receipt ;;
			*) jq -e '.mode == "stop" and (.mode_reason | contains("seccomp")) and .injected == null' receipt ;;
			esac
			assert_left_alone "$target"
			exec {held}>&-
			# A filter on exit_group is met by the target itself, at its end.
			wait "$target" || [ "$call" = 231 ]
			grep -q DONE ready
		done
	done
}

@test "a stopped process is taken as it is, and stays stopped" {
	start_sample page_writer
	kill -STOP "$SAMPLE_PID"
	is_stopped() { [ "$(process_state "$SAMPLE_PID")" = T ]; }
	wait_until 50 is_stopped
	"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --json -o stopped.core >receipt 2>/dev/null
	jq -e '.mode == "snapshot" and .final_bytes < .copied_bytes / 16' receipt
	is_stopped
	assert_of_one_instant stopped.core
	kill -CONT "$SAMPLE_PID"
	wait_until 50 assert_not_stopped "$SAMPLE_PID"
	# SIGSTOP itself interrupts an epoll_wait (signal(7)).
	sample_command check
	jq -e '.alive and .checksum_ok' <<<"$REPLY"
}
