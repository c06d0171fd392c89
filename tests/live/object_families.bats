#!/usr/bin/env bats
# leakhunt strings: objects of libraries, of a program that loses some of each, live and in dumps, and none in the
# heaps of programs that have no such library.
# shellcheck disable=SC2154 # bats sets them
. "$LEAKHUNT_ROOT/tests/helpers.bash"

teardown() {
	stop_samples
}

# summarize OPERAND ARGS...: the summary as JSON, in SUMMARY.
summarize() {
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
	summarize "$SAMPLE_PID"
	assert_families
	"$LEAKHUNT" dump "$SAMPLE_PID" -o "$BATS_TEST_TMPDIR/dump" 2>/dev/null
	summarize "$BATS_TEST_TMPDIR/dump"
	assert_families
	assert_sample_unharmed
}

@test "a dump names them without the files of the program and its libraries" {
	start_library_objects 20
	mkdir "$BATS_TEST_TMPDIR/empty"
	"$LEAKHUNT" dump "$SAMPLE_PID" -o "$BATS_TEST_TMPDIR/dump" 2>/dev/null
	summarize "$BATS_TEST_TMPDIR/dump" --sysroot "$BATS_TEST_TMPDIR/empty"
	assert_families
	[ "$(jq '[.unnamed_modules[] | select(.path | test("libcrypto|libgobject|libz"))] | length' <<<"$SUMMARY")" = 0 ]
}

# start_copy NAME ARGS...: the sample and its libraries from a folder of their own, which is removed once it runs.
start_copy() {
	local folder=$BATS_TEST_TMPDIR/copy path
	mkdir "$folder"
	cp "$SAMPLES/$1" "$folder"
	while read -r path; do cp -L "$path" "$folder"; done < <(ldd "$SAMPLES/$1" | grep -o '/[^ ]*lib[a-z0-9_+.-]*\.so[^ ]*')
	LD_LIBRARY_PATH=$folder SAMPLES=$folder start_sample "$@"
	rm -r "$folder"
	grep -q "$1 (deleted)" "/proc/$SAMPLE_PID/maps"
	grep -q 'libc.so.6 (deleted)' "/proc/$SAMPLE_PID/maps"
}

# bats test_tags=long
@test "a program and libraries that were removed since: as many objects as with files, live and in a dump" {
	[ -x "$SAMPLES/library_objects" ] || skip "the libraries' headers are not installed"
	start_copy library_objects --steps 20
	summarize "$SAMPLE_PID"
	assert_families
	"$LEAKHUNT" dump "$SAMPLE_PID" -o "$BATS_TEST_TMPDIR/dump" 2>/dev/null
	summarize "$BATS_TEST_TMPDIR/dump"
	assert_families
}

@test "C++ classes of a program that was removed, and replaced by another: live, in a dump, and without files" {
	local name
	start_copy cxx_objects --steps 500
	mkdir "$BATS_TEST_TMPDIR/copy" "$BATS_TEST_TMPDIR/empty"
	cp "$SAMPLES/steady" "$BATS_TEST_TMPDIR/copy/cxx_objects"
	"$LEAKHUNT" dump "$SAMPLE_PID" -o "$BATS_TEST_TMPDIR/dump" 2>/dev/null
	for operands in "$SAMPLE_PID" "$BATS_TEST_TMPDIR/dump" "$BATS_TEST_TMPDIR/dump --sysroot $BATS_TEST_TMPDIR/empty"; do
		# shellcheck disable=SC2086 # words
		summarize $operands
		while read -r name; do
			[ "$(counted C++ "$name")" = "$(jq --arg name "$name" '.objects[$name]' <<<"$SAMPLE_JSON")" ]
		done < <(jq -r '.objects | keys[]' <<<"$SAMPLE_JSON")
	done
}

@test "a deflate state counts with all that it owns" {
	local bytes
	start_library_objects 50
	summarize "$SAMPLE_PID"
	bytes=$(jq '.objects[] | select(.name == "deflate state") | .bytes' <<<"$SUMMARY")
	assert_between $((50 * $(truth deflate_bytes) * 99 / 100)) "$bytes" $((50 * $(truth deflate_bytes) * 101 / 100))
}
