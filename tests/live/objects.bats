#!/usr/bin/env bats
# leakhunt strings: objects by type, in stripped programs and without debug packages, live and in dumps,
# against what the programs themselves say that they made.
# shellcheck disable=SC2154 # bats sets them
. "$LEAKHUNT_ROOT/tests/helpers.bash"

teardown() {
	stop_samples
}

# summarize OPERAND ARGS...: the summary as JSON, in SUMMARY.
summarize() {
	SUMMARY=$("$LEAKHUNT" strings --json --top 10000 -n 20 "$@") || [ $? -eq 1 ]
}

# object_count KIND NAME [DETAIL]: how many the summary counts; 0 when it has none.
object_count() {
	jq --arg kind "$1" --arg name "$2" --arg detail "${3-}" \
		'[.objects[] | select(.kind == $kind and .name == $name and (.detail | startswith($detail))) | .count] | add // 0' \
		<<<"$SUMMARY"
}

# assert_about EXPECTED VALUE: one percent off at most.
assert_about() {
	assert_between $(($1 - $1 / 100)) "$2" $(($1 + $1 / 100))
}

dump_of() {
	"$LEAKHUNT" dump "$SAMPLE_PID" "$@" -o "$BATS_TEST_TMPDIR/dump" 2>/dev/null
}

# ---------------------------------------------------------------- OpenSSL

leak_connections() {
	start_sample tlsproxy --upstream "unix:$BATS_TEST_TMPDIR/upstream.sock"
	"$SAMPLES/tlsload" --proxy "127.0.0.1:$(truth port)" --serve "unix:$BATS_TEST_TMPDIR/upstream.sock" \
		--requests 1000 --rate 1000 --errors 40 >"$BATS_TEST_TMPDIR/load.json" </dev/null 3>&-
	sample_step 0
	[ "$(truth leaked)" = 400 ]
	[ "$(truth open)" = 0 ]
}

assert_connections() {
	assert_about "$(truth leaked)" "$(object_count OpenSSL SSL)"
	# The side is the server's, though its table of functions is the one of a client (OpenSSL 3.0, TLS 1.3).
	assert_about "$(truth leaked)" "$(object_count OpenSSL SSL 'server, TLS 1.3')"
	assert_about "$(truth leaked)" "$(object_count OpenSSL SSL_SESSION)"
	[ "$(object_count OpenSSL SSL_CTX 'TLS_server_method()')" = 1 ]
	[ "$(object_count OpenSSL X509)" = 1 ]
	[ "$(object_count OpenSSL BIO 'BIO_s_socket()')" -ge "$(truth leaked)" ]
	[ "$(jq '.objects[] | select(.name == "SSL") | .bytes' <<<"$SUMMARY")" -ge $(($(truth leaked) * 5000)) ]
	# One for reading and one for writing; with them, and with the contexts of ciphers that the provider made, most
	# of what SSL_free() would have given back has a type (42,203 of 47,306 bytes, OpenSSL 3.0). The rest is plain
	# bytes: texts, tables, stacks. Sessions are the context's.
	assert_about $(($(truth leaked) * 2)) "$(object_count OpenSSL "record buffer" "of SSL")"
	assert_between $(($(truth leaked_bytes) * 85 / 100)) \
		"$(jq '[.objects[] | select(.kind == "OpenSSL" and .name != "SSL_SESSION") | .bytes] | add' <<<"$SUMMARY")" \
		$(($(truth leaked_bytes) * 101 / 100))
	[[ $(jq -r .conclusion <<<"$SUMMARY") == *"objects: $(object_count OpenSSL "record buffer") record buffer (of SSL) in "* ]]
	# What comes next is the connections themselves, or from OpenSSL 3.2 on their record layers.
	[[ $(jq -r '.objects[1].name' <<<"$SUMMARY") == @(SSL|record layer) ]]
	[[ $(jq -r .conclusion <<<"$SUMMARY") == *", $(jq -r '.objects[1] | "\(.count) \(.name) (\(.detail)) in "' <<<"$SUMMARY")"* ]]
}

@test "tlsproxy: its lost SSL objects are counted, with side and version, live and in a dump" {
	leak_connections
	summarize "$SAMPLE_PID"
	assert_connections
	dump_of
	summarize "$BATS_TEST_TMPDIR/dump"
	assert_connections
	"$LEAKHUNT" strings --all -n 20 "$BATS_TEST_TMPDIR/dump" | grep -Eq '^ *400 .* OpenSSL +SSL \(server, TLS 1\.3\)$'
	assert_sample_unharmed
}

# bats test_tags=long
@test "objects do not depend on the number of threads, nor on the kernel" {
	local expected
	leak_connections
	dump_of
	summarize "$BATS_TEST_TMPDIR/dump"
	expected=$(jq -c '[.objects, .symbols]' <<<"$SUMMARY")
	summarize "$BATS_TEST_TMPDIR/dump" --threads 1
	[ "$(jq -c '[.objects, .symbols]' <<<"$SUMMARY")" = "$expected" ]
	LEAKHUNT_KERNEL=scalar summarize "$BATS_TEST_TMPDIR/dump" --threads 3
	[ "$(jq -c '[.objects, .symbols]' <<<"$SUMMARY")" = "$expected" ]
}

# bats test_tags=long
@test "a core that gcore made of it says the same" {
	leak_connections
	gcore -o "$BATS_TEST_TMPDIR/core" "$SAMPLE_PID" >/dev/null 2>&1
	summarize "$BATS_TEST_TMPDIR/core.$SAMPLE_PID"
	assert_connections
}

# summarize_without_files CORE: of a copy that names no file that was mapped.
summarize_without_files() {
	[ "$(python3 "$LEAKHUNT_ROOT/tests/live/drop_files.py" "$1" "$BATS_TEST_TMPDIR/copy")" -ge 1 ]
	summarize "$BATS_TEST_TMPDIR/copy"
}

# bats test_tags=long
@test "a core without a note of mapped files: OpenSSL's objects by the dynamic linker's list" {
	leak_connections
	gcore -o "$BATS_TEST_TMPDIR/core" "$SAMPLE_PID" >/dev/null 2>&1
	summarize_without_files "$BATS_TEST_TMPDIR/core.$SAMPLE_PID"
	assert_connections
}

@test "cores without a note of mapped files: as many C++ objects, of gcore's and of leakhunt's" {
	local core expected
	start_sample cxx_objects --steps 500
	gcore -o "$BATS_TEST_TMPDIR/core" "$SAMPLE_PID" >/dev/null 2>&1
	dump_of --region all
	for core in "$BATS_TEST_TMPDIR/core.$SAMPLE_PID" "$BATS_TEST_TMPDIR/dump"; do
		summarize "$core"
		expected=$(jq -c '[.objects[] | select(.kind == "C++") | [.name, .count]] | sort' <<<"$SUMMARY")
		[ "$(object_count C++ shop::Auditable)" = "$(jq '.objects["shop::Auditable"]' <<<"$SAMPLE_JSON")" ]
		summarize_without_files "$core"
		[ "$(jq -c '[.objects[] | select(.kind == "C++") | [.name, .count]] | sort' <<<"$SUMMARY")" = "$expected" ]
	done
}

# bats test_tags=long
# gcore writes no constants: of classes whose names are among them, the place of the table is told.
@test "a core that gcore made, without any file: as many C++ objects, and none more of a C program" {
	local with
	mkdir "$BATS_TEST_TMPDIR/empty"
	start_sample cxx_objects --steps 500
	gcore -o "$BATS_TEST_TMPDIR/core" "$SAMPLE_PID" >/dev/null 2>&1
	summarize "$BATS_TEST_TMPDIR/core.$SAMPLE_PID"
	with=$(cxx_counts)
	[ "$(jq add <<<"$with")" -ge $((500 * 22)) ]
	summarize "$BATS_TEST_TMPDIR/core.$SAMPLE_PID" --sysroot "$BATS_TEST_TMPDIR/empty"
	[ "$(cxx_counts)" = "$with" ]
	jq -e 'any(.objects[]; .count == 4000 and (.name | test("^class at cxx_objects\\+0x[0-9a-f]+$")))' <<<"$SUMMARY"
	start_sample tlsproxy --upstream "unix:$BATS_TEST_TMPDIR/upstream.sock"
	gcore -o "$BATS_TEST_TMPDIR/core" "$SAMPLE_PID" >/dev/null 2>&1
	summarize "$BATS_TEST_TMPDIR/core.$SAMPLE_PID" --sysroot "$BATS_TEST_TMPDIR/empty"
	[ "$(jq '[.objects[] | select(.kind == "C++" and (.name | startswith("class at ")))] | length' <<<"$SUMMARY")" = 0 ]
}

# bats test_tags=long
@test "a core that gcore made, without any file: as many objects of OpenSSL of each type" {
	local with
	mkdir "$BATS_TEST_TMPDIR/empty"
	leak_connections
	gcore -o "$BATS_TEST_TMPDIR/core" "$SAMPLE_PID" >/dev/null 2>&1
	summarize "$BATS_TEST_TMPDIR/core.$SAMPLE_PID"
	assert_connections
	with=$(openssl_counts)
	summarize "$BATS_TEST_TMPDIR/core.$SAMPLE_PID" --sysroot "$BATS_TEST_TMPDIR/empty"
	[ "$(openssl_counts)" = "$with" ]
	[ "$(object_count OpenSSL SSL 'server, TLS 1.3')" = "$(truth leaked)" ]
}

# openssl_counts: how many of each type, whatever their details.
openssl_counts() {
	jq -c '[.objects[] | select(.kind == "OpenSSL")] | group_by(.name) | map([.[0].name, (map(.count) | add)])' <<<"$SUMMARY"
}

# cxx_counts: of C++ classes, those of at least 100 objects: from the many to the few.
cxx_counts() {
	jq -c '[.objects[] | select(.kind == "C++" and .count >= 100) | .count] | sort | reverse' <<<"$SUMMARY"
}

# bats test_tags=long
@test "another machine's core: names come from below --sysroot, files of another build are named" {
	local root=$BATS_TEST_TMPDIR/root path
	leak_connections
	# Not of leakhunt, whose dumps name what is in them without files.
	gcore -o "$BATS_TEST_TMPDIR/core" "$SAMPLE_PID" >/dev/null 2>&1
	mv "$BATS_TEST_TMPDIR/core.$SAMPLE_PID" "$BATS_TEST_TMPDIR/dump"
	while read -r path; do
		mkdir -p "$root$(dirname "$path")"
		cp "$path" "$root$path"
	done < <(awk '$6 ~ /^\// && $2 ~ /x/ {print $6}' "/proc/$SAMPLE_PID/maps" | sort -u)
	summarize "$BATS_TEST_TMPDIR/dump" --sysroot "$root"
	assert_connections
	path=$(awk '/libssl/ {print $6; exit}' "/proc/$SAMPLE_PID/maps")
	cp "$SAMPLES/tlsload" "$root$path"
	summarize "$BATS_TEST_TMPDIR/dump" --sysroot "$root"
	assert_about "$(truth leaked)" "$(object_count OpenSSL SSL)" # by what their tables hold
	[ "$(jq -r --arg path "$path" '.unnamed_modules[] | select(.path == $path) | .reason' <<<"$SUMMARY")" = \
		"build-id differs" ]
	head -c 200000 "$path" >"$root$path" # as an interrupted copy
	summarize "$BATS_TEST_TMPDIR/dump" --sysroot "$root"
	[ "$(object_count OpenSSL SSL)" = 0 ]
	[ "$(jq -r --arg path "$path" '.unnamed_modules[] | select(.path == $path) | .reason' <<<"$SUMMARY")" = \
		"it has no sections: is it cut off?" ]
}

@test "a process in another mount namespace: its files are found where it sees them" {
	unshare --mount true 2>/dev/null || skip "no mount namespace can be made here"
	local root=$BATS_TEST_TMPDIR/root path pid
	mkdir -p "$root/dev"
	for path in $(ldd "$SAMPLES/cxx_objects" | grep -o '/[^ ]*'); do
		mkdir -p "$root$(dirname "$path")"
		cp -L "$path" "$root$path"
	done
	cp "$SAMPLES/cxx_objects" "$root/only_there"
	mkfifo "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"
	unshare --mount chroot "$root" /only_there --steps 500 <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" 3>&- &
	pid=$!
	exec {into}>"$BATS_TEST_TMPDIR/in" {from}<"$BATS_TEST_TMPDIR/out"
	read -r -t 60 -u "$from" _
	[ ! -e /only_there ]
	summarize "$pid"
	echo quit >&"$into"
	wait "$pid"
	exec {into}>&- {from}<&-
	[ "$(object_count C++ shop::Order)" = 500 ]
}

# ---------------------------------------------------------------- C++

assert_classes() {
	local name
	while read -r name; do
		assert_about "$(jq --arg name "$name" '.objects[$name]' <<<"$SAMPLE_JSON")" "$(object_count C++ "$name")"
	done < <(jq -r '.objects | keys[]' <<<"$SAMPLE_JSON")
	jq -e 'all(.objects[]; .name | contains("-in-") | not)' <<<"$SUMMARY"
}

assert_stripped() {
	[ -z "$(nm "$1" 2>/dev/null)" ]
}

@test "C++ classes of stripped programs, dynamic and static: templates, bases, arrays, shared_ptr; not the deleted, nor the destroyed" {
	local program
	for program in cxx_objects cxx_objects_static; do
		assert_stripped "$SAMPLES/$program"
		start_sample "$program" --steps 2000
		[ "$(jq '.objects | length' <<<"$SAMPLE_JSON")" = 12 ]
		summarize "$SAMPLE_PID"
		assert_classes
		dump_of
		summarize "$BATS_TEST_TMPDIR/dump"
		assert_classes
		rm "$BATS_TEST_TMPDIR/dump"
		assert_sample_unharmed
		stop_sample
	done
}

# assert_not_the_freed: as many of each class as live; of as many deleted ones 1 % at most is taken for live.
assert_not_the_freed() {
	local name live
	for name in Ticket Invoice Archive; do
		live=$(jq --arg name "$name" '.objects[$name]' <<<"$SAMPLE_JSON")
		assert_between "$live" "$(object_count "C++" "$name")" $((live + live / 100))
	done
}

# freed_objects_of LIBRARY: a live process and its dump, with that malloc.
freed_objects_of() {
	[ -z "$1" ] || require_library "$1"
	export LD_PRELOAD=$1
	start_sample freed_objects
	unset LD_PRELOAD
	summarize "$SAMPLE_PID"
	assert_not_the_freed
	dump_of
	summarize "$BATS_TEST_TMPDIR/dump"
	assert_not_the_freed
}

@test "deleted objects are not counted: glibc" {
	freed_objects_of ""
}

# bats test_tags=long
@test "deleted objects are not counted: jemalloc" {
	freed_objects_of /usr/lib/x86_64-linux-gnu/libjemalloc.so.2
}

# bats test_tags=long
@test "deleted objects are not counted: tcmalloc" {
	freed_objects_of /usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4
}

# bats test_tags=long
@test "deleted objects are not counted: mimalloc" {
	freed_objects_of /usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0
}

# assert_vector_objects: exactly those that live, by their constructors and destructors.
assert_vector_objects() {
	local name
	while read -r name; do
		[ "$(object_count "C++" "$name")" = "$(jq --arg name "$name" '.objects[$name]' <<<"$SAMPLE_JSON")" ]
	done < <(jq -r '.objects | keys[]' <<<"$SAMPLE_JSON")
}

# vector_objects_of LIBRARY: a live process and its dump, with that malloc.
vector_objects_of() {
	[ -z "$1" ] || require_library "$1"
	LD_PRELOAD=$1 start_sample vector_objects
	[ "$(jq '.objects | length' <<<"$SAMPLE_JSON")" = 5 ]
	summarize "$SAMPLE_PID"
	assert_vector_objects
	dump_of
	summarize "$BATS_TEST_TMPDIR/dump"
	assert_vector_objects
}

@test "elements that a vector has destroyed are not counted, all others are: glibc" {
	vector_objects_of ""
}

# bats test_tags=long
@test "elements that a vector has destroyed are not counted, all others are: jemalloc" {
	vector_objects_of /usr/lib/x86_64-linux-gnu/libjemalloc.so.2
}

# bats test_tags=long
@test "elements that a vector has destroyed are not counted, all others are: tcmalloc" {
	vector_objects_of /usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4
}

# bats test_tags=long
@test "elements that a vector has destroyed are not counted, all others are: mimalloc" {
	vector_objects_of /usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0
}

# assert_container KIND NAME COUNT [NAME COUNT]: the sample's container has so much, beside the few of its streams;
# each is a block that is named.
assert_container() {
	start_sample containers "$1"
	dump_of
	stop_sample
	summarize "$BATS_TEST_TMPDIR/dump"
	"$LEAKHUNT" heap "$BATS_TEST_TMPDIR/dump" --json >"$BATS_TEST_TMPDIR/heap.json"
	rm "$BATS_TEST_TMPDIR/dump"
	while [ $# -ge 3 ]; do
		assert_between "$3" "$(object_count C++ "$2")" $(($3 + 10))
		[ "$(jq --arg name "$2" '[.groups[] | select(.basis == "type" and .name == $name).count] | add // 0' \
			"$BATS_TEST_TMPDIR/heap.json")" -ge "$3" ]
		shift 2
	done
}

@test "C++ strings and containers without type information: texts, nodes, arrays and pieces, each counted" {
	assert_container set "std::map/set node" 20000 "std::string text" 20000
	assert_container unordered "std::unordered_map/set node" 20000 "std::unordered_map/set buckets" 1
	assert_container deque "std::deque piece" 313
	assert_container stdlist "std::list node" 20000
	assert_container shared "std::vector array" 1
}

# Lists, rings, hash tables and arrays of C in a program with C++; and a program without.
# bats test_tags=long
@test "what C programs link and grow is not taken for containers of C++" {
	local kind
	for kind in array list chains ring pool; do
		start_sample containers "$kind"
		summarize "$SAMPLE_PID"
		[ "$(jq '[.objects[] | select(.name | test("^std::(map|list|unord|vector|string)")).count] | add // 0' <<<"$SUMMARY")" -le 5 ]
		stop_sample
	done
	start_sample heap_leak
	sample_step 100
	summarize "$SAMPLE_PID"
	[ "$(jq '[.objects[] | select(.kind == "C++")] | length' <<<"$SUMMARY")" = 0 ]
}

# start_lists COMPILER FILE ARGS...: compiles and starts it, until it has made its lists.
start_lists() {
	local compiler=$1 program=$BATS_TEST_TMPDIR/lists-$1
	shift
	"$compiler" -o "$program" "$@"
	coproc "$program"
	LISTS_PID=$COPROC_PID
	read -r <&"${COPROC[0]}"
	summarize "$LISTS_PID"
	echo >&"${COPROC[1]}"
	wait "$LISTS_PID"
}

# As in haproxy: the C++ library comes with a library that the program links.
@test "lists of one node: std::list in a program of C++, not the circles of a program of C beside the C++ library" {
	command -v g++ >/dev/null || skip "g++ is not installed"
	cat >"$BATS_TEST_TMPDIR/plugin.cc" <<-'END'
		#include <iostream>
		extern "C" void plug() { std::cout << std::flush; }
	END
	cat >"$BATS_TEST_TMPDIR/lists.c" <<-'END'
		#include <stdio.h>
		#include <stdlib.h>
		struct link { struct link *next, *previous; };
		struct node { struct link link; char data[40]; };
		struct owner { struct link head; size_t is_enabled; } *owners[500];
		void plug(void);
		int main(void) {
			plug();
			for (size_t i = 0; i < 500; i++) {
				struct node *node = calloc(1, sizeof(*node));
				owners[i] = calloc(1, sizeof(*owners[i]));
				owners[i]->head = (struct link){&node->link, &node->link};
				node->link = (struct link){&owners[i]->head, &owners[i]->head};
				owners[i]->is_enabled = 1;
			}
			puts("ready");
			fflush(stdout);
			return getchar() == EOF;
		}
	END
	cat >"$BATS_TEST_TMPDIR/lists.cc" <<-'END'
		#include <iostream>
		#include <list>
		struct Item { long words[8]; };
		std::list<Item> *lists[500];
		int main() {
			for (auto &list : lists)
				list = new std::list<Item>(1);
			std::cout << "ready" << std::endl;
			return std::cin.get() == EOF;
		}
	END
	g++ -shared -fPIC -o "$BATS_TEST_TMPDIR/libplugin.so" "$BATS_TEST_TMPDIR/plugin.cc"
	start_lists gcc "$BATS_TEST_TMPDIR/lists.c" -L "$BATS_TEST_TMPDIR" -lplugin -Wl,-rpath,"$BATS_TEST_TMPDIR"
	[ "$(object_count C++ "std::list node")" = 0 ]
	start_lists g++ "$BATS_TEST_TMPDIR/lists.cc"
	[ "$(object_count C++ "std::list node")" = 500 ]
}

# ---------------------------------------------------------------- Python

assert_python_objects() {
	local name
	for name in Session LoginHandler Point list set dict; do
		assert_about "$(jq --arg name "$name" '.objects[$name]' <<<"$SAMPLE_JSON")" \
			"$(object_count Python "$name")"
	done
	# Of the program's own classes the largest, though lists and dictionaries of the interpreter's are more.
	jq -e '.conclusion | test(", [0-9,]+ (Session|LoginHandler|Point) in ")' <<<"$SUMMARY"
}

@test "Python: classes, with and without a metaclass, and containers; not the dropped" {
	start_sample python_leak --steps 30
	[ "$(truth made)" = 30000 ]
	summarize "$SAMPLE_PID"
	assert_python_objects
	dump_of --region anon --region heap
	summarize "$BATS_TEST_TMPDIR/dump"
	assert_python_objects
	assert_sample_unharmed
}

# Prints what sys.getsizeof says of what it then makes, a line for each type, when told by a line.
SIZES_PY='
import sys
items = ["item %d" % i for i in range(400)]
print("ready", flush=True)
input()
kept = {
    "int": [1 << 30 * k | i for i in range(3000) for k in (1, 2, 9, 30)] + [-(1 << 90) - i for i in range(2000)],
    "str": [(text % i) * 40 for i in range(2000) for text in ("plain %d ", "\u00e9t\u00e9 %d ", "\u4e2d %d ")],
    "bytes": [b"x" * i for i in range(2, 2000)],
    "tuple": [tuple(range(i % 30 + 2)) for i in range(3000)],
    "list": [items[:i % 90] for i in range(3000)] + [items[:i] for i in range(400)],
    "dict": [dict.fromkeys(items[:i % 90]) for i in range(3000)] + [dict.fromkeys([0] + items[:i]) for i in range(400)],
    "set": [set(items[:i % 90]) for i in range(2000)],
    "bytearray": [bytearray(i) for i in range(2000)],
}
def taken(o):
    head = sys.getsizeof(o if isinstance(o, (int, str, bytes, tuple)) else type(o)())
    return (head + 15) // 16 * 16 + (sys.getsizeof(o) - head + 15) // 16 * 16

print(*(name + " " + str(sum(map(taken, objects)))
        for name, objects in {**kept, "list": kept["list"] + list(kept.values())}.items()), sep="\n", flush=True)
input()'

# object_bytes NAME SUMMARY
object_bytes() {
	jq --arg name "$1" '[.objects[] | select(.kind == "Python" and .name == $name) | .bytes] | add // 0' <<<"$2"
}

# Of each CPython that is here, 3.8 to 3.13; what it has of its own was there before.
# bats test_tags=long
@test "Python: bytes of objects and of their storage are those of sys.getsizeof" {
	local python pid before name bytes grown
	for python in /usr/bin/python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.{8,9,10,11,12,13}.*/bin/python3; do
		[ -x "$python" ] || continue
		coproc "$python" -c "$SIZES_PY"
		pid=$COPROC_PID
		read -r <&"${COPROC[0]}"
		before=$("$LEAKHUNT" strings --json --top 100000 -n 100 "$pid")
		echo >&"${COPROC[1]}"
		local -A expected=()
		while [ "${#expected[@]}" -lt 8 ] && read -r name bytes; do expected[$name]=$bytes; done <&"${COPROC[0]}"
		summarize "$pid"
		for name in int str bytes tuple list dict set bytearray; do
			grown=$(($(object_bytes "$name" "$SUMMARY") - $(object_bytes "$name" "$before")))
			echo "$python $name: ${expected[$name]} made, $grown more"
			assert_between $((expected[$name] * 99 / 100)) "$grown" $((expected[$name] * 101 / 100))
		done
		echo >&"${COPROC[1]}"
		wait "$pid"
	done
}

# ---------------------------------------------------------------- secrets

@test "static objects that a secret names: masked in every output, unless asked for" {
	local secret arguments input
	cat >"$BATS_TEST_TMPDIR/named.c" <<-'END'
		#include <stdio.h>
		#include <stdlib.h>
		static int function(void) { return 1; }
		static struct { const char *name; int (*function)(void); } named[] = {
			{"ghp_0123456789abcdefghijABCDEFGHIJ012345", function},
			{"amqp://shop:hunter2secret@mq.example.org/", function}, {"password=correcthorse77", function}};
		int main(void) {
			for (int i = 0; i < 3000; i++) {
				void **memory = malloc(64);
				memory[0] = memory[1] = &named[i % 3];
			}
			puts("ready");
			fflush(stdout);
			return getchar();
		}
	END
	gcc -O1 -s -o "$BATS_TEST_TMPDIR/named" "$BATS_TEST_TMPDIR/named.c"
	coproc "$BATS_TEST_TMPDIR/named"
	read -r <&"${COPROC[0]}"
	: >"$BATS_TEST_TMPDIR/nothing"
	for arguments in "--all $COPROC_PID" "--json $COPROC_PID" "--all $BATS_TEST_TMPDIR/nothing $COPROC_PID" \
		"--json $BATS_TEST_TMPDIR/nothing $COPROC_PID"; do
		for secret in ghp_0123456789abcdefghijABCDEFGHIJ012345 hunter2secret correcthorse77; do
			# shellcheck disable=SC2086 # words
			[ "$("$LEAKHUNT" strings -n 8 $arguments | grep -cF "$secret")" -eq 0 ]
			# shellcheck disable=SC2086
			"$LEAKHUNT" strings -n 8 --show-secrets $arguments | grep -qF "$secret"
		done
	done
	input=${COPROC[1]}
	echo >&"$input"
	wait "$COPROC_PID" || true
}

# ---------------------------------------------------------------- two memories

# growth_of KEY NAME [DETAIL]: by how much the count grew, of the row of that name.
growth_of() {
	jq --arg key "$1" --arg name "$2" --arg detail "${3-}" \
		'[.[$key][] | select(.name == $name and (.detail | startswith($detail))) | .growth_count] | add // 0' <<<"$SUMMARY"
}

@test "strings A B: what the second dump has more, first of all the leak" {
	start_sample cxx_objects --steps 1000
	dump_of
	mv "$BATS_TEST_TMPDIR/dump" "$BATS_TEST_TMPDIR/first"
	sample_step 500
	dump_of
	summarize "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/dump"
	[ "$(jq -r .schema <<<"$SUMMARY")" = leakhunt/strings-diff/1 ]
	[ "$(jq .complete <<<"$SUMMARY")" = true ]
	[ "$(growth_of objects shop::PaidOrder)" = 500 ]
	[ "$(growth_of objects shop::Auditable)" = 4000 ]
	[ "$(growth_of objects Ghost)" = 0 ]
	[ "$(growth_of symbols 'vtable for shop::PaidOrder' cxx_objects)" = 1000 ]
	[ "$(jq -r '.objects[0].name' <<<"$SUMMARY")" = "(anonymous namespace)::Local" ]
	jq -e '.objects[] | select(.name == "shop::Order") | .before_count == 1000 and .after_count == 1500 and
		.growth_bytes == 500 * 32' <<<"$SUMMARY"
	"$LEAKHUNT" strings --all "$BATS_TEST_TMPDIR/dump" --against "$BATS_TEST_TMPDIR/first" >"$BATS_TEST_TMPDIR/text"
	grep -Eq '^in short: .*\+4,500 \(anonymous namespace\)::Local' "$BATS_TEST_TMPDIR/text"
	grep -Eq '^ *\+500 +\+15\.6 KiB +1,000 +1,500 +shop::Order$' "$BATS_TEST_TMPDIR/text"
}

@test "strings A B: the class of the program's own is named first, with what each of its objects holds" {
	local pid dump=$BATS_TEST_TMPDIR
	cat >"$dump/orders.py" <<-'END'
		import sys
		class Order:
		    def __init__(self, number):
		        self.number, self.lines = number, [number, "order %d" % number]
		kept = []
		for line in sys.stdin:
		    kept += [Order(1000 + n) for n in range(20000)]
		    print(len(kept), flush=True)
	END
	coproc python3 "$dump/orders.py"
	# shellcheck disable=SC2154 # set by coproc
	pid=$COPROC_PID
	for name in first second; do
		echo >&"${COPROC[1]}"
		read -r _ <&"${COPROC[0]}"
		"$LEAKHUNT" dump "$pid" -o "$dump/$name"
	done
	kill "$pid"
	wait "$pid" || true
	"$LEAKHUNT" strings "$dump/first" "$dump/second" >"$dump/text"
	cat "$dump/text"
	sed -n 2p "$dump/text" | grep -Eq '^in short: \+20,000 Order, with as many [^:;]*\blist\b'
	"$LEAKHUNT" strings "$dump/second" >"$dump/text"
	cat "$dump/text"
	head -5 "$dump/text" | grep -Eq '^in short: 40,000 Python: Order, with as many [^:;]*\blist\b'
}

# bats test_tags=long
@test "strings A B: in reverse nothing grew; a dump does not differ from itself" {
	start_sample cxx_objects --steps 100
	dump_of
	summarize "$BATS_TEST_TMPDIR/dump" "$BATS_TEST_TMPDIR/dump"
	[ "$(jq '[.objects, .classes, .templates, .texts, .symbols] | map(length) | add' <<<"$SUMMARY")" = 0 ]
	sample_step 100
	summarize "$SAMPLE_PID" "$BATS_TEST_TMPDIR/dump"
	[ "$(growth_of objects shop::PaidOrder)" = -100 ]
	"$LEAKHUNT" strings --all "$SAMPLE_PID" "$BATS_TEST_TMPDIR/dump" >"$BATS_TEST_TMPDIR/text"
	[ "$(grep -c '^More objects' "$BATS_TEST_TMPDIR/text")" = 0 ]
	assert_sample_unharmed
}
