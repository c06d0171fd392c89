#!/usr/bin/env bats
# Whose malloc a program calls, as select finds it out, with the allocators that Debian has.

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

teardown() {
	stop_samples
}

# allocator_with LIBRARY: what select says of a sample that has it preloaded.
allocator_with() {
	[ -z "$1" ] || [ -e "$1" ] || skip "$1 is not installed"
	export LD_PRELOAD=$1
	start_sample heap_leak --auto 20
	unset LD_PRELOAD
	run --separate-stderr "$LEAKHUNT" select "$SAMPLE_PID" -i 50ms -n 8 --json
	[ "$status" -eq 0 ]
	assert_sample_unharmed
}

@test "glibc: the brk heap" {
	allocator_with ""
	[ "$(jq -r .allocator <<<"$output")" = glibc ]
	[ "$(jq -r .regions[0].cause <<<"$output")" = brk-heap ]
	run "$LEAKHUNT" select "$SAMPLE_PID" -i 50ms -n 8
	grep -q "^cause: *malloc's main heap" <<<"$output"
}

@test "jemalloc" {
	allocator_with /usr/lib/x86_64-linux-gnu/libjemalloc.so.2
	[ "$(jq -r .allocator <<<"$output")" = jemalloc ]
	[ "$(jq -r .regions[0].cause <<<"$output")" = malloc-pages ]
}

@test "tcmalloc" {
	allocator_with /usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4
	[ "$(jq -r .allocator <<<"$output")" = tcmalloc ]
}

@test "mimalloc" {
	allocator_with /usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0
	[ "$(jq -r .allocator <<<"$output")" = mimalloc ]
}
