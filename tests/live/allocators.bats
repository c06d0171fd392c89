#!/usr/bin/env bats
# Whose malloc a program calls, as select finds it out, with the allocators that Debian has.

bats_require_minimum_version 1.5.0
# bats file_tags=long
. "$LEAKHUNT_ROOT/tests/helpers.bash"

teardown() {
	stop_samples
}

# allocator_with LIBRARY: what select says of a sample that has it preloaded.
allocator_with() {
	[ -z "$1" ] || require_library "$1"
	export LD_PRELOAD=$1
	start_sample heap_leak --auto 20
	unset LD_PRELOAD
	run --separate-stderr "$LEAKHUNT" select "$SAMPLE_PID" -i 50ms -n 8 --json
	[ "$status" -eq 0 ]
	assert_sample_unharmed
}

# leaks_as PROGRAM: select's JSON of a sample that was built as PROGRAM.
leaks_as() {
	SAMPLES=$BATS_TEST_TMPDIR start_sample "$1" --auto 20
	run --separate-stderr "$LEAKHUNT" select "$SAMPLE_PID" -i 50ms -n 12 --json
	[ "$status" -eq 0 ]
	[ "$(jq -r .process.verdict <<<"$output")" = leak ]
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

@test "mimalloc 3" {
	allocator_with /usr/lib/x86_64-linux-gnu/libmimalloc.so.3
	[ "$(jq -r .allocator <<<"$output")" = mimalloc ]
}

@test "rpmalloc" {
	allocator_with "${LEAKHUNT_RPMALLOC:-/usr/lib/x86_64-linux-gnu/librpmalloc.so.1}"
	[ "$(jq -r .allocator <<<"$output")" = rpmalloc ]
	[ "$(jq -r .regions[0].cause <<<"$output")" = malloc-pages ]
}

@test "musl, dynamic: Debian names its file libc.so" {
	command -v musl-gcc >/dev/null || skip "musl-gcc is not installed"
	musl-gcc -O2 -D_GNU_SOURCE -o "$BATS_TEST_TMPDIR/musl" "$LEAKHUNT_ROOT/samples/heap_leak.c"
	leaks_as musl
	[ "$(jq -r .allocator <<<"$output")" = musl ]
	[ "$(jq -r .regions[0].cause <<<"$output")" = malloc-pages ]
}

@test "musl, static" {
	command -v musl-gcc >/dev/null || skip "musl-gcc is not installed"
	musl-gcc -static -O2 -D_GNU_SOURCE -o "$BATS_TEST_TMPDIR/musl" "$LEAKHUNT_ROOT/samples/heap_leak.c"
	leaks_as musl
	[ "$(jq -r .allocator <<<"$output")" = musl ]
	run --separate-stderr "$LEAKHUNT" select "$SAMPLE_PID" -i 50ms -n 8
	grep -Eq '^cause: .*musl' <<<"$output"
}

@test "glibc, static; stripped, no allocator is named" {
	gcc -static -O2 -D_GNU_SOURCE -o "$BATS_TEST_TMPDIR/static" "$LEAKHUNT_ROOT/samples/heap_leak.c"
	leaks_as static
	[ "$(jq -r .allocator <<<"$output")" = glibc ]
	[ "$(jq -r .regions[0].cause <<<"$output")" = brk-heap ]
	strip -o "$BATS_TEST_TMPDIR/stripped" "$BATS_TEST_TMPDIR/static"
	leaks_as stripped
	[ "$(jq -r .allocator <<<"$output")" = unknown ]
	run --separate-stderr "$LEAKHUNT" select "$SAMPLE_PID" -i 50ms -n 8
	grep -q '^cause: *memory grown by brk: most likely malloc' <<<"$output"
}

@test "Go: its heap, not malloc's" {
	command -v gccgo-12 >/dev/null || skip "gccgo-12 is not installed"
	cat >"$BATS_TEST_TMPDIR/leak.go" <<-'EOF'
		package main

		import (
			"fmt"
			"time"
		)

		var kept [][]byte

		func main() {
			fmt.Println("READY {}")
			for {
				block := make([]byte, 65536)
				for i := range block {
					block[i] = 1
				}
				kept = append(kept, block)
				time.Sleep(10 * time.Millisecond)
			}
		}
	EOF
	gccgo-12 -O -o "$BATS_TEST_TMPDIR/leak" "$BATS_TEST_TMPDIR/leak.go"
	SAMPLES=$BATS_TEST_TMPDIR start_sample leak
	# The collector's own memory may grow by more at first, in huge pages.
	run --separate-stderr "$LEAKHUNT" select "$SAMPLE_PID" -i 100ms -n 25 --json
	kill -KILL "$SAMPLE_PID"
	[ "$status" -eq 0 ]
	jq -e '.process.verdict == "leak" and any(.regions[]; .cause == "go-heap")' <<<"$output"
}

@test "watch names the same malloc as select, whatever its file is called" {
	[ -e /usr/lib/x86_64-linux-gnu/libjemalloc.so.2 ] || skip "jemalloc is not installed"
	cp /usr/lib/x86_64-linux-gnu/libjemalloc.so.2 "$BATS_TEST_TMPDIR/vendor.so"
	allocator_with "$BATS_TEST_TMPDIR/vendor.so"
	[ "$(jq -r .allocator <<<"$output")" = jemalloc ]
	run --separate-stderr "$LEAKHUNT" watch "$SAMPLE_PID" -i 50ms --for 500ms
	[ "$status" -eq 0 ]
	grep -q '^cause: *memory of jemalloc' <<<"$output"
}
