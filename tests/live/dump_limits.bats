#!/usr/bin/env bats
# What `leakhunt dump` asks of memory, disk and cgroups before it touches its target.

# bats file_tags=long
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

@test "too little memory in leakhunt's own cgroup: refused with the reason, the target is not touched" {
	make_cgroup 33554432
	start_sample steady
	run bash -c 'echo $$ >"$0/cgroup.procs" && exec "$LEAKHUNT" dump "$1" 2>&1' "$cgroup" "$SAMPLE_PID"
	[ "$status" -eq 2 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *"its cgroup /leakhunt-test.$$ has only "*" MiB left"*"outside of that cgroup"* ]]
	[ ! -e dump.bin ]
	assert_sample_unharmed
}

# dump_in_cgroup ARGS...: of the current sample.
dump_in_cgroup() {
	run bash -c 'echo $$ >"$0/cgroup.procs" && exec "$LEAKHUNT" dump "$@" 2>&1' "$cgroup" "$SAMPLE_PID" "$@"
}

@test "the memory that leakhunt asks for in its own cgroup suffices for a snapshot" {
	make_cgroup $((90 << 20))
	start_sample page_writer --rate 10000 --size 128M
	dump_in_cgroup --region anon --mode snapshot -o small.core
	echo "$output"
	[ "$status" -eq 0 ]
	assert_of_one_instant small.core
	assert_sample_unharmed
}

@test "a target that writes faster than it can be copied, and no memory for that: an error, and nobody is killed" {
	make_cgroup $((200 << 20))
	start_sample page_writer --size 256M
	dump_in_cgroup --region anon --on-slow stop -o fast.core
	echo "$output"
	[ "$status" -eq 2 ]
	[[ $output == *"for what the target writes while it is copied, leakhunt needs "*" of memory"*"--region"* ]]
	[ ! -e fast.core ]
	assert_left_alone "$SAMPLE_PID"
	# It holds all of it in a child instead.
	dump_in_cgroup --region anon --on-slow child -o fast.core
	[ "$status" -eq 0 ]
	assert_of_one_instant fast.core
}
