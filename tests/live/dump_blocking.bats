#!/usr/bin/env bats
# Threads in each system call that blocks: what a call returns, and when, is what it returns without leakhunt.

# bats file_tags=long
# shellcheck disable=SC2030,SC2031 # each test is a subshell
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
}

# start_blocked NAME: READY says that every thread is in its call.
start_blocked() {
	start_sample blocking_calls --report "$PWD/report.$1"
	[ "$(truth calls)" -ge 70 ]
}

# let_go NAME: gives each call what it waits for; how each ended is in report.NAME.
let_go() {
	sample_step 1
	[ "$(wc -l <"report.$1")" -eq "$(truth calls)" ]
	assert_not_stopped "$SAMPLE_PID"
}

@test "blocked system calls end as they would have, in every mode" {
	declare -A pids
	start_blocked alone
	pids[alone]=$SAMPLE_PID
	for mode in $(dump_modes); do
		start_blocked "$mode"
		pids[$mode]=$SAMPLE_PID
		for round in 1 2 3; do
			"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode "$mode" --json -o "$mode.$round" >"receipt.$mode" 2>/dev/null
			jq -e --arg mode "$mode" '.mode == $mode and .threads >= 70' "receipt.$mode"
		done
	done
	# A debugger does not mend: what it does shows.
	start_blocked gdb
	pids[gdb]=$SAMPLE_PID
	gdb -batch -nx -p "$SAMPLE_PID" >/dev/null 2>&1
	for name in alone $(dump_modes) gdb; do
		SAMPLE_PID=${pids[$name]}
		let_go "$name"
		[ "$name" = gdb ] || assert_sample_unharmed
		[ "$name" = gdb ] || diff report.alone "report.$name"
	done
	run grep -E 'unasked|early|late|stuck' report.alone
	[ "$status" -eq 1 ]
	# The check can fail.
	grep -q '^epoll_wait: EINTR unasked$' report.gdb
	[ "$(jq .mended_calls receipt.stop)" -ge 10 ]
	[ "$(jq .mended_calls receipt.live)" -eq 0 ]
}

# sleeps PID: the sample's sleeper has not ended yet.
sleeps() {
	grep -qsx sleeper /proc/"$1"/task/*/comm
}

@test "a wait with a time limit ends when it would have, however often it is stopped" {
	start_sample timed_waits --limit-ms 3000 --report "$PWD/report"
	rounds=0
	while sleeps "$SAMPLE_PID"; do
		for mode in $(dump_modes); do
			"$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode "$mode" --force --json -o cut.core >"receipt.$mode.$rounds" 2>/dev/null
		done
		rounds=$((rounds + 1))
	done
	# How many stops cut into the waits is a matter of load.
	jq -es '(map(select(.mended_calls >= 1)) | length) >= 1' receipt.*
	sample_step 1
	cat report
	diff report - <<-'END'
		epoll_wait: 0
		epoll_pwait: 0
		epoll_pwait2: 0
	END
	assert_sample_unharmed
}
