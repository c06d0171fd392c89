#!/usr/bin/env bats
# The path select, next, dump, second dump, strings never loses what leaks: owners by structure, intentions that cover
# what grows, default names. Truth: what the samples say of themselves.

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
