#!/usr/bin/env bats
# What `leakhunt dump` asks of memory, disc and cgroups before it touches its target.

. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	cgroup=''
}

teardown() {
	stop_samples
	[ -z "$cgroup" ] || rmdir "$cgroup"
}

# make_cgroup BYTES: a cgroup with that memory limit in $cgroup; skips where none can be made.
make_cgroup() {
	local folder file
	for folder in /sys/fs/cgroup/memory /sys/fs/cgroup; do
		file=memory.max
		[ "$folder" = /sys/fs/cgroup ] || file=memory.limit_in_bytes
		mkdir "$folder/leakhunt-test.$$" 2>/dev/null || continue
		cgroup=$folder/leakhunt-test.$$
		if echo "$1" 2>/dev/null >"$cgroup/$file"; then
			return
		fi
		rmdir "$cgroup"
		cgroup=''
	done
	skip "no cgroup with a memory limit can be made here"
}

@test "a cgroup of leakhunt's own that has no room: refused, and why; the target is not touched" {
	make_cgroup 33554432
	start_sample steady
	run bash -c 'echo $$ >"$0/cgroup.procs" && exec "$LEAKHUNT" dump "$1" 2>&1' "$cgroup" "$SAMPLE_PID"
	[ "$status" -eq 2 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *"its cgroup /leakhunt-test.$$ has only "*" MiB left"*"outside of that cgroup"* ]]
	[ ! -e dump.bin ]
	assert_sample_unharmed
}
