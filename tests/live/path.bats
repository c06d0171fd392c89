#!/usr/bin/env bats
# The path select, next, dump, second dump, strings never loses what leaks: owners by structure, intentions that cover
# what grows, default names. Truth: what the samples say of themselves.
# shellcheck disable=SC2016,SC2030,SC2031 # what others expand; each test is a subshell

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
	[ -z "${LOAD_PID:-}" ] || kill -KILL "$LOAD_PID" 2>/dev/null || true
}

# kind_of ADDR: the kind that maps gives the mapping that holds it.
kind_of() {
	"$LEAKHUNT" maps "$SAMPLE_PID" --json | python3 -c '
import json, sys
addr = int(sys.argv[1], 16)
print(next(r["kind"] for r in json.load(sys.stdin)["regions"] if int(r["start"], 16) <= addr < int(r["end"], 16)))' "$1"
}

# wanted_bytes RECEIPT
wanted_bytes() {
	jq '.copied_bytes - .context_bytes' "$1"
}

# next_words: the words of the command that select prints for the sample.
next_words() {
	"$LEAKHUNT" select "$SAMPLE_PID" -i 100ms -n 12 --json >selection.json
	jq -r .next_command selection.json | cut -d' ' -f2-
}

# start_load LIBRARY: path_load with a malloc preloaded; its lines are in truth.txt.
start_load() {
	[ -z "$1" ] || require_library "$1"
	LD_PRELOAD=$1 "$SAMPLES/path_load" 3 4000 >truth.txt 3>&- &
	LOAD_PID=$! SAMPLE_PID=$!
	wait_until 100 has_lines 20
}

has_lines() {
	[ "$(wc -l <truth.txt)" -ge "$1" ]
}

@test "a growing arena: kind and --region heap hold before, during and after a dump" {
	start_load ""
	local before during
	before=$(tail -1 truth.txt | cut -d' ' -f3)
	"$LEAKHUNT" dump "$LOAD_PID" --region heap -o first.core --json >first.json
	jq -e .complete first.json
	[ "$(wanted_bytes first.json)" -ge $((before * 99 / 100)) ]
	"$LEAKHUNT" maps "$LOAD_PID" --json >maps.json
	[ "$(jq '[.regions[] | select(.kind == "arena") | .rss_bytes] | add' maps.json)" -gt 1000000 ]
	wait_until 100 has_lines $(($(wc -l <truth.txt) + 20))
	during=$(tail -1 truth.txt | cut -d' ' -f3)
	"$LEAKHUNT" dump "$LOAD_PID" --region heap -o second.core --json >second.json
	[ "$(wanted_bytes second.json)" -ge $((during * 99 / 100)) ]
	run "$LEAKHUNT" strings first.core second.core
	[[ $output == *"order-<n>;customer=ACME"* ]]
}

# start_source TEXT: a program of C; its lines are in truth.txt.
start_source() {
	gcc -O1 -pthread -include stdlib.h -x c -o program - <<<"$1"
	./program >truth.txt 3>&- &
	LOAD_PID=$!
	wait_until 100 has_lines 1
}

# Records in the arena of a thread that has ended. Says "CHILD BYTES": a forked child has the same, without the thread.
FORKED='
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
static size_t bytes;
static void *leak(void *unused)
{
	for (int i = 0; i < 20000; i++) {
		char *record = malloc(1000);
		bytes += malloc_usable_size(memset(record, 1, 1000));
	}
	return unused;
}
int main(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, leak, NULL);
	pthread_join(thread, NULL);
	pid_t child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
	}
	printf("%d %zu\n", child, bytes);
	fflush(stdout);
	pause();
}'

@test "an arena without its thread, in a process and in its forked child, before and after a dump" {
	start_source "$FORKED"
	local child bytes pid name
	read -r child bytes <truth.txt
	for pid in "$LOAD_PID" "$child"; do
		for name in first second; do
			"$LEAKHUNT" maps "$pid" --json >maps.json
			[ "$(jq '[.regions[] | select(.kind == "arena") | .rss_bytes] | add' maps.json)" -ge $((bytes * 99 / 100)) ]
			"$LEAKHUNT" dump "$pid" --region heap -o "$pid.$name" --json >receipt.json
			jq -e .complete receipt.json
			[ "$(wanted_bytes receipt.json)" -ge $((bytes * 99 / 100)) ]
		done
	done
}

# Chunks that malloc maps, of several threads: aligned, grown by realloc, beside other mappings. Says "BYTES FILLED": as
# malloc counts them, and without what alignment leaves untouched.
MAPPED='
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static _Atomic size_t filled;
static void fill(void *block)
{
	filled += malloc_usable_size(block);
	memset(block, 1, malloc_usable_size(block));
}
static void *leak(void *unused)
{
	for (size_t i = 0; i < 20; i++) {
		fill(malloc(200000 + 5000 * i));
		fill(aligned_alloc(4096 << i % 6, 393216));
		fill(realloc(malloc(150000), 400000 + i));
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	return unused;
}
int main(void)
{
	pthread_t threads[3];
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, leak, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	printf("%zu %zu\n", mallinfo2().hblkhd, filled);
	fflush(stdout);
	pause();
}'

@test "chunks that malloc maps, aligned and grown by threads, are all in --region heap" {
	start_source "$MAPPED"
	local bytes filled name
	read -r bytes filled <truth.txt
	for name in first second; do
		"$LEAKHUNT" maps "$LOAD_PID" --json >maps.json
		assert_between $((bytes * 99 / 100)) \
			"$(jq '[.regions[] | select(.kind == "mmap-chunk") | .vss_bytes] | add' maps.json)" $((bytes * 102 / 100))
		"$LEAKHUNT" dump "$LOAD_PID" --region heap -o "$name" --json >receipt.json
		jq -e .complete receipt.json
		[ "$(wanted_bytes receipt.json)" -ge $((filled * 99 / 100)) ]
	done
}

@test "big allocations are chunks that malloc maps, and next: covers those to come" {
	start_sample mmap_chunk_leak --auto 50
	read -r -a words <<<"$(next_words)"
	[ "${words[*]}" = "dump $SAMPLE_PID --region heap" ]
	[ "$(jq -r '.regions[0].cause' selection.json)" = big-allocations ]
}

# other_malloc LIBRARY KIND: of what the program has, 99 % is in --region heap.
other_malloc() {
	start_load "$1"
	local before
	before=$(tail -1 truth.txt | cut -d' ' -f3)
	"$LEAKHUNT" dump "$LOAD_PID" --region heap -o heap.core --json >receipt.json
	[ "$(wanted_bytes receipt.json)" -ge $((before * 99 / 100)) ]
	"$LEAKHUNT" maps "$LOAD_PID" --json | jq -e --arg kind "$2" 'any(.regions[]; .kind == $kind)'
}

@test "jemalloc: --region heap is what it hands out" {
	other_malloc /usr/lib/x86_64-linux-gnu/libjemalloc.so.2 jemalloc
}

@test "tcmalloc: --region heap is what it hands out" {
	other_malloc /usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4 tcmalloc
}

@test "mimalloc: --region heap is what it hands out" {
	other_malloc /usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0 mimalloc
}

@test "rpmalloc: --region heap is what it hands out" {
	other_malloc "${LEAKHUNT_RPMALLOC:-/usr/lib/x86_64-linux-gnu/librpmalloc.so.1}" rpmalloc
}

@test "CPython: pools are pymalloc's, in a forked child, too" {
	python3 -c '
import os, time
keep = [{"id": i, "name": "user-%d" % i} for i in range(100000)]
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(120)' >truth.txt 3>&- &
	LOAD_PID=$!
	wait_until 100 has_lines 1
	local child pid
	child=$(cat truth.txt)
	for pid in "$LOAD_PID" "$child"; do
		"$LEAKHUNT" maps "$pid" --json |
			jq -e '[.regions[] | select(.kind == "pymalloc") | .vss_bytes] | add > 10000000'
	done
	kill "$child"
}

# An unbounded cache that fills by itself, until "stop"; "step N" adds N. Each command is answered with the entries.
CACHE='
import functools, select, sys
@functools.lru_cache(maxsize=None)
def quote(number):
    return "quote-%d;currency=EUR;state=cached" % number
count, fills = 0, True
print(count, flush=True)
while True:
    line = sys.stdin.readline().split() if not fills or select.select([sys.stdin], [], [], 0.005)[0] else []
    fills = fills and not line
    for _ in range(40 if fills else int(line[1]) if len(line) > 1 else 0):
        quote(count)
        count += 1
    if line:
        print(count, flush=True)
'

start_cache() {
	mkfifo input
	python3 -c "$CACHE" <input >truth.txt 3>&- &
	LOAD_PID=$! SAMPLE_PID=$!
	exec {INPUT}>input
	wait_until 100 has_lines 1
}

cache_command() {
	local lines
	lines=$(wc -l <truth.txt)
	echo "$1" >&"$INPUT"
	wait_until 100 has_lines $((lines + 1))
}

@test "CPython: a cache without bound: its cause, and two dumps by next: that show what was added" {
	start_cache
	read -r -a words <<<"$(next_words)"
	[ "${words[*]}" = "dump $LOAD_PID --region heap" ]
	[ "$(jq -r '.regions[0].cause' selection.json)" = python-pools ]
	cache_command stop
	"$LEAKHUNT" "${words[@]}" -o first.core >/dev/null
	cache_command "step 20000"
	"$LEAKHUNT" "${words[@]}" -o second.core >/dev/null
	"$LEAKHUNT" strings first.core second.core --json >difference.json
	[[ "$(jq -r '.templates[0].name' difference.json)" == *"quote-<n>;currency=EUR;state=cached"* ]]
	jq -e '.templates[0].growth_count | . >= 19600 and . <= 20400' difference.json
	exec {INPUT}>&-
}

# follow_path PROGRAM RECORDS: select, the default dump, the one that next: prints, both again after so many records
# more, and strings. Truth: the program's own statistics and count, at the instants of the dumps.
follow_path() {
	TMPDIR=$PWD "$LEAKHUNT_ROOT/scripts/path-table.py" --records "$2" "$LEAKHUNT" "$SAMPLES" "$1"
}

# bats test_tags=long
@test "node under load: 99 % of what it has is in each dump, and strings shows what leaked" {
	command -v node >/dev/null || skip "node is not installed"
	follow_path node 40000
}

# bats test_tags=long
@test "redis under load: 99 % of what it has is in each dump, and strings shows what leaked" {
	command -v redis-server >/dev/null || skip "redis-server is not installed"
	follow_path redis 40000
}

# Fills a carrier that it mapped, until a line arrives; then maps carriers one by one, none beside another, and fills
# each. Says "FILLING", then the records that it has written in all.
CARRIERS='
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
enum { CARRIER = 4 << 20, LATER = 256 << 10, RECORD = 64 };
static int records;
static char *map(size_t bytes)
{
	char *pages = mmap(NULL, bytes + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(pages + 4096, bytes, PROT_READ | PROT_WRITE);
	return pages + 4096;
}
static void fill(char *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += RECORD)
		snprintf(at + i, RECORD, "carrier-record-%08d", records++);
}
int main(void)
{
	struct pollfd input = {.fd = 0, .events = POLLIN};
	char *carrier = map(CARRIER), line[80];
	puts("FILLING");
	fflush(stdout);
	for (size_t i = 0; !poll(&input, 1, 20); i += i < CARRIER ? 16384 : 0)
		fill(carrier + i % CARRIER, i < CARRIER ? 16384 : 0);
	while (fgets(line, sizeof(line), stdin)) {
		for (int i = 0; i < 20; i++)
			fill(map(LATER), LATER);
		printf("%d\n", records);
		fflush(stdout);
	}
}'

# count_carried FILE: the different records in a dump.
count_carried() {
	grep -ao 'carrier-record-[0-9][0-9]*' "$1" | sort -u | wc -l
}

@test "anonymous memory: --suspects also takes what is mapped after the record" {
	gcc -O1 -x c -o program - <<<"$CARRIERS"
	mkfifo input
	./program <input >truth.txt 3>&- &
	LOAD_PID=$!
	exec {INPUT}>input
	wait_until 100 has_lines 1
	"$LEAKHUNT" select "$LOAD_PID" -i 200ms -n 12 --save kept.record --json >selection.json
	read -r -a words < <(jq -r .next_command selection.json | cut -d' ' -f2-)
	[ "${words[*]}" = "dump $LOAD_PID --suspects kept.record" ]
	local name
	for name in first second; do
		cache_command more
		"$LEAKHUNT" "${words[@]}" -o "$name.core" >/dev/null
		[ "$(count_carried "$name.core")" -eq "$(tail -1 truth.txt)" ]
	done
	"$LEAKHUNT" strings first.core second.core --json >difference.json
	jq -e --argjson added $((20 * 4096)) '.templates[0] | .name == "carrier-record-<n>" and .growth_count == $added' \
		difference.json
	exec {INPUT}>&-
}

# assert_has_all FILE NAME COUNT: at least that many different texts NAME-NUMBER.
assert_has_all() {
	local found
	found=$(grep -ao "$2-[0-9][0-9]*" "$1" | sort -u | wc -l)
	[ "$found" -ge "$3" ] || {
		echo "$found of $3 $2" >&2
		return 1
	}
}

# Sessions in malloc's heap, and their tokens in mappings of the program's own. Says how many there are, again and again.
BOTH='
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
enum { TOKENS = 64, TOKEN = 64, SESSION = 1000 };
int main(void)
{
	for (int count = 0;; count += TOKENS) {
		char *tokens = mmap(NULL, TOKENS * TOKEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (int i = 0; i < TOKENS; i++) {
			snprintf(tokens + i * TOKEN, TOKEN, "token-%08d;held", count + i);
			snprintf(memset(malloc(SESSION), 1, SESSION), SESSION, "session-%08d;held", count + i);
		}
		printf("%d\n", count + TOKENS);
		fflush(stdout);
		usleep(20000);
	}
}'

@test "what grows in the heap and in anonymous memory: next: takes both, and two such dumps compare" {
	start_source "$BOTH"
	SAMPLE_PID=$LOAD_PID
	local count name
	read -r -a words <<<"$(next_words)"
	[[ " ${words[*]} " == *" --region heap "* ]]
	[[ " ${words[*]} " == *" --region anon "* ]]
	for name in first second; do
		count=$(tail -1 truth.txt)
		"$LEAKHUNT" "${words[@]}" -o "$name.core" >/dev/null
		assert_has_all "$name.core" token "$count"
		assert_has_all "$name.core" session "$count"
	done
	"$LEAKHUNT" strings first.core second.core --json >difference.json
	jq -e '[.templates[] | select(.growth_count > 0) | .name] | contains(["token-<n>;held"])' difference.json
	jq -e '[.templates[] | select(.growth_count > 0) | .name | select(contains("session-<n>;held"))] | length == 1' \
		difference.json
}

# follow_runtime COMMAND...: the dump that next: prints, made later, holds every record that the program has counted.
# The program says the count, again and again, as "COUNT", and its records are texts "session-COUNT".
follow_runtime() {
	"$@" >truth.txt 3>&- &
	LOAD_PID=$! SAMPLE_PID=$!
	wait_until 300 has_lines 20
	"$LEAKHUNT" select "$LOAD_PID" -i 250ms -n 40 --save kept.record --json >selection.json
	read -r -a words < <(jq -r .next_command selection.json | cut -d' ' -f2-)
	local lines count name
	for name in first second; do
		lines=$(wc -l <truth.txt)
		wait_until 300 has_lines $((lines + 200))
		count=$(tail -1 truth.txt)
		"$LEAKHUNT" "${words[@]}" --max-pause 5s -o "$name.core" >/dev/null
		assert_has_all "$name.core" session "$count"
	done
	"$LEAKHUNT" strings first.core second.core --json >difference.json
	jq -e '[.templates[] | select(.growth_count > 0 and (.name | contains("session-<n>")))] | length >= 1' \
		difference.json
}

# bats test_tags=long
@test "Erlang: the dump of next: holds all records, in carriers mapped after the record, too" {
	command -v erlc >/dev/null || skip "erlang is not installed"
	cat >keeper.erl <<-'EOF'
		-module(keeper).
		-export([main/0]).
		main() -> loop(ets:new(sessions, [set, public]), 0).
		loop(Table, Count) ->
		    [ets:insert(Table, {I, list_to_binary(io_lib:format("session-~8..0w", [I])),
		        lists:duplicate(40, I)}) || I <- lists:seq(Count, Count + 19)],
		    io:format("~w~n", [Count + 20]),
		    timer:sleep(50),
		    loop(Table, Count + 20).
	EOF
	erlc keeper.erl
	follow_runtime erl -noshell -s keeper main
}

@test "without -o the next free name is taken and said, and nothing is overwritten" {
	start_sample heap_leak
	"$LEAKHUNT" dump "$SAMPLE_PID" --json 2>errors >first.json
	[ "$(jq -r .path first.json)" = dump.bin ]
	sha256sum dump.bin >sum
	"$LEAKHUNT" dump "$SAMPLE_PID" --json 2>errors >second.json
	[ "$(jq -r .path second.json)" = dump.2.bin ]
	grep -q 'dump.bin exists: this dump goes to dump.2.bin' errors
	sha256sum -c sum
	"$LEAKHUNT" strings dump.bin dump.2.bin >difference
}

@test "the receipt says what the default leaves out" {
	start_sample many_mappings
	"$LEAKHUNT" dump "$SAMPLE_PID" -o default.core --json >receipt.json
	[ "$(jq .left_out_bytes.shared receipt.json)" -ge "$(truth shared_bytes)" ]
	jq -e '.left_out_bytes.anon == null' receipt.json
}
