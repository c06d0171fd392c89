#!/usr/bin/env bats
# Hunts with fewer rights than root's: what is impossible is said, and the rest is done.

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	[ "$(id -u)" -eq 0 ] || skip "only root can give up rights"
	command -v setpriv >/dev/null || skip "no setpriv"
	# Others have no way into the folders of the tests.
	theirs=$(mktemp -d "${TMPDIR:-/tmp}/leakhunt-theirs.XXXXXX")
	chmod 777 "$theirs"
	cp "$LEAKHUNT" "$theirs/leakhunt"
	chmod 755 "$theirs/leakhunt"
	as_nobody test -x "$theirs/leakhunt" || skip "$theirs is closed to others"
}

teardown() {
	stop_samples
	[ -z "${theirs:-}" ] || rm -rf "$theirs"
}

as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all "$@"
}

@test "a stranger's process: its mappings cannot be read, its sum is followed" {
	start_sample heap_leak --auto 50
	as_nobody test -r "/proc/$SAMPLE_PID/status" || skip "/proc hides the processes of others"
	run ! as_nobody cat "/proc/$SAMPLE_PID/smaps"
	cd "$theirs" || return
	run --separate-stderr as_nobody ./leakhunt "$SAMPLE_PID" -o hunt --interval 100ms --for 60s
	[ "$status" -eq 1 ]
	[[ $output == *"private anonymous memory, as a sum"* ]]
	[[ $output == *"not done"*"the mappings cannot be read"* ]]
	jq -e '.grows.region == "all" and (.grows.verdict == "leak") and .grows.cause == ""' hunt/report.json
	jq -e '[.steps[] | select(.outcome == "skipped")] | length >= 3 and all(.reason | test("run leakhunt as root"))' hunt/report.json
	jq -e '.receipt.pauses == 0 and .before == null' hunt/report.json
	# The sum is what the kernel says.
	local last
	last=$(jq -s '[.[] | select(.regions)] | length' hunt/record.jsonl)
	[ "$last" -ge 1 ]
	grep -q 'run leakhunt as root' hunt/report.html
	assert_left_alone "$SAMPLE_PID"
	# The record says the same again.
	run --separate-stderr as_nobody ./leakhunt hunt --record hunt/record.jsonl --json
	[ "$(jq -r .grows.region <<<"$output")" = all ]
}

@test "a process that somebody traces: its memory is copied while it runs" {
	command -v strace >/dev/null || command -v gdb >/dev/null || skip "no strace or gdb to trace with"
	start_sample heap_leak --auto 50
	if command -v strace >/dev/null; then
		strace -qq -e trace=none -o /dev/null -p "$SAMPLE_PID" 3>&- &
	else
		gdb -q -nx -batch -p "$SAMPLE_PID" -ex 'handle all nostop noprint pass' -ex continue </dev/null >/dev/null 2>&1 3>&- &
	fi
	local tracer=$!
	wait_until 100 is_traced "$SAMPLE_PID"
	run --separate-stderr "$LEAKHUNT" "$SAMPLE_PID" -o hunt --interval 100ms --for 60s
	kill -TERM "$tracer" && wait "$tracer" || true
	[ "$(jq -r .grows.verdict hunt/report.json)" = leak ]
	[ "$(jq -r .is.compared hunt/report.json)" = true ]
	jq -e '.steps[1].reason | test("copied while it ran, since cannot stop")' hunt/report.json
	[[ $output == *"copied while it ran"* ]]
}

# is_traced PID
is_traced() {
	grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$1/status"
}
