#!/usr/bin/env bats
# leakhunt strings --list --offsets beside GNU strings, over hundreds of real files and of random ones, with
# every encoding and minima from 1 to 500; and the same output for any number of threads and any kernel.
# shellcheck disable=SC2154 # bats sets them
# bats file_tags=long

encodings=(s S b l B L)
minima=(1 2 3 4 5 6 8 12 16 31 32 33 62 63 64 65 100 127 128 255 256 500)

# The files that differ from GNU's output, a line each, with how it was asked; at most one question a file.
differing_files() {
	local number=0 file
	while IFS= read -r -d '' file; do
		local chars=${minima[number % ${#minima[@]}]} encoding=${encodings[number % ${#encodings[@]}]}
		number=$((number + 1))
		cmp -s <(strings -a -t x -n "$chars" -e "$encoding" "$file") \
			<("$LEAKHUNT" strings --list --show-secrets --offsets -n "$chars" -e "$encoding" "$file") ||
			echo "-n $chars -e $encoding $file"
	done
	echo "$number files"
}

# Up to COUNT files of at most 4 MB in FOLDER, the same ones each time, 0-terminated.
some_files() {
	find "$1" -xdev -type f -size -4096k -size +0 -readable -print0 | LC_ALL=C sort -z | shuf -z -n "$2" --random-source=/bin/bash
}

@test "over 220 real files of the system, byte for byte what GNU strings prints" {
	run differing_files < <(
		some_files /usr/bin 90
		some_files /usr/lib 90
		some_files /usr/share 60
	)
	[ "${#lines[@]}" -eq 1 ]
	[ "${lines[0]% files}" -ge 220 ]
}

@test "over 60 files of random bytes of several textures, byte for byte what GNU strings prints" {
	python3 - "$BATS_TEST_TMPDIR" <<-'END'
		import random, sys
		random.seed(20)
		for i in range(66):
		    length = random.choice([1, 2, 3, 7, 64, 4095, 4096, 4097, 100000, (1 << 20) + random.randint(-3, 3), 2500000])
		    data = random.randbytes(length)
		    if i % 3 == 1:  # texts, with few bytes between them
		        table = bytes(b if random.random() < 0.1 else 32 + b % 95 for b in range(256))
		        data = data.translate(table)
		    if i % 3 == 2:  # wide characters of either order, that go out of step
		        text = data[: length // 4].translate(bytes(32 + b % 96 for b in range(256))).decode("latin-1")
		        data = b"".join(text[k::7].encode(c) + b"\0" * k for k, c in enumerate(["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]))
		    open(f"{sys.argv[1]}/random{i:02}", "wb").write(data)
	END
	run differing_files < <(find "$BATS_TEST_TMPDIR" -name 'random*' -print0 | LC_ALL=C sort -z)
	[ "${lines[*]}" = "66 files" ]
}

# Texts that go over the borders of stripes (1 MiB in --list, 4 MiB in the summary), of every width and length.
make_borders() {
	python3 - "$1" <<-'END'
		import random, sys
		random.seed(7)
		data = bytearray(random.randbytes(9 << 20))
		for border in range(1 << 20, 9 << 20, 1 << 20):
		    for codec in ["latin-1", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]:
		        text = "".join(chr(random.randint(32, 126)) for _ in range(random.randint(3, 900))).encode(codec)
		        start = border - random.randint(0, len(text))
		        data[start : start + len(text)] = text
		data[5 << 20 : (7 << 20) + 5] = b"x" * ((2 << 20) + 5)  # one that holds a whole stripe
		data[3 << 20 : (3 << 20) + 70000] = "wide ".encode("utf-16-le") * 7000
		open(sys.argv[1], "wb").write(data)
	END
}

@test "the list is the same for 1 to 5 threads and for every kernel" {
	file=$BATS_TEST_TMPDIR/borders
	make_borders "$file"
	for encoding in "${encodings[@]}"; do
		for chars in 3 70; do
			strings -a -t x -n "$chars" -e "$encoding" "$file" >"$BATS_TEST_TMPDIR/expected"
			for threads in 1 2 3 5; do
				"$LEAKHUNT" strings --list --offsets --threads "$threads" -n "$chars" -e "$encoding" "$file" |
					cmp - "$BATS_TEST_TMPDIR/expected"
			done
			for kernel in scalar sse2 avx2 avx512; do
				[ "$kernel" = scalar ] || grep -qwE "$kernel|${kernel}bw" /proc/cpuinfo || continue
				LEAKHUNT_KERNEL=$kernel "$LEAKHUNT" strings --list --show-secrets --offsets -n "$chars" -e "$encoding" "$file" |
					cmp - "$BATS_TEST_TMPDIR/expected"
			done
		done
	done
}

@test "the summary is the same for 1 to 5 threads and for every kernel" {
	file=$BATS_TEST_TMPDIR/borders
	make_borders "$file"
	openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=border.example -keyout "$BATS_TEST_TMPDIR/key" \
		-out "$BATS_TEST_TMPDIR/cert" 2>/dev/null
	openssl x509 -in "$BATS_TEST_TMPDIR/cert" -outform DER -out "$BATS_TEST_TMPDIR/cert.der"
	# A certificate and a key over the border of two stripes.
	dd if="$BATS_TEST_TMPDIR/cert.der" of="$file" bs=1 seek=$((4194304 - 300)) conv=notrunc status=none
	dd if="$BATS_TEST_TMPDIR/key" of="$file" bs=1 seek=$((8388608 - 700)) conv=notrunc status=none
	for options in "-n 4" "-n 30 -e l" "-n 4 -e S --match [a-m]"; do
		# shellcheck disable=SC2086 # words
		"$LEAKHUNT" strings --json --threads 1 $options "$file" >"$BATS_TEST_TMPDIR/expected"
		for threads in 2 3 5; do
			# shellcheck disable=SC2086
			"$LEAKHUNT" strings --json --threads "$threads" $options "$file" | cmp - "$BATS_TEST_TMPDIR/expected"
		done
		# shellcheck disable=SC2086
		LEAKHUNT_KERNEL=scalar "$LEAKHUNT" strings --json --threads 2 $options "$file" |
			cmp - "$BATS_TEST_TMPDIR/expected"
	done
	[ "$("$LEAKHUNT" strings --json "$file" | jq '[.classes[] | select(.class == "x509")] | .[0].count')" -eq 1 ]
	run "$LEAKHUNT" strings --json --top 10000 "$file"
	[[ $output != *"$(sed -n 5p "$BATS_TEST_TMPDIR/key")"* ]]
}

@test "one printable run of 300 MB is listed as GNU does, in bounded memory" {
	file=$BATS_TEST_TMPDIR/run
	head -c 300000000 /dev/zero | tr '\0' x >"$file"
	printf '\0' >>"$file"
	cmp <(strings -a -t x "$file") <("$LEAKHUNT" strings --list --offsets "$file")
	# Memory of its own, next to the mapped file.
	python3 - "$LEAKHUNT" "$file" <<-'END'
		import re, subprocess, sys
		for arguments in (["--list", "--offsets"], ["--json"]):
		    child = subprocess.Popen([sys.argv[1], "strings", *arguments, sys.argv[2]], stdout=subprocess.DEVNULL)
		    most = 0
		    while child.poll() is None:
		        try:
		            status = open(f"/proc/{child.pid}/status").read()
		        except OSError:
		            break
		        anonymous = re.search(r"RssAnon:\s+(\d+) kB", status)
		        most = max(most, int(anonymous[1]) if anonymous else 0)
		    child.wait()
		    assert child.returncode == 0 and most < 256 << 10, (arguments, child.returncode, most)
	END
}

@test "-e u lists the valid UTF-8: the runs that python finds" {
	file=$BATS_TEST_TMPDIR/utf8
	python3 - "$file" "$BATS_TEST_TMPDIR/expected" <<-'END'
		import random, re, sys
		random.seed(3)
		words = ["caf\u00e9", "\u4f60\u597d\u4e16\u754c", "plain", "\u043f\u0440\u0438\u0432\u0435\u0442", "\U0001f600\U0001f680", "\t tab"]
		noise = [b"\xff", b"\xc3", b"\xe4\xbd", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80", b"\0", b"\x80", b"\n", b"\xc2\x85"]
		data = b"".join(random.choice(words).encode() * random.randint(1, 3) + random.choice(noise) * random.randint(0, 2) for _ in range(200000))
		open(sys.argv[1], "wb").write(data)
		# RFC 3629, section 4, without C1 controls; and printable ASCII.
		tail = b"[\x80-\xbf]"
		char = b"|".join([b"[\t\x20-\x7e]", b"\xc2[\xa0-\xbf]|[\xc3-\xdf]" + tail, b"\xe0[\xa0-\xbf]" + tail,
		    b"[\xe1-\xec\xee\xef]" + tail * 2, b"\xed[\x80-\x9f]" + tail, b"\xf0[\x90-\xbf]" + tail * 2,
		    b"[\xf1-\xf3]" + tail * 3, b"\xf4[\x80-\x8f]" + tail * 2])
		with open(sys.argv[2], "wb") as out:
		    for match in re.finditer(b"(?:" + char + b"){6,}", data, re.S):
		        out.write(b"%7x " % match.start() + match[0] + b"\n")
	END
	for threads in 1 3; do
		"$LEAKHUNT" strings --list -t x -n 6 -e u --threads "$threads" "$file" | cmp - "$BATS_TEST_TMPDIR/expected"
	done
}

@test "--match takes what grep -P takes, --grep what grep -C shows" {
	file=/bin/bash
	cmp <(strings -a -t x "$file" | grep -P '^ *\w+ .*(hist|READ)[a-z_]{3}') \
		<("$LEAKHUNT" strings --list --offsets --match '(hist|READ)[a-z_]{3}' "$file")
	for around in 0 1 7 400; do
		for threads in 1 3; do
			cmp <(strings -a "$file" | grep -C "$around" 'hist[a-z]*_size') \
				<("$LEAKHUNT" strings --grep 'hist[a-z]*_size' -C "$around" --threads "$threads" "$file")
		done
	done
	run "$LEAKHUNT" strings --json --match '^hist' "$file"
	[ "$(jq .totals.texts <<<"$output")" -eq "$(strings -a "$file" | grep -c '^hist')" ]
	run "$LEAKHUNT" strings --match '(' "$file"
	[ "$status" -eq 64 ]
	[[ $output == *"'('"*"not a regular expression"* ]]
	run "$LEAKHUNT" strings -C 3 "$file"
	[ "$status" -eq 64 ]
	head -c 100000 /dev/zero | tr '\0' a >"$BATS_TEST_TMPDIR/hostile"
	run timeout 60 "$LEAKHUNT" strings --list --match '^(a|a)*[0-9]' "$BATS_TEST_TMPDIR/hostile"
	[ "$status" -eq 1 ]
	[[ $output == *"--match gave up on 1 texts"* ]]
}

@test "texts that differ only in numbers are one template, as sed and uniq count them" {
	file=$BATS_TEST_TMPDIR/log
	python3 - "$file" <<-'END'
		import random, sys, uuid
		random.seed(11)
		with open(sys.argv[1], "wb") as out:
		    for i in range(120000):
		        line = random.choice([f"GET /api/v2/session/{random.randint(1, 1 << 40)}",
		            f"user {random.randint(1, 9999)} logged in from 10.{random.randint(0, 255)}.{random.randint(0, 255)}.7",
		            f"trace {uuid.UUID(int=random.getrandbits(128))} ended"])
		        out.write(line.encode() + b"\0")
	END
	run "$LEAKHUNT" strings --json "$file"
	[ "$status" -eq 0 ]
	[ "$(jq -r '.templates.rows[].template' <<<"$output" | LC_ALL=C sort)" = \
		"$(printf '%s\n' 'GET /api/v2/session/<n>' 'trace <uuid> ended' 'user <n> logged in from <ip>')" ]
	for words in "GET /api" "user " "trace "; do
		strings -a "$file" | grep "^$words" >"$BATS_TEST_TMPDIR/lines"
		jq --arg words "$words" '.templates.rows[] | select(.template | startswith($words)) | .count, .bytes' <<<"$output" |
			cmp - <(wc -l <"$BATS_TEST_TMPDIR/lines"; tr -d '\n' <"$BATS_TEST_TMPDIR/lines" | wc -c)
	done
	[[ $output == *'% of the texts ('*' % of the bytes) are like `'* ]]
}

@test "with too many texts to count all, the 20 rows equal those of an exact count" {
	file=$BATS_TEST_TMPDIR/log
	python3 - "$file" "$BATS_TEST_TMPDIR/expected" <<-'END'
		import collections, json, random, re, sys
		chance = random.Random(7)
		kinds = [f"{w} {{}} {v}" for w in ("open", "close of", "read", "\twait for") for v in ("done.", "failed (Z)", "ok==")]
		texts, templates = collections.Counter(), collections.Counter()
		with open(sys.argv[1], "wb") as out:
		    for i in range(900000):
		        which = int(chance.paretovariate(0.9))
		        if which < 60:
		            line = f"a text that is number {'abcdefghijklmnop'[which % 16] * (which // 16 + 1)} of those repeated"
		        elif which < 300:
		            line = kinds[which % 12].format(chance.randrange(1 << 48))
		        else:
		            line = "".join(chance.choices("bdgklmnprst", k=14))
		        out.write(line.encode() + b"\0")
		        texts[line] += 1
		        templates[re.sub("[0-9]+", "<n>", line)] += 1
		def top(counts):
		    rows = [[text, count, count * len(text)] for text, count in counts.items() if count > 1]
		    return sorted(rows, key=lambda row: -row[2])[:20]
		sizes = collections.Counter()
		for line, count in texts.items():
		    sizes[re.sub("[0-9]+", "<n>", line)] += count * len(line)
		rows = sorted(([t, templates[t], b] for t, b in sizes.items() if templates[t] > 1), key=lambda row: -row[2])[:20]
		json.dump({"texts": top(texts), "templates": rows, "different": len(texts)}, open(sys.argv[2], "w"))
	END
	for threads in 1 3; do
		"$LEAKHUNT" strings --json -n 8 --threads "$threads" "$file" >"$BATS_TEST_TMPDIR/found.$threads"
	done
	cmp "$BATS_TEST_TMPDIR"/found.1 "$BATS_TEST_TMPDIR"/found.3
	run python3 - "$BATS_TEST_TMPDIR"/found.1 "$BATS_TEST_TMPDIR/expected" <<-'END'
		import json, sys
		found, expected = (json.load(open(path)) for path in sys.argv[1:])
		assert found["totals"]["sampled"], "all were counted"
		assert found["totals"]["texts"] == 900000
		assert abs(found["totals"]["distinct_texts"] / expected["different"] - 1) < 0.04
		rows = [[r["text"], r["count"], r["bytes"]] for r in found["repeated"]]
		assert sorted(rows) == sorted(expected["texts"]), (rows, expected["texts"])
		rows = [[r["template"], r["count"], r["bytes"]] for r in found["templates"]["rows"]]
		assert sorted(rows) == sorted(expected["templates"]), (rows, expected["templates"])
	END
	echo "$output"
	[ "$status" -eq 0 ]
}

# The first MIB of the files in folders, one behind another, the same each time.
join_files() {
	local mib=$1
	shift
	find "$@" -xdev -type f -size -8192k -readable -print0 2>/dev/null | LC_ALL=C sort -z | xargs -0 cat 2>/dev/null |
		head -c "${mib}M" || true # head ends before xargs
}

@test "the 20 texts of the system's files equal those of an exact count by Python and GNU strings" {
	file=$BATS_TEST_TMPDIR/files
	sampled=0
	for folders in "/usr/share/perl /usr/share/perl5 /usr/share/i18n" "/usr/share/doc /usr/share/info" "/usr/share/locale" "/usr/lib/gcc /usr/bin"; do
		# shellcheck disable=SC2086 # several folders
		join_files 48 $folders >"$file"
		"$LEAKHUNT" strings --json --show-secrets -n 8 "$file" >"$BATS_TEST_TMPDIR/found"
		run python3 "$LEAKHUNT_ROOT/tests/cli/exact_texts.py" "$BATS_TEST_TMPDIR/found" "$file"
		echo "$folders: $output"
		[ "$status" -eq 0 ]
		[[ $output != "sampled: True"* ]] || sampled=$((sampled + 1))
	done
	echo "sampled: $sampled"
	[ "$sampled" -gt 0 ]
}
