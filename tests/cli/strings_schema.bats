#!/usr/bin/env bats
# The JSON of `strings`: the members that leakhunt-strings(1) writes down, of their types, and no other.

# Lines "member type" of the man page.
documented() {
	"$LEAKHUNT" man strings | sed 's/\\&//g' | sed -nE '/^\.SH JSON/,/^\.SH [^J]/{/^\.B /{N;s/^\.B (\.[^\n]+)\n([a-z]+).*/\1 \2/p}}' |
		LC_ALL=C sort -u
}

# The same of JSON texts on stdin, without the objects and arrays that only hold documented members.
found() {
	jq -r '[paths as $p | {path: ($p | map(if type == "number" then "[]" else "." + . end) | join("")),
		type: (getpath($p) | type)}] | .[] | select(.type != "null") | "\(.path) \(.type)"' | LC_ALL=C sort -u
}

@test "the JSON of the summary has the members and types that the man page documents" {
	python3 - "$BATS_TEST_TMPDIR/memory" <<-'END'
		import sys
		with open(sys.argv[1], "wb") as out:
		    for i in range(300):
		        out.write(b"GET /api/v2/session/%d HTTP/1.1\0 twice the same text\0mail%d@shop.example\0" % (i, i % 7))
	END
	"$LEAKHUNT" strings --json "$BATS_TEST_TMPDIR/memory" >"$BATS_TEST_TMPDIR/json"
	[ "$(documented | wc -l)" -gt 40 ]
	[ "$(jq -r .schema "$BATS_TEST_TMPDIR/json")" = leakhunt/strings/1 ]
	missing=$(comm -23 <(documented) <(found <"$BATS_TEST_TMPDIR/json"))
	echo "in the man page only: $missing"
	[ -z "$missing" ]
	undocumented=$(comm -13 <(documented) <(found <"$BATS_TEST_TMPDIR/json") |
		grep -E '^\.(totals|templates|repeated|source)\b' | grep -vE ' (object|array)$') || true
	echo "not in the man page: $undocumented"
	[ -z "$undocumented" ]
}

@test "on a terminal of 40 columns no line of a table is wider" {
	python3 - "$BATS_TEST_TMPDIR/memory" <<-'END'
		import sys
		with open(sys.argv[1], "wb") as out:
		    for i in range(300):
		        out.write(("\u4f60\u597d\u4e16\u754c" * 12 + " %d\0 \033[31mtwice the same, rather long text that has to be cut\0" % i).encode())
	END
	run python3 - "$LEAKHUNT" "$BATS_TEST_TMPDIR/memory" <<-'END'
		import fcntl, os, pty, re, struct, subprocess, sys, termios, unicodedata
		master, slave = pty.openpty()
		fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
		child = subprocess.Popen([sys.argv[1], "strings", "--all", sys.argv[2]], stdout=slave, stderr=subprocess.DEVNULL,
		    env={**os.environ, "TERM": "xterm", "NO_COLOR": ""})
		os.close(slave)
		text = b""
		while True:
		    try:
		        part = os.read(master, 65536)
		    except OSError:
		        break
		    if not part:
		        break
		    text += part
		assert child.wait() == 0
		assert b"\033[1m" in text, "no color"
		plain = re.sub(r"\033\[[0-9;]*m", "", text.decode())
		assert "\033" not in plain, "an escape sequence of the memory"
		rows = [line for line in plain.splitlines() if re.match(r"^ *[0-9,]+ .*B", line) or line.startswith("COUNT")]
		assert len(rows) >= 4, rows
		for row in rows:
		    columns = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in row)
		    assert columns <= 40, (columns, row)
	END
	echo "$output"
	[ "$status" -eq 0 ]
}
