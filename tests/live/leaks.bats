#!/usr/bin/env bats
# leakhunt leaks on programs that know what they have lost, and on strangers that lose nothing.
# shellcheck disable=SC2154,SC2016 # bats sets them; what jq expands
bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	LOAD_PID=
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	[ -z "$LOAD_PID" ] || kill "$LOAD_PID" 2>/dev/null || true
	stop_samples
}

# end_load: ends the server.
end_load() {
	kill "$LOAD_PID"
	wait "$LOAD_PID" || true
	LOAD_PID=
}

# leaks STATUS OPERAND...: its JSON, in LEAKS, when it ends with that status.
leaks() {
	local status=0
	LEAKS=$("$LEAKHUNT" leaks --json "${@:2}") || status=$?
	[ "$status" = "$1" ] || { echo "leaks ended with $status: $LEAKS" >&2 && return 1; }
}

of_leaks() {
	jq -r "$@" <<<"$LEAKS"
}

# compare_lost FILE OPERAND: what --list says of OPERAND beside the truth in FILE, in COMPARED.
compare_lost() {
	local status=0
	"$LEAKHUNT" leaks --list "$2" >listed 2>/dev/null || status=$?
	COMPARED=$("$LEAKHUNT_ROOT/tests/live/compare_leaks.sh" "$1" listed)
	[ "$status" -eq 3 ]
}

of_compared() {
	jq -r "$@" <<<"$COMPARED"
}

assert_all_found() {
	echo "$COMPARED"
	[ "$(of_compared '.lost > 1000 and .found == .lost and .found_bytes == .lost_bytes and .invented == 0')" = true ]
	[ "$(of_compared .others)" = 0 ]
}

@test "all lost blocks of a program that knows them, none that it can reach; a copy, a dump, a compressed dump" {
	start_sample leak_truth --count 3000 --seed 11 --file truth
	compare_lost truth "$SAMPLE_PID"
	assert_all_found
	"$LEAKHUNT" dump "$SAMPLE_PID" -o plain 2>/dev/null >/dev/null
	compare_lost truth plain
	assert_all_found
	"$LEAKHUNT" dump --compress "$SAMPLE_PID" -o packed 2>/dev/null >/dev/null
	compare_lost truth packed
	assert_all_found
	assert_sample_unharmed
}

@test "a dump of mode live, and one without registers of roots, call nothing lost and say why" {
	start_sample leak_truth --count 300 --file truth
	"$LEAKHUNT" dump --mode live "$SAMPLE_PID" -o torn 2>/dev/null >/dev/null
	leaks 1 torn
	[ "$(of_leaks '.lost.blocks, (.possible.blocks > 100)' | tr '\n' ' ')" = "0 true " ]
	[[ $(of_leaks '.doubts[0]') == *"mode live"* ]]
	"$LEAKHUNT" dump --region data "$SAMPLE_PID" -o data 2>/dev/null >/dev/null
	leaks 1 data
	[ "$(of_leaks '.lost.blocks')" = 0 ]
	[[ $(of_leaks '.doubts | join(" ")') == *"leaves out"* ]]
}

@test "blocks that only shared memory or a memfd points to are in use; a dump without it calls nothing lost" {
	start_sample leak_truth --count 2000 --seed 31 --shared 1 --file truth
	compare_lost truth "$SAMPLE_PID"
	assert_all_found
	"$LEAKHUNT" dump --region private --region shared --region memfd "$SAMPLE_PID" -o whole 2>/dev/null >/dev/null
	compare_lost truth whole
	assert_all_found
	"$LEAKHUNT" dump --region private "$SAMPLE_PID" -o private 2>/dev/null >/dev/null
	leaks 1 private
	[ "$(of_leaks '.lost.blocks')" = 0 ]
	[[ $(of_leaks '.doubts | join(" ")') == *"shared memory"* ]]
}

@test "two dumps confirm what was lost before, with the same bytes" {
	start_sample leak_truth --count 500 --file truth
	"$LEAKHUNT" dump "$SAMPLE_PID" -o first 2>/dev/null >/dev/null
	"$LEAKHUNT" dump "$SAMPLE_PID" -o second 2>/dev/null >/dev/null
	leaks 3 first second
	[ "$(of_leaks '.compared and .lost.blocks > 100 and .lost.confirmed_blocks == .lost.blocks')" = true ]
	leaks 3 --confirm 10ms "$SAMPLE_PID"
	[ "$(of_leaks '.compared and .lost.confirmed_blocks == .lost.blocks')" = true ]
}

@test "suppressions hide groups and change the exit code" {
	start_sample leak_truth --count 500 --file truth
	printf '# all of it\nleak:*\n' >all.supp
	leaks 0 --suppressions all.supp "$SAMPLE_PID"
	[ "$(of_leaks '.lost.blocks == 0 and .suppressed.blocks > 100')" = true ]
	printf 'race:*\n' >other.supp
	run "$LEAKHUNT" leaks --suppressions other.supp "$SAMPLE_PID"
	[ "$status" -eq 64 ]
	[[ $output == *"cannot parse line 1 of the suppressions"* ]]
}

# start_truth LIBRARY ARGS...: leak_truth with another malloc; "": glibc's.
start_truth() {
	[ -z "$1" ] || require_library "/usr/lib/x86_64-linux-gnu/$1"
	LD_PRELOAD=${1:+/usr/lib/x86_64-linux-gnu/$1} start_sample leak_truth --file "$BATS_TEST_TMPDIR/truth" "${@:2}"
}

# Beside the program's blocks, an allocator may lose a few of its own.
assert_nearly_all_found() {
	echo "$COMPARED"
	[ "$(of_compared '.lost > 1000 and .found * 1000 >= .lost * 999 and .invented == 0 and .others <= 2')" = true ]
}

@test "objects of several bases, and containers of C++" {
	start_sample leak_truth_cxx --count 3000 --file truth
	compare_lost truth "$SAMPLE_PID"
	assert_all_found
}

# Vectors that fill their block end where the next block begins.
@test "objects and containers of C++ where no header lies between blocks" {
	for library in libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2.0; do
		[ -e "/usr/lib/x86_64-linux-gnu/$library" ] || skip "$library is not installed"
		LD_PRELOAD=/usr/lib/x86_64-linux-gnu/$library start_sample leak_truth_cxx --count 3000 --file truth
		compare_lost truth "$SAMPLE_PID"
		assert_nearly_all_found
		stop_sample
	done
}

@test "other allocators: jemalloc, tcmalloc, mimalloc" {
	for library in libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2.0; do
		start_truth "$library" --count 2000 --seed 21
		compare_lost truth "$SAMPLE_PID"
		assert_nearly_all_found
		stop_sample
	done
	# What mimalloc aligns lies within a larger block, whose first bytes keep an old link of a free list.
	start_truth libmimalloc.so.2.0 --count 2000 --seed 44 --aligned 40
	compare_lost truth "$SAMPLE_PID"
	assert_nearly_all_found
}

@test "musl: blocks in the rest of a module's last page, and no more than was asked for" {
	command -v musl-gcc >/dev/null || skip "musl-gcc is not installed"
	musl-gcc -std=gnu11 -O2 -D_GNU_SOURCE -o leak_truth "$LEAKHUNT_ROOT/samples/leak_truth.c"
	SAMPLES=$PWD start_sample leak_truth --count 2000 --seed 22 --file truth
	# Bytes are those of the slots, which are more than malloc_usable_size says.
	compare_lost truth "$SAMPLE_PID"
	assert_nearly_all_found
}

@test "LeakSanitizer and valgrind count as many blocks of the same program" {
	command -v valgrind >/dev/null || skip "valgrind is not installed"
	gcc -std=gnu11 -O2 -D_GNU_SOURCE -fsanitize=leak -o with_lsan "$LEAKHUNT_ROOT/samples/leak_truth.c" -lpthread ||
		skip "no LeakSanitizer"
	start_truth "" --count 1000 --seed 23
	compare_lost truth "$SAMPLE_PID"
	assert_nearly_all_found
	found=$(of_compared .found)
	lsan=$(echo quit | ./with_lsan --count 1000 --seed 23 2>&1 | sed -n 's/^SUMMARY: LeakSanitizer:.* in \([0-9]*\) alloc.*/\1/p')
	[ -n "$lsan" ] || skip "LeakSanitizer does not work here"
	# Definitely, indirectly and possibly lost together.
	valgrind=$(echo quit | valgrind --leak-check=full --undef-value-errors=no "$SAMPLES/leak_truth" --count 1000 --seed 23 2>&1 |
		sed -n 's/.* \(definitely\|indirectly\|possibly\) lost: .* in \([0-9,]*\) blocks/\2/p' | tr -d , | awk '{ sum += $1 } END { print sum }')
	echo "leakhunt $found, LeakSanitizer $lsan, valgrind $valgrind, truth $(of_compared .lost)"
	assert_between $((found * 999 / 1000)) "$lsan" $((found * 1001 / 1000 + 1))
	# valgrind runs one thread at a time, and its own threads' stacks count as possibly lost.
	assert_between $((found * 95 / 100)) "$valgrind" $((found * 105 / 100))
}

# grown_holder KIND: the holder that grew most of a container with 1,200 new elements.
grown_holder() {
	start_sample containers "$1"
	"$LEAKHUNT" dump "$SAMPLE_PID" -o before 2>/dev/null >/dev/null
	sample_step 12
	"$LEAKHUNT" dump "$SAMPLE_PID" -o after 2>/dev/null >/dev/null
	leaks 0 before after
	of_leaks '.holders[0] | [.shape, .root, .elements, .grown_elements] | @tsv'
	rm before after
	stop_sample
}

@test "the container that grew is named, with its shape and its new elements" {
	while read -r kind shape; do
		grown_holder "$kind" >holder
		IFS=$'\t' read -r found_shape root elements grown <holder
		echo "$kind: $(cat holder)"
		[ "$found_shape" = "$shape" ]
		[[ $root == "global g_$kind"*" in containers" ]] || [ "$kind:${root%% of thread *}" = "tls:thread-local variable" ]
		assert_between 21000 "$elements" 21300
		assert_between 1150 "$grown" 1250
	done <<-END
		array array
		list list
		chains hash table
		ring list
		map tree
		set tree
		unordered hash table
		deque array
		shared array
		stdlist list
		tls list
	END
}

@test "what grew in Python is named as its program names it" {
	/usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || skip "no Python 3.11 or later"
	mkfifo in out
	/usr/bin/python3 -S "$LEAKHUNT_ROOT/tests/live/containers.py" <in >out 3>&- &
	LOAD_PID=$!
	exec 5>in 6<out
	read -r -u 6 _
	for step in 20000:before 1200:after; do
		echo "${step%:*}" >&5
		read -r -u 6 _
		"$LEAKHUNT" dump "$LOAD_PID" -o "${step#*:}" 2>/dev/null >/dev/null
	done
	end_load
	leaks 0 before after
	of_leaks '.holders[] | [.root, .shape, .elements, .grown_elements] | @tsv' | tee holders
	while IFS=: read -r root shape; do
		IFS=$'\t' read -r _ found_shape elements grown < <(grep "^$root	" holders)
		[ "$found_shape" = "$shape" ]
		assert_between 21000 "$elements" 21300
		assert_between 1150 "$grown" 1250
	done <<-END
		CACHE in Python module __main__:hash table
		SESSIONS in Python module __main__:hash table
		log in Python module __main__:array
		local history of Python function serve:array
		local done of Python function serve:array
	END
}

@test "explain: the way from a root, and what a block retains" {
	start_sample containers list
	"$LEAKHUNT" dump "$SAMPLE_PID" -o dump 2>/dev/null >/dev/null
	leaks 0 dump
	addr=$(of_leaks '.holders[] | select(.root | startswith("global g_list")) | .addr')
	run --separate-stderr "$LEAKHUNT" explain --json "$addr" dump
	[ "$status" -eq 0 ]
	[ "$(jq -r '.block | .status, .root, .retained_blocks, (.path | length)' <<<"$output" | tr '\n' ' ')" = \
		"reachable global g_list in containers 20000 2 " ]
}

@test "tlsproxy: leaked SSLs are lost, confirmed, with what they own to 1 %; fixed, nothing is" {
	for flag in "" --fixed; do
		# shellcheck disable=SC2086 # no flag is no word
		start_sample tlsproxy --listen 127.0.0.1:0 --upstream unix:shop.sock --name shop.example $flag
		load=("$SAMPLES/tlsload" --proxy "127.0.0.1:$(truth port)" --serve unix:shop.sock --rate 80)
		"${load[@]}" --errors 30 --seconds 3 >/dev/null </dev/null 3>&-
		# What is freed after it is used overwrites stale pointers to what is not.
		"${load[@]}" --errors 0 --seconds 1 >/dev/null </dev/null 3>&-
		sample_step 0
		leaked=$(truth leaked)
		if [ -n "$flag" ]; then
			leaks 0 "$SAMPLE_PID"
			[ "$(of_leaks .lost.blocks)" = 0 ]
		else
			leaks 3 --confirm 10ms "$SAMPLE_PID"
			found=$(of_leaks '[.groups[] | select(.name == "SSL") | .blocks] | add')
			owned=$(of_leaks .lost.owned_bytes)
			echo "leaked $leaked of $(truth ssl_bytes) bytes, found $found, which own $owned bytes"
			# Stale pointers lead to some, the more, the more connections are open at once: 64 of 72 were found
			# on a machine with eight times as many tasks as processors.
			assert_between $((leaked * 8 / 10)) "$found" "$leaked"
			[ "$(of_leaks '.lost.confirmed_blocks == .lost.blocks')" = true ]
			# The proxy counts the usable bytes of what goes when an SSL is freed.
			assert_between $((found * $(truth ssl_bytes) * 99 / 100)) "$owned" $((found * $(truth ssl_bytes) * 101 / 100))
		fi
		stop_sample
	done
}

# start_server [PRELOAD]: openssl s_server that has answered some requests; its pid in LOAD_PID.
start_server() {
	DROP_FILE=dropped DROP_EVERY=3 LD_PRELOAD="$*" \
		openssl s_server -accept "127.0.0.1:$PORT" -key key.pem -cert cert.pem -www >/dev/null 2>&1 3>&- &
	LOAD_PID=$!
	wait_until 30 fetch_page
	for ((i = 0; i < 40; i++)); do fetch_page; done
}

# start_with_missing_free FUNCTION [NEXT]: one that drops each third call of it.
start_with_missing_free() {
	gcc -O2 -D_GNU_SOURCE -DFUNCTION="$1" ${2:+-DNEXT="$2"} -shared -fPIC -o "drop_$1.so" "$LEAKHUNT_ROOT/tests/live/drop_frees.c" -ldl
	start_server "$PWD/drop_$1.so"
}

fetch_page() {
	curl -sk "https://127.0.0.1:$PORT/" -o /dev/null
}

@test "a real program with a suppressed free: what it drops is lost; otherwise nothing is" {
	PORT=$((20000 + RANDOM % 10000))
	openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=x 2>/dev/null
	while read -r function name next; do
		rm -f dropped
		start_with_missing_free "$function" "$next"
		leaks 3 "$LOAD_PID"
		read -r dropped objects < <(od -An -tu8 -N16 dropped)
		found=$(of_leaks --arg name "$name" '[.groups[] | select(.name == $name) | .blocks] | add')
		echo "$function: dropped $dropped of $objects objects, found $found"
		end_load
		# Some of the latest may still be in use or on the stack. Of a chain, others than its head may be held by others.
		assert_between $((dropped * 9 / 10 - 2)) "$found" "$objects"
		PORT=$((PORT + 1))
	done <<-END
		SSL_free SSL
		SSL_SESSION_free SSL_SESSION
		BIO_free_all BIO BIO_next
	END
	start_server
	leaks 0 "$LOAD_PID"
}

# start_stranger COMMAND: in the background, its pid in LOAD_PID, its input from the pipe "in".
start_stranger() {
	eval "exec $1" <in >/dev/null 2>&1 3>&- 5>&- &
	LOAD_PID=$!
}

# Each makes the file "ready" when it has done some work, and waits for input.
# bats test_tags=tiers
@test "strangers as they are: nothing is lost, also where pointers lead behind a header" {
	local count=0
	mkfifo in
	exec 5<>in
	while read -r program; do
		[ "$LEAKHUNT_TIER" != short ] || [ "${program%% *}" = php ] || continue
		command -v "${program%% *}" >/dev/null || continue
		rm -f ready
		start_stranger "$program"
		[ "${program%% *}" != sqlite3 ] || printf 'create table t(a);\ninsert into t values(1);\n.shell touch ready\n' >&5
		wait_until 30 test -e ready
		echo "$program"
		leaks 0 "$LOAD_PID"
		count=$((count + 1))
		[ "$(of_leaks '.graph.blocks | .lost == 0 and .possible == 0 and .reachable > 10')" = true ]
		end_load
	done <<-'END'
		php -n -r 'class A { function f(int $a): ?array { return [$a]; } } (new A)->f(1); touch("ready"); fgets(STDIN);'
		perl -e 'use POSIX; my %a = map { $_ => [1 .. 9] } 1 .. 999; open F, ">ready"; close F; <STDIN>'
		/usr/bin/python3 -c 'import json, re, ssl, sqlite3; json.loads("[1]"); open("ready", "w").close(); input()'
		sqlite3
		gawk 'BEGIN { for (i = 0; i < 999; i++) a[i] = i "x"; print >"ready"; close("ready"); getline }'
	END
	[ "$count" -gt 0 ] || skip "none of them is installed"
}

# list_dropped FILE: the addresses that drop_frees.c wrote down, each once.
list_dropped() {
	python3 -c '
import struct, sys
words = struct.unpack("<%dQ" % (len(data := open(sys.argv[1], "rb").read()) // 8) , data)
for addr in sorted({~word & (1 << 64) - 1 for word in words[2:] if word}):
    print(hex(addr))' "$1"
}

# A dropped free leaves a counted reference behind: the object stays as long as others hold theirs, and is lost then.
@test "dropped references: each object is lost, or a root is named that still leads to it" {
	PORT=$((20000 + RANDOM % 10000))
	openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=x 2>/dev/null
	for function in EVP_PKEY_free X509_free; do
		rm -f dropped dump
		start_with_missing_free "$function" ""
		"$LEAKHUNT" dump "$LOAD_PID" -o dump >/dev/null 2>&1
		end_load
		PORT=$((PORT + 1))
		list_dropped dropped >objects
		"$LEAKHUNT" leaks --list dump >listed 2>/dev/null || [ $? -eq 3 ]
		awk 'NR == FNR { lost[$1] = $3 != "possible"; next } !lost[$1]' listed objects >held
		echo "$function: $(wc -l <objects) objects, not lost $(wc -l <held)"
		[ "$(wc -l <objects)" -gt 20 ]
		[ "$function" = X509_free ] || [ $(($(wc -l <held) * 10)) -lt "$(wc -l <objects)" ]
		while read -r addr; do
			[[ $("$LEAKHUNT" explain --json "$addr" dump 2>/dev/null | jq -r '.block | .status + " " + .root') == "reachable "?* ]]
		done < <(head -4 held)
	done
}
