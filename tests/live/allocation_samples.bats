#!/usr/bin/env bats
# Call stacks that jemalloc samples itself, compared with the profile that it writes at the same instant.

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

JEMALLOC=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2

teardown() {
	stop_samples
}

# start_profiled CONF: samples/profiled, with these options of jemalloc.
start_profiled() {
	require_library "$JEMALLOC"
	PROFILE=$BATS_TEST_TMPDIR/profile
	export LD_PRELOAD=$JEMALLOC MALLOC_CONF=$1
	start_sample profiled --file "$PROFILE"
	unset LD_PRELOAD MALLOC_CONF
}

# compare_samples OPERAND [--raw]. The sample's heap does not change any more: in mode live nothing is torn.
compare_samples() {
	"$LEAKHUNT" heap --mode live --json "$1" >"$BATS_TEST_TMPDIR/heap.json"
	jq -e '.complete and ([.allocators[].failed] | add) == 0' "$BATS_TEST_TMPDIR/heap.json"
	python3 "$LEAKHUNT_ROOT/tests/live/compare_samples.py" "$PROFILE" "$BATS_TEST_TMPDIR/heap.json" \
		"$SAMPLE_JSON" "${@:2}"
}

# assert_names_callers OPERAND: in the text.
assert_names_callers() {
	run --separate-stderr "$LEAKHUNT" heap "$1"
	[ "$status" -eq 0 ]
	local rows
	rows=$(grep -o 'allocate_[a-z_]* < .*' <<<"$output")
	[[ $rows == 'allocate_and_lose < begin'* ]]
	grep -q '^allocate_medium < begin' <<<"$rows"
	grep -q '^allocate_small < begin' <<<"$rows"
	grep -q '^allocate_small < allocate_in_thread' <<<"$rows"
}

@test "jemalloc's samples: stacks, counts and bytes are those of its own profile, live and in a dump" {
	start_profiled prof:true,lg_prof_sample:12
	[ "$(jq .profiled <<<"$SAMPLE_JSON")" = true ]
	compare_samples "$SAMPLE_PID"
	[ "$(jq -c '[.samples.stacks[].age_exact] | unique' "$BATS_TEST_TMPDIR/heap.json")" = '[true]' ]
	"$LEAKHUNT" dump --max-pause 20s "$SAMPLE_PID" -o "$BATS_TEST_TMPDIR/dump"
	compare_samples "$BATS_TEST_TMPDIR/dump"
	[ "$(jq -c '[.samples.stacks[].age_exact] | unique' "$BATS_TEST_TMPDIR/heap.json")" = '[false]' ]
	assert_names_callers "$BATS_TEST_TMPDIR/dump"
	"$LEAKHUNT" dump --max-pause 20s --region heap "$SAMPLE_PID" -o "$BATS_TEST_TMPDIR/heap"
	compare_samples "$BATS_TEST_TMPDIR/heap"
	assert_sample_unharmed
}

@test "jemalloc's samples: without its estimates, the profile holds what was sampled" {
	start_profiled prof:true,lg_prof_sample:12,prof_unbias:false
	compare_samples "$SAMPLE_PID" --raw
}

@test "jemalloc's samples: nothing if it does not sample" {
	start_profiled prof:false
	[ "$(jq .profiled <<<"$SAMPLE_JSON")" = false ]
	[ "$("$LEAKHUNT" heap --mode live --json "$SAMPLE_PID" | jq .samples)" = null ]
	run --separate-stderr "$LEAKHUNT" heap --mode live "$SAMPLE_PID"
	[ "$status" -eq 0 ]
	[[ $output != *sampled* ]]
}
