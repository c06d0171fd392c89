#!/usr/bin/env bats
# leakhunt heap and explain on files: what is no heap, wrong words, and one golden dump.
# shellcheck disable=SC2154 # bats sets them
bats_require_minimum_version 1.5.0

@test "a file without an allocator: a message, exit 1" {
	head -c 65536 /dev/zero >"$BATS_TEST_TMPDIR/zeros"
	run --separate-stderr "$LEAKHUNT" heap "$BATS_TEST_TMPDIR/zeros"
	[ "$status" -eq 1 ]
	[ "$output" = "no allocator that leakhunt can walk was found" ]
	[ -z "$stderr" ]
}

@test "a file without an allocator, as JSON" {
	head -c 65536 /dev/zero >"$BATS_TEST_TMPDIR/zeros"
	run --separate-stderr "$LEAKHUNT" heap --json "$BATS_TEST_TMPDIR/zeros"
	[ "$status" -eq 1 ]
	[ "$(jq -r '.schema, (.allocators | length), (.arenas | length), (.groups | length), .receipt' <<<"$output" | tr '\n' ' ')" = \
		"leakhunt/heap/1 0 0 0 null " ]
}

@test "random bytes contain no heap" {
	head -c 4194304 /dev/urandom >"$BATS_TEST_TMPDIR/random"
	run --separate-stderr "$LEAKHUNT" heap "$BATS_TEST_TMPDIR/random"
	[ "$status" -eq 1 ]
	[ "$output" = "no allocator that leakhunt can walk was found" ]
}

@test "a missing file, an unknown mode, an invalid address" {
	run --separate-stderr "$LEAKHUNT" heap "$BATS_TEST_TMPDIR/none"
	[ "$status" -eq 2 ]
	run --separate-stderr "$LEAKHUNT" heap --mode slow 1
	[ "$status" -eq 64 ]
	run --separate-stderr "$LEAKHUNT" explain zero "$BATS_TEST_TMPDIR/none"
	[ "$status" -eq 64 ]
	run --separate-stderr "$LEAKHUNT" explain 0x1000
	[ "$status" -eq 64 ]
}

@test "explain: an unmapped address, exit 1" {
	head -c 4096 /dev/zero >"$BATS_TEST_TMPDIR/zeros"
	run --separate-stderr "$LEAKHUNT" explain 0x100000 "$BATS_TEST_TMPDIR/zeros"
	[ "$status" -eq 1 ]
	[ "$output" = "mapping   none, or not in the dump" ]
}
