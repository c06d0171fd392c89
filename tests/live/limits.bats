#!/usr/bin/env bats
# The first limit that a leak reaches, and when. Truth: what the kernel says of the limit at the last sample, and how
# much the sample leaks at each step.
# shellcheck disable=SC2030,SC2031 # each test has its own leakhunt

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
	[ -z "${cgroup:-}" ] || rmdir "$cgroup"
}

# at_sample: what the kernel says of the process and of its cgroup.
at_sample() {
	vm_bytes=$(awk '$1 == "VmSize:" { print $2 * 1024 }' "/proc/$SAMPLE_PID/status")
	mappings=$(wc -l <"/proc/$SAMPLE_PID/maps")
	[ ! -e "${cgroup:-}/pids.current" ] || tasks=$(cat "$cgroup/pids.current")
}

# assert_ends LIMIT MEMBER LEFT PER_SECOND: live and by the record, LIMIT comes first, and LEFT of it is left; by the
# record it is reached when a leak of PER_SECOND has used that up.
assert_ends() {
	"$LEAKHUNT" select --from even --json >forecast
	echo "$1, $3 left, $4 per second"
	jq -ce '.forecast' out forecast
	jq -e --arg limit "$1" --arg member "$2" --argjson left "$3" --argjson rate "$4" '.forecast |
		.limit == $limit and .[$member] == $left and (.seconds * $rate / $left | . > 0.99 and . < 1.01) and
		.earliest_s <= .seconds and .seconds <= .latest_s' forecast
	jq -e --arg limit "$1" --arg member "$2" --argjson left "$3" '.left[$limit] == $left' out
}

# make_cgroup CONTROLLER V1_LIMIT V2_LIMIT BYTES: a cgroup with that limit for the current sample, in $cgroup.
make_cgroup() {
	local folder
	for folder in "/sys/fs/cgroup/$1" /sys/fs/cgroup; do
		cgroup=$folder/leakhunt-limits-$BASHPID
		limit_file=$3
		[ "$folder" = /sys/fs/cgroup ] || limit_file=$2
		mkdir "$cgroup" 2>/dev/null || continue
		if [ -e "$cgroup/$limit_file" ] && echo "$4" >"$cgroup/$limit_file"; then
			echo "$SAMPLE_PID" >"$cgroup/cgroup.procs"
			return
		fi
		rmdir "$cgroup"
	done
	cgroup=
	skip "no cgroup with a limit of $1 can be made here"
}

# with_kernel_texts PATH TEXT...: from now on $LEAKHUNT is a leakhunt that reads these texts at these paths.
with_kernel_texts() {
	[ "$(id -u)" -eq 0 ] || skip "only root can mount over files of /proc"
	local mounts='' number=0
	while (($#)); do
		number=$((number + 1))
		echo "$2" >"text$number"
		unshare --mount mount --bind "text$number" "$1" 2>/dev/null || skip "cannot mount over $1 here"
		mounts+="mount --bind text$number $1; "
		shift 2
	done
	cat >leakhunt <<-EOF_SCRIPT
		#!/bin/sh
		exec unshare --mount sh -e -c '$mounts exec "\$0" "\$@"' '$LEAKHUNT' "\$@"
	EOF_SCRIPT
	chmod +x leakhunt
	LEAKHUNT=$PWD/leakhunt
}

@test "RLIMIT_AS" {
	start_sample family_leak --what unjoined
	sample_step 2
	local limit=$((1 << 30))
	prlimit --pid "$SAMPLE_PID" --as="$limit"
	record_stepwise 2
	# A stack of 256 KiB at each step, with its guard.
	assert_ends address_space left_bytes $((limit - vm_bytes)) $((2 * 256 * 1024))
}

@test "vm.max_map_count" {
	with_kernel_texts /proc/sys/vm/max_map_count 3000
	start_sample family_leak --what unjoined
	sample_step 2
	record_stepwise 2
	# A stack and its guard at each step.
	assert_ends mappings left_count $((3000 - mappings)) $((2 * 2))
}

# assert_machine_tasks THREADS_MAX PID_MAX: 3000 is the smaller one.
assert_machine_tasks() {
	with_kernel_texts /proc/sys/kernel/threads-max "$1" /proc/sys/kernel/pid_max "$2" \
		/proc/loadavg "0.50 0.40 0.30 2/1234 5678"
	start_sample family_leak --what pool
	sample_step 2
	record_stepwise 2
	# Two threads at each step.
	assert_ends machine_tasks left_count $((3000 - 1234)) $((2 * 2))
}

@test "threads-max, less the tasks of the machine" {
	assert_machine_tasks 3000 30000
}

# bats test_tags=long
@test "pid_max, less the tasks of the machine" {
	assert_machine_tasks 30000 3000
}

@test "pids.max of the cgroup" {
	start_sample family_leak --what pool
	make_cgroup pids pids.max pids.max 2000
	sample_step 2
	record_stepwise 2
	assert_ends cgroup_tasks left_count $((2000 - tasks)) $((2 * 2))
}

# Usage of a cgroup is counted in batches: what it says at the sample is in doubt by one for each CPU (mm/memcontrol.c).
@test "memory of the cgroup" {
	start_sample anon_leak
	make_cgroup memory memory.limit_in_bytes memory.max $((256 << 20))
	sample_step 2
	record_stepwise 2
	"$LEAKHUNT" select --from even --json >forecast
	left=$(jq .left.cgroup_memory out)
	# Charged since it moved there: what it leaked, and page tables.
	assert_between $(((256 << 20) - $(truth leaked_bytes) - (8 << 20))) "$left" $(((256 << 20) - $(truth leaked_bytes) + (1 << 20)))
	assert_ends cgroup_memory left_bytes "$left" $((2 * 128 * 1024))
	[[ $("$LEAKHUNT" select --from even) == *"runs out: in "*"(cgroup memory, "* ]]
}
