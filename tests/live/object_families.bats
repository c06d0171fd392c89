#!/usr/bin/env bats
# leakhunt strings: objects of libraries, of a program that loses some of each, live and in dumps, and none in the
# heaps of programs that have no such library.
# shellcheck disable=SC2154 # bats sets them
. "$LEAKHUNT_ROOT/tests/helpers.bash"

teardown() {
	stop_samples
}

# summarise OPERAND ARGS...: the summary as JSON, in SUMMARY.
summarise() {
	SUMMARY=$("$LEAKHUNT" strings --json --top 10000 -n 20 "$@") || [ $? -eq 1 ]
}

# counted KIND NAME [DETAIL]: how many the summary counts.
counted() {
	jq --arg kind "$1" --arg name "$2" --arg detail "${3-}" \
		'[.objects[] | select(.kind == $kind and .name == $name and (.detail | startswith($detail))) | .count] | add // 0' \
		<<<"$SUMMARY"
}

# All that the sample says, exactly.
assert_families() {
	local kind name detail count wrong=0
	while IFS='|' read -r kind name detail count; do
		[ "$(counted "$kind" "$name" "$detail")" = "$count" ] && continue
		echo "$kind $name $detail: $count made, $(counted "$kind" "$name" "$detail") counted"
		wrong=1
	done < <(jq -r '.objects[] | "\(.kind)|\(.name)|\(.detail)|\(.count)"' <<<"$SAMPLE_JSON")
	[ "$wrong" = 0 ]
}

start_library_objects() {
	[ -x "$SAMPLES/library_objects" ] || skip "the libraries' headers are not installed"
	start_sample library_objects --steps "$1"
	[ "$(jq '.objects | length' <<<"$SAMPLE_JSON")" -ge 4 ]
}

@test "objects of libraries are counted exactly, live and in a dump" {
	start_library_objects 200
	summarise "$SAMPLE_PID"
	assert_families
	"$LEAKHUNT" dump "$SAMPLE_PID" -o "$BATS_TEST_TMPDIR/dump" 2>/dev/null
	summarise "$BATS_TEST_TMPDIR/dump"
	assert_families
	assert_sample_unharmed
}

@test "a deflate state counts with all that it owns" {
	local bytes
	start_library_objects 50
	summarise "$SAMPLE_PID"
	bytes=$(jq '.objects[] | select(.name == "deflate state") | .bytes' <<<"$SUMMARY")
	assert_between $((50 * $(truth deflate_bytes) * 99 / 100)) "$bytes" $((50 * $(truth deflate_bytes) * 101 / 100))
}
