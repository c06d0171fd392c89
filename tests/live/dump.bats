#!/usr/bin/env bats
# Dumps of live processes: the bytes are right, others' tools read them, and the target goes on.

. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
	[ -z "${target:-}" ] || kill -KILL "$target" 2>/dev/null || true
}

is_ready() {
	grep -qs READY ready
}

# start_target COMMAND...: sets target, waits for its READY; it reads stdin from the fd in held.
start_target() {
	[ -p input ] || mkfifo input
	rm -f ready
	"$@" <input >ready 3>&- &
	target=$!
	exec {held}>input
	wait_until 300 is_ready
}

end_target() {
	exec {held}>&-
	wait "$target"
}

heap_range() {
	sed -n 's/^\([0-9a-f]*\)-\([0-9a-f]*\) .*\[heap\]$/0x\1 0x\2/p' "/proc/$SAMPLE_PID/maps"
}

# backtraces CORE EXE: one line a thread, "LWP frames...", in order of the LWP, without source lines.
backtraces() {
	gdb -batch -nx -ex 'set width 0' -ex 'set debuginfod enabled off' -ex 'thread apply all bt' "$2" "$1" 2>/dev/null |
		python3 -c '
import re, sys
threads, lwp = {}, None
for line in sys.stdin:
    head = re.match(r"Thread .*LWP (\d+)", line)
    if head:
        lwp = int(head[1])
        threads[lwp] = []
    elif lwp and re.match(r"#\d+ ", line):
        threads[lwp].append(re.sub(r" (at|from) \S+$", "", line.strip()))
for lwp in sorted(threads):
    print(lwp, *threads[lwp], sep=" | ")
'
}

assert_tools_read() {
	eu-readelf -a "$1" >/dev/null
	readelf -aW "$1" >/dev/null
	strings -a "$1" >/dev/null
	eu-stack --core "$1" >/dev/null || [ $? -eq 1 ]
}

# Every sample, every mode: it still runs, answers, and none of its system calls was interrupted.
@test "each sample is unharmed by every mode" {
	for name in steady heap_leak arena_leak mmap_chunk_leak anon_leak thread_leak cache_plateau sawtooth fragmentation; do
		[ -x "$SAMPLES/$name" ]
		start_sample "$name"
		sample_step 3
		for mode in $(dump_modes); do
			"$LEAKHUNT" dump "$SAMPLE_PID" --region all --mode "$mode" -o "$name.$mode" >out 2>err || {
				echo "$name, mode $mode: $(cat out err)" >&2
				return 1
			}
			assert_sample_unharmed
			assert_tools_read "$name.$mode"
			rm "$name.$mode"
		done
		stop_sample
	done
}

@test "the heap's bytes are those that gdb's dump memory reads" {
	start_sample fragmentation
	sample_step 5
	kill -STOP "$SAMPLE_PID"
	read -r start end < <(heap_range)
	gdb -batch -nx -p "$SAMPLE_PID" -ex "dump memory truth $start $end" >/dev/null 2>&1
	kill -STOP "$SAMPLE_PID"
	"$LEAKHUNT" dump "$SAMPLE_PID" --region heap --mode stop -o stop.core >/dev/null 2>&1
	"$LEAKHUNT" dump "$SAMPLE_PID" --region heap --mode snapshot -o snapshot.core >/dev/null 2>&1
	"$LEAKHUNT" dump "$SAMPLE_PID" --region heap --mode live -o live.core >/dev/null 2>&1
	kill -CONT "$SAMPLE_PID"
	[ "$(stat -c %s truth)" -eq $((end - start)) ]
	for mode in snapshot stop live; do
		gdb -batch -nx "$SAMPLES/fragmentation" "$mode.core" -ex "dump memory ours.$mode $start $end" >/dev/null 2>&1
		cmp truth "ours.$mode"
	done
}

@test "a stopped process stays stopped, and goes on when its owner says so" {
	start_sample steady
	kill -STOP "$SAMPLE_PID"
	is_stopped() { [ "$(process_state "$SAMPLE_PID")" = T ]; }
	wait_until 50 is_stopped
	for mode in $(dump_modes); do
		"$LEAKHUNT" dump "$SAMPLE_PID" --mode "$mode" -o "$mode.core" >/dev/null 2>&1
		is_stopped
		grep -q '^TracerPid:[[:space:]]*0$' "/proc/$SAMPLE_PID/status"
	done
	kill -CONT "$SAMPLE_PID"
	wait_until 50 assert_not_stopped "$SAMPLE_PID"
	sample_command check
	jq -e '.alive and .checksum_ok' <<<"$REPLY"
}

@test "gdb's backtraces of all threads equal those of a gcore core, in every mode that has all registers" {
	start_sample thread_leak
	sample_step 60
	kill -STOP "$SAMPLE_PID"
	for mode in snapshot stop child; do
		"$LEAKHUNT" dump "$SAMPLE_PID" --mode "$mode" --region stacks --json -o "stacks.$mode" >receipt 2>/dev/null
		jq -e --arg mode "$mode" '.mode == $mode' receipt
		"$LEAKHUNT" dump "$SAMPLE_PID" --mode "$mode" --region heap -o "heap.$mode" >/dev/null 2>&1
	done
	gcore -o theirs "$SAMPLE_PID" >/dev/null 2>&1
	kill -CONT "$SAMPLE_PID"
	backtraces "theirs.$SAMPLE_PID" "$SAMPLES/thread_leak" >theirs
	[ "$(wc -l <theirs)" -ge 60 ]
	grep -q wait_for_ever theirs
	for mode in snapshot stop child; do
		# With the heap only, the context suffices.
		for asked in stacks heap; do
			backtraces "$asked.$mode" "$SAMPLES/thread_leak" >ours
			diff theirs ours || { echo "mode $mode, $asked" >&2; return 1; }
		done
	done
}

@test "eu-stack names the functions of every thread" {
	start_sample thread_leak
	sample_step 3
	"$LEAKHUNT" dump "$SAMPLE_PID" -o ours.core >/dev/null 2>&1
	eu-stack --core ours.core -e "$SAMPLES/thread_leak" >stacks
	[ "$(grep -c '^TID' stacks)" -eq "$(find "/proc/$SAMPLE_PID/task" -mindepth 1 -maxdepth 1 | wc -l)" ]
	[ "$(grep -c wait_for_ever stacks)" -eq 3 ]
}

@test "Ctrl-C while copying: nothing is left, and the target goes on" {
	start_sample steady --size 268435456
	"$LEAKHUNT" dump "$SAMPLE_PID" -o broken.core >out 2>err 3>&- &
	victim=$!
	# Its output has no name, or a temporary one.
	has_begun() {
		find "/proc/$victim/fd" -lname "$PWD/*" 2>/dev/null | grep -q . || has_ended "$victim"
	}
	wait_until 100 has_begun
	kill -INT "$victim"
	status=0
	wait "$victim" || status=$?
	if [ "$status" -ne 0 ]; then
		[ "$status" -eq 2 ]
		grep -q interrupted err
		[ ! -e broken.core ]
	fi
	[ -z "$(compgen -G '.broken.core.*.tmp')" ]
	assert_sample_unharmed
}

@test "a process that is traced already: the tracer is named, nothing is left" {
	start_sample steady
	mkfifo hold
	gdb -batch -nx -p "$SAMPLE_PID" -ex 'shell cat hold' >/dev/null 2>&1 3>&- &
	tracer=$!
	is_traced() { grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$SAMPLE_PID/status"; }
	wait_until 100 is_traced
	for mode in snapshot stop; do
		run "$LEAKHUNT" dump "$SAMPLE_PID" --mode "$mode" -o traced.core
		[ "$status" -eq 2 ]
		[ "${#lines[@]}" -eq 1 ]
		[[ $output == *"traced by process "*gdb* ]]
		[ ! -e traced.core ]
		[ -z "$(compgen -G '.traced.core.*')" ]
		# The tracer keeps what it has.
		is_traced
	done
	"$LEAKHUNT" dump "$SAMPLE_PID" --mode live -o live.core >/dev/null 2>&1
	is_traced
	echo >hold
	wait "$tracer" || true
	wait_until 50 assert_not_stopped "$SAMPLE_PID"
	sample_command check # gdb interrupts calls
	jq -e '.alive and .checksum_ok' <<<"$REPLY"
	assert_sample_unharmed
}

@test "absent pages are neither read nor written: 8 GiB reserved, 1024 pages touched" {
	start_target python3 -c '
import mmap, sys
memory = mmap.mmap(-1, 8 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # MAP_NORESERVE
memory.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(1024):
    memory[page * (8 << 20)] = 65
print("READY", flush=True)
sys.stdin.read()'
	before=$(rollup Rss "$target")
	"$LEAKHUNT" dump "$target" --region anon --json -o sparse.core >receipt 2>/dev/null
	after=$(rollup Rss "$target")
	end_target
	assert_between 0 $((after - before)) 65536
	assert_between $((1024 * 4096)) "$(jq .copied_bytes receipt)" $((64 << 20))
	# Its 1024 pages lie 8 MiB apart: the file holds them, not what is between.
	assert_between 1 "$(stat -c %s sparse.core)" $((64 << 20))
	[ "$(readelf -lW sparse.core | grep -c ' LOAD ')" -ge 1024 ]
	assert_tools_read sparse.core
}

# bats test_tags=long
@test "more segments than a 16-bit count holds" {
	start_target python3 -c '
import mmap, sys
memory = mmap.mmap(-1, 70000 << 21, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # MAP_NORESERVE
memory.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(70000):
    memory[page << 21] = 65
print("READY", flush=True)
sys.stdin.read()'
	"$LEAKHUNT" dump "$target" --region anon --on-slow stop -o many.core >/dev/null 2>&1
	end_target
	readelf -hW many.core | grep -q 'Number of program headers: *65535 ('
	eu-readelf -lW many.core >headers
	[ "$(grep -c '^ *LOAD ' headers)" -ge 70000 ]
}

# bats test_tags=long
@test "a process that calls exec or ends while it is dumped: an error, or a whole dump, never half" {
	cat >leave.py <<-'EOF_PYTHON'
		import os, sys, time
		block = bytearray(100 << 20)
		print("READY", flush=True)
		sys.stdin.readline()
		time.sleep(0.02 * int(sys.argv[1]))
		if sys.argv[2] == "exec":
		    os.execv("/bin/sleep", ["sleep", "0.2"])
		os._exit(0)
	EOF_PYTHON
	for mode in $(dump_modes); do
		for way in exec end; do
			start_target python3 leave.py "$((RANDOM % 5))" "$way"
			echo go >&"$held"
			status=0
			"$LEAKHUNT" dump "$target" --region anon --mode "$mode" -o left.core >/dev/null 2>err || status=$?
			end_target
			case $status in
			0 | 1) eu-readelf -l left.core >/dev/null ;;
			2 | 64) [ ! -e left.core ] && [ "$(grep -vc warning err)" -eq 1 ] ;;
			*) echo "$way, mode $mode, status $status: $(cat err)" >&2; false ;;
			esac
			[ -z "$(compgen -G '.left.core.*')" ]
			rm -f left.core
		done
	done
}

@test "threads that come and go during the freeze" {
	cat >spawn.py <<-'EOF_PYTHON'
		import sys, threading
		running = True
		def brief(): pass
		def spawn():
		    while running:
		        thread = threading.Thread(target=brief)
		        thread.start()
		        thread.join()
		spawners = [threading.Thread(target=spawn) for _ in range(4)]
		for spawner in spawners: spawner.start()
		print("READY", flush=True)
		sys.stdin.read()
		running = False
		for spawner in spawners: spawner.join()
		print("DONE", flush=True)
	EOF_PYTHON
	start_target python3 spawn.py
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		"$LEAKHUNT" dump "$target" --region stacks --json -o "spawn.core" --force >receipt 2>/dev/null
		[ "$(jq .threads receipt)" -ge 5 ]
		wait_until 20 assert_not_stopped "$target"
	done
	end_target
	grep -q DONE ready
}
