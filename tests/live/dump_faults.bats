#!/usr/bin/env bats
# leakhunt dies at each named step of a snapshot: the target does not notice, and nothing of it is left.

. "$LEAKHUNT_ROOT/tests/helpers.bash"

# A build of its own: the named steps are not in the program that users have.
setup_file() {
	make -s -C "$LEAKHUNT_ROOT" CC=gcc SAN= WERROR= COVERAGE= FAULTS=1 .build/gcc-faults/leakhunt >/dev/null
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	faulty=$LEAKHUNT_ROOT/.build/gcc-faults/leakhunt
}

teardown() {
	stop_samples
}

# Those of mode child have their own test (dump_child.bats).
fault_points() {
	grep -rhoE 'lh_fault_point\("[a-z-]+"\)' "$LEAKHUNT_ROOT/src/dump" | cut -d'"' -f2 | grep -v -e ^child- -e ^borrow-
}

assert_target_is_well() {
	wait_until 20 assert_not_stopped "$SAMPLE_PID"
	wait_until 20 has_no_tracking "$SAMPLE_PID"
	sample_command check
	jq -e '.alive and .checksum_ok' <<<"$REPLY" >/dev/null
}

@test "killed at each named step" {
	start_sample page_writer --rate 20000
	[ "$(fault_points | wc -l)" -ge 15 ]
	for point in $(fault_points); do
		status=0
		LEAKHUNT_FAULT=$point "$faulty" dump "$SAMPLE_PID" --region anon -o killed.core >/dev/null 2>&1 || status=$?
		[ "$status" -eq 137 ] || { echo "$point was not reached: $status" >&2; return 1; }
		assert_target_is_well || { echo "after $point" >&2; return 1; }
		# Between the two injected calls a descriptor that watches nothing stays; nowhere else.
		case $point in
		tracker-userfaultfd-made | remote-call-*) ;;
		*) [ "$(stray_descriptors "$SAMPLE_PID" | wc -l)" -le "${strays:-0}" ] ;;
		esac
		strays=$(stray_descriptors "$SAMPLE_PID" | wc -l)
		[ ! -e killed.core ]
		rm -f .killed.core.*.tmp
	done
	"$faulty" dump "$SAMPLE_PID" --region anon -o whole.core >/dev/null 2>&1
	"$LEAKHUNT_ROOT/tests/live/check_cut.py" whole.core "$(truth pages)" "$(truth pages_addr)" "$(truth sequence_addr)"
}

@test "killed at random instants" {
	start_sample page_writer --rate 20000
	for round in $(seq 50); do
		"$LEAKHUNT" dump "$SAMPLE_PID" --region anon -o killed.core >/dev/null 2>&1 3>&- &
		victim=$!
		sleep "0.$(printf %03d $((RANDOM % 200)))"
		kill -KILL "$victim" 2>/dev/null || true
		wait "$victim" || true
		assert_target_is_well || { echo "round $round" >&2; return 1; }
		rm -f killed.core .killed.core.*.tmp
	done
}
