#!/usr/bin/env bats
# Texts of a process that grows by a known amount, saved as people save and paste them: each form gives the
# growth that the kernel's own text gives, or is refused by its name.
# shellcheck disable=SC2016 # what others expand

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

TEXTS=12

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
}

# take_texts FORM...: a text of each form at each of TEXTS steps, FORM0 to FORM11; the truth's growth is $grown.
take_texts() {
	local i form before=0
	start_sample heap_leak --step-bytes 1M
	for ((i = 0; i < TEXTS; i++)); do
		sample_step 1
		((i > 0)) || before=$(truth leaked_bytes)
		for form in "$@"; do
			save_text "$form" >"$form$i"
		done
	done
	grown=$(($(truth leaked_bytes) - before))
}

# save_text FORM: of the current sample. What is not pmap's is the kernel's smaps.
save_text() {
	case $1 in
	pmap_x) pmap -x "$SAMPLE_PID" ;;
	pmap_X) pmap -X "$SAMPLE_PID" ;;
	pmap_XX) pmap -XX "$SAMPLE_PID" ;;
	*) cat "/proc/$SAMPLE_PID/smaps" ;;
	esac
}

# select_texts PREFIX: its JSON into $output.
select_texts() {
	local i files=() times=()
	for ((i = 0; i < TEXTS; i++)); do
		files+=(--from "$1$i")
		times+=("$i")
	done
	run --separate-stderr "$LEAKHUNT" select "${files[@]}" --times "$(IFS=,; echo "${times[*]}")" --json
}

# assert_growth: what the truth says, and a page of malloc's own headers a step.
assert_growth() {
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	jq -e '.process.verdict == "leak" and .complete' <<<"$output"
	assert_between "$grown" "$(jq .process.growth_bytes <<<"$output")" $((grown + grown / 16))
}

# rewrite FORM COMMAND...: FORM0 to FORM11 from smaps0 to smaps6.
rewrite() {
	local i
	for ((i = 0; i < TEXTS; i++)); do
		"${@:2}" <"smaps$i" >"$1$i"
	done
}

with_mark() {
	printf '\xef\xbb\xbf' && cat
}

utf_16_with_mark() {
	printf '\xff\xfe' && iconv -f UTF-8 -t UTF-16LE
}

# What a clipboard of Windows makes of it.
utf_16_with_returns() {
	printf '\xff\xfe' && sed 's/$/\r/' | iconv -f UTF-8 -t UTF-16LE
}

@test "smaps with other line ends, blanks, units, marks, quotes, encodings: the same answer" {
	take_texts smaps
	select_texts smaps
	assert_growth
	expected=$(jq -c '[.process, .regions]' <<<"$output")
	rewrite crlf sed 's/$/\r/'
	rewrite tabs unexpand -a -t 8
	rewrite all_tabs sed 's/  */\t/g'
	rewrite one_blank sed 's/  */ /g'
	rewrite no_break sed 's/ /\xc2\xa0/g'
	rewrite big_unit sed 's/ kB$/ KB/'
	rewrite kib_unit sed 's/ kB$/ KiB/'
	rewrite mark with_mark
	rewrite quoted sed 's/^/> /'
	rewrite twice_quoted sed 's/^/> >> /'
	rewrite indented sed 's/^/    /'
	rewrite tab_indented sed 's/^/\t/'
	rewrite utf_16_le iconv -f UTF-8 -t UTF-16LE
	rewrite utf_16_be iconv -f UTF-8 -t UTF-16BE
	rewrite utf_16_mark utf_16_with_mark
	rewrite utf_16_crlf utf_16_with_returns
	rewrite mail sed 's/^/> /; s/ kB$/ KB/; s/$/\r/; s/  */\xc2\xa0/g'
	for form in crlf tabs all_tabs one_blank no_break big_unit kib_unit mark quoted twice_quoted indented tab_indented \
		utf_16_le utf_16_be utf_16_mark utf_16_crlf mail; do
		echo "$form"
		select_texts "$form"
		assert_growth
		[ "$(jq -c '[.process, .regions]' <<<"$output")" = "$expected" ]
	done
}

@test "pmap -x, -X and -XX: the same growth; of two processes: refused" {
	take_texts smaps pmap_x pmap_X pmap_XX
	for form in pmap_x pmap_X pmap_XX; do
		echo "$form"
		select_texts "$form"
		assert_growth
	done
	[ "$(jq -r '.regions[0].kind' <<<"$output")" = heap ]
	pmap -X "$SAMPLE_PID" $$ >pmap_X3
	select_texts pmap_X
	[ "$status" -eq 2 ]
	[[ $stderr == *"pmap_X3 holds the mappings of two processes"* ]]
}

@test "pmap without usage: refused with its name, also by maps" {
	for options in "" -d; do
		pmap $options $$ >plain
		run --separate-stderr "$LEAKHUNT" select --from plain --from plain --times 0,1
		[ "$status" -eq 2 ]
		[ -z "$output" ]
		[[ $stderr == *"plain is the output of pmap without memory usage"* ]]
		run --separate-stderr "$LEAKHUNT" maps plain
		[ "$status" -eq 2 ]
		[[ $stderr == *"plain is the output of pmap without memory usage"* ]]
	done
}

@test "two texts in one file: refused, with the file's name" {
	start_sample steady
	cat "/proc/$SAMPLE_PID/smaps" "/proc/$$/smaps" >two
	cat "/proc/$SAMPLE_PID/smaps" "/proc/$SAMPLE_PID/smaps" >twice
	sed 's/^/> /' two >quoted
	for file in two twice quoted; do
		run --separate-stderr "$LEAKHUNT" select --from "$file" --from "$file" --times 0,1
		[ "$status" -eq 2 ]
		[[ $stderr == *"$file holds the mappings of two processes, or of one twice"* ]]
	done
}

@test "an unknown unit: refused, never 'nothing grows'" {
	take_texts smaps
	rewrite megabytes sed 's/ kB$/ MB/'
	select_texts megabytes
	[ "$status" -eq 2 ]
	[ -z "$output" ]
	[[ $stderr == *"megabytes0"* ]]
}

@test "words around a text are skipped, with a warning" {
	take_texts smaps
	rewrite letter sed -e '1i Hello,\nthis is what we see:\n' -e '$a Regards' -e 's/^/> /'
	select_texts letter
	[ "$status" -eq 1 ]
	[[ $stderr == *"not understood"* ]]
	[ "$(jq -r .process.verdict <<<"$output")" = leak ]
}
