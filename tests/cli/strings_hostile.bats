#!/usr/bin/env bats
# Memory made to hurt whoever looks at it: patterns that explode, characters that hide, dumps that are damaged.
# shellcheck disable=SC2154 # bats sets them

bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

# One text on which (a+)+[cd] takes exponentially many steps, between two that match at once.
make_explosive() {
	python3 - "$1" <<-'END'
		import sys
		with open(sys.argv[1], "wb") as out:
		    out.write(b"before aac\0" + b"a" * 60 + b"b\0\x01behind aac\0")
	END
}

@test "a text that costs --match too many steps is omitted and reported; the rest counts" {
	make_explosive memory
	run -1 --separate-stderr "$LEAKHUNT" strings --list --match '(a+)+[cd]' memory
	[ "$output" = "before aac"$'\n'"behind aac" ]
	[[ $stderr == *"--match gave up on 1 texts"*0xb* ]]
	run -1 --separate-stderr "$LEAKHUNT" strings --json --match '(a+)+[cd]' memory
	[ "$(jq -c '[.complete, .totals.given_up_texts, .totals.texts]' <<<"$output")" = '[false,1,2]' ]
	run -1 --separate-stderr "$LEAKHUNT" strings --match '(a+)+[cd]' memory
	[[ $output == *"incomplete: --match gave up on 1 texts (the first: 0xb)"* ]]
	run -1 --separate-stderr "$LEAKHUNT" strings --grep '(a+)+[cd]' --around 0 memory
	[[ $output == *"before aac"*"behind aac"* ]]
	[[ $stderr == *"--grep gave up on 1 texts"* ]]
	run -0 "$LEAKHUNT" strings --json --match 'aac' memory
	[ "$(jq -c '[.complete, .totals.given_up_texts]' <<<"$output")" = '[true,0]' ]
}

@test "a comparison gives up on the side that has such a text" {
	make_explosive after
	printf 'before aac\0' >before
	run -1 --separate-stderr "$LEAKHUNT" strings --json --match '(a+)+[cd]' before after
	[ "$(jq .complete <<<"$output")" = false ]
	run -1 --separate-stderr "$LEAKHUNT" strings --match '(a+)+[cd]' before after
	[[ $output == *"incomplete: --match gave up on 1 texts"* ]]
	run -0 --separate-stderr "$LEAKHUNT" strings --json --match '(a+)+[cd]' before before
	[ "$(jq .complete <<<"$output")" = true ]
}

# What a person sees of it must not depend on what is not drawn, or on what turns it around.
@test "bidirectional and invisible characters come out escaped" {
	python3 - memory <<-'END'
		import sys
		hidden = [0xad, 0x61c, 0x200b, 0x200e, 0x200f, *range(0x202a, 0x202f), *range(0x2066, 0x206a), 0xfeff, 0xe0041]
		with open(sys.argv[1], "wb") as out:
		    for character in hidden:
		        out.write(("user" + chr(character) + "nimda approved\0").encode() * 3)
	END
	run -0 "$LEAKHUNT" strings --top 100 memory
	check_escaped <<<"$output"
	run -0 "$LEAKHUNT" strings --json --top 100 memory
	check_escaped <<<"$output"
	run -0 script -qec "'$LEAKHUNT' strings --list -e u memory" /dev/null
	check_escaped <<<"$output"
}

# check_escaped: stdin has 17 escaped texts at least, and no such character.
check_escaped() {
	python3 -c '
import sys, unicodedata
text = sys.stdin.buffer.read().decode()
hidden = [hex(ord(c)) for c in text if unicodedata.category(c) == "Cf"]
assert not hidden, hidden
assert text.count("nimda approved") >= 17, text.count("nimda approved")
assert "\\xe2\\x80\\xae" in text.replace("\\\\", "\\"), text'
}
