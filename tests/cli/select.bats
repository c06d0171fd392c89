#!/usr/bin/env bats
# The select command: output, records, saved texts, early ends, bad usage.

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
}

leakhunt() {
	run --separate-stderr "$LEAKHUNT" "$@"
}

# usage_error TEXT: exit 64, nothing on stdout, one line on stderr that holds the text.
usage_error() {
	[ "$status" -eq 64 ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == *"$1"* ]]
}

failure() {
	[ "$status" -eq 2 ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == *"$1"* ]]
}

# smaps FILE HEAP_KB: a saved smaps text whose heap holds that much.
smaps() {
	cat >"$1" <<-EOF_SMAPS
		00400000-00500000 r-xp 00000000 08:01 4711 /bin/server
		Size: 1024 kB
		Rss: 800 kB
		Shared_Clean: 800 kB
		Private_Dirty: 0 kB
		01000000-10000000 rw-p 00000000 00:00 0 [heap]
		Size: 245760 kB
		Rss: $2 kB
		Shared_Clean: 0 kB
		Private_Dirty: $2 kB
	EOF_SMAPS
}

# series NAME KB...: NAME0, NAME1, ... and an array `files` of --from options.
series() {
	local name=$1 kb i=0
	shift
	files=()
	for kb in "$@"; do
		smaps "$name$i" "$kb"
		files+=(--from "$name$i")
		i=$((i + 1))
	done
}

@test "saved smaps texts with times: growth, rate and verdict" {
	series s 1000 2000 3000 4000 5000 6000 7000
	leakhunt select "${files[@]}" --times 0,1m,2m,180,240s,5m,6m --json
	[ "$status" -eq 0 ]
	[ "$(jq -r .schema <<<"$output")" = leakhunt/select/2 ]
	# Seven samples cannot tell a leak from a warm-up.
	[ "$(jq -r .regions[0].verdict <<<"$output")" = growing ]
	[ "$(jq .regions[0].growth_bytes <<<"$output")" -eq $((6000 * 1024)) ]
	[ "$(jq '.regions[0].rate_bytes_per_hour | floor' <<<"$output")" -eq $((1000 * 1024 * 60)) ]
	[ "$(jq .span_ns <<<"$output")" -eq 360000000000 ]
	[ "$(jq -r .regions[0].start <<<"$output")" = 0x1000000 ]
	[ "$(jq -c .regions[0].series_bytes <<<"$output")" = "$(jq -nc '[range(1;8) | . * 1024000]')" ]
	[ "$(jq -r .next_command <<<"$output")" = "leakhunt dump PID --region heap" ]
	[ "$(jq -r .pid <<<"$output")" = null ]
}

@test "saved smaps texts without times: modification times, in any order" {
	series s 1000 2000 3000 4000 5000 6000 7000
	for i in 0 1 2 3 4 5 6; do
		touch -d "2024-01-01 00:0$i:00" "s$i"
	done
	leakhunt select --from s3 --from s0 --from s6 --from s1 --from s5 --from s2 --from s4
	[ "$status" -eq 0 ]
	[[ $output == *"7 samples in 6m 00s"* ]]
	[[ $output == *"+5.86 MiB"* ]]
	[[ $output == *"do not say which PID"* ]]
}

@test "text: header, columns, reason, next command" {
	series s 1000 2000 3000 4000 5000 6000 7000
	leakhunt select "${files[@]}" --times 0,1,2,3,4,5,6
	[ "$status" -eq 0 ]
	for word in ADDRESS KIND VSS "USS NOW" GROWTH RATE/h VERDICT; do
		[[ $output == *"$word"* ]]
	done
	grep -Eq '^0x1000000-0x10000000 +heap +240 MiB +6.84 MiB +\+5.86 MiB .* leak ' <<<"$output"
	grep -q '^next: *leakhunt dump PID --region heap' <<<"$output"
}

@test "nothing grows: a sentence, no command" {
	series s 5000 5000 5000 5000 5000
	leakhunt select "${files[@]}" --times 0,1,2,3,4
	[ "$status" -eq 0 ]
	[[ $output == *"nothing grows: "* ]]
	[[ $output != *"leakhunt dump"* ]]
}

@test "two samples: undecided, with the growth and how much longer to watch" {
	series s 1000 9000
	leakhunt select "${files[@]}" --times 0,60
	[ "$status" -eq 0 ]
	[[ $output == *undecided* ]]
	[[ $output == *"+7.81 MiB"* ]]
	[[ $output == *"watch "*" more"* ]]
}

@test "--most bounds the rows" {
	for i in 0 1 2; do
		for r in 1 2 3; do
			printf '%d0000000-%d8000000 rw-p 00000000 00:00 0 \nSize: 131072 kB\nPrivate_Dirty: %d kB\n' \
				"$r" "$r" $((r * 500 * (i + 1)))
		done >"m$i"
	done
	leakhunt select --from m0 --from m1 --from m2 --times 0,1,2 --most 2 --json
	[ "$(jq '.regions | length' <<<"$output")" -eq 2 ]
	[ "$(jq -r .regions[0].start <<<"$output")" = 0x30000000 ]
	leakhunt select --from m0 --from m1 --from m2 --times 0,1,2 --most 1
	[[ $output == *"2 more rows"* ]]
}

@test "--save and --from give the same answer" {
	start_sample heap_leak --auto 20
	leakhunt select "$SAMPLE_PID" -i 50ms -n 8 --save record.jsonl --json
	[ "$status" -eq 0 ]
	live=$output
	[ "$(stat -c %a record.jsonl)" = 600 ]
	[ "$(jq -c . record.jsonl | wc -l)" -eq 9 ]
	[ "$(head -1 record.jsonl | jq .pid)" -eq "$SAMPLE_PID" ]
	leakhunt select --from record.jsonl --json
	[ "$status" -eq 0 ]
	for key in .pid .command .samples .span_ns .process .regions; do
		[ "$(jq -c "$key" <<<"$live")" = "$(jq -c "$key" <<<"$output")" ]
	done
	[ -z "$(find . -name '*.tmp')" ]
}

@test "--save does not replace a file, --force does" {
	start_sample steady
	echo precious >record.jsonl
	leakhunt select "$SAMPLE_PID" -i 10ms -n 2 --save record.jsonl
	failure "record.jsonl exists"
	[[ $stderr == *--force* ]]
	[ "$(cat record.jsonl)" = precious ]
	leakhunt select "$SAMPLE_PID" -i 10ms -n 2 --save record.jsonl --force
	[ "$status" -eq 0 ]
	[ "$(jq -c . record.jsonl | wc -l)" -eq 3 ]
}

@test "a record that is cut off or corrupt in the middle: the rest counts, exit 1 and said so" {
	start_sample heap_leak --auto 20
	"$LEAKHUNT" select "$SAMPLE_PID" -i 50ms -n 8 --save record.jsonl >/dev/null
	head -c -200 record.jsonl >cut.jsonl
	leakhunt select --from cut.jsonl --json
	[ "$status" -eq 1 ]
	[ "$(jq .samples <<<"$output")" -eq 7 ]
	[ "$(jq .complete <<<"$output")" = false ]
	[[ $stderr == *"1 lines were not understood"* ]]
	sed '4s/.*/garbage/' record.jsonl >bad.jsonl
	leakhunt select --from bad.jsonl
	[ "$status" -eq 1 ]
	[[ $output == *"not complete"* ]]
}

# A condition for wait_until: the unfinished record holds its header and at least N samples.
holds_samples() {
	local record
	record=$(find . -name '.record.jsonl.*.tmp')
	[ -n "$record" ] && (($(wc -l <"$record") > $1))
}

@test "Ctrl-C gives the result so far, and keeps the record" {
	start_sample heap_leak --auto 20
	# Job control, so that the child does not ignore SIGINT as background children of a script do.
	set -m
	"$LEAKHUNT" select "$SAMPLE_PID" -i 50ms -n 10000 --save record.jsonl --json >out 2>err 3>&- &
	pid=$!
	set +m
	wait_until 100 holds_samples 6
	kill -INT "$pid"
	wait "$pid" && status=0 || status=$?
	[ "$status" -eq 1 ]
	[ "$(jq .complete out)" = false ]
	(($(jq .samples out) >= 6))
	[[ $(jq -r .regions[0].verdict out) =~ ^(leak|growing)$ ]]
	[ "$(jq -c . record.jsonl | wc -l)" -eq $(($(jq .samples out) + 1)) ]
}

@test "Ctrl-C in a long wait takes a last sample" {
	start_sample heap_leak --auto 20
	set -m
	"$LEAKHUNT" select "$SAMPLE_PID" -i 1h -n 10 --save record.jsonl --json >out 2>err 3>&- &
	pid=$!
	set +m
	wait_until 100 holds_samples 1
	kill -INT "$pid"
	wait "$pid" && status=0 || status=$?
	[ "$status" -eq 1 ]
	[ "$(jq .samples out)" -eq 2 ]
}

@test "the process ends midway: the result so far, exit 1, a warning" {
	start_sample heap_leak --auto 20
	"$LEAKHUNT" select "$SAMPLE_PID" -i 50ms -n 10000 --save record.jsonl --json >out 2>err 3>&- &
	pid=$!
	wait_until 100 holds_samples 6
	stop_sample
	wait "$pid" && status=0 || status=$?
	[ "$status" -eq 1 ]
	[ "$(wc -l <err)" -eq 1 ]
	grep -q 'warning: .*the result covers the samples before' err
	(($(jq .samples out) >= 6))
	[ -e record.jsonl ]
}

@test "the process calls exec midway: the result for the old program, exit 1, a warning" {
	mkfifo go
	bash -c 'read -r _ <go; exec sleep 1000' 3>&- &
	target=$!
	wait_until 100 test -e "/proc/$target/smaps"
	"$LEAKHUNT" select "$target" -i 50ms -n 10000 --save record.jsonl --json >out 2>err 3>&- &
	pid=$!
	wait_until 100 holds_samples 4
	echo >go
	wait "$pid" && status=0 || status=$?
	kill "$target"
	[ "$status" -eq 1 ]
	grep -q 'warning: .*the result covers the samples before' err
	(($(jq .samples out) >= 4))
}

@test "fewer than two samples before the end: an error, and no record left" {
	start_sample steady
	"$LEAKHUNT" select "$SAMPLE_PID" -i 1h --save record.jsonl >out 2>err 3>&- &
	pid=$!
	wait_until 100 holds_samples 1
	stop_sample
	wait "$pid" && status=0 || status=$?
	[ "$status" -eq 2 ]
	[ ! -s out ]
	[ "$(wc -l <err)" -eq 1 ]
	[ -z "$(find . -name '*record*')" ]
}

@test "a full disk ends the record, not the watch" {
	mkdir full
	mount -t tmpfs -o size=4k leakhunt-test full 2>/dev/null || skip "needs the right to mount a tmpfs"
	start_sample heap_leak --auto 20
	leakhunt select "$SAMPLE_PID" -i 20ms -n 8 --save full/record.jsonl --json
	left=$(ls -A full)
	umount full
	[ "$status" -eq 1 ]
	[[ $stderr == *"No space left"*"not saved"* ]]
	[ "$(jq .samples <<<"$output")" -eq 8 ]
	[ -z "$left" ]
}

@test "bad files: one line that names the file" {
	smaps good 1000
	: >empty
	head -c 5000 /dev/urandom >random
	mkdir folder
	printf '{"leakhunt_record":9,"pid":1}\n' >newer
	for file in empty random folder newer missing; do
		leakhunt select --from good --from "$file" --times 0,1
		[ "$status" -ne 0 ]
		[ -z "$output" ]
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ $stderr == *"$file"* ]]
	done
	grep -E '^[0-9a-f]+-[0-9a-f]+ ' good >maps_only
	leakhunt select --from good --from maps_only --times 0,1
	failure maps_only
	[[ $stderr == *smaps* ]]
}

@test "a torn smaps text: the readable part counts, exit 1" {
	series s 1000 2000 3000
	printf 'zzzz-yyyy torn line\n' >>s1
	leakhunt select "${files[@]}" --times 0,1,2 --json
	[ "$status" -eq 1 ]
	[[ $stderr == *"s1"*"not understood"* ]]
	[ "$(jq .samples <<<"$output")" -eq 3 ]
}

# kernel_text KIB: a heap of that much, as the kernel in $kernel tells it, beside what else it may tell.
kernel_text() {
	case $kernel in
	2.6.32) # no Anonymous, no VmFlags
		printf '0804f000-b0000000 rw-p 00000000 00:00 0          [heap]\nSize: 3800000 kB\nRss: %d kB\nPss: %d kB\nShared_Clean: 0 kB\nShared_Dirty: 0 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: %d kB\nReferenced: %d kB\nSwap: 0 kB\nKernelPageSize: 4 kB\nMMUPageSize: 4 kB\n' "$1" "$1" "$1" "$1"
		printf 'bf7ff000-bf814000 rw-p 00000000 00:00 0          [stack]\nSize: 84 kB\nRss: 8 kB\nPss: 8 kB\nShared_Clean: 0 kB\nShared_Dirty: 0 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 8 kB\nReferenced: 8 kB\nSwap: 0 kB\nKernelPageSize: 4 kB\nMMUPageSize: 4 kB\n'
		;;
	missing) # two fields only
		printf '01000000-f0000000 rw-p 00000000 00:00 0 [heap]\nRss: %d kB\nPrivate_Dirty: %d kB\n' "$1" "$1"
		;;
	future) # fields and flags that nobody knows yet
		printf '01000000-f0000000 rw-p 00000000 00:00 0 [heap]\nSize: 240000 kB\nRss: %d kB\nPss_Dirty: %d kB\nPrivate_Dirty: %d kB\nAnonymous: %d kB\nQuantumPages: 12 kB\nTHPeligible: 1\nProtectionKey: 0\nTiers: dram:3 cxl:4\nVmFlags: rd wr zz q9 sd\n' "$1" "$1" "$1" "$1"
		;;
	hugetlb) # resident nowhere, by the classic fields
		printf '01000000-f0000000 rw-p 00000000 00:0f 33 /anon_hugepage (deleted)\nSize: 240000 kB\nRss: 0 kB\nPrivate_Dirty: 0 kB\nAnonymous: 0 kB\nPrivate_Hugetlb: %d kB\nVmFlags: rd wr mr mw me de ht\n' $(($1 * 2048 / 1000))
		;;
	names) # a newline, a tab, a file that is gone, bytes that are no UTF-8
		printf '01000000-f0000000 rw-p 00000000 08:01 9 /tmp/a\\012b\tc (deleted)\nRss: %d kB\nPrivate_Dirty: %d kB\nAnonymous: %d kB\n' "$1" "$1" "$1"
		printf '7f0000000000-7f0000001000 rw-p 00000000 08:01 5 /tmp/\xff\x1b[31m\nPrivate_Dirty: 4 kB\nAnonymous: 4 kB\n'
		;;
	esac
}

@test "smaps of other kernels" {
	for kernel in 2.6.32 missing future hugetlb names; do
		texts=()
		for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
			kernel_text $((i * 1000)) >"$kernel$i"
			texts+=(--from "$kernel$i")
		done
		leakhunt select "${texts[@]}" --times 0,1,2,3,4,5,6,7,8,9,10,11 --json
		[ "$status" -eq 0 ]
		[ -z "$stderr" ]
		jq -e '.process.verdict == "leak" and .regions[0].verdict == "leak" and .process.growth_bytes >= 11000 * 1024' <<<"$output"
		leakhunt select "${texts[@]}" --times 0,1,2,3,4,5,6,7,8,9,10,11
		[[ $output == *"verdict  leak"* ]]
		[[ $output != *$'\x1b'* && $output != *$'\xff'* ]]
	done
	[[ $output == *'a\x0ab\x09c'* ]]
}

# bats test_tags=long
@test "a long record, parts of it lost, out of order, of another process" {
	printf '{"leakhunt_record":1,"pid":7}\n' >long
	for ((i = 0; i < 5000; i++)); do
		at=$i
		[ "$i" -ne 3000 ] || at=100
		printf '{"time_ns":%d,"regions":[{"start":"0x10000000","end":"0x50000000","perms":"rw-p","kind":"anon","anonymous_bytes":%d}]}\n' \
			$((at * 1000000000 + 1)) $((i * 8192))
	done >>long
	sed -i '4000s/.*/{"time_ns":/; 4500s/.*/\x00\xff/' long
	leakhunt select --from long --json
	[ "$status" -eq 1 ]
	[[ $stderr == *"2 lines were not understood"* ]]
	[[ $stderr == *"1 samples are older"* ]]
	jq -e '.samples == 4998 and .process.verdict == "leak" and .complete == false' <<<"$output"
	printf '{"leakhunt_record":1,"pid":8}\n{"time_ns":9000000000000,"regions":[{"start":"0x1000","end":"0x2000","perms":"rw-p","kind":"anon"}]}\n' >>long
	leakhunt select --from long
	[ "$status" -ne 0 ]
	[[ $stderr == *"pids 7 and 8"* ]]
}

@test "a record from a pipe" {
	put_record record 1000 100 20
	run --separate-stderr "$LEAKHUNT" select --from <(cat record) --json
	[ "$status" -eq 0 ]
	[ "$(jq -r '.process.verdict, .samples' <<<"$output")" = $'leak\n20' ]
	put_record after 3000 0 20
	run --separate-stderr "$LEAKHUNT" select --before <(cat record) --after <(cat after) --json
	[ "$status" -eq 0 ]
	[ "$(jq -r .change <<<"$output")" = stopped ]
}

@test "samples that do not go together" {
	smaps a 1000
	smaps b 2000
	leakhunt select --from a
	usage_error "1 sample"
	touch -d 2024-01-01 a b
	leakhunt select --from a --from b
	usage_error "same time"
	[[ $stderr == *--times* ]]
	printf '{"leakhunt_record":1,"pid":%d}\n{"time_ns":%d,"regions":[{"start":"0x1000","end":"0x2000","perms":"rw-p","kind":"anon"}]}\n' \
		7 1 >seven 8 2 && sed -n 1,2p seven >r7 && sed -n 3,4p seven >r8
	leakhunt select --from r7 --from r8
	usage_error "pids 7 and 8"
}

# put_record FILE FIRST_KIB STEP_KIB SAMPLES: a record of samples a minute apart, of one mapping.
put_record() {
	local i
	printf '{"leakhunt_record":1,"pid":7}\n' >"$1"
	for ((i = 0; i < $4; i++)); do
		printf '{"time_ns":%d,"regions":[{"start":"0x10000000","end":"0x50000000","perms":"rw-p","kind":"anon","anonymous_bytes":%d}]}\n' \
			$((i * 60000000000 + 1)) $((($2 + i * $3) * 1024)) >>"$1"
	done
}

@test "what a verdict rests on" {
	put_record record 1000 512 30
	leakhunt select --from record --explain
	[[ $output == *"verdict  leak"*"curve"*"30 samples, by their curve alone"*"age"*"of unknown age"* ]]
	leakhunt select --from record --json
	jq -e '([.evidence[].weight] | add) as $logit | (1 / (1 + (-$logit | exp)) - .process.probability) | fabs < 1e-6' <<<"$output"
	jq -e '.process.resolution_bytes_per_hour > 0 and ([.evidence[].kind] | index("curve") == 0)' <<<"$output"
}

@test "before and after a fix" {
	put_record leaking 1000 512 20
	put_record mended 9000 0 20
	put_record worse 1000 2048 20
	leakhunt select --before leaking --after mended --json
	[ "$status" -eq 0 ]
	[ "$(jq -r .schema <<<"$output")" = leakhunt/comparison/1 ]
	[ "$(jq -r .change <<<"$output")" = stopped ]
	# 512 KiB a minute, computed here.
	jq -e '.before_bytes_per_hour == 512 * 1024 * 60 and .after_bytes_per_hour == 0' <<<"$output"
	[ "$(leakhunt_json_change leaking worse)" = faster ]
	[ "$(leakhunt_json_change worse leaking)" = slower ]
	[ "$(leakhunt_json_change leaking leaking)" = "no change" ]
	[ "$(leakhunt_json_change mended mended)" = "no growth" ]
	leakhunt select --before leaking --after mended
	[[ $output == *"growth   stopped: rate +30.0 MiB/h -> "* ]]
	# Six samples in a row may rise by accident once in 32 times, however straight they are.
	put_record few 1000 512 6
	put_record few_mended 9000 0 6
	leakhunt select --before few --after few_mended --json
	jq -e '.change == "stopped" and .confidence == 1 - 1 / 32' <<<"$output"
	leakhunt select --before few --after few_mended
	[[ $output == *"different with 96.8 % confidence; resolution: better than "*"/h"* ]]
	leakhunt select --before leaking
	usage_error "go together"
	leakhunt select --before leaking --after mended --from leaking
	usage_error "--"
}

leakhunt_json_change() {
	"$LEAKHUNT" select --before "$1" --after "$2" --json | jq -r .change
}

@test "growth for each request, and when it ends" {
	start_sample heap_leak --auto 20
	echo 0 >requests
	# Each look finds 100 requests more.
	# shellcheck disable=SC2016 # expanded by the shell that leakhunt starts
	leakhunt select "$SAMPLE_PID" -i 60ms -n 12 --json \
		--counter 'n=$(($(cat requests) + 100)); echo $n | tee requests'
	[ "$status" -eq 0 ]
	[ "$(cat requests)" -eq 1200 ]
	jq -e '.process | .growth_bytes / .bytes_per_count | . > 500 and . < 2500' <<<"$output"
	jq -e '.process.verdict == "leak"' <<<"$output"
	jq -e '.forecast | .seconds > 0 and .earliest_s <= .seconds and (.what | length > 0)' <<<"$output"
	leakhunt select "$SAMPLE_PID" -i 10ms -n 3 --counter 'echo nothing' --json
	[ "$status" -eq 1 ]
	[[ $stderr == *"--counter"*"did not print a number"* ]]
	[ "$(jq .process.bytes_per_count <<<"$output")" = null ]
	assert_sample_unharmed
	stop_sample
}

@test "a clock that is set back does not matter" {
	printf '{"leakhunt_record":2,"pid":7,"start_ticks":5}\n' >jumps
	for i in 0 1 2 3 4 5 6 7; do
		printf '{"n":%d,"time_ns":%d,"uptime_ns":%d,"regions":[{"start":"0x10000000","end":"0x50000000","perms":"rw-p","kind":"anon","anonymous_bytes":%d}]}\n' \
			"$i" $((9000000000 - i * 1000000000)) $((1000000000 + i * 2000000000)) $((i * 1048576)) >>jumps
	done
	leakhunt select --from jumps --json
	[ "$status" -eq 0 ]
	jq -e '.process.rate_bytes_per_hour == 1048576 * 1800 and .span_ns == 14000000000' <<<"$output"
	printf '{"leakhunt_record":2,"pid":7,"start_ticks":6}\n{"n":0,"time_ns":99000000000,"regions":[{"start":"0x1000","end":"0x2000","perms":"rw-p","kind":"anon"}]}\n' >>jumps
	leakhunt select --from jumps
	usage_error "given to another one"
}

@test "bad usage" {
	smaps a 1000
	leakhunt select
	usage_error "neither PID nor --from"
	leakhunt select 1 --from a
	usage_error "option --from does not go with a PID"
	leakhunt select 1 --times 0
	usage_error "--times"
	leakhunt select --from a --from a --times 0
	usage_error "1 times for 2 files"
	leakhunt select --from a --from a --times 0,never
	usage_error "never"
	leakhunt select --from a --interval 2s
	usage_error "--interval"
	leakhunt select $$ --samples 1
	usage_error "samples"
	leakhunt select $$ --interval 0
	usage_error "--interval"
	leakhunt select $$ --interval soon
	usage_error "soon"
	leakhunt select $$ --samplse 3
	usage_error "--samples"
	leakhunt select 12 13
	usage_error "13"
}

# A condition for wait_until.
is_zombie() {
	[ "$(process_state "$1")" = Z ]
}

# Likewise.
runs_sleep() {
	[ "$(cat "/proc/$1/comm")" = sleep ]
}

@test "no such process, and a zombie" {
	sh -c 'exit 0' &
	gone=$!
	wait "$gone"
	leakhunt select "$gone"
	failure "$gone"
	# exec keeps the child of the shell, and sleep never waits for it; so it must not end before.
	mkfifo gate
	bash -c '(read -r _ <gate) & echo $! >child; exec sleep 1000' 3>&- &
	parent=$!
	wait_until 100 runs_sleep "$parent"
	echo >gate
	wait_until 100 is_zombie "$(cat child)"
	leakhunt select "$(cat child)"
	kill "$parent"
	failure "zombie"
}

@test "--max-stall: how it was read is in the receipt; the figures are the same" {
	start_sample steady --size 268435456
	leakhunt select "$SAMPLE_PID" -i 10ms -n 3 --max-stall 1h --json
	[ "$status" -eq 0 ]
	[ "$(jq -c '[.receipt.readings, .receipt.bounded_readings]' <<<"$output")" = '[3,0]' ]
	used=$(jq .process.private_last_bytes <<<"$output")
	leakhunt select "$SAMPLE_PID" -i 10ms -n 3 --max-stall 100us --json
	[ "$status" -eq 0 ]
	[ "$(jq .receipt.bounded_readings <<<"$output")" -ge 1 ]
	[ "$(jq .receipt.longest_call_ns <<<"$output")" -gt 0 ]
	assert_between $((used - 65536)) "$(jq .process.private_last_bytes <<<"$output")" $((used + 65536))
	leakhunt select "$SAMPLE_PID" -i 10ms -n 3 --max-stall 100us
	[[ $output == *"of maps and pagemap in short calls took "* ]]
	assert_sample_unharmed
}

@test "--max-stall: too short, or without a process" {
	leakhunt select $$ --max-stall 5us
	usage_error "--max-stall: must be at least 100us"
	leakhunt select --from x --max-stall 5ms
	usage_error "--max-stall does not go with --from"
}

@test "--svg: well-formed, a line for the process and each row, names escaped, no script; --force replaces it" {
	series s 1000 2000 3000 4000 5000 6000 7000
	sed -i 's|\[heap\]|[anon:<b>\&"]|' s?
	leakhunt select "${files[@]}" --times 0,1,2,3,4,5,6 --svg out.svg --json
	[ "$status" -eq 0 ]
	rows=$(jq '.regions | length' <<<"$output")
	[ "$rows" -eq 1 ]
	run python3 -c 'import xml.etree.ElementTree as e
root = e.parse("out.svg").getroot(); n = "{http://www.w3.org/2000/svg}"
print(len(root.findall(f".//{n}polyline")), any("<b>&" in (t.text or "") for t in root.iter(f"{n}text")), len(root.findall(f".//{n}script")))'
	[ "$output" = "2 True 0" ]
	leakhunt select "${files[@]}" --times 0,1,2,3,4,5,6 --svg out.svg
	failure "--force"
	leakhunt select "${files[@]}" --times 0,1,2,3,4,5,6 --svg out.svg --force
	[ "$status" -eq 0 ]
}
