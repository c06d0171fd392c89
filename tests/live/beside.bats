#!/usr/bin/env bats
# What a process leaks beside its mappings: files in memory, segments, page tables, descriptors; and which limit ends
# it first, live and from a record.
# shellcheck disable=SC2016 # what others expand

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
}

# take_record [SAMPLE_ARGS]: beside_mappings, a record of 12 samples with two steps between two of them, in `record`;
# what an even record of the same says in $output, and the truth's growth between first and last in $grown.
take_record() {
	start_sample beside_mappings "$@"
	sample_step 2
	record_stepwise 2
	output=$("$LEAKHUNT" select --from even --json)
}

at_sample() {
	[ "$1" -gt 1 ] || before=$(truth leaked_bytes)
	grown=$(($(truth leaked_bytes) - before))
	count=$(truth leaked_blocks)
}

# holding NAME FILTER: of $output.
holding() {
	jq -er --arg name "$1" ".holdings[] | select(.name == \$name) | $2" <<<"$output"
}

@test "memfds held open: their bytes, how many, a name, and that the process leaks" {
	take_record --what memfd
	[ "$(holding held_file_bytes .growth)" -eq "$grown" ]
	[ "$(holding held_file_bytes .verdict)" = leak ]
	[ "$(holding held_files .last)" -eq "$count" ]
	[ "$(jq -r .held_name <<<"$output")" = /memfd:request-body ]
	[ "$(jq -r .process.verdict <<<"$output")" = leak ]
	run "$LEAKHUNT" select --from record
	[[ $output == *"files in memory, held open and not mapped"* ]]
	[[ $output == *"one is \"/memfd:request-body\""* ]]
	[[ $output != *"nothing grows"* ]]
	assert_sample_unharmed
}

@test "a memfd of which half is mapped: each byte counts once" {
	take_record --what half-mapped
	[ "$(holding held_file_bytes .growth)" -eq $((grown / 2)) ]
	[ "$(holding held_files .last)" -eq "$count" ]
	assert_between $((grown / 2)) "$(jq .process.growth_bytes <<<"$output")" $((grown / 2 + 65536))
}

# bats test_tags=long
@test "files of tmpfs without a name" {
	[ "$(stat -f -c %T /dev/shm)" = tmpfs ] || skip "/dev/shm is no tmpfs"
	take_record --what tmpfs
	[ "$(holding held_file_bytes .growth)" -eq "$grown" ]
	[ "$(holding held_files .last)" -eq "$count" ]
	[ "$(jq -r .process.verdict <<<"$output")" = leak ]
}

@test "System V segments that nobody has attached" {
	take_record --what shm
	[ "$(holding shm_bytes .growth)" -eq "$grown" ]
	[ "$(holding shm_bytes .verdict)" = leak ]
	run "$LEAKHUNT" select --from record
	[[ $output == *"ipcs -m"* ]]
}

@test "page tables" {
	take_record --what page-tables
	# A table of the level above for each GiB.
	assert_between "$grown" "$(holding page_table_bytes .growth)" $((grown + 64 * 1024))
	[ "$(jq -r .process.verdict <<<"$output")" = leak ]
	[ "$(jq .process.growth_bytes <<<"$output")" -lt 65536 ]
}

# bats test_tags=long
@test "descriptors and pipes: no memory leaks, and RLIMIT_NOFILE ends it" {
	take_record --what descriptor
	[ "$(holding descriptors .verdict)" = leak ]
	[ "$(holding descriptors .growth)" -eq 22 ]
	[ "$(jq -r .process.verdict <<<"$output")" = steady ]
	[ "$(jq -r .forecast.limit <<<"$output")" = descriptors ]
	[ "$(jq -r .forecast.left_bytes <<<"$output")" = null ]
	# What is left is what the limit leaves, as the kernel counts descriptors.
	open=$(holding descriptors .last)
	[ "$(jq .forecast.left_count <<<"$output")" -eq $(($(truth descriptor_limit) - open)) ]
	stop_sample
	take_record --what pipe
	[ "$(holding pipes .growth)" -eq 44 ]
	[ "$(holding pipes .verdict)" = leak ]
}

@test "limits and receipt are in the record: the forecast is that of the live run" {
	take_record --what memfd
	live=$(cat out)
	run --separate-stderr "$LEAKHUNT" select --from record --json
	[ "$status" -eq 0 ]
	for key in .forecast .receipt .left .holdings .held_name .process; do
		[ "$(jq -c "$key" <<<"$live")" = "$(jq -c "$key" <<<"$output")" ]
	done
	jq -e '.forecast.seconds > 0 and .receipt.readings == 12' <<<"$output"
	run "$LEAKHUNT" select --from record
	[[ $output =~ "runs out: in "[0-9a-z\ .]+" ("[a-zA-Z_,.\ -]+", "[0-9,.]+.*" left; 95 %: " ]]
	[[ $output == *"receipt: 12 readings"* ]]
}

@test "more descriptors than are examined: the figures are for all" {
	[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 19000 ] || skip "RLIMIT_NOFILE is too low"
	start_sample beside_mappings --what memfd --size 19000 --step-bytes 4096
	sample_step 18000
	run --separate-stderr "$LEAKHUNT" select "$SAMPLE_PID" -i 1ms -n 2 --json
	[ "$status" -eq 0 ]
	all=$(truth leaked_blocks)
	assert_between $((all * 99 / 100)) "$(holding held_files .last)" $((all * 101 / 100))
	assert_between $((all * 4096 * 99 / 100)) "$(holding held_file_bytes .last)" $((all * 4096 * 101 / 100))
	assert_sample_unharmed
}
