#!/usr/bin/env bats
# Targets that cannot run, and users who do not want to wait: a dump ends soon, says why, and leaves the target alone.

# bats file_tags=long
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup_file() {
	build_faulty
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	thaw
	stop_samples
	if [ -n "${cgroup:-}" ]; then
		wait_until 50 rmdir "$cgroup/inner" "$cgroup" 2>/dev/null || true
	fi
}

# make_cgroup VERSION: sets cgroup, a new one with a cgroup `inner` in it that the current sample is in.
make_cgroup() {
	local mounts
	if [ "$1" = 2 ]; then
		mounts=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	else
		mounts=$(awk '$3 == "cgroup" && $4 ~ /(^|,)freezer(,|$)/ { print $2; exit }' /proc/mounts)
	fi
	[ -n "$mounts" ] || skip "no cgroup v$1 freezer is mounted"
	cgroup=$mounts/leakhunt-test-$$
	mkdir -p "$cgroup/inner" 2>/dev/null || skip "cannot make a cgroup in $mounts"
	[ -e "$cgroup/cgroup.freeze" ] || [ -e "$cgroup/freezer.state" ] || skip "$mounts has no freezer"
	echo "$SAMPLE_PID" >"$cgroup/inner/cgroup.procs"
}

freeze() {
	if [ -e "$cgroup/cgroup.freeze" ]; then
		echo 1 >"$cgroup/cgroup.freeze"
		wait_until 100 grep -q 'frozen 1' "$cgroup/inner/cgroup.events"
	else
		echo FROZEN >"$cgroup/freezer.state"
		wait_until 100 grep -q FROZEN "$cgroup/inner/freezer.state"
	fi
}

thaw() {
	[ -n "${cgroup:-}" ] || return 0
	if [ -e "$cgroup/cgroup.freeze" ]; then
		echo 0 >"$cgroup/cgroup.freeze"
	elif [ -e "$cgroup/freezer.state" ]; then
		echo THAWED >"$cgroup/freezer.state"
	fi
}

@test "frozen by a cgroup of version 2: dumped as it stands, in mode stop, and said why" {
	start_sample steady
	make_cgroup 2
	freeze
	for mode in snapshot child stop live; do
		timeout 20 "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode "$mode" --force --json -o cut.core >receipt 2>err
		jq -e '.complete and .injected == null and .threads >= 1' receipt
		case $mode in
		snapshot | child)
			jq -e --arg cgroup "$cgroup" '.mode == "stop" and
				(.mode_reason | startswith("frozen by cgroup \($cgroup):"))' receipt
			grep -qF "frozen by cgroup $cgroup" err
			;;
		*) jq -e --arg mode "$mode" '.mode == $mode' receipt ;;
		esac
		grep -q 'frozen 1' "$cgroup/inner/cgroup.events"
	done
	timeout 20 "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --dry-run --json -o none.core |
		jq -e --arg cgroup "$cgroup" '.mode == "stop" and
			([.modes[] | select(.works | not) | .reason | select(contains($cgroup))] | length == 2)'
	thaw
	assert_sample_unharmed
	assert_left_alone "$SAMPLE_PID"
}

@test "frozen by a cgroup of version 1: refused by its name, copied in mode live" {
	start_sample steady
	make_cgroup 1
	freeze
	for mode in snapshot child stop; do
		run timeout 20 "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode "$mode" -o cut.core
		[ "$status" -eq 2 ]
		[[ $output == *"is frozen by cgroup $cgroup;"*"--mode live"* ]]
		[ "${#lines[@]}" -eq 1 ]
		[ ! -e cut.core ]
	done
	timeout 20 "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode live --json -o cut.core | jq -e '.complete'
	timeout 20 "$LEAKHUNT" maps "$SAMPLE_PID" | grep -q steady
	thaw
	# The freezer itself interrupts calls (kernel/freezer.c, fake_signal_wake_up): those are not counted.
	sample_command check
	assert_sample_unharmed
	assert_left_alone "$SAMPLE_PID"
}

# takes_signals PID: it is leakhunt, no longer the shell, and has a handler for SIGINT, so that it can end in order.
takes_signals() {
	local caught
	grep -qsx leakhunt "/proc/$1/comm" || return
	caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) || return
	[ $((16#${caught:-0} & 2)) -ne 0 ]
}

@test "SIGINT and SIGTERM while a thread in uninterruptible sleep is waited for" {
	start_sample vfork_waiter
	for signal in INT TERM; do
		# Background jobs of scripts ignore SIGINT, and so would it.
		env --default-signal=INT "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode stop -o cut.core 2>err &
		dumping=$!
		while ! takes_signals "$dumping" && ! has_ended "$dumping"; do :; done
		kill "-$signal" "$dumping"
		status=0
		wait "$dumping" || status=$?
		[ "$status" -eq 2 ]
		grep -q interrupted err
		[ ! -e cut.core ]
	done
	assert_sample_unharmed
	assert_left_alone "$SAMPLE_PID"
}

# ends_at POINT MODE SIGNAL: a dump that hangs there ends by the signal; 1: it does not come by there.
ends_at() {
	local dumping status=0
	rm -f hung hung.core
	LEAKHUNT_FAULT=$1 LEAKHUNT_FAULT_HANGS=$PWD/hung env --default-signal=INT \
		"$faulty" dump "$SAMPLE_PID" --region anon --mode "$2" --force -o hung.core >out 2>&1 &
	dumping=$!
	wait_until 300 eval "[ -e hung ] || has_ended $dumping"
	[ -e hung ] && kill "-$3" "$dumping"
	wait "$dumping" || status=$?
	[ -e hung ] || return 1
	if [ "$status" -ne 2 ] || ! grep -q interrupted out || [ -n "$(compgen -G '*hung.core*')" ]; then
		echo "$1, mode $2, SIG$3: status $status: $(cat out)" >&2
		return 2
	fi
	wait_until 100 assert_not_stopped "$SAMPLE_PID" 2>/dev/null
	wait_until 100 has_no_tracking "$SAMPLE_PID"
	sample_command check
	jq -e '.alive and .checksum_ok' <<<"$REPLY" >/dev/null
}

@test "SIGINT and SIGTERM end a dump wherever the kernel keeps it waiting, and the target goes on" {
	start_sample steady
	reached=0
	signals=(INT TERM)
	for mode in snapshot child stop; do
		while read -r point; do
			# All in one mode; in the others, those of its own.
			[[ $mode == snapshot || $point == *"$mode"* ]] || continue
			status=0
			ends_at "$point" "$mode" "${signals[reached % 2]}" || status=$?
			[ "$status" -le 1 ]
			reached=$((reached + 1 - status))
		done < <(grep -rhoE 'lh_fault_point\("[a-z-]+"\)' "$LEAKHUNT_ROOT/src" | cut -d'"' -f2 | sort -u | grep -v -e '^guard-')
	done
	[ "$reached" -ge 20 ]
}

# start_waiting: a dump that waits for the lock, its pid in dumping.
start_waiting() {
	env --default-signal=INT "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --force --json -o cut.core >receipt 2>err &
	dumping=$!
	wait_until 300 grep -q 'another leakhunt copies process' err
}

@test "a second leakhunt waits for the first, and takes nothing from it" {
	start_sample steady
	exec {turn}<"/proc/$SAMPLE_PID"
	flock -x "$turn"
	start_waiting
	[ ! -e cut.core ]
	assert_not_stopped "$SAMPLE_PID"
	kill -INT "$dumping"
	status=0
	wait "$dumping" || status=$?
	[ "$status" -eq 2 ]
	grep -q interrupted err
	start_waiting
	flock -u "$turn"
	wait "$dumping"
	jq -e '.complete and .mode == "snapshot"' receipt
	# Mode live stops nobody, and waits for nobody.
	flock -x "$turn"
	timeout 20 "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode live --force -o cut.core
	exec {turn}<&-
	assert_sample_unharmed
	assert_left_alone "$SAMPLE_PID"
}

@test "Ctrl-Z while the target stands still: leakhunt goes on, and so does the target" {
	start_sample steady
	for mode in snapshot child stop; do
		rm -f hung
		LEAKHUNT_FAULT=freeze-stopped LEAKHUNT_FAULT_HANGS=$PWD/hung env --default-signal=INT,TSTP \
			"$faulty" dump "$SAMPLE_PID" --region anon --mode "$mode" --force -o cut.core >out 2>&1 3>&- &
		dumping=$!
		wait_until 300 test -e hung
		kill -TSTP "$dumping"
		[ "$(process_state "$dumping")" != T ]
		kill -INT "$dumping"
		status=0
		wait "$dumping" || status=$?
		[ "$status" -eq 2 ]
	done
	wait_until 100 assert_not_stopped "$SAMPLE_PID" 2>/dev/null
	assert_sample_unharmed
	assert_left_alone "$SAMPLE_PID"
}
