#!/bin/bash
# The first process of a virtual machine that scripts/kernel-matrix.sh has booted: runs leakhunt on
# this kernel, tells its results as TAP lines on the console, and ends the machine. Everything is in memory.
export PATH=/usr/bin:/bin LEAKHUNT=/leakhunt/leakhunt SAMPLES=/leakhunt/samples LEAKHUNT_ROOT=/leakhunt
export PYTHONDONTWRITEBYTECODE=1 BATS_TEST_TMPDIR=/tmp TMPDIR=/tmp LC_ALL=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /tmp
mount -t devtmpfs dev /dev
cd /tmp || exit
# shellcheck disable=SC1091
. "$LEAKHUNT_ROOT/tests/helpers.bash"

count=0

# check TEXT COMMAND...: one TAP line; what the command said follows when it failed.
check() {
	local text=$1 status started=$SECONDS
	shift
	count=$((count + 1))
	# Not as part of a condition: bash would go on after a command of it that fails.
	(
		set -e
		"$@"
	) >said 2>&1
	status=$?
	if [ $status -eq 0 ]; then
		echo "ok $count - $text ($((SECONDS - started)) s)"
	else
		echo "not ok $count - $text"
		tail -n 12 said | sed 's/^/# /'
	fi
}

is_of_one_instant() {
	/leakhunt/tests/live/check_cut.py "$1" "$(truth pages)" "$(truth pages_addr)" "$(truth sequence_addr)" ${discards:+--discard}
}

kernel_at_least() {
	local major minor
	IFS=.- read -r major minor _ </proc/sys/kernel/osrelease
	((major > $1 || (major == $1 && minor >= $2)))
}

assert_unharmed() {
	assert_not_stopped "$SAMPLE_PID"
	sample_command check
	jq -e '.alive and .checksum_ok' <<<"$REPLY"
	[ -z "$(find "/proc/$SAMPLE_PID/fd" -lname '*userfaultfd*')" ]
}

# dump_consistently TIMES JQ_FILTER WORDS...: dumps of a target that writes; each of one instant, each receipt as told.
dump_consistently() {
	local times=$1 filter=$2 _
	shift 2
	for _ in $(seq "$times"); do
		"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --force --json -o cut.core "$@" >receipt 2>err || { cat err; return 1; }
		jq -e "$filter" receipt >/dev/null || { cat receipt; return 1; }
		is_of_one_instant cut.core
	done
	assert_unharmed
}

maps() {
	"$LEAKHUNT" maps "$SAMPLE_PID" --json >maps.json
	jq -e --argjson count "$(wc -l <"/proc/$SAMPLE_PID/maps")" '.complete and .total.mappings == $count' maps.json
	"$LEAKHUNT" maps "$SAMPLE_PID" | grep -q '\[heap\]'
}

select_finds_the_leak() {
	start_sample heap_leak --auto 20
	"$LEAKHUNT" select "$SAMPLE_PID" --samples 5 --interval 300ms >selected
	grep -q heap selected
	stop_sample
}

strings() {
	"$LEAKHUNT" dump "$SAMPLE_PID" --region stacks --force -o strings.core >/dev/null 2>&1
	"$LEAKHUNT" strings strings.core | grep -q page_writer
}

# What --tracker auto means here.
expected_tracker() {
	if kernel_at_least 6 7; then
		echo '.mode == "snapshot" and .injected != null and .complete'
	else
		echo '.mode == "snapshot" and .injected == null and (.mode_reason | contains("tracked by soft-dirty")) and .complete'
	fi
}

killed_at_each_step() {
	local point
	for point in soft-frozen soft-cleared snapshot-taken snapshot-pass-copied snapshot-frozen snapshot-final-copied; do
		status=0
		LEAKHUNT_FAULT=$point /leakhunt/leakhunt-faults dump "$SAMPLE_PID" --region anon --tracker soft-dirty \
			-o killed.core >/dev/null 2>&1 || status=$?
		[ "$status" -eq 137 ] || { echo "$point was not reached: $status"; return 1; }
		wait_until 50 assert_not_stopped "$SAMPLE_PID"
		rm -f .killed.core.*
	done
	assert_unharmed
}

trackers_step_by_step() {
	/leakhunt/test_dirty_trackers >steps 2>&1 || { cat steps; return 1; }
	[ "$(grep -c 'OK.*soft-dirty' steps)" -ge 6 ]
	if kernel_at_least 6 7; then [ "$(grep -c 'OK.*uffd' steps)" -ge 5 ]; fi
}

pause_of() {
	"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --force --json -o pause.core "$@" 2>/dev/null |
		jq -r '"\(.mode), pause \(.pause_ns / 1e6 * 10 | round / 10) ms, final \(.final_bytes) of \(.copied_bytes) bytes"'
}

soft='.mode == "snapshot" and .injected == null and .complete and (.mode_reason | contains("no soft-dirty") | not)'

echo "# Linux $(cat /proc/sys/kernel/osrelease), after ${SECONDS} s"
# As many writes as an emulated processor bears beside what is tested.
start_sample page_writer --size 4M --rate 5000
check "maps: as many as the kernel counts" maps
check "select: the leak is found" select_finds_the_leak
check "dump --mode stop: of one instant" dump_consistently 1 '.mode == "stop" and .complete' --mode stop
check "dump --mode live: complete" "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode live --force -o live.core
check "dump: a snapshot, by the tracker of this kernel, of one instant" dump_consistently 3 "$(expected_tracker)"
check "dump --tracker soft-dirty: of one instant" \
	dump_consistently 4 "$soft" --tracker soft-dirty
check "dump --no-inject: a snapshot all the same, and nothing runs in the target" dump_consistently 2 "$soft" --no-inject
check "strings: of a core" strings
check "killed at each step: the target goes on" killed_at_each_step
stop_sample
start_sample page_writer --size 4M --rate 5000 --discard 1
discards=1
check "pages that the target gives back and reads as zeros: of one instant" \
	dump_consistently 3 "$soft" --tracker soft-dirty
discards=
stop_sample
check "dirty trackers, step by step" trackers_step_by_step
start_sample page_writer --size 64M --rate 1000
for tracker in auto soft-dirty; do
	echo "# 64 MB, 1,000 writes a second, --tracker $tracker (emulated): $(pause_of --tracker "$tracker")"
done
stop_sample
echo "1..$count"
echo b >/proc/sysrq-trigger
