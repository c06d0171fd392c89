#!/bin/bash
# The first process of a virtual machine that scripts/kernel-matrix.sh has booted: runs leakhunt on
# this kernel, tells its results as TAP lines on the console, and ends the machine. Everything is in memory.
export PATH=/usr/bin:/bin LEAKHUNT=/leakhunt/leakhunt SAMPLES=/leakhunt/samples LEAKHUNT_ROOT=/leakhunt
# When the emulator itself was held up, the seconds of this machine are over at once.
export BATS_TEST_TMPDIR=/tmp TMPDIR=/tmp LC_ALL=C.UTF-8 SAMPLE_ANSWER_SECONDS=3600
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /tmp
mount -t devtmpfs dev /dev
cd /tmp || exit
# shellcheck disable=SC1091
. "$LEAKHUNT_ROOT/tests/helpers.bash"

count=0
# With anonymous memory alone a dump missed the sample's (Linux 6.1): presumably the kernel makes one mapping of it and of a
# thread's stack right below, which is a stack to leakhunt.
memory=(--region anon --region stacks)

# check TEXT COMMAND...: one TAP line, and what the command noted; all it said follows when it failed.
check() {
	local text=$1 status started=$SECONDS
	shift
	count=$((count + 1))
	: >note
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
	sed 's/^/#   /' note
}

# kernel_at_least MAJOR MINOR
kernel_at_least() {
	local major minor
	IFS=.- read -r major minor _ </proc/sys/kernel/osrelease
	((major > $1 || (major == $1 && minor >= $2)))
}

# dump_consistently TIMES JQ_FILTER WORDS...: dumps of a target that writes; each of one instant, each receipt as told.
# Few processes a dump: in an emulated machine each costs as much as the dump.
dump_consistently() {
	local times=$1 filter=$2 words _
	shift 2
	read -ra words <<<"$(cut_words)"
	: >receipts
	for _ in $(seq "$times"); do
		"$LEAKHUNT" dump "$SAMPLE_PID" "${memory[@]}" --force --json -o cut.core "$@" >>receipts 2>err || { cat err; return 1; }
		"$SAMPLES/check_cut" cut.core "${words[@]}" ${discards:+--discard}
	done
	# Most snapshots must have had something to lose: pages written between the last look and the stop.
	jq -se --argjson times "$times" "length == \$times and all($filter)
		and (.[0].mode != \"snapshot\" or (map(select(.final_bytes > 0)) | length * 2 > \$times))" receipts >/dev/null ||
		{ jq -c . receipts; return 1; }
	jq -sr '"\(length) dumps; passes: \([.[].passes | length] | "\(min) to \(max)"); copied in the pause: " +
		"\([.[].final_bytes / 4096] | "\(min) to \(max)") pages; pause: " +
		"\([.[].pause_ns / 1e6 | round] | "\(min) to \(max)") ms (emulated)"' receipts >>note
	assert_left_alone "$SAMPLE_PID"
	assert_sample_unharmed
}

soft='.mode == "snapshot" and .injected == null and .complete and (.mode_reason | contains("no soft-dirty") | not)
	and .passes[0].bytes >= 8388608'

# What --tracker auto means here.
expected_tracker() {
	if kernel_at_least 6 7; then
		echo '.mode == "snapshot" and (.injected | contains("userfaultfd") and endswith("; undone")) and .complete'
	else
		echo "$soft"' and (.mode_reason | contains("tracked by soft-dirty"))'
	fi
}

maps() {
	"$LEAKHUNT" maps "$SAMPLE_PID" --json >maps.json
	jq -e --argjson count "$(wc -l <"/proc/$SAMPLE_PID/maps")" '.complete and .total.mappings == $count' maps.json
	"$LEAKHUNT" maps "$SAMPLE_PID" | grep -q '\[heap\]'
}

select_finds_the_leak() {
	start_sample heap_leak --auto 20
	"$LEAKHUNT" select "$SAMPLE_PID" --samples 12 --interval 300ms --json >selected
	stop_sample
	jq -e '.regions[0] | .kind == "heap" and .verdict == "leak" and .suspect' selected || { jq -c '.regions[]' selected; return 1; }
}

# Of the core that mode live has left.
strings() {
	"$LEAKHUNT" strings live.core | grep -q page_writer
}

# The kernel detaches the tracees of the dead, and closes what they had open, after wait(2) returns.
assert_well_after_kill() {
	wait_until 100 assert_not_stopped "$SAMPLE_PID"
	wait_until 100 has_no_tracking "$SAMPLE_PID"
	wait_until 100 has_no_children "$SAMPLE_PID"
	sample_command check
	jq -e '.alive and .checksum_ok' <<<"$REPLY" >/dev/null
	[ ! -e killed.core ]
}

# killed_at PREFIXES WORDS...: at each step of these names. Whether a dump takes bits a second time depends on time.
killed_at() {
	local prefixes=$1 point status reached=0 _
	shift
	# shellcheck disable=SC2013
	for point in $(grep -E "^($prefixes)-" "$LEAKHUNT_ROOT/fault-points"); do
		for _ in 1 2 3 4 5; do
			status=0
			LEAKHUNT_FAULT=$point /leakhunt/leakhunt-faults dump "$SAMPLE_PID" "${memory[@]}" --bare "$@" \
				-o killed.core >/dev/null 2>&1 || status=$?
			[ "$status" -ne 137 ] || break
			rm -f killed.core
		done
		[ "$status" -eq 137 ] || { echo "$point was not reached: $status"; return 1; }
		assert_well_after_kill || { echo "after $point"; return 1; }
		rm -f .killed.core.*
		reached=$((reached + 1))
	done
	[ "$reached" -gt 0 ]
	echo "$reached steps" >>note
}

trackers_step_by_step() {
	/leakhunt/test_dirty_trackers >steps 2>&1 || { cat steps; return 1; }
	[ "$(grep -c 'OK.*soft-dirty' steps)" -eq 8 ]
	if kernel_at_least 6 7; then [ "$(grep -c 'OK.*uffd' steps)" -eq 7 ]; fi
}

child='.mode == "child" and .complete and .injected == "clone, wait4; undone" and .resident_delta_bytes == 0'

echo "# Linux $(cat /proc/sys/kernel/osrelease), booted in $(cut -d. -f1 /proc/uptime) s"
# As many writes as an emulated processor bears beside what is tested.
start_sample page_writer --size 8M --rate 5000
check "maps: as many as the kernel counts" maps
check "dump --tracker soft-dirty: of one instant" dump_consistently 20 "$soft" --bare --tracker soft-dirty
check "dump: by the tracker of this kernel, of one instant" dump_consistently 3 "$(expected_tracker)"
check "dump --no-inject: a snapshot all the same, and nothing runs in the target" dump_consistently 2 "$soft" --no-inject
check "dump --mode child: of one instant" dump_consistently 5 "$child" --bare --mode child
check "dump --mode stop: of one instant" dump_consistently 2 '.mode == "stop" and .complete and .injected == null' --mode stop
check "dump --mode live: complete" "$LEAKHUNT" dump "$SAMPLE_PID" "${memory[@]}" --mode live --force -o live.core
check "strings: of a core" strings
stop_sample
start_sample page_writer --size 8M --rate 5000 --discard 1
discards=1
check "pages that the target gives back and reads as zeros: of one instant" \
	dump_consistently 3 "$soft" --bare --tracker soft-dirty
discards=
stop_sample
start_sample page_writer --size 8M
check "a target that writes as fast as it can: of one instant" \
	dump_consistently 3 "$soft" --bare --tracker soft-dirty --max-pause 1ms --on-slow stop
stop_sample
start_sample page_writer --size 8M --rate 20000
check "killed at each step of a snapshot by soft-dirty bits: the target goes on" \
	killed_at 'soft|snapshot|freeze' --tracker soft-dirty --max-pause 1us --on-slow stop
stop_sample
# Nothing depends on its writes here, and they cost the dump its processor.
start_sample page_writer --size 8M --rate 1000
check "killed at each step of mode child: the target goes on" killed_at 'child|remote|borrow' --mode child
check "and the next dump is of one instant" dump_consistently 1 "$soft" --tracker soft-dirty
stop_sample
check "select: the leak is found" select_finds_the_leak
check "dirty trackers, step by step" trackers_step_by_step
echo "1..$count"
# The last to close the console waits until all of it is written.
exec </dev/null >/dev/null 2>&1
echo b >/proc/sysrq-trigger
