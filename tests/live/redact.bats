#!/usr/bin/env bats
# `leakhunt redact`: the same heap and the same leaks, and none of the process's texts.

bats_require_minimum_version 1.5.0

load ../helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	stop_samples
}

# start_proxy: a proxy that answers, and loses each connection's SSL.
start_proxy() {
	start_sample tlsproxy --listen 127.0.0.1:0 --upstream unix:shop.sock --name shop-front.example
}

# assert_same_leaks A B: blocks that are lost and what they own, holders, groups: all but the times it took.
assert_same_leaks() {
	local path status statuses=()
	for path in "$@"; do
		status=0
		"$LEAKHUNT" leaks --json "$path" >"$path.json" || status=$?
		statuses+=("$status")
		jq -S 'del(.path, .receipt, (.. | .mark_cpu_ns?, .mark_ns?, .dominators_cpu_ns?, .edges_cpu_ns?)) |
			walk(if type == "string" then sub(" of thread (?<n>[0-9]+) \\(.*\\)$"; " of thread \(.n)") else . end)' \
			"$path.json" >"$path.answer" # without names of threads, which are replaced
	done
	[[ ${statuses[0]} =~ ^[013]$ ]] # nothing is lost; 1 where the JVM packs its pointers; some is
	[ "${statuses[0]}" -eq "${statuses[1]}" ]
	[ "$(jq '.graph | length' "$1.json")" -gt 0 ]
	cmp "$1.answer" "$2.answer"
	rm "$1.json" "$2.json" "$1.answer" "$2.answer"
}

# texts_left ORIGINAL REDACTED [types]: the texts of 6 or more characters that are in both, but names of modules and types.
texts_left() {
	python3 - "$@" <<-'END'
		import json, os, re, struct, subprocess, sys
		def loads(path):
		    core = open(path, "rb")
		    head = core.read(64)
		    at, = struct.unpack_from("<Q", head, 32)
		    size, count = struct.unpack_from("<HH", head, 54)
		    core.seek(at)
		    for header in [struct.unpack("<IIQQQQQQ", core.read(size)) for _ in range(count)]:
		        core.seek(header[2])
		        yield header, core.read(header[5])
		def texts(path, wants):
		    found = set()
		    for header, data in loads(path):
		        if wants(header):
		            found |= set(subprocess.run(["strings", "-a", "-n", "6"], input=data, stdout=subprocess.PIPE).stdout.splitlines())
		    return found
		# Writable memory and notes are the process's, the rest is of files of programs.
		own = texts(sys.argv[1], lambda header: header[0] == 4 or header[1] & 2)
		code = texts(sys.argv[1], lambda header: header[0] == 1 and not header[1] & 2)
		after = texts(sys.argv[2], lambda header: True)
		def mapped_files(notes): # NT_FILE: count, page size, then start, end and offset of each
		    at = 0
		    while at < len(notes):
		        name_bytes, bytes_, kind = struct.unpack_from("<III", notes, at)
		        at += 12 + (name_bytes + 3 & -4)
		        if kind == 0x46494c45:
		            for i in range(struct.unpack_from("<Q", notes, at)[0]):
		                yield struct.unpack_from("<QQ", notes, at + 16 + 24 * i)
		        at += bytes_ + 3 & -4
		# gdb leaves the code of programs out of its headers.
		mapped = [(header[3], header[3] + header[6]) for header, _ in loads(sys.argv[1]) if header[0] == 1] + \
		    [span for header, data in loads(sys.argv[1]) if header[0] == 4 for span in mapped_files(data)]
		def is_address(text):
		    # The upper byte of a library's address is 0x7f, which is not printable; a byte may precede.
		    bytes_ = text + b"\x7f"
		    numbers = [int.from_bytes(bytes_[at:at + 6], "little") for at in range(len(text) - 4)]
		    # glibc hides links of free lists: the address, xor its place >> 12, which leaves the upper 12 bits.
		    return len(text) <= 8 and any(start >> 36 <= n >> 36 <= end >> 36 for n in numbers for start, end in mapped)
		def symbol(name): # of a class of Java: java.io.File[] is [Ljava/io/File;
		    element, depth = name.rstrip("[]").replace(".", "/"), name.count("[]")
		    return "[" * depth + (f"L{element};" if depth else element)
		def is_symbol(text): # its last word is whole
		    return any(text[:len(text) - more].decode("latin1") in symbols for more in range(min(8, len(text) - 6 + 1)))
		def is_kept(text):
		    # Heads of notes ("SIGI" "CORE"), leakhunt's own notes, names of files of programs, and addresses.
		    return text.decode("latin1") in types or is_symbol(text) or re.fullmatch(rb"[A-Z]{0,4}CORE|leakhunt|\[?\{\".*", text) or is_address(text) or \
		        text.startswith((b"/", b"[")) and (os.path.exists(text) or text in (b"[vdso]", b"[stack]", b"[heap]"))
		# The class of each object stays readable, and what OpenSSL calls its ciphers.
		rows = json.loads(subprocess.run([os.environ["LEAKHUNT"], "strings", "--top", "100000", "--json", sys.argv[1]],
		    stdout=subprocess.PIPE).stdout)["objects"] if len(sys.argv) > 3 else []
		types = {row[key] for row in rows for key in ("name", "detail")}
		symbols = {symbol(row["name"]) for row in rows if row["kind"] == "Java"}
		for text in sorted((own & after) - code):
		    if not is_kept(text):
		        print(text.decode("latin1"))
	END
}

@test "heap and leaks of a redacted core are those of the original, and no text is left" {
	start_proxy
	"$LEAKHUNT" dump "$SAMPLE_PID" -o a.core
	run "$LEAKHUNT" redact a.core -o b.core
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"heap: the same "* ]]
	cmp <("$LEAKHUNT" heap --list a.core) <("$LEAKHUNT" heap --list b.core)
	[ "$("$LEAKHUNT" heap --list a.core | wc -l)" -gt 1000 ]
	assert_same_leaks a.core b.core
	run texts_left a.core b.core
	echo "$output"
	[ -z "$output" ]
	# The check finds texts where there are some.
	[ "$(texts_left a.core a.core | wc -l)" -gt 100 ]
	[ "$(stat -c %a b.core)" = 600 ]
	run gdb -batch -nx -c b.core -ex "info threads"
	[[ $output != *"not a core"* ]]
}

@test "lost blocks are lost in the redacted core, too, also of a core of gcore" {
	start_sample leak_truth --count 500 --file truth
	"$LEAKHUNT" dump "$SAMPLE_PID" -o a.core
	"$LEAKHUNT" redact a.core -o b.core
	run "$LEAKHUNT" leaks a.core
	[ "$status" -eq 3 ]
	assert_same_leaks a.core b.core
	gcore -o g "$SAMPLE_PID" >/dev/null 2>&1
	"$LEAKHUNT" redact "g.$SAMPLE_PID" -o h.core
	assert_same_leaks "g.$SAMPLE_PID" h.core
	run texts_left "g.$SAMPLE_PID" h.core
	echo "$output"
	[ -z "$output" ]
}

# objects_of CORE: all rows of objects, but containers that are told by their shape alone: it takes in the hashes of
# their keys, which are opaque values, and replaced.
objects_of() {
	"$LEAKHUNT" strings --top 100000 --json "$1" | jq -r '.objects[] | select(.kind == "C++" and (.name | startswith("std::")) | not) | [.kind, .name, .detail, .count, .bytes] | @tsv' | sort
}

# assert_same_objects ORIGINAL REDACTED TYPE: blocks and objects; no text is left but names of types.
assert_same_objects() {
	cmp <("$LEAKHUNT" heap --list "$1") <("$LEAKHUNT" heap --list "$2")
	objects_of "$1" >objects.a
	objects_of "$2" >objects.b
	grep -qP "\\t$3\\t" objects.a
	# An object outside of the heap that has the only name of its class: its name is lost.
	[ "$(diff objects.a objects.b | grep -c '^[<>]')" -le 2 ]
	cmp <(cut -f 4- objects.a | sort) <(cut -f 4- objects.b | sort)
	texts_left "$1" "$2" types >left
	cat left
	[ "$(grep -cvxE ' *|python3|node' left)" -eq 0 ]
}

# assert_redacts PID TYPE: dumps and ends the process; its core, and b.core, that of `redact`, have the same objects.
assert_redacts() {
	"$LEAKHUNT" dump "$1" -o a.core
	kill -KILL "$1"
	"$LEAKHUNT" redact a.core -o b.core
	assert_same_objects a.core b.core "$2"
}

@test "python3: the same heap, leaks and objects, also of classes of the program's own" {
	cat >orders.py <<-'END'
		import time
		class Order:
		    def __init__(self, number):
		        self.number, self.lines = number, {"text": "order number %d of Anna" % number, "x": [number, str(number)]}
		class Eq: pass
		kept = [Order(n) for n in range(5000)] + [Eq()]
		open("started", "w").close()
		time.sleep(60)
	END
	python3 orders.py 3>&- &
	local pid=$!
	wait_until 100 test -e started
	assert_redacts "$pid" Order
	grep -qP '\tEq\t' objects.b
	[ "$(strings -n 6 b.core | grep -c 'of Anna')" = 0 ]
}

# bats test_tags=long
@test "node: the same heap and objects, also of classes of the program's own" {
	command -v node >/dev/null || skip "there is no node"
	cat >orders.js <<-'END'
		class Order { constructor(n) { this.id = n; this.tags = ["a" + n, "order number " + n]; this.price = n * 1.37; } }
		const seen = new Map(); for (let i = 0; i < 5000; i++) seen.set(i, new Order(i));
		seen.set(-1, "long ".repeat(30000)); seen.set(-2, new Array(100000).fill(7));
		require("fs").writeFileSync("started", ""); setInterval(() => seen.size, 1000);
	END
	node orders.js 3>&- &
	local pid=$!
	wait_until 100 test -e started
	assert_redacts "$pid" Order
}

# bats test_tags=long
@test "php: the same heap, leaks and values, also of classes of the program's own" {
	command -v php >/dev/null || skip "there is no php"
	cat >orders.php <<-'END'
		<?php
		class Order {
		    public $number; public $lines;
		    function __construct($n) { $this->number = $n; $this->lines = ["text" => "order number $n of Anna", "x" => [$n, "$n"]]; }
		}
		$kept = []; for ($i = 0; $i < 5000; $i++) $kept[] = new Order($i);
		touch("started"); sleep(60);
	END
	php orders.php 3>&- &
	local pid=$!
	wait_until 100 test -e started
	assert_redacts "$pid" Order
	diff objects.a objects.b
	assert_same_leaks a.core b.core
}

# bats test_tags=long
@test "java: the same heap, leaks and objects for each collector, also of classes of the program's own" {
	command -v javac >/dev/null || skip "there is no javac"
	cat >Orders.java <<-'END'
		import java.util.*;
		public class Orders {
		    static class Order {
		        int id; String note; double price; List<Integer> lines = new ArrayList<>();
		        Order(int n) { id = n; note = "order number " + n + " of Anna"; price = n * 1.37; lines.add(n); }
		    }
		    static final Map<Integer, Order> seen = new HashMap<>();
		    public static void main(String[] a) throws Exception {
		        for (int i = 0; i < 5000; i++) seen.put(i, new Order(i));
		        new java.io.File("started").createNewFile();
		        Thread.sleep(60000);
		    }
		}
	END
	javac Orders.java
	local collector pid
	for collector in Serial Parallel G1; do
		rm -f started a.core b.core
		java -Xmx64m "-XX:+Use${collector}GC" Orders 3>&- &
		pid=$!
		wait_until 200 test -e started
		assert_redacts "$pid" "Orders\\\$Order"
		diff objects.a objects.b
		assert_same_leaks a.core b.core
	done
}

@test "secrets in the environment, the arguments, a thread's name and registers are gone" {
	python3 - "$LEAKHUNT" <<-'END'
		import os, re, struct, subprocess, sys
		secret = "Tr0ub4dor&3-correct-horse"
		child = subprocess.Popen([sys.executable, "-c", "import sys, threading; t = threading.Thread(target=sys.stdin.read, "
		    "name='x'); open('/proc/self/comm', 'w').write('battery-staple'); wide = 'correct horse w\u00efde'.encode('utf-32'); "
		    "print('up', flush=True); sys.stdin.read()", secret],
		    stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PASSWORD": secret})
		child.stdout.readline()
		try:
		    subprocess.run([sys.argv[1], "dump", str(child.pid), "-o", "p.core"], check=True, stdout=subprocess.DEVNULL)
		finally:
		    child.stdin.close()
		    child.wait()
		assert subprocess.run([sys.argv[1], "redact", "p.core", "-o", "q.core"]).returncode in (0, 1)
		before, after = open("p.core", "rb").read(), open("q.core", "rb").read()
		for text in (secret.encode(), b"Tr0ub4", "correct horse".encode("utf-32-le")[:24]):
		    assert text in before, text
		    assert text not in after, text
		assert len(before) <= len(after) # behind all else, the note of the key
	END
}

@test "equal under one key, different under another; nothing is overwritten, nothing half-written stays" {
	start_proxy
	"$LEAKHUNT" dump "$SAMPLE_PID" -o a.core
	head -c 32 /dev/urandom >key
	"$LEAKHUNT" redact a.core --key key -o b.core
	"$LEAKHUNT" redact a.core --key key -o c.core
	cmp b.core c.core
	"$LEAKHUNT" redact a.core -o d.core
	run cmp -s b.core d.core
	[ "$status" -eq 1 ]
	# Cores of two keys do not compare, which each command that compares says.
	run --separate-stderr "$LEAKHUNT" strings b.core c.core
	[[ $stderr != *"different keys"* ]]
	for command in strings heap leaks; do
		run --separate-stderr "$LEAKHUNT" "$command" b.core d.core
		[[ $stderr == *"redacted with different keys"* ]]
	done
	run --separate-stderr "$LEAKHUNT" strings a.core b.core
	[[ $stderr == *"only one of the two cores was redacted"* ]]
	run "$LEAKHUNT" hunt b.core d.core
	[[ $output == *"not redacted with the same key"* ]]
	# Again: the same key twice is one, in another order it is not.
	"$LEAKHUNT" redact b.core --key key -o e.core
	"$LEAKHUNT" redact c.core --key key -o f.core
	cmp e.core f.core
	rm e.core f.core
	before=$(sha256sum <b.core)
	run "$LEAKHUNT" redact a.core -o b.core
	[ "$status" -eq 2 ]
	[ "$(sha256sum <b.core)" = "$before" ]
	run "$LEAKHUNT" redact a.core
	[ "$status" -eq 64 ]
	head -c 5000 a.core >short.core
	run "$LEAKHUNT" redact short.core -o short.out
	[ "$status" -eq 2 ]
	echo "no core at all" >text
	run "$LEAKHUNT" redact text -o text.out
	[ "$status" -eq 2 ]
	rm -f separate-stderr-*
	[ "$(find . -maxdepth 1 -type f -printf '%f ' | tr ' ' '\n' | sort | xargs)" = "a.core b.core c.core d.core key short.core text" ]
}
