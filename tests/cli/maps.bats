#!/usr/bin/env bats
# maps: its table and JSON from saved texts, and what it says to bad ones.

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	cat >saved <<-'EOF_SMAPS'
		55d000000000-55d000010000 r-xp 00000000 08:01 42                         /usr/bin/ser ver
		Size:                 64 kB
		Rss:                  64 kB
		Pss:                  32 kB
		Private_Clean:         0 kB
		Private_Dirty:         0 kB
		Anonymous:             0 kB
		Swap:                  0 kB
		Locked:                0 kB
		VmFlags: rd ex mr mw me
		55d000020000-55d000120000 rw-p 00000000 00:00 0                          [heap]
		Size:               1024 kB
		Rss:                 512 kB
		Pss:                 512 kB
		Private_Clean:         0 kB
		Private_Dirty:       512 kB
		Anonymous:           512 kB
		Swap:                128 kB
		Locked:                0 kB
		VmFlags: rd wr mr mw me ac
		7f0000000000-7f0000400000 rw-p 00000000 00:00 0
		Size:               4096 kB
		Rss:                 100 kB
		Pss:                 100 kB
		Private_Clean:         0 kB
		Private_Dirty:       100 kB
		Anonymous:           100 kB
		Swap:                  0 kB
		Locked:               16 kB
		VmFlags: rd wr mr mw me ac
	EOF_SMAPS
}

# Keeps stdout and stderr apart: $output, $errors, $status.
maps() {
	run sh -c '"$LEAKHUNT" maps "$@" 2>errors' _ "$@"
	errors=$(cat errors)
}

# One line on stderr that holds the text, nothing on stdout.
assert_refused() {
	[ "$status" -eq "$1" ]
	[ -z "$output" ]
	[ "$(wc -l <errors)" -eq 1 ]
	[[ $errors == *"$2"* ]]
}

@test "a saved smaps: one row a mapping, then their sum, exit 0, stderr empty" {
	maps saved
	[ "$status" -eq 0 ]
	[ -z "$errors" ]
	[ "${#lines[@]}" -eq 5 ]
	[[ ${lines[0]} =~ ^ADDRESS\ +PERM\ +KIND\ +VSS\ +RSS\ +PSS\ +USS\ +SWAP\ +ANON\ +LOCKED\ +NAME$ ]]
	[[ ${lines[1]} =~ ^0x55d000000000-0x55d000010000\ +r-xp\ +text\ .*/usr/bin/ser\ ver$ ]]
	[[ ${lines[2]} =~ heap\ +1\.00\ MiB\ +512\ KiB\ +512\ KiB\ +512\ KiB\ +128\ KiB\ +512\ KiB\ +-\ +\[heap\]$ ]]
	[[ ${lines[4]} =~ ^total\ +5\.06\ MiB\ +676\ KiB\ +644\ KiB\ +612\ KiB\ +128\ KiB\ +612\ KiB\ +16\.0\ KiB\ +3\ mappings$ ]]
}

@test "--sort: most first, equal ones by address" {
	for pair in address:0x55d000000000 vss:0x7f0000000000 rss:0x55d000020000 pss:0x55d000020000 uss:0x55d000020000 swap:0x55d000020000; do
		maps saved --sort "${pair%:*}"
		[ "$status" -eq 0 ]
		[[ ${lines[1]} == "${pair#*:}-"* ]]
	done
	maps saved --sort swap
	[[ ${lines[2]} == 0x55d000000000-* ]]
}

@test "--kind: rows of that kind, their sum, and that of the whole" {
	maps saved --kind heap
	[ "${#lines[@]}" -eq 4 ]
	[[ ${lines[2]} =~ ^total\ +1\.00\ MiB.*1\ mapping$ ]]
	[[ ${lines[3]} =~ ^whole\ process\ +5\.06\ MiB.*3\ mappings$ ]]
	maps saved --kind heap --kind anon
	[ "${#lines[@]}" -eq 5 ]
	maps saved --kind memfd
	[ "$status" -eq 0 ]
	[[ ${lines[1]} == *"0 mappings" ]]
}

@test "unknown words: exit 64, did you mean" {
	maps saved --kind haep
	assert_refused 64 "did you mean heap?"
	maps saved --kind nonsense
	assert_refused 64 "mmap-chunk"
	maps saved --sort us
	assert_refused 64 "did you mean"
	maps 0
	assert_refused 64 "'0' is not a process id"
}

@test "--json: the same figures in bytes" {
	maps saved --json
	[ "$status" -eq 0 ]
	jq -e '.schema == "leakhunt/maps/1" and .pid == null and .complete and .has_usage' <<<"$output"
	jq -e '.total.rss_bytes == 676 * 1024 and .total.uss_bytes == 612 * 1024 and .total.mappings == 3' <<<"$output"
	jq -e '.regions[1] | .start == "0x55d000020000" and .kind == "heap" and .swap_bytes == 131072' <<<"$output"
	jq -e '.regions[0] | .name == "/usr/bin/ser ver" and .permissions == "r-xp" and .inode == 42' <<<"$output"
	maps saved --json --kind heap --sort uss
	jq -e '(.regions | length) == 1 and .total.mappings == 1 and .whole_process.mappings == 3' <<<"$output"
}

@test "a maps text: address space only" {
	grep '^[0-9a-f]*-' saved >addresses
	maps addresses
	[ "$status" -eq 0 ]
	[[ ${lines[4]} =~ ^total\ +5\.06\ MiB\ +-\ +-\ +-\ +-\ +-\ +-\ +3\ mappings$ ]]
	maps addresses --json
	jq -e '(.has_usage | not) and (.total | has("rss_bytes") | not)' <<<"$output"
}

@test "names cannot reach the terminal raw" {
	printf '1000-2000 r--p 00000000 08:01 1 /tmp/\033[2Jx\\012y\xff (deleted)\n' >hostile
	maps hostile
	[ "$status" -eq 0 ]
	[[ $output == *'/tmp/\x1b[2Jx\x0ay\xff (deleted)'* ]]
	maps hostile --json
	jq -e '.regions[0] | .deleted and .name == "/tmp/\\x1b[2Jx\\x0ay\\xff"' <<<"$output"
}

@test "a truncated text: its mappings, a warning, exit 1" {
	head -c -60 saved >cut_off
	maps cut_off
	[ "$status" -eq 1 ]
	[[ $errors == "leakhunt: warning: cut_off: "* ]]
	[[ $output == *"3 mappings"* ]]
	maps cut_off --json
	[ "$status" -eq 1 ]
	jq -e '(.complete | not) and .skipped_lines > 0' <<<"$output"
}

@test "a mapping out of order is left out and counted; two texts in one file are refused" {
	# The first mapping once more: up to the second line that begins as one does.
	awk '/^[0-9a-f]+-/ && n++ { exit } 1' saved | cat saved - >again
	maps again --json
	[ "$status" -eq 1 ]
	jq -e '.dropped_regions == 1 and .total.rss_bytes == 676 * 1024' <<<"$output"
	cat saved saved >twice
	maps twice
	assert_refused 2 "twice holds the mappings of two processes, or of one twice"
}

@test "a text that is not smaps: one line, exit 2" {
	: >empty
	maps empty
	assert_refused 2 "empty is empty"
	maps nowhere
	assert_refused 2 "nowhere"
	maps /
	assert_refused 2 "folder"
	maps /dev/zero
	assert_refused 2 "device"
	mkfifo pipe
	maps pipe
	assert_refused 2 "pipe is a pipe that nobody writes to"
	head -c 100000 /dev/urandom >noise
	maps noise
	assert_refused 2 "has no mapping"
	maps /proc/self/smaps_rollup
	assert_refused 2 "smaps_rollup"
	if [ "$(id -u)" -ne 0 ]; then
		cp saved secret
		chmod 0 secret
		maps secret
		assert_refused 2 "Permission denied"
	fi
}

@test "a pipe with a writer" {
	run bash -c 'cat saved | "$LEAKHUNT" maps /dev/stdin'
	[ "$status" -eq 0 ]
	[[ $output == *"3 mappings"* ]]
	run bash -c '"$LEAKHUNT" maps <(cat saved)'
	[ "$status" -eq 0 ]
}

@test "pids that name no process with memory: one line, exit 2, with a hint" {
	maps 2147483646
	assert_refused 2 "no process 2147483646"
	[[ $errors == *"leakhunt ps"* ]]
	if grep -q '^Kthread:[[:space:]]*1' /proc/2/status 2>/dev/null; then
		maps 2
		assert_refused 2 "kernel thread"
	fi
}

@test "a zombie: one line, exit 2" {
	mkfifo hold
	python3 -c 'import os, sys
child = os.fork()
if child == 0:
    os._exit(0)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
print(child, flush=True)
sys.stdin.read()' <hold >zombie 3>&- &
	parent=$!
	exec {holder}>hold
	for ((i = 0; i < 100; i++)); do
		[ -s zombie ] && break
		sleep 0.1
	done
	maps "$(cat zombie)"
	exec {holder}>&-
	wait "$parent"
	assert_refused 2 "zombie"
}

@test "a thread's id: names its process" {
	mkfifo hold
	python3 -c 'import threading, sys
thread = threading.Thread(target=sys.stdin.read)
thread.start()
print(thread.native_id, flush=True)
thread.join()' <hold >tid 3>&- &
	python=$!
	exec {holder}>hold
	for ((i = 0; i < 100; i++)); do
		[ -s tid ] && break
		sleep 0.1
	done
	maps "$(cat tid)"
	exec {holder}>&-
	wait "$python"
	assert_refused 2 "of process $python"
}

@test "--by kind: the mappings of a kind add up to its row" {
	run "$LEAKHUNT" maps $$ --by kind
	[ "$status" -eq 0 ]
	[[ ${lines[0]} =~ ^KIND\ +VSS\ +RSS\ +PSS\ +USS\ +SWAP\ +ANON\ +LOCKED\ +MAPPINGS$ ]]
	[[ ${lines[-1]} == total* ]]
	"$LEAKHUNT" maps $$ --json >"$BATS_TEST_TMPDIR/maps"
	jq -e '[.regions | group_by(.kind)[] | {kind: .[0].kind, mappings: length, rss_bytes: (map(.rss_bytes) | add)}]
		== (.kinds | sort_by(.kind) | map({kind, mappings, rss_bytes}))' "$BATS_TEST_TMPDIR/maps"
}
