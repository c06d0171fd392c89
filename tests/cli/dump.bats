#!/usr/bin/env bats
# `leakhunt dump`: its words, what it writes, and what it says to bad input.

. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
}

# Runs leakhunt keeping stdout and stderr apart: $output, $errors, $status.
leakhunt() {
	errors_file=$BATS_TEST_TMPDIR/errors
	run sh -c '"$LEAKHUNT" "$@" 2>"$0"' "$errors_file" "$@"
	errors=$(cat "$errors_file")
}

# assert_refused STATUS TEXT: one line on stderr that holds TEXT and a reason, nothing on stdout, no file left.
assert_refused() {
	[ "$status" -eq "$1" ] || { echo "status $status: $errors" >&2; return 1; }
	[ -z "$output" ]
	[ "$(wc -l <"$errors_file")" -eq 1 ]
	[[ $errors == "leakhunt: "*"$2"* ]] || { echo "said: $errors" >&2; return 1; }
	assert_no_output_left
}

# Neither the default name nor a temporary one.
assert_no_output_left() {
	run find . ! -name errors -a ! -name . -a ! -name 'kept*' -print
	[ -z "$output" ] || { echo "left: $output" >&2; return 1; }
}

# vendor_note FILE TYPE: the JSON of a note of vendor leakhunt.
vendor_note() {
	python3 - "$1" "$2" <<-'EOF_PYTHON'
		import struct, sys
		data = open(sys.argv[1], "rb").read()
		phoff, = struct.unpack_from("<Q", data, 32)
		phnum, = struct.unpack_from("<H", data, 56)
		for i in range(phnum):
		    kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", data, phoff + 56 * i)
		    if kind != 4:
		        continue
		    at, end = offset, offset + size
		    while at < end:
		        name_bytes, bytes_, type_ = struct.unpack_from("<III", data, at)
		        name = data[at + 12:at + 12 + name_bytes - 1]
		        at += 12 + (name_bytes + 3) // 4 * 4
		        if name == b"leakhunt" and type_ == int(sys.argv[2]):
		            print(data[at:at + bytes_].decode())
		        at += (bytes_ + 3) // 4 * 4
	EOF_PYTHON
}

@test "without options: the heap into dump.bin, mode 0600, a receipt, and a warning about secrets" {
	start_sample steady
	leakhunt dump "$SAMPLE_PID"
	[ "$status" -eq 0 ]
	[ "$(stat -c %a dump.bin)" = 600 ]
	[[ $output == *"dump.bin: "*"process $SAMPLE_PID (steady)"* ]]
	[[ $output == *"pause"*"(mode snapshot)"* ]]
	[ "$(wc -l <"$errors_file")" -eq 1 ]
	[[ $errors == *"dump.bin holds the memory of a process: passwords"* ]]
	[[ $(file -b dump.bin 2>/dev/null || readelf -h dump.bin) == *[Cc]ore* ]]
	assert_sample_unharmed
}

@test "--json prints the receipt only, with units, and the figures are those of the file" {
	start_sample steady
	leakhunt dump "$SAMPLE_PID" --json -o kept.core
	[ "$status" -eq 0 ]
	jq -e --argjson pid "$SAMPLE_PID" '.pid == $pid and .command == "steady" and .mode == "snapshot" and .complete
		and .gaps == [] and .pause_ns > 0 and .pause_ns <= .elapsed_ns and .threads >= 1' <<<"$output"
	jq -e '.rate_bytes_per_s as $rate | .copied_bytes / .elapsed_ns * 1e9 | . - $rate | fabs < 2' <<<"$output"
	[ "$(jq .file_bytes <<<"$output")" -eq "$(stat -c %s kept.core)" ]
	[ "$(jq .disk_bytes <<<"$output")" -eq "$(($(stat -c %b kept.core) * 512))" ]
	loads=$(readelf -lW kept.core | python3 -c '
import sys
print(sum(int(line.split()[4], 16) for line in sys.stdin if line.startswith("  LOAD")))')
	[ "$(jq .copied_bytes <<<"$output")" -le "$loads" ]
}

@test "the copied bytes are the resident bytes that the kernel counts" {
	start_sample steady --size 4194304
	leakhunt dump "$SAMPLE_PID" --region 'name:\[heap\]' --bare --json -o kept.core
	[ "$status" -eq 0 ]
	[ "$(jq .copied_bytes <<<"$output")" -eq "$(smaps_at "$(truth first_addr)" Rss)" ]
	[ "$(jq .context_bytes <<<"$output")" -eq 0 ]
}

@test "the notes say what was asked for, which module is where, and what is context" {
	start_sample steady
	leakhunt dump "$SAMPLE_PID" --region heap --region stack -o kept.core
	[ "$status" -eq 0 ]
	vendor_note kept.core 1 | jq -e --argjson pid "$SAMPLE_PID" \
		'.format == 1 and .pid == $pid and .wanted == ["heap", "stack"] and (.bare | not)'
	vendor_note kept.core 2 | jq -e 'map(select(.context | not) | .kind) | unique
		| index("heap") and index("stack") and (. - ["heap", "arena", "mmap-chunk", "stack"] == [])'
	vendor_note kept.core 2 | jq -e 'map(select(.context) | .kind) | unique | index("data") and index("vdso")'
	vendor_note kept.core 4 | jq -e '. == []'
	# Build ids, as readelf reads them from the files.
	vendor_note kept.core 3 | jq -r '.[] | select(.build_id != "" and (.path | startswith("/"))) | "\(.build_id) \(.path)"' >ids
	grep -q libc.so ids
	while read -r id path; do
		readelf -n "$path" | grep -q "Build ID: $id"
	done <ids
	rm ids
}

@test "--bare leaves the context out" {
	start_sample steady
	leakhunt dump "$SAMPLE_PID" --bare -o kept.core
	vendor_note kept.core 2 | jq -e 'all(.context | not) and (map(.kind) | index("data") | not)'
	vendor_note kept.core 1 | jq -e .bare
}

@test "regions by range, name and kind contain exactly these" {
	start_sample steady
	read -r start end < <(sed -n 's/^\([0-9a-f]*\)-\([0-9a-f]*\) .*\[heap\]$/\1 \2/p' "/proc/$SAMPLE_PID/maps")
	leakhunt dump "$SAMPLE_PID" --bare --region "0x$start-0x$end" -o kept.1
	vendor_note kept.1 2 | jq -e --arg s "0x$start" --arg e "0x$end" 'map([.start, .end]) == [[$s, $e]]'
	# An odd range is rounded to whole pages.
	odd=$(printf '0x%x-0x%x' $((0x$start + 5)) $((0x$start + 4097)))
	leakhunt dump "$SAMPLE_PID" --bare --region "$odd" -o kept.2
	vendor_note kept.2 2 | jq -e --arg s "0x$start" --arg e "$(printf '0x%x' $((0x$start + 8192)))" \
		'map([.start, .end]) == [[$s, $e]]'
	leakhunt dump "$SAMPLE_PID" --bare --region 'name:*libc.so*' -o kept.3
	[ "$(vendor_note kept.3 2 | jq length)" -eq "$(grep -c 'libc\.so' "/proc/$SAMPLE_PID/maps")" ]
	leakhunt dump "$SAMPLE_PID" --bare --region vdso -o kept.4
	vendor_note kept.4 2 | jq -e 'map(.name) == ["[vdso]"]'
}

@test "--format raw: plain bytes, and an index that says their addresses" {
	start_sample steady
	leakhunt dump "$SAMPLE_PID" --format raw -o kept.raw
	[ "$status" -eq 0 ]
	[ "$(stat -c %a kept.raw.json)" = 600 ]
	jq -e '.leakhunt_raw == 1 and (.extents | length > 0) and .capture.receipt.mode == "snapshot"' kept.raw.json
	cat >check.py <<-'EOF_PYTHON'
		import json, sys
		index, raw = json.load(open("kept.raw.json")), open("kept.raw", "rb").read()
		memory = open(f"/proc/{sys.argv[1]}/mem", "rb", 0)
		for extent in index["extents"]:
		    if extent["kind"] != "heap":
		        continue
		    start, end, at = int(extent["start"], 16), int(extent["end"], 16), extent["offset"]
		    memory.seek(start)
		    assert raw[at:at + end - start] == memory.read(end - start)
		    sys.exit(0)
		sys.exit("no heap in the index")
	EOF_PYTHON
	python3 check.py "$SAMPLE_PID"
	rm check.py
}

@test "an existing file is replaced only with --force" {
	start_sample steady
	echo precious >kept
	leakhunt dump "$SAMPLE_PID" -o kept
	assert_refused 2 "kept exists"
	[ "$(cat kept)" = precious ]
	leakhunt dump "$SAMPLE_PID" -o kept --force
	[ "$status" -eq 0 ]
	readelf -h kept | grep -q CORE
	echo precious >kept.raw.json
	leakhunt dump "$SAMPLE_PID" -o kept.raw --format raw
	assert_refused 2 "kept.raw.json exists"
	[ ! -e kept.raw ]
}

@test "processes that cannot be dumped: none, kernel thread, zombie, leakhunt's own words" {
	leakhunt dump 4194304
	assert_refused 2 "no process 4194304"
	kernel_thread=$(ps -eo pid,ppid | awk '$2 == 2 { print $1; exit }')
	if [ -n "$kernel_thread" ]; then
		leakhunt dump "$kernel_thread"
		assert_refused 2 "kernel thread"
	fi
	# exec keeps the child of the shell, and sleep never waits for it; so it must not end before.
	mkfifo gate
	bash -c '(read -r _ <gate) & echo $!; exec sleep 60' >zombie 3>&- &
	parent=$!
	runs_sleep() { [ "$(cat "/proc/$parent/comm")" = sleep ]; }
	wait_until 100 runs_sleep
	echo >gate
	is_zombie() { [ -s zombie ] && [ "$(process_state "$(cat zombie)")" = Z ]; }
	wait_until 100 is_zombie
	zombie=$(cat zombie)
	rm zombie gate
	leakhunt dump "$zombie"
	kill "$parent"
	assert_refused 2 "zombie"
	leakhunt dump
	assert_refused 64 "PID"
	leakhunt dump abc
	assert_refused 64 "abc"
}

@test "invalid values are usage errors with a hint" {
	start_sample steady
	leakhunt dump "$SAMPLE_PID" --region heep
	assert_refused 64 "did you mean 'heap'"
	leakhunt dump "$SAMPLE_PID" --region 0x1000-0x1000
	assert_refused 64 "holds no byte"
	leakhunt dump "$SAMPLE_PID" --region 0x1000-0x2000
	assert_refused 64 "matches no mapping of process $SAMPLE_PID"
	leakhunt dump "$SAMPLE_PID" --region heap --region 'name:*nothing*'
	assert_refused 64 "'name:*nothing*' matches no mapping"
	leakhunt dump "$SAMPLE_PID" --mode fast
	assert_refused 64 "fast"
	leakhunt dump "$SAMPLE_PID" --format elf
	assert_refused 64 "elf"
	leakhunt dump "$SAMPLE_PID" --region suspects
	assert_refused 64 "--suspects FILE"
	assert_sample_unharmed
}

@test "invalid outputs: a directory, a missing folder, a read-only folder, a fifo" {
	start_sample steady
	mkdir kept.folder
	leakhunt dump "$SAMPLE_PID" -o kept.folder
	assert_refused 64 "kept.folder is a directory"
	leakhunt dump "$SAMPLE_PID" -o nowhere/x
	assert_refused 2 "nowhere/x"
	leakhunt dump "$SAMPLE_PID" -o ''
	assert_refused 64 "not a file name"
	mkfifo kept.fifo
	leakhunt dump "$SAMPLE_PID" -o kept.fifo --force
	assert_refused 64 "kept.fifo is not a regular file"
	assert_sample_unharmed
}

@test "a full disk is reported before the target is touched, and nothing is left" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to mount a tmpfs"
	mkdir kept.disk
	mount -t tmpfs -o size=512k tmpfs kept.disk 2>/dev/null || skip "mount is not allowed here"
	start_sample steady --size 4194304
	leakhunt dump "$SAMPLE_PID" -o kept.disk/core
	left=$(ls -A kept.disk)
	umount kept.disk
	[ -z "$left" ]
	assert_refused 2 "512 KiB are free"
	assert_sample_unharmed
}

@test "exceeding RLIMIT_FSIZE is an error, and leaves no half-written file" {
	start_sample steady --size 8388608
	run bash -c 'ulimit -f 1024; exec "$LEAKHUNT" dump "$1" 2>&1' - "$SAMPLE_PID"
	[ "$status" -eq 2 ]
	[[ $output == *"File too large"* ]]
	assert_no_output_left
	assert_sample_unharmed
}

@test "suspects of a record: what grew in it is dumped" {
	start_sample heap_leak --auto 20
	"$LEAKHUNT" select "$SAMPLE_PID" --samples 5 --interval 200ms --save kept.record >/dev/null
	leakhunt dump "$SAMPLE_PID" --suspects kept.record --bare -o kept.core
	[ "$status" -eq 0 ]
	vendor_note kept.core 2 | jq -e 'map(.kind) | index("heap")'
	leakhunt dump $$ --suspects kept.record -o kept.other
	assert_refused 64 "records process $SAMPLE_PID, not $$"
	assert_sample_unharmed
}

@test "snapshot options: their values, and other modes refuse them" {
	start_sample steady
	leakhunt dump "$SAMPLE_PID" --no-inject --json -o kept.told
	[ "$status" -eq 0 ]
	jq -e '.mode == "stop" and (.mode_reason | contains("--no-inject")) and .injected == null
		and .passes == [] and .final_bytes == 0' <<<"$output"
	leakhunt dump "$SAMPLE_PID" --max-pause 0.01ms --on-slow fail -o kept.failed
	[ "$status" -eq 2 ]
	[[ $errors == *"longer than the"*"--max-pause"* ]]
	leakhunt dump "$SAMPLE_PID" --max-pause 0.01ms --on-slow live --json -o kept.live
	[ "$status" -eq 0 ]
	jq -e '.mode == "live" and (.mode_reason | contains("--max-pause"))' <<<"$output"
	[[ $errors == *"going on in mode live"* ]]
	# No longer than 10 times as long, unless that was asked for.
	leakhunt dump "$SAMPLE_PID" --max-pause 0.01ms -o kept.failed
	[ "$status" -eq 2 ]
	[[ $errors == *"the pause would be about"*"--max-pause"*"--on-slow"* ]]
	[ ! -e kept.failed ]
	leakhunt dump "$SAMPLE_PID" --max-pause 0.01ms --no-inject -o kept.failed
	[ "$status" -eq 2 ]
	[[ $errors == *"no snapshot:"*"the pause of mode stop would be about"*"--on-slow stop"* ]]
	leakhunt dump "$SAMPLE_PID" --max-pause 0.01ms --no-inject --on-slow live --json -o kept.live2
	jq -e '.mode == "live"' <<<"$output"
	leakhunt dump "$SAMPLE_PID" --max-pause 0.01ms --on-slow stop --json -o kept.slow
	[ "$status" -eq 0 ]
	jq -e '.mode == "snapshot" and (.passes | length) >= 2 and .pause_ns > 0' <<<"$output"
	[[ $errors == *"the pause will be about"* ]]
	for words in '--on-slow never' '--max-pause soon' '--mode stop --max-pause 1ms' '--mode live --on-slow fail'; do
		# shellcheck disable=SC2086 # several words
		leakhunt dump "$SAMPLE_PID" $words -o kept.wrong
		[ "$status" -eq 64 ]
		[ ! -e kept.wrong ]
	done
}

@test "--dry-run: the plan of the dump that follows, and nothing is written" {
	start_sample steady --size 4194304
	leakhunt dump "$SAMPLE_PID" --region 'name:\[heap\]' --region stacks --dry-run --json -o kept.core
	[ "$status" -eq 0 ]
	[ -z "$errors" ]
	[ ! -e kept.core ]
	plan=$output
	jq -e '.schema == "leakhunt/dump-plan/1" and .path == "kept.core" and .gap_bytes == 0 and .mode == "snapshot"
		and .disk_needed_bytes <= .disk_free_bytes and ([.modes[].mode] | index("stop", "live")) != null
		and ([.extents[] | select(.context | not) | .present_bytes] | add) == .wanted_bytes
		and ([.extents[] | select(.context) | .present_bytes] | add) == .context_bytes' <<<"$plan"
	[ "$(jq '.extents[] | select(.name == "[heap]") | .present_bytes' <<<"$plan")" -eq \
		"$(smaps_at "$(truth first_addr)" Rss)" ]
	leakhunt dump "$SAMPLE_PID" --region 'name:\[heap\]' --region stacks --mode stop --json -o kept.core
	[ "$(jq '.wanted_bytes + .context_bytes' <<<"$plan")" -eq "$(jq .copied_bytes <<<"$output")" ]
	[ "$(jq .threads <<<"$plan")" -eq "$(jq .threads <<<"$output")" ]
	[ "$(jq .disk_bytes <<<"$output")" -le "$(jq .disk_needed_bytes <<<"$plan")" ]
	# The extents are the regions of the core's note.
	[ "$(jq -c '[.extents[] | [.start, .end, .kind, .context]]' <<<"$plan")" = \
		"$(vendor_note kept.core 2 | jq -c '[.[] | select(.from_file | not) | [.start, .end, .kind, .context]]')" ]
	leakhunt dump "$SAMPLE_PID" --dry-run
	[[ $output == *"[heap]"*"dump.bin of process $SAMPLE_PID (steady), a dry run"*"snapshot  works"*"disk"*" are free"* ]]
	[ ! -e dump.bin ]
	assert_sample_unharmed
}

@test "--dry-run fails as the dump would, and says which mode it would become" {
	start_sample steady
	echo precious >kept
	leakhunt dump "$SAMPLE_PID" --dry-run -o kept
	assert_refused 2 "kept exists"
	leakhunt dump "$SAMPLE_PID" --dry-run -o kept --force
	[ "$status" -eq 0 ]
	[ "$(cat kept)" = precious ]
	leakhunt dump "$SAMPLE_PID" --dry-run -o nowhere/x
	assert_refused 2 "nowhere/x"
	leakhunt dump "$SAMPLE_PID" --dry-run -o x --format raw
	[ "$status" -eq 0 ]
	echo >kept.raw.json
	leakhunt dump "$SAMPLE_PID" --dry-run -o kept.raw --format raw
	assert_refused 2 "kept.raw.json exists"
	leakhunt dump "$SAMPLE_PID" --dry-run --region name:nothing
	assert_refused 64 "matches no mapping"
	leakhunt dump 4194304 --dry-run
	assert_refused 2 "no process 4194304"
	leakhunt dump "$SAMPLE_PID" --dry-run --no-inject --json
	jq -e '.mode == "stop" and (.mode_reason | contains("--no-inject"))
		and (.modes[] | select(.mode == "snapshot") | .works | not)' <<<"$output"
	leakhunt dump "$SAMPLE_PID" --dry-run --mode live --json
	jq -e '.mode == "live" and .expected_pause_ns == 0' <<<"$output"
	assert_sample_unharmed
}

@test "--dry-run of a process that somebody traces: refused as the dump would be, but for mode live" {
	start_sample steady
	mkfifo kept.hold
	gdb -batch -nx -p "$SAMPLE_PID" -ex 'shell cat kept.hold' >/dev/null 2>&1 3>&- &
	tracer=$!
	is_traced() { grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$SAMPLE_PID/status"; }
	wait_until 100 is_traced
	leakhunt dump "$SAMPLE_PID" --dry-run
	refused=$status words=$errors
	leakhunt dump "$SAMPLE_PID" --dry-run --mode live --json
	echo >kept.hold
	wait "$tracer" || true
	[ "$refused" -eq 2 ]
	[[ $words == *"traced by process "*gdb* ]]
	[ "$status" -eq 0 ]
	jq -e '[.modes[] | select(.works) | .mode] == ["live"]' <<<"$output"
}

@test "-o - is refused: exit 64, and nothing is written" {
	cd "$BATS_TEST_TMPDIR"
	run "$LEAKHUNT" dump $$ -o -
	[ "$status" -eq 64 ]
	[[ $output == *"standard output; hint: "*"-o"* ]]
	[ -z "$(ls)" ]
}
