#!/usr/bin/env bats
# Mode child: the target is made to fork, the child is copied, and nothing of it is left, whoever dies when.

# bats file_tags=long
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup_file() {
	build_faulty
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	[ -z "${guard:-}" ] || kill -KILL "$guard" 2>/dev/null || true
	stop_samples
	[ -z "${target:-}" ] || kill -KILL "$target" 2>/dev/null || true
}

# children_of PID: pid and state of each process whose parent it is, by the kernel's word (proc_pid_stat(5)).
children_of() {
	local stat fields
	for stat in /proc/[0-9]*/stat; do
		{ read -r fields <"$stat"; } 2>/dev/null || continue
		read -ra fields <<<"${fields##*) }"
		[ "${fields[1]}" != "$1" ] || echo "$(basename "$(dirname "$stat")") ${fields[0]}"
	done
}

has_no_child() {
	[ -z "$(children_of "$1")" ]
}

assert_target_is_well() {
	wait_until 200 has_no_child "$SAMPLE_PID" || { children_of "$SAMPLE_PID" >&2; return 1; }
	wait_until 50 assert_not_stopped "$SAMPLE_PID"
	sample_command check
	jq -e '.alive and .checksum_ok' <<<"$REPLY" >/dev/null
}

# bytes_in CORE ADDR LENGTH: which byte values gdb finds there, in hex, one a line.
bytes_in() {
	gdb -batch -nx -c "$1" -ex "dump binary memory bytes.raw $2 $2+$3" >/dev/null 2>&1
	od -An -v -tx1 -w1 bytes.raw | tr -d " " | sort -u
}

# start_python: runs target.py, whose "READY ..." is then in $ready; a line on fd $held is its input.
start_python() {
	rm -f input ready
	mkfifo input
	python3 target.py <input >ready 3>&- &
	target=$!
	exec {held}>input
	is_ready() { grep -qs READY ready; }
	wait_until 100 is_ready
	ready=$(cat ready)
}

end_python() {
	exec {held}>&-
	wait "$target"
	grep -q DONE ready
	target=
}

@test "while the target writes at full speed: the bytes are of one instant" {
	start_sample page_writer
	for _ in $(seq 10); do
		"$LEAKHUNT" dump "$SAMPLE_PID" --mode child --region anon --force --json -o cut.core >receipt 2>/dev/null
		jq -e '.mode == "child" and .complete and .injected == "clone, wait4; undone" and .pause_ns > 0' receipt
		jq -e '.resident_delta_bytes <= 4096' receipt # a page of the vDSO
		assert_of_one_instant cut.core
		has_no_child "$SAMPLE_PID"
	done
	assert_sample_unharmed
}

@test "what a child does not inherit is copied in the pause, or said to be missing" {
	cat >target.py <<-'EOF_PYTHON'
		import ctypes, mmap, sys
		libc = ctypes.CDLL(None, use_errno=True)
		libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
		maps = []
		def place(size, byte, advice, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS):
		    memory = mmap.mmap(-1, size, flags=flags)
		    memory[:] = bytes([byte]) * size
		    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
		    if advice:
		        assert libc.madvise(address, size, advice) == 0
		    maps.append(memory)
		    return hex(address)
		print("READY", place(1 << 20, 0x41, 10), place(1 << 20, 0x42, 18), place(40 << 20, 0x43, 10),
		    place(1 << 20, 0x44, 0, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS), flush=True)
		sys.stdin.read()
		print("DONE", flush=True)
	EOF_PYTHON
	start_python
	read -r _ dontfork wipeonfork large shared <<<"$ready"
	status=0
	"$LEAKHUNT" dump "$target" --mode child --region anon --region shared --json -o kept.core >receipt 2>err || status=$?
	[ "$status" -eq 1 ]
	jq -e '.mode == "child" and .final_bytes >= 3 * 1048576' receipt
	jq -e --arg start "$large" '.gap_bytes == 40 * 1048576 and [.gaps[] | .start, .reason] == [$start, "not-inherited"]' receipt
	[ "$(bytes_in kept.core "$dontfork" 1048576)" = 41 ]
	[ "$(bytes_in kept.core "$wipeonfork" 1048576)" = 42 ]
	[ "$(bytes_in kept.core "$shared" 1048576)" = 44 ]
	end_python
}

# Of the child itself; those on a thread's way to any job are met on the way to its clone.
fault_points() {
	grep -rhoE "lh_fault_point\(\"($1)-[a-z-]+\"\)" "$LEAKHUNT_ROOT/src" | cut -d'"' -f2 | grep -v child-guard
}

# Those of the guard, which ends the child.
GUARDS='seized|killed|dead|awaited|handed-over|waited-for'

assert_nothing_written() {
	[ ! -e killed.core ]
	rm -f .killed.core.*.tmp
}

@test "killed at each named step: the target is well, and no child of it stays" {
	start_sample page_writer --rate 20000
	[ "$(fault_points child | wc -l)" -ge 15 ]
	for point in $(fault_points 'child|remote' | grep -vE "child-($GUARDS)|remote-call-left"); do
		status=0
		LEAKHUNT_FAULT=$point "$faulty" dump "$SAMPLE_PID" --mode child --region anon -o killed.core >/dev/null 2>&1 3>&- ||
			status=$?
		[ "$status" -eq 137 ] || { echo "$point was not reached: $status" >&2; return 1; }
		assert_target_is_well || { echo "after $point" >&2; return 1; }
		assert_nothing_written
	done
	"$faulty" dump "$SAMPLE_PID" --mode child --region anon -o whole.core >/dev/null 2>&1
	assert_of_one_instant whole.core
}

@test "its guard killed at each named step: leakhunt ends the child" {
	start_sample page_writer --rate 20000
	for point in $(fault_points 'child|remote|borrow-all' | grep -E "child-($GUARDS)|remote|borrow") child-guard-alone; do
		case $point in
		remote-cloned | remote-interrupted | child-guard-alone) continue ;; # not a guard's, or after leakhunt
		esac
		rm -f reached whole.core
		LEAKHUNT_FAULT_NEXT=$point LEAKHUNT_FAULT_MARK=reached \
			"$faulty" dump "$SAMPLE_PID" --mode child --region anon -o whole.core >/dev/null 2>&1 3>&-
		[ -e reached ] || { echo "$point was not reached" >&2; return 1; }
		assert_target_is_well || { echo "after $point" >&2; return 1; }
		assert_of_one_instant whole.core
	done
}

# find_guard: $guard is the guard of $victim.
find_guard() {
	guard=$(pgrep -P "$victim" -x leakhunt-guard)
}

@test "killed while its guard ends the child: the guard goes on" {
	start_sample page_writer --rate 20000
	for point in $(fault_points 'child' | grep -E "child-($GUARDS)"); do
		rm -f reached
		LEAKHUNT_FAULT_NEXT=$point LEAKHUNT_FAULT_STOPS=1 LEAKHUNT_FAULT_MARK=reached \
			"$faulty" dump "$SAMPLE_PID" --mode child --region anon -o killed.core >/dev/null 2>&1 3>&- &
		victim=$!
		is_reached() { [ -e reached ]; }
		wait_until 300 is_reached || { echo "$point was not reached" >&2; return 1; }
		find_guard
		kill -KILL "$victim"
		kill -CONT "$guard"
		wait "$victim" || true
		assert_target_is_well || { echo "after $point" >&2; return 1; }
		assert_nothing_written
	done
}

# guard_traces TID: the guard does.
guard_traces() {
	grep -q "^TracerPid:[[:space:]]$guard$" "/proc/$SAMPLE_PID/task/$1/status"
}

@test "a thread that enters vfork as its guard stops it goes on when it returns, and the child is ended" {
	start_sample vfork_waiter --late 1
	LEAKHUNT_FAULT=child-copied LEAKHUNT_FAULT_NEXT=freeze-checked LEAKHUNT_FAULT_STOPS=1 \
		"$faulty" dump "$SAMPLE_PID" --mode child --region anon -o killed.core >/dev/null 2>&1 3>&- &
	victim=$!
	is_stopped() { [ "$(process_state "$1")" = T ]; }
	wait_until 300 is_stopped "$victim"
	find_guard
	kill -KILL "$victim"
	wait "$victim" || true
	# It has seen that no thread sleeps uninterruptibly, and now one does.
	wait_until 300 is_stopped "$guard"
	sample_step 1
	sleeper=$(basename "$(dirname "$(grep -l '^State:[[:space:]]D' "/proc/$SAMPLE_PID"/task/*/status)")")
	kill -CONT "$guard"
	wait_until 300 guard_traces "$sleeper"
	wait_until 300 eval "! guard_traces $SAMPLE_PID"
	# For as long as it sleeps.
	run wait_until 20 eval "! guard_traces $sleeper"
	[ "$status" -eq 1 ]
	sample_step 1
	jq -e '.child_status == 42' <<<"$REPLY"
	is_reaped() { kill -CONT "$guard" 2>/dev/null || true; has_no_child "$SAMPLE_PID"; }
	wait_until 300 is_reaped
	wait_until 50 assert_not_stopped "$SAMPLE_PID"
	assert_nothing_written
}

has_zombie() {
	children_of "$1" | grep -q ' Z$'
}

# A line for each child that sleeps, or is a zombie.
has_leftover() {
	children_of "$1" | grep -q ' [SZ]$'
}

@test "killed together with its guard: a child stays, and the next run ends it" {
	start_sample page_writer --rate 20000
	for point in child-made child-stopped child-offered child-target-resumed child-held child-copied; do
		LEAKHUNT_FAULT=$point LEAKHUNT_FAULT_NEXT=child-guard-alone \
			"$faulty" dump "$SAMPLE_PID" --mode child --region anon -o killed.core >/dev/null 2>&1 3>&- || true
		wait_until 100 has_leftover "$SAMPLE_PID"
		"$LEAKHUNT" dump "$SAMPLE_PID" --mode "${mode:=snapshot}" --region anon --force -o next.core >/dev/null 2>err
		grep -q 'reaped 1 child that a killed leakhunt had left' err
		has_no_child "$SAMPLE_PID"
		assert_target_is_well
		[ "$mode" = child ] && mode=snapshot || mode=child
		rm -f .killed.core.*.tmp
	done
	assert_sample_unharmed
}

@test "killed at random instants" {
	start_sample page_writer --rate 20000
	for round in $(seq 30); do
		"$LEAKHUNT" dump "$SAMPLE_PID" --mode child --region anon -o killed.core >/dev/null 2>&1 3>&- &
		victim=$!
		sleep "0.$(printf %03d $((RANDOM % 200)))"
		kill -KILL "$victim" 2>/dev/null || true
		wait "$victim" || true
		assert_target_is_well || { echo "round $round" >&2; return 1; }
		rm -f killed.core .killed.core.*.tmp
	done
}

@test "--on-slow=child: where a snapshot's pause would be too long" {
	start_sample page_writer
	for _ in $(seq 3); do
		"$LEAKHUNT" dump "$SAMPLE_PID" --max-pause 1us --on-slow child --region anon --force --json -o cut.core >receipt 2>err
		grep -q 'a copy-on-write child instead' err
		jq -e '.mode == "child" and .complete and (.mode_reason | contains("--max-pause"))' receipt
		jq -e '.injected == "clone, close_range, userfaultfd, exit, clone, wait4; undone"' receipt
		assert_of_one_instant cut.core
		has_no_child "$SAMPLE_PID"
	done
	assert_sample_unharmed
}

# start_held: a dump of $target in mode child that is stopped when the target runs again: the child is there.
start_held() {
	(
		exec {held}>&- # else the target's input would not end while the dump is held
		export LEAKHUNT_FAULT=child-target-resumed LEAKHUNT_FAULT_STOPS=1
		exec "$faulty" dump "$target" --mode child --region anon --force --json -o held.core >receipt 2>err 3>&-
	) &
	dumper=$!
	is_held() { [ "$(process_state "$dumper")" = T ]; }
	wait_until 300 is_held
	children_of "$target" | grep -q ' t$'
}

end_held() {
	kill -CONT "$dumper"
	wait "$dumper"
	jq -e '.mode == "child" and .complete' receipt
}

start_talker() {
	cat >target.py <<-'EOF_PYTHON'
		import os, socket, sys
		memory = bytearray(b"\x5a") * (16 << 20)
		pair = socket.socketpair()
		print("READY", flush=True)
		for line in sys.stdin:
		    word = line.strip()
		    if word == "close":
		        pair[0].close()
		        print("READ", pair[1].recv(1), flush=True)
		    elif word == "exec":
		        os.execvp("cat", ["cat"])
		    else:
		        break
		print("DONE", flush=True)
	EOF_PYTHON
	start_python
}

says() {
	grep -qF "$1" ready
}

@test "while its child is copied the target serves on, and what it closes is closed" {
	start_talker
	start_held
	assert_not_stopped "$target"
	echo close >&"$held"
	wait_until 50 says "READ b''"
	end_held
	has_no_child "$target"
	assert_not_stopped "$target"
	end_python
}

@test "a target that calls exec, or ends, while its child is copied" {
	start_talker
	start_held
	echo exec >&"$held"
	is_cat() { [ "$(cat "/proc/$target/comm")" = cat ]; }
	wait_until 50 is_cat
	end_held
	has_no_child "$target"
	echo DONE >&"$held"
	end_python
	start_talker
	start_held
	end_python
	end_held
}

@test "a target whose children would be in another pid namespace is stopped instead" {
	cat >target.py <<-'EOF_PYTHON'
		import ctypes, sys
		assert ctypes.CDLL(None).unshare(0x20000000) == 0  # CLONE_NEWPID
		print("READY", flush=True)
		sys.stdin.read()
		print("DONE", flush=True)
	EOF_PYTHON
	start_python
	"$LEAKHUNT" dump "$target" --mode child --json -o stopped.core >receipt 2>err
	jq -e '.mode == "stop" and .injected == null and (.mode_reason | contains("pid namespace"))' receipt
	grep -q 'pid namespace; mode stop instead: the pause will be about' err
	end_python
}

@test "--no-inject forbids a child" {
	start_sample steady
	"$LEAKHUNT" dump "$SAMPLE_PID" --mode child --no-inject --json -o stopped.core >receipt 2>/dev/null
	jq -e '.mode == "stop" and .injected == null and (.mode_reason | contains("--no-inject"))' receipt
	assert_sample_unharmed
}
