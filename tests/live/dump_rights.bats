#!/usr/bin/env bats
# Snapshots with fewer rights than root's: as in a container, and as an ordinary user on a process of his own.

. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	[ "$(id -u)" -eq 0 ] || skip "only root can give up rights"
	command -v setpriv >/dev/null || skip "no setpriv"
}

teardown() {
	stop_samples
	[ -z "${theirs:-}" ] || rm -rf "$theirs"
}

# with_rights RIGHTS COMMAND...: with these capabilities, and no others.
with_rights() {
	local rights=$1
	shift
	setpriv --bounding-set="-all,$rights" --inh-caps=-all "$@"
}

@test "Docker's default capabilities and SYS_PTRACE: snapshot and child, as with all" {
	start_sample steady
	for mode in snapshot child stop; do
		with_rights "$DOCKER_RIGHTS,+sys_ptrace" "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode "$mode" --force --json \
			-o cut.core >receipt 2>err
		jq -e --arg mode "$mode" '.complete and .mode == $mode' receipt
		assert_sample_unharmed
	done
	start_sample page_writer
	with_rights "$DOCKER_RIGHTS,+sys_ptrace" "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --force --json -o cut.core >receipt 2>err
	jq -e '.complete and .mode == "snapshot"' receipt
	assert_of_one_instant cut.core
	assert_left_alone "$SAMPLE_PID"
}

@test "an ordinary user on his own process: snapshot and child" {
	local scope
	scope=$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)
	[ "$scope" -eq 0 ] || skip "kernel.yama.ptrace_scope is $scope"
	# Others have no way into the folders of the tests.
	theirs=$(mktemp -d "${TMPDIR:-/tmp}/leakhunt-theirs.XXXXXX")
	chmod 777 "$theirs"
	cp "$LEAKHUNT" "$theirs/leakhunt"
	cp "$SAMPLES/steady" "$theirs/steady"
	chmod 755 "$theirs"/*
	setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$theirs/steady" || skip "$theirs is closed to others"
	SAMPLES=$theirs
	cat >"$theirs/run" <<-'EOF_SH'
		#!/bin/sh
		exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all "$(dirname "$0")/steady" "$@"
	EOF_SH
	chmod 755 "$theirs/run"
	start_sample run
	for mode in snapshot child stop; do
		(cd "$theirs" && setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all \
			./leakhunt dump "$SAMPLE_PID" --region anon --mode "$mode" --force --json -o cut.core) >receipt 2>err
		jq -e --arg mode "$mode" '.complete and .mode == $mode' receipt
		assert_sample_unharmed
	done
}

@test "a seccomp filter that cannot be read without CAP_SYS_ADMIN is the reason told, and nobody dies" {
	start_sample filtered
	with_rights "$DOCKER_RIGHTS,+sys_ptrace" "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --json -o cut.core >receipt 2>err
	jq -e '.complete and .mode == "stop" and (.mode_reason | contains("only CAP_SYS_ADMIN may read it"))' receipt
	grep -q 'the pause will be about' err
	assert_sample_unharmed
	assert_left_alone "$SAMPLE_PID"
}

@test "SYS_PTRACE alone, and a process of another user: the files' owner is the reason told" {
	setpriv --reuid 65534 --regid 65534 --clear-groups sleep 300 3>&- &
	target=$!
	wait_until 100 grep -q '^Uid:.*65534' "/proc/$target/status"
	run with_rights +sys_ptrace "$LEAKHUNT" dump "$target" --region anon -o cut.core
	kill "$target"
	[ "$status" -eq 2 ]
	[[ $output == *"only its user may open that file: give leakhunt CAP_DAC_READ_SEARCH, too"* ]]
}
