#!/usr/bin/env bats
# leakhunt strings: the list against GNU strings, the summary against what the test put in, bad input.
# shellcheck disable=SC2154 # bats sets them
# shellcheck disable=SC2030,SC2031 # each test is a subshell

setup_file() {
	export BIG=$BATS_FILE_TMPDIR/big.core SMALL=$BATS_FILE_TMPDIR/small.core RANDOM_BYTES=$BATS_FILE_TMPDIR/random
	head -c 8000000 /dev/urandom >"$RANDOM_BYTES"
	make_core "$BIG" 20
	make_core "$SMALL" 1
}

# make_core FILE SIZE: a core made by gcore, with texts of every width, random and zero bytes: over 200 MB for size 20.
make_core() {
	local ready=$BATS_FILE_TMPDIR/ready pid input
	mkfifo "$ready" "$BATS_FILE_TMPDIR/input"
	exec {input}<>"$BATS_FILE_TMPDIR/input"
	python3 -c '
import os, random, sys
random.seed(5)
size = int(sys.argv[2])
texts = [("GET /api/v2/session/%d HTTP/1.1" % i) for i in range(15000 * size)]
wide = "".join(chr(random.randint(31, 127)) for _ in range(10000 * size))
keep = [wide.encode(c) * 20 for c in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")]
noise = os.urandom(3 * size << 20)
latin = bytes(random.randint(32, 255) for _ in range(size << 16)) * 8
zeros = bytearray(3 * size << 20)
zeros[::4096] = b"z" * (len(zeros) // 4096)
open(sys.argv[1], "w").write("ready")
sys.stdin.readline()' "$ready" "$2" <&"$input" 3>&- &
	pid=$!
	read -r -N 5 <"$ready"
	gcore -o "$1" "$pid" >"$BATS_FILE_TMPDIR/gcore.log" 2>&1
	echo >&"$input"
	wait "$pid"
	exec {input}>&-
	mv "$1.$pid" "$1"
	rm "$ready" "$BATS_FILE_TMPDIR/input"
}

# Runs leakhunt keeping stdout and stderr apart: $output, $errors, $status.
leakhunt() {
	errors_file=$BATS_TEST_TMPDIR/errors
	run sh -c '"$LEAKHUNT" "$@" 2>"$0"' "$errors_file" "$@"
	errors=$(cat "$errors_file")
}

# One line on stderr that holds each of the words, nothing on stdout.
refused_with() {
	local code=$1 word
	shift
	[ "$status" -eq "$code" ]
	[ -z "$output" ]
	[ "$(wc -l <"$errors_file")" -eq 1 ]
	for word; do
		[[ $errors == *"$word"* ]]
	done
}

same_as_gnu() {
	local file=$1 chars=$2 encoding=$3 radix=$4
	cmp <(strings -a -t "$radix" -n "$chars" -e "$encoding" "$file") \
		<("$LEAKHUNT" strings --list --offsets --show-secrets -t "$radix" -n "$chars" -e "$encoding" "$file")
}

libc() {
	ldd /bin/sh | awk '/libc\.so/{print $3}'
}

@test "--list --offsets is GNU strings byte for byte: every encoding, small files" {
	for file in "$(libc)" /bin/bash "$RANDOM_BYTES"; do
		for chars in 1 4 100; do
			for encoding in s S b l B L; do
				same_as_gnu "$file" "$chars" "$encoding" x
			done
		done
	done
}

@test "--list --offsets is GNU strings byte for byte: a core" {
	for encoding in s S b l B L; do
		same_as_gnu "$SMALL" 4 "$encoding" x
	done
	same_as_gnu "$SMALL" 7 s d
	same_as_gnu "$SMALL" 63 l o
}

# bats test_tags=long
@test "--list --offsets is GNU strings byte for byte: a core of over 200 MB" {
	[ "$(stat -c %s "$BIG")" -gt 200000000 ]
	for chars in 4 100; do
		for encoding in s S b l B L; do
			same_as_gnu "$BIG" "$chars" "$encoding" x
		done
	done
	same_as_gnu "$BIG" 7 s d
	same_as_gnu "$BIG" 63 l o
}

@test "every kernel lists the same" {
	for kernel in scalar sse2 avx2 avx512; do
		[ "$kernel" = scalar ] || grep -qwE "$kernel|${kernel}bw" /proc/cpuinfo || continue
		for encoding in s S l B; do
			cmp <(strings -a -t x -n 5 -e "$encoding" /bin/bash) \
				<(LEAKHUNT_KERNEL=$kernel "$LEAKHUNT" strings --list --offsets --show-secrets -n 5 -e "$encoding" /bin/bash)
		done
	done
}

@test "--list without -t prints the strings alone" {
	cmp <(strings -a "$RANDOM_BYTES") <("$LEAKHUNT" strings --list --show-secrets "$RANDOM_BYTES")
	cmp <(strings -a -n 12 "$SMALL") <("$LEAKHUNT" strings --list --show-secrets --raw -n 12 "$SMALL")
}

@test "holes of a sparse file are zeros to wide characters" {
	file=$BATS_TEST_TMPDIR/sparse
	truncate -s 3000001 "$file"
	for place in 65531 131072 1048571 2097152; do
		printf 'w\0i\0d\0e\0-' | dd of="$file" bs=1 seek="$place" conv=notrunc status=none
	done
	printf '\0\0\0w\0\0\0i\0\0\0d\0\0\0e' | dd of="$file" bs=1 seek=2031616 conv=notrunc status=none
	printf 'w\0\0\0i\0\0\0d\0\0\0e' | dd of="$file" bs=1 seek=2555891 conv=notrunc status=none
	for encoding in s b l B L; do
		same_as_gnu "$file" 2 "$encoding" d
	done
}

@test "in a core, --list -t x shows addresses: the bytes that gdb sees there" {
	address=$("$LEAKHUNT" strings --list -t x -n 20 "$BIG" | awk '/GET .api.v2.session.4711 HTTP/{print $1; exit}')
	[ -n "$address" ]
	run gdb -nx -batch -core "$BIG" -ex "x/s 0x$address"
	[[ $output == *"GET /api/v2/session/4711 HTTP/1.1"* ]]
}

@test "a closed pipe ends the list quietly" {
	run bash -c 'set -o pipefail; "$LEAKHUNT" strings --list "$1" 2>"$2" | head -1' - "$BIG" "$BATS_TEST_TMPDIR/errors"
	[ "$status" -eq 0 ]
	[ ! -s "$BATS_TEST_TMPDIR/errors" ]
}

@test "a terminal gets escaped bytes, with the strings otherwise the same" {
	file=$BATS_TEST_TMPDIR/latin
	printf 'plain\ttab\0caf\351\351\233\0' >"$file"
	run script -qec "\"$LEAKHUNT\" strings --list -e S \"$file\"" /dev/null
	[ "$status" -eq 0 ]
	[ "${lines[0]%$'\r'}" = $'plain\ttab' ]
	[ "${lines[1]%$'\r'}" = 'caf\xe9\xe9\x9b' ]
}

@test "the summary counts what is there" {
	file=$BATS_TEST_TMPDIR/known
	python3 - "$file" <<-'END'
		import sys
		with open(sys.argv[1], "wb") as out:
		    for i in range(500):
		        out.write(b"a text that is repeated\0" + b"once %d\0" % i)
		    out.write(b"\0" * (-out.tell() % 4096) + bytes(40960))
	END
	leakhunt strings --json "$file"
	[ "$status" -eq 0 ]
	[ -z "$errors" ]
	[ "$(jq -r .schema <<<"$output")" = leakhunt/strings/1 ]
	[ "$(jq .complete <<<"$output")" = true ]
	[ "$(jq .totals.scanned_bytes <<<"$output")" -eq "$(stat -c %s "$file")" ]
	[ "$(jq .totals.zero_bytes <<<"$output")" -eq 40960 ]
	[ "$(jq .totals.texts <<<"$output")" -eq "$(strings -a "$file" | wc -l)" ]
	[ "$(jq .totals.distinct_texts <<<"$output")" -eq "$(strings -a "$file" | sort -u | wc -l)" ]
	[ "$(jq .totals.printable_bytes <<<"$output")" -eq "$(strings -a "$file" | tr -d '\n' | wc -c)" ]
	[ "$(jq -c '.repeated[0] | [.text, .count, .bytes, .addr]' <<<"$output")" = \
		'["a text that is repeated",500,11500,"0x0"]' ]
	[ "$(jq '.repeated | length' <<<"$output")" -eq 1 ]
	leakhunt strings --all "$file"
	[ "$status" -eq 0 ]
	grep -Eq '^ *500 .*a text that is repeated$' <<<"$output"
	grep -q '^in short: .*repeated 500 times' <<<"$output"
}

@test "the summary's texts are those that uniq counts in a core" {
	leakhunt strings --json -n 200 -e s --raw --top 1000 "$SMALL"
	[ "$status" -eq 0 ]
	[ "$(jq .totals.uncounted_texts <<<"$output")" -eq 0 ]
	diff <(strings -a -n 200 "$SMALL" | LC_ALL=C sort | uniq -c | awk '$1 > 1 {print $1}' | sort -n) \
		<(jq '.repeated[].count' <<<"$output" | sort -n)
}

@test "a private key is counted and shown nowhere in the summary" {
	file=$BATS_TEST_TMPDIR/keys
	openssl genrsa -out "$BATS_TEST_TMPDIR/key.pem" 2048 2>/dev/null
	for _ in 1 2 3; do
		cat "$BATS_TEST_TMPDIR/key.pem"
		printf '\0\0\0\0'
	done >"$file"
	leakhunt strings --json "$file"
	[ "$status" -eq 0 ]
	[ "$(jq '[.classes[] | select(.secret) | .count] | add' <<<"$output")" -eq 3 ]
	[ "$(jq '[.repeated[] | select(.secret)] | length' <<<"$output")" -gt 0 ]
	json=$output
	leakhunt strings "$file"
	while read -r line; do
		[[ $line == -* ]] || [[ $json$output != *"$line"* ]]
	done <"$BATS_TEST_TMPDIR/key.pem"
}

@test "escape sequences in memory do not reach the output" {
	file=$BATS_TEST_TMPDIR/hostile
	printf 'GET /\033]0;owned\007 HTTP/1.1\r\n\0\233\061\155 caf\351 text\0\233\061\155 caf\351 text' >"$file"
	for format in "" --json; do
		leakhunt strings -e S $format "$file"
		[ "$status" -eq 0 ]
		[ "$(LC_ALL=C grep -c $'[\001-\010\013-\037\177\233]' <<<"$output")" -eq 0 ]
	done
}

@test "an empty file is scanned: 0 bytes" {
	: >"$BATS_TEST_TMPDIR/empty"
	leakhunt strings "$BATS_TEST_TMPDIR/empty"
	[ "$status" -eq 0 ]
	[[ $output == *"scanned 0 B"* ]]
	leakhunt strings --list "$BATS_TEST_TMPDIR/empty"
	[ "$status" -eq 0 ]
	[ -z "$output$errors" ]
}

@test "a truncated core is a partial result that says so" {
	head -c 50000000 "$BIG" >"$BATS_TEST_TMPDIR/cut"
	leakhunt strings "$BATS_TEST_TMPDIR/cut"
	[ "$status" -eq 1 ]
	[[ $output == *"incomplete: "*"truncated"* ]]
	leakhunt strings --json "$BATS_TEST_TMPDIR/cut"
	[ "$status" -eq 1 ]
	[ "$(jq .complete <<<"$output")" = false ]
	[ "$(jq -r '.gaps[0].reason' <<<"$output")" = truncated ]
	run bash -c '"$LEAKHUNT" strings --list "$1" 2>&1 >/dev/null' - "$BATS_TEST_TMPDIR/cut"
	[ "$status" -eq 1 ]
	[[ $output == *"could not be read"*truncated* ]]
}

@test "Ctrl-C: the result so far, exit 1" {
	run python3 - "$LEAKHUNT" "$BIG" <<-'END'
		import os, pty, signal, subprocess, sys
		master, slave = pty.openpty()
		child = subprocess.Popen([sys.argv[1], "strings", "--json", sys.argv[2]], stdout=subprocess.PIPE, stderr=slave)
		os.read(master, 1)  # the progress line: it scans
		child.send_signal(signal.SIGINT)
		out = child.communicate()[0]
		sys.stdout.write(out.decode())
		sys.exit(child.returncode)
	END
	[ "$status" -eq 1 ]
	[ "$(jq .interrupted <<<"$output")" = true ]
	[ "$(jq .complete <<<"$output")" = false ]
	[ "$(jq .totals.scanned_bytes <<<"$output")" -gt 0 ]
	[ "$(jq .totals.scanned_bytes <<<"$output")" -lt "$(stat -c %s "$BIG")" ]
}

@test "a live process: its heap's texts, a receipt, and it goes on" {
	mkfifo "$BATS_TEST_TMPDIR/input" "$BATS_TEST_TMPDIR/says"
	exec {input}<>"$BATS_TEST_TMPDIR/input" {says}<>"$BATS_TEST_TMPDIR/says"
	python3 -c '
import sys
text = "\1unmistakable " + "marker of a live heap" # not joined with printable bytes of the object before it
copies = [(text + str(i % 2) * 2000) for i in range(300)]
for word in "ready", "alive":
    print(word, flush=True)
    sys.stdin.readline()' <&"$input" >&"$says" 3>&- &
	pid=$!
	read -r -u "$says" word
	[ "$word" = ready ]
	leakhunt strings --json "$pid"
	result=$status
	echo >&"$input"
	read -r -t 10 -u "$says" word
	echo >&"$input"
	wait "$pid"
	exec {input}>&- {says}>&-
	[ "$word" = alive ]
	[ "$result" -le 1 ]
	[ "$(jq -r .source.pid <<<"$output")" -eq "$pid" ]
	[ "$(jq .receipt.pause_ns <<<"$output")" -eq 0 ]
	[ "$(jq .receipt.read_bytes <<<"$output")" -gt 500000 ]
	[ "$(jq '[.repeated[] | select(.text | startswith("unmistakable marker of a live heap")) | .count] | add' \
		<<<"$output")" -ge 300 ]
}

@test "a live process, --region: only the named regions, and they add up" {
	. "$LEAKHUNT_ROOT/tests/helpers.bash"
	start_sample anon_leak
	sample_step 3
	local heap stacks both
	scanned() {
		"$LEAKHUNT" strings "$SAMPLE_PID" --json "$@" | jq .totals.scanned_bytes
	}
	heap=$(scanned --region heap) stacks=$(scanned -r stacks) both=$(scanned --region heap -r stacks)
	[ "$heap" -gt 0 ]
	[ "$stacks" -gt 0 ]
	((both == heap + stacks && both < $(scanned)))
	# One page, by its address: as many bytes as it has.
	local start
	start=$(awk '/\[heap\]/ {sub("-.*", ""); print "0x" $0}' "/proc/$SAMPLE_PID/maps")
	[ "$(scanned --region "$start-$(printf '0x%x' $((start + 4096)))")" -eq 4096 ]
	leakhunt strings "$SAMPLE_PID" --region hepa
	refused_with 64 "'hepa'" "did you mean 'heap'"
	leakhunt strings "$SMALL" --region heap
	refused_with 64 "--region" "one process"
	stop_samples
}

@test "inputs that cannot be scanned: one line with the reason" {
	leakhunt strings "$BATS_TEST_TMPDIR"
	refused_with 2 directory
	leakhunt strings "$BATS_TEST_TMPDIR/missing"
	refused_with 2 "$BATS_TEST_TMPDIR/missing" "No such file"
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	leakhunt strings "$BATS_TEST_TMPDIR/pipe"
	refused_with 2 pipe
	leakhunt strings /proc/self/mem
	refused_with 2 /proc/self/mem "name the PID"
	leakhunt strings 2147483646
	refused_with 2 2147483646
	leakhunt strings 0
	refused_with 64 "not a process id"
}

@test "wrong usage: one line, exit 64" {
	for chars in 0 1073741825 99999999999999999999 -1 four ''; do
		leakhunt strings -n "$chars" /bin/sh
		refused_with 64 --bytes
	done
	leakhunt strings --list -t q /bin/sh
	refused_with 64 --radix q
	leakhunt strings -e z /bin/sh
	refused_with 64 --encoding z
	leakhunt strings -t x /bin/sh
	refused_with 64 --list
	leakhunt strings --list --json /bin/sh
	refused_with 64 --json
	leakhunt strings --list --top 3 /bin/sh
	refused_with 64 --top
	leakhunt strings --offsets 1
	refused_with 64 --offsets
	LEAKHUNT_KERNEL=abacus leakhunt strings /bin/sh
	refused_with 64 LEAKHUNT_KERNEL abacus scalar
}

@test "a private key whose first bytes malloc has overwritten is counted, and no line of it is shown" {
	local kind key=$BATS_TEST_TMPDIR/key.pem memory=$BATS_TEST_TMPDIR/memory
	for kind in "RSA" "EC -pkeyopt ec_paramgen_curve:P-256" "ED25519"; do
		# shellcheck disable=SC2086 # words
		openssl genpkey -algorithm $kind >"$key" 2>/dev/null
		# free() leaves a list pointer and a key in the first 16 bytes of a chunk (glibc tcache_entry).
		{ head -c 64 /dev/zero; printf 'AAAAAA\0\0BBBBBBBB'; tail -c +17 "$key"; head -c 64 /dev/zero; } >"$memory"
		cat "$memory" >>"$memory.twice"
		run "$LEAKHUNT" strings "$memory.twice" --json
		[ "$status" -eq 0 ]
		[ "$(jq '[.classes[] | select(.class == "private-key")] | length' <<<"$output")" -eq 1 ]
		sed '1d;$d' "$key" | while read -r line; do
			! grep -qF "$line" <<<"$output" || exit 1
		done
	done
}

# A text is kept as far as it can be shown: where that cuts a number, and where a memory holds one such text alone or
# many that are equal, its template is the same one.
@test "two files: texts that differ after the cut, or occurred once before" {
	python3 - "$BATS_TEST_TMPDIR" <<-'END'
		import sys
		for name, count in ("first", 30), ("second", 90):
		    with open(sys.argv[1] + "/" + name, "wb") as out:
		        for length in range(125, 165):
		            for i in range(count):
		                out.write(b"%s ends in %d, not here\0" % (b"x" * length, 10**15 + i * count))
		        for i in range(1 if name == "first" else 50):
		            out.write(b"worker 17 waits for job %d of queue 4\0" % (count + i))
		        out.write(b"task 9 of shard %d is late\0" % (len(name)) * count)
		        out.write(b"this one %s is new\0" % name.encode())
	END
	leakhunt strings --json --top 200 "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
	[ "$status" -eq 0 ]
	[ "$(jq -c '[.templates[] | select(.name | startswith("xxx"))] | [length, (map(.before_count) | unique), (map(.after_count) | unique)]' \
		<<<"$output")" = "[40,[30],[90]]" ]
	[ "$(jq '[.templates[] | select(.name | startswith("xxx") and test("[0-9]"))] | length' <<<"$output")" -eq 0 ]
	[ "$(jq -c '[.templates[] | select(.name | startswith("worker")) | .before_count, .after_count]' <<<"$output")" = "[1,50]" ]
	[ "$(jq -c '[.templates[] | select(.name | startswith("task")) | .before_count, .after_count]' <<<"$output")" = "[30,90]" ]
	[[ $output != *"is new"* ]]
}

@test "two files: texts and contents by growth" {
	python3 - "$BATS_TEST_TMPDIR" <<-'END'
		import sys
		for name, pages in ("first", 100), ("second", 300):
		    with open(sys.argv[1] + "/" + name, "wb") as out:
		        out.write(b"a text that stays\0" * 50 + b"a text that goes away\0" * (400 - pages))
		        for i in range(pages):
		            out.write(b"session %d of customer %d expired\0" % (i * 7, i * 13))
		        out.write(b"GET /index.html HTTP/1.1\r\nHost: www.shop.example\r\n\r\n\0" * pages)
	END
	leakhunt strings --json "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
	[ "$status" -eq 0 ]
	[ "$(jq -c '[.texts[] | select(.name == "GET /index.html HTTP/1.1") | .before_count, .after_count, .growth_count, .growth_bytes]' \
		<<<"$output")" = "[100,300,200,4800]" ]
	[ "$(jq '[.texts[] | select(.name == "a text that stays")] | length' <<<"$output")" -eq 0 ]
	[ "$(jq -c '.templates[] | select(.name == "session <n> of customer <n> expired") | [.before_count, .after_count]' \
		<<<"$output")" = "[100,300]" ]
	[ "$(jq '.texts[-1].growth_count' <<<"$output")" -eq -200 ]
	[ "$(jq '.classes[0].growth_bytes > 0' <<<"$output")" = true ]
	[ "$(jq .before.scanned_bytes <<<"$output")" -eq "$(stat -c %s "$BATS_TEST_TMPDIR/first")" ]
	leakhunt strings "$BATS_TEST_TMPDIR/second" --against "$BATS_TEST_TMPDIR/first" --top 1
	[ "$status" -eq 0 ]
	grep -Eq '^ *\+200 +\+4\.69 KiB +100 +300 +GET /index\.html HTTP/1\.1$' <<<"$output"
	[[ $output != *"goes away"* ]]
	leakhunt strings --list "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
	refused_with 64 --list
	leakhunt strings --grep text "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
	refused_with 64 --grep --match
	leakhunt strings "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second" --against /bin/sh
	refused_with 64 --against
	leakhunt strings "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/missing"
	refused_with 2 missing
}

@test "a file that is cut off while it is scanned: a partial result that says so" {
	cp "$BIG" "$BATS_TEST_TMPDIR/cut"
	run python3 - "$LEAKHUNT" "$BATS_TEST_TMPDIR/cut" <<-'END'
		import os, pty, signal, subprocess, sys
		master, slave = pty.openpty()
		child = subprocess.Popen([sys.argv[1], "strings", "--json", sys.argv[2]], stdout=subprocess.PIPE, stderr=slave)
		os.read(master, 1)  # the progress line: it scans
		child.send_signal(signal.SIGSTOP)
		os.truncate(sys.argv[2], 1 << 20)
		child.send_signal(signal.SIGCONT)
		out = child.communicate()[0]
		sys.stdout.write(out.decode())
		sys.exit(child.returncode)
	END
	[ "$status" -eq 1 ]
	[ "$(jq .complete <<<"$output")" = false ]
	# More than what is left of the file: the rest of what was being read counts as zeros.
	[ "$(jq .totals.scanned_bytes <<<"$output")" -gt $((1 << 20)) ]
}

@test "a file that is cut off while its long texts are listed: the same" {
	run python3 - "$LEAKHUNT" "$BATS_TEST_TMPDIR/cut" <<-'END'
		import os, subprocess, sys
		open(sys.argv[2], "wb").write((b"x" * 200000 + b"\n") * 100)
		child = subprocess.Popen([sys.argv[1], "strings", "--list", sys.argv[2]], stdout=subprocess.PIPE)
		child.stdout.read(1)  # the pipe holds less than one text: it is being written
		os.truncate(sys.argv[2], 1 << 16)
		child.stdout.read()
		sys.exit(child.wait())
	END
	[ "$status" -eq 1 ]
	[[ $output == *"the file was cut off while it was read"* ]]
}

@test "secrets are masked in every output, with equal length, unless --show-secrets is given" {
	local file=$BATS_TEST_TMPDIR/secrets encoding
	printf '%s\0' 'redis://user:hunter2@host/0' 'Cookie: sid=hunter2; a=b' 'password=hunter2' \
		'{"db_password": "hunter2", "id": 1}' 'jwt eyJhbGciOiJub25lIn0.eyJzdWIiOiJqb2UifQ.hunter2' >"$file"
	leakhunt strings "$file" --json
	[ "$(jq '[.classes[] | select(.secret) | .count] | add' <<<"$output")" -eq 5 ]
	[[ $output != *hunter2* ]]
	[[ $output == *'redis://user:*******@host/0'* ]]
	leakhunt strings "$file"
	[[ $output != *hunter2* ]]
	leakhunt strings "$file" --show-secrets
	[[ $output == *hunter2* ]]
	for encoding in s,ascii S,ascii l,utf-16le b,utf-16be L,utf-32le B,utf-32be; do
		iconv -f ascii -t "${encoding#*,}" "$file" >"$file.wide"
		leakhunt strings --list -e "${encoding%,*}" "$file.wide"
		[[ $output != *hunter2* ]]
		[[ $output == *'redis://user:*******@host/0'* ]]
		cmp <(strings -a -e "${encoding%,*}" "$file.wide") \
			<("$LEAKHUNT" strings --list --show-secrets -e "${encoding%,*}" "$file.wide")
		cmp <("$LEAKHUNT" strings --list -e "${encoding%,*}" "$file.wide" | wc -lc) \
			<(strings -a -e "${encoding%,*}" "$file.wide" | wc -lc)
	done
}

# wide_secrets ENCODING FILE: a private key of several lines and a password in UTF-16 or UTF-32, twice.
wide_secrets() {
	{
		printf 'begin\n'
		cat "$BATS_TEST_TMPDIR/key.pem"
		printf 'user=joe&password=hunter2SEC9&next=/\n'
	} | iconv -f ascii -t "$1" >"$2.once"
	cat <(printf '\0\0\0\0') "$2.once" <(printf '\0\0\0\0') "$2.once" >"$2"
}

# masks_wide ENCODINGS...: each as the letter that strings reads with, a comma, and what iconv writes.
masks_wide() {
	local wide=$BATS_TEST_TMPDIR/wide secrets=$BATS_TEST_TMPDIR/secrets before=$BATS_TEST_TMPDIR/before
	local encoding letter how
	openssl genrsa -out "$BATS_TEST_TMPDIR/key.pem" 2048 2>/dev/null
	# What is read in the wrong byte order lacks a letter.
	grep -v -e --- "$BATS_TEST_TMPDIR/key.pem" | cut -c 2-60 | grep .. >"$secrets"
	echo hunter2 >>"$secrets"
	printf '\0nothing\0' >"$before"
	for encoding; do
		letter=${encoding%,*}
		wide_secrets "${encoding#*,}" "$wide"
		[ "$("$LEAKHUNT" strings -e "$letter" -n 4 --top 100 --show-secrets "$wide" | grep -cFf "$secrets")" -gt 20 ]
		for how in --list --json '--top 100' "--against $before --top 100"; do
			# shellcheck disable=SC2086 # words of options
			[ "$("$LEAKHUNT" strings $how -e "$letter" -n 4 "$wide" | grep -cFf "$secrets")" = 0 ]
		done
		[ "$("$LEAKHUNT" strings "$wide" | grep -cFf "$secrets")" = 0 ]
	done
}

@test "secrets in wide characters: masked, also when read in the other byte order" {
	masks_wide l,utf-16le L,utf-32be
}

# bats test_tags=long
@test "secrets in wide characters: masked for every width and byte order" {
	masks_wide b,utf-16le l,utf-16be b,utf-16be L,utf-32le B,utf-32le B,utf-32be
}

@test "a token that the end of an example cuts off is masked all the same" {
	printf '\0%s\0' "$(printf 'lorem %.0s' {1..20})ghp_0123456789abcdefghijABCDEFGHIJ012345" |
		iconv -f ascii -t utf-16le >"$BATS_TEST_TMPDIR/cut"
	leakhunt strings "$BATS_TEST_TMPDIR/cut" --json
	[[ $output == *lorem* ]]
	[[ $output != *ghp_0* ]]
	leakhunt strings "$BATS_TEST_TMPDIR/cut" --show-secrets --json
	[[ $output == *ghp_0123* ]]
}

@test "a password that is an argument of its own, as memory holds them" {
	printf 'mysql\0--password\0hunter2z\0-h\0database\0' >"$BATS_TEST_TMPDIR/arguments"
	leakhunt strings --list "$BATS_TEST_TMPDIR/arguments"
	[ "$output" = $'mysql\n--password\n********\ndatabase' ]
}

@test "the classes and the rest add up to the bytes scanned, and so does the map" {
	for file in "$SMALL" "$RANDOM_BYTES" /bin/bash; do
		leakhunt strings --json "$file"
		[ "$status" -eq 0 ]
		jq -e '.totals.scanned_bytes as $all
			| ([.classes[].bytes] + [.rest[].bytes] | add) == $all and ([.map.cells[].bytes[]] | add) == $all
			and all(.classes[]; (.kinds | length) == 0 or ([.kinds[].bytes] | add) == .bytes)' <<<"$output"
	done
	[ "$(jq '.rest[] | select(.class == "zero") | .bytes' <<<"$("$LEAKHUNT" strings --json "$SMALL")")" -gt 1000000 ]
	"$LEAKHUNT" strings --all "$SMALL" | grep -q '^a letter is '
}

# 200 pieces of 64 KiB, 1 TiB apart, and one of 1 MiB, as V8 lays out its heap.
@test "memory in many distant places: the map shows the largest, and says how much it omits" {
	python3 - "$BATS_TEST_TMPDIR/scattered" <<-'END'
		import struct, sys
		pieces = [(0x10000000000 * (i + 1), 1 << 20 if i == 77 else 1 << 16) for i in range(200)]
		offset = 64 + 56 * len(pieces)
		headers, data = b"", b""
		for addr, size in pieces:
		    headers += struct.pack("<IIQQQQQQ", 1, 6, offset + len(data), addr, addr, size, size, 1)
		    data += b"text here \0" * (size // 11) + bytes(size % 11)
		with open(sys.argv[1], "wb") as out:
		    out.write(b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56,
		              len(pieces), 64, 0, 0) + headers + data)
	END
	leakhunt strings --all "$BATS_TEST_TMPDIR/scattered"
	[ "$status" -eq 0 ]
	map=$(sed -n '/^Where/,/^a letter/p' <<<"$output")
	grep -q '^ *0x4e0000000000  t\{16\}\( \|$\)' <<<"$map"
	[ "$(grep -c '^ *0x' <<<"$map")" -eq 24 ]
	grep -q '^and 11.0 MiB in 176 more places: ' <<<"$map"
	grep -q '^a letter is 64.0 KiB' <<<"$map"
}

# lacks TEXT: the output does not have it; TEXT is not empty.
lacks() {
	[ -n "$1" ] && [[ $output != *"$1"* ]]
}

# has_no_secret FILE: no output of strings shows "hunter2" or "SEC9", but the list does when asked to. `make check-long`
# tries every output.
has_no_secret() {
	local how outputs=(--list --json)
	[ "$LEAKHUNT_TIER" = short ] ||
		outputs+=('--top 100' '--match .' '--grep . -C 2' "--against $BATS_TEST_TMPDIR/nothing --top 100")
	"$LEAKHUNT" strings --list -n 4 --show-secrets "$1" | grep -q -e hunter2 -e SEC9 || return 1
	for how in "${outputs[@]}"; do
		# shellcheck disable=SC2086 # words of options
		"$LEAKHUNT" strings $how -n 4 "$1" >"$BATS_TEST_TMPDIR/shown" || [ $? -eq 1 ]
		if grep -e hunter2 -e SEC9 "$BATS_TEST_TMPDIR/shown"; then
			echo "shown by strings $how $1"
			return 1
		fi
	done
}

# masks_hash KIND: strings shows what a new hash of htpasswd belongs to, and not the hash.
masks_hash() {
	htpasswd -nb "$1" joe hunter2hunter2 >"$BATS_TEST_TMPDIR/made" 2>/dev/null
	leakhunt strings --list "$BATS_TEST_TMPDIR/made"
	lacks "$(sed -n '1s/.*\(.\{12\}\)[=.]*$/\1/p' "$BATS_TEST_TMPDIR/made")" && [[ $output == joe:* ]]
}

# bats test_tags=tiers
@test "secrets that tools write: htpasswd, PuTTY, age, ssh-keygen, Docker, kubectl, Python's JSON and XML" {
	local made=$BATS_TEST_TMPDIR/made kind
	printf '\0nothing\0' >"$BATS_TEST_TMPDIR/nothing"
	for kind in -d -m -B -s; do
		if command -v htpasswd >/dev/null; then
			# The letters of one DES hash in 500 are those of a word.
			masks_hash $kind || { [ $kind = -d ] && masks_hash $kind; }
		fi
	done
	if command -v puttygen >/dev/null; then
		puttygen -q -t ed25519 -O private --new-passphrase /dev/null -o "$made" --random-device /dev/urandom
		leakhunt strings --list "$made"
		lacks "$(sed -n '/^Private-Lines/{n;p}' "$made")"
		[[ $output == *"$(sed -n '/^Public-Lines/{n;p}' "$made")"* ]]
	fi
	if command -v age-keygen >/dev/null; then
		age-keygen 2>/dev/null >"$made"
		leakhunt strings --list "$made"
		[[ $output == *'public key: age1'* && $output != *AGE-SECRET-KEY-1* ]]
	fi
	rm -f "$made" && ssh-keygen -q -t ed25519 -N '' -f "$made"
	leakhunt strings --list "$made"
	lacks "$(sed -n 2p "$made")"
	# base64 in JSON, JSON in JSON, XML, URLs: by Python, which the tests need anyway
	python3 - "$BATS_TEST_TMPDIR" <<-'END'
		import base64, json, plistlib, sys, urllib.parse, xml.etree.ElementTree as tree
		folder = sys.argv[1]
		password = 'p"a\\ss hunter2SEC9'
		docker = {"auths": {"https://index.docker.io/v1/": {"auth": base64.b64encode(b"joe:hunter2").decode()}}}
		config = {"db_pass": password, "pass": password, "list": [{"passwd": password}]}
		element = tree.Element("config", {"x": "y"})
		tree.SubElement(element, "pass").text = "a&b<hunter2SEC9"
		tree.SubElement(element, "property", {"name": "password", "value": "hunter2SEC9"})
		texts = {
		    "docker": json.dumps(docker) + json.dumps(json.dumps(docker)),
		    "json": json.dumps(config), "json2": json.dumps({"body": json.dumps(config)}),
		    "json3": json.dumps({"log": json.dumps({"body": json.dumps(config)})}),
		    "xml": tree.tostring(element).decode(),
		    "plist": plistlib.dumps({"Password": "hunter2SEC9"}).decode(),
		    "url": urllib.parse.urlencode({"next": "https://joe:hunter2SEC9@host.example/a?b=c", "user[password]": "hunter2SEC9"}),
		}
		for name, text in texts.items():
		    open(f"{folder}/{name}.made", "w").write(text)
	END
	for kind in json json2 json3 xml plist url; do
		has_no_secret "$BATS_TEST_TMPDIR/$kind.made"
	done
	leakhunt strings --list "$BATS_TEST_TMPDIR/docker.made"
	[[ $output == *index.docker.io* && $output != *am9lOmh1bnRlcjI* ]]
}

# bats test_tags=tiers
@test "secrets in arguments, environments and headers, between zero bytes as memory holds them" {
	local made=$BATS_TEST_TMPDIR/made
	printf '\0nothing\0' >"$BATS_TEST_TMPDIR/nothing"
	while IFS= read -r bytes; do
		# shellcheck disable=SC2059 # it is a format
		{ printf '\0\0' && printf "$bytes" && printf '\0\0'; } >"$made"
		has_no_secret "$made" || { echo "$bytes" && false; }
	done <<-'END'
		mysql\0-h\0db\0-phunter2\0shop
		/usr/bin/curl\0-s\0-u\0joe:hunter2\0https://host/
		curl\0--user=joe:hunter2\0-U\0joe:hunter2\0https://host/
		bash\0-c\0mysqldump -u root "-phunter2" shop | gzip
		["curl", "-su", "joe:hunter2", "https://host/"]
		HOME=/root\0DB_PASS=hunter2\0SMTP_PASS=hunter2 x\0PATH=/bin
		authorization\0Basic am9lOmh1bnRlcjI=hunter2
		cookie\0sid=hunter2hunter2; a=b
		\006cookie\024sid=hunter2hunter2ab
		\015authorization\025Bearer hunter2hunter2
		PGPASSWORD=hunter2\0psql\0-h\0db
		machine host\n login joe\n password hunter2\n
		db.example:5432:shop:joe:hunter2
		USER joe\r\nPASS hunter2\r\n
		a001 LOGIN joe "hunter2 two"\r\n
		CREATE USER a IDENTIFIED BY 'hunter2'
		ALTER ROLE joe WITH ENCRYPTED PASSWORD 'hunter2'
	END
}

@test "names in public certificates are readable, and a cut text ends in an ellipsis" {
	local certificates=$BATS_TEST_TMPDIR/certificates.der names
	[ -s /etc/ssl/certs/ca-certificates.crt ] || skip "no ca-certificates"
	python3 - "$certificates" <<-'END'
		import re, ssl, sys
		text = open("/etc/ssl/certs/ca-certificates.crt").read()
		found = re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.S)
		open(sys.argv[1], "wb").write(b"".join(ssl.PEM_cert_to_DER_cert(each) + bytes(16) for each in found))
	END
	leakhunt strings --json "$certificates"
	names=$(jq -r '.classes[] | select(.class == "x509") | .examples[].text' <<<"$output")
	[ "$(grep -c 'O=' <<<"$names")" -ge 4 ]
	[[ $names != *\** ]]
	[[ $names == *…* ]]
}

@test "the summary fits a screen, and its shares add up to what was scanned" {
	local file=$BATS_TEST_TMPDIR/screen
	{
		yes 'order 4711 of customer 1234 is shipped' | head -n 4000
		head -c 100000 /dev/zero
		for ((i = 0; i < 2000; i++)); do echo "GET /v1/orders/$i HTTP/1.1 from client $i"; done
	} >"$file"
	run "$LEAKHUNT" strings "$file"
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -le 20 ]
	[[ $output == *"GET /v1/orders/<n> HTTP/1.1 from client <n>"* ]]
	[[ $output == *"zeros"* ]]
	# Rows and the unexplained part, each rounded to a tenth.
	awk '/ %  / { for (i = 2; i <= NF; i++) if ($i == "%") sum += $(i - 1) } / % unexplained/ { sum += $1 }
		END { exit !(sum > 99 && sum < 101) }' < <(tail -n +3 <<<"$output")
	run "$LEAKHUNT" strings --all --json "$file"
	[ "$status" -eq 64 ]
}
