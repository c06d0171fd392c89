#!/usr/bin/env bats
# Mappings that are alike and come one by one are one row, with their rate and their cause; live, and from a record.
# shellcheck disable=SC2016 # what others expand

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
	[ -z "${JAVA_PID:-}" ] || kill "$JAVA_PID"
}

# watch_family SAMPLE_ARGS...: family_leak, 12 samples with two steps between two of them; the JSON in $output, how many
# there are at the last sample in $count.
watch_family() {
	start_sample family_leak "$@"
	sample_step 4
	record_stepwise 2
	output=$(cat out)
}

at_sample() {
	count=$(truth leaked_blocks)
}

json() {
	jq -er "$1" <<<"$output"
}

# is_rising VERDICT: samples are taken as fast as the machine goes: the line need not be straight, nor the verdict sure.
is_rising() {
	[[ $1 == leak || $1 == growing || $1 == undecided ]]
}

# assert_family CAUSE: the first row, the only one that leaks, says so, as does the record.
assert_family() {
	[ "$(json '.regions[0].cause')" = "$1" ]
	is_rising "$(json '.regions[0].verdict')"
	[ "$(json '[.regions[] | select(.verdict == "leak")] | length')" -le 1 ]
	[ "$(json '[.regions[].ranges[].start] | length == (unique | length)')" = true ]
	jq -e '.regions[0] | if .measure == "used" then .rate_bytes_per_hour > 0 else true end' <<<"$output"
	run --separate-stderr "$LEAKHUNT" select --from record --json
	[ "$(json '.regions[0].cause')" = "$1" ]
	assert_sample_unharmed
}

# bats test_tags=long
@test "threads that ended and were not joined, of several sizes of stacks" {
	for bytes in 64K 256K 1M 8M; do
		echo "$bytes"
		watch_family --what unjoined --block-bytes "$bytes"
		[ "$(json '.regions[0].mappings')" -eq "$count" ]
		[[ $(json '.regions[0].cause_text') == "stacks of $count threads that have ended"* ]]
		[ "$(json '.holdings[] | select(.name == "threads").growth')" -eq 0 ]
		is_rising "$(json '.holdings[] | select(.name == "mappings").verdict')"
		assert_family ended-threads
		stop_sample
	done
}

@test "stacks of ended threads of two sizes are one row" {
	watch_family --what unjoined --block-bytes 128K --sizes mixed
	[ "$(json '.regions[0].mappings')" -eq "$count" ]
	assert_family ended-threads
}

@test "threads that do not end, by the pattern of their names" {
	watch_family --what pool
	[ "$(json '.regions[0].mappings')" -eq "$count" ]
	[ "$(json '.regions[0].thread_name')" = 'pool-<n>-thread' ]
	[[ $(json '.regions[0].cause_text') == *'named "pool-<n>-thread": threads that do not end' ]]
	[ "$(json '.holdings[] | select(.name == "threads").growth')" -eq 44 ]
	assert_family thread-stacks
}

# bats test_tags=long
@test "a segment of shared memory for each item: names with numbers, letters, the same; sizes mixed" {
	for names in numbers letters same; do
		watch_family --what segment --names "$names" --sizes mixed --block-bytes 64K
		[ "$(json '.regions[0].mappings')" -eq "$count" ]
		[ "$(json '.regions[0].kind')" = shared ]
		assert_family shared-memory-again
		case $names in
		numbers) [ "$(json '.regions[0].name')" = "/dev/shm/leakhunt-session-<n>-<n>" ] ;;
		letters) [ "$(json '.regions[0].name')" = "/dev/shm/<name>" ] ;;
		same) [ "$(json '.regions[0].name')" = "/dev/shm/leakhunt-session" ] ;;
		esac
		stop_sample
	done
}

@test "a file for each item" {
	watch_family --what file --names numbers --block-bytes 64K
	[ "$(json '.regions[0].mappings')" -eq "$count" ]
	[ "$(json '.regions[0].name')" = "/tmp/leakhunt-part-<n>-<n>.dat" ]
	assert_family file-mapped-again
}

@test "a library loaded again and again, its files deleted: names with numbers, letters" {
	# dlopen(3) of the same name again is the same library.
	for names in numbers letters; do
		watch_family --what library --names "$names"
		[[ $(json '.regions[0].cause_text') == "a library loaded $count times as "*", deleted since: dlopen without dlclose" ]]
		assert_family library-loaded-again
		stop_sample
	done
}

@test "a text alone, which knows no threads: stacks, by the guards below them" {
	start_sample family_leak --what unjoined --block-bytes 512K
	files=() times=()
	for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
		sample_step 3
		cat "/proc/$SAMPLE_PID/smaps" >"s$i"
		files+=(--from "s$i")
		times+=("$i")
	done
	run --separate-stderr "$LEAKHUNT" select "${files[@]}" --times "$(IFS=,; echo "${times[*]}")" --json
	[ "$status" -eq 0 ]
	[ "$(json '.regions[0].cause')" = guarded-stacks ]
	[ "$(json '.holdings[] | select(.name == "mappings").verdict')" = leak ]
}
