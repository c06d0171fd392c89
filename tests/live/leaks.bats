#!/usr/bin/env bats
# leakhunt leaks on programs that know what they have lost, and on strangers that lose nothing.
# shellcheck disable=SC2154 # bats sets them
bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	LOAD_PID=
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	[ -z "$LOAD_PID" ] || kill "$LOAD_PID" 2>/dev/null || true
	stop_samples
}

# leaks STATUS OPERAND...: its JSON, in LEAKS, when it ends with that status.
leaks() {
	local status=0
	LEAKS=$("$LEAKHUNT" leaks --json "${@:2}") || status=$?
	[ "$status" = "$1" ] || { echo "leaks ended with $status: $LEAKS" >&2 && return 1; }
}

of_leaks() {
	jq -r "$@" <<<"$LEAKS"
}

# compare_lost FILE OPERAND: what --list says of OPERAND beside the truth in FILE, in COMPARED.
compare_lost() {
	local status=0
	"$LEAKHUNT" leaks --list "$2" >listed 2>/dev/null || status=$?
	COMPARED=$("$LEAKHUNT_ROOT/tests/live/compare_leaks.sh" "$1" listed)
	[ "$status" -eq 3 ]
}

of_compared() {
	jq -r "$@" <<<"$COMPARED"
}

assert_all_found() {
	echo "$COMPARED"
	[ "$(of_compared '.lost > 1000 and .found == .lost and .found_bytes == .lost_bytes and .invented == 0')" = true ]
	[ "$(of_compared .others)" = 0 ]
}

@test "all lost blocks of a program that knows them, none that it can reach; a copy, a dump, a compressed dump" {
	start_sample leak_truth --count 3000 --seed 11 --file truth
	compare_lost truth "$SAMPLE_PID"
	assert_all_found
	"$LEAKHUNT" dump "$SAMPLE_PID" -o plain 2>/dev/null >/dev/null
	compare_lost truth plain
	assert_all_found
	"$LEAKHUNT" dump --compress "$SAMPLE_PID" -o packed 2>/dev/null >/dev/null
	compare_lost truth packed
	assert_all_found
	assert_sample_unharmed
}

@test "a dump of mode live, and one without registers of roots, call nothing lost and say why" {
	start_sample leak_truth --count 300 --file truth
	"$LEAKHUNT" dump --mode live "$SAMPLE_PID" -o torn 2>/dev/null >/dev/null
	leaks 1 torn
	[ "$(of_leaks '.lost.blocks, (.possible.blocks > 100)' | tr '\n' ' ')" = "0 true " ]
	[[ $(of_leaks '.doubts[0]') == *"mode live"* ]]
	"$LEAKHUNT" dump --region data "$SAMPLE_PID" -o data 2>/dev/null >/dev/null
	leaks 1 data
	[ "$(of_leaks '.lost.blocks')" = 0 ]
	[[ $(of_leaks '.doubts | join(" ")') == *"leaves out"* ]]
}

@test "two dumps confirm what was lost before, with the same bytes" {
	start_sample leak_truth --count 500 --file truth
	"$LEAKHUNT" dump "$SAMPLE_PID" -o first 2>/dev/null >/dev/null
	"$LEAKHUNT" dump "$SAMPLE_PID" -o second 2>/dev/null >/dev/null
	leaks 3 first second
	[ "$(of_leaks '.compared and .lost.blocks > 100 and .lost.confirmed_blocks == .lost.blocks')" = true ]
	leaks 3 --confirm 10ms "$SAMPLE_PID"
	[ "$(of_leaks '.compared and .lost.confirmed_blocks == .lost.blocks')" = true ]
}

@test "suppressions hide groups and change the exit code" {
	start_sample leak_truth --count 500 --file truth
	printf '# all of it\nleak:*\n' >all.supp
	leaks 0 --suppressions all.supp "$SAMPLE_PID"
	[ "$(of_leaks '.lost.blocks == 0 and .suppressed.blocks > 100')" = true ]
	printf 'race:*\n' >other.supp
	run "$LEAKHUNT" leaks --suppressions other.supp "$SAMPLE_PID"
	[ "$status" -eq 64 ]
	[[ $output == *"line 1 of the suppressions is not understood"* ]]
}
