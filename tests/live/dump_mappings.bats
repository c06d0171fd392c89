#!/usr/bin/env bats
# Programs that rearrange their mappings all the time: a dump makes no call of theirs fail.

# bats file_tags=long
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
	[ -z "${target:-}" ] || kill -KILL "$target" 2>/dev/null || true
}

# dump_often TIMES REGION: of the current sample; all of them are snapshots. What is mapped in the meantime is copied in
# the pause, which may be long: a refusal for that would show nothing.
dump_often() {
	local i
	for ((i = 0; i < $1; i++)); do
		"$LEAKHUNT" dump "$SAMPLE_PID" --region "$2" --on-slow stop --force --json -o cut.core >receipt 2>/dev/null ||
			return
		jq -e '.mode == "snapshot" and .complete' receipt >/dev/null || return
	done
}

assert_no_call_failed() {
	sample_step 0
	if ! jq -e '.calls > 0 and .failed_calls == 0 and .wrong_bytes == 0' <<<"$SAMPLE_JSON" >/dev/null; then
		echo "calls of the sample failed: $SAMPLE_JSON" >&2
		return 1
	fi
	assert_sample_unharmed && assert_left_alone "$SAMPLE_PID"
}

@test "no mremap, mprotect, madvise, munmap, brk or fork of the target fails: --region anon" {
	start_sample grow_in_place
	dump_often 25 anon
	assert_no_call_failed
}

@test "the same where only neighbors of what it rearranges are asked for: --region heap and stacks" {
	start_sample grow_in_place
	dump_often 15 heap
	dump_often 10 stacks
	assert_no_call_failed
}

@test "the same where so much is tracked that ending it needs a stop" {
	start_sample grow_in_place --size 300M
	dump_often 5 anon
	assert_no_call_failed
}

@test "the same in modes child and stop" {
	start_sample grow_in_place
	for mode in child stop; do
		for _ in 1 2 3 4 5; do
			# 1: of what is MADV_DONTFORK at the time, a child has nothing.
			run "$LEAKHUNT" dump "$SAMPLE_PID" --region anon --mode "$mode" --force --json -o cut.core
			[ "$status" -le 1 ]
		done
	done
	assert_no_call_failed
}

# alike_borders PID: how many pairs of adjacent anonymous mappings are alike.
alike_borders() {
	awk '$4 == "00:00" && NF == 5 {
		split($1, range, "-")
		count += last == range[1] " " $2
		last = range[2] " " $2
	}
	NF != 5 { last = "" }
	END { print count + 0 }' "/proc/$1/maps"
}

@test "borders that cannot be undone are in the receipt: mappings that grow by others beside them" {
	# Each one is mapped right behind the one before: one mapping, unless some of it is tracked.
	cat >beside.c <<-'EOF_C'
		#define _GNU_SOURCE
		#include <stdio.h>
		#include <string.h>
		#include <sys/mman.h>
		#include <unistd.h>
		int main(void)
		{
			enum { PIECE = 1 << 16 };
			char *at = mmap(0, 1ul << 32, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			munmap(at, 1ul << 32);
			for (long i = 0;; i++, at += PIECE) {
				if (mmap(at, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
					return 1;
				memset(at, 1, PIECE);
				if (i == 256)
					puts("READY"), fflush(stdout);
				if (i >= 256)
					usleep(i < 20000 ? 500 : 100000000);
			}
		}
	EOF_C
	gcc -O1 -o beside beside.c
	mkfifo out
	./beside >out 3>&- &
	target=$!
	read -r -t 30 _ <out
	before=$(alike_borders "$target")
	"$LEAKHUNT" dump "$target" --region anon --json -o cut.core >receipt 2>/dev/null
	after=$(alike_borders "$target")
	[ "$after" -gt "$before" ]
	jq -e --argjson left "$((after - before))" '.mode == "snapshot" and .seams_left == $left' receipt
	"$LEAKHUNT" dump "$target" --region anon --mode stop --json --force -o cut.core | jq -e '.seams_left == 0'
	assert_left_alone "$target"
}

# held_out COMMAND...: a program of others, dumped 10 times; it says "wrong" when a value or a call is.
held_out() {
	mkfifo out
	"$@" >out 2>err 3>&- &
	target=$!
	exec {output}<out
	read -r -t 60 -u "$output" line
	[ "$line" = ready ]
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		"$LEAKHUNT" dump "$target" --region anon --force --json -o cut.core >receipt 2>/dev/null
		jq -e '.mode == "snapshot"' receipt >/dev/null
	done
	assert_left_alone "$target"
	read -r -t 60 -u "$output" line
	[ "$line" = right ]
	[ ! -s err ]
}

@test "python3 that grows and shrinks large lists and buffers with realloc's mremap" {
	command -v python3 >/dev/null || skip "no python3"
	held_out python3 -c '
import sys, time
lists, sums = [[] for _ in range(4)], [0] * 4
rounds = 0
while True:
    for i, numbers in enumerate(lists):
        base = len(numbers)
        numbers.extend(range(base, base + 20000))
        if len(numbers) > 600000:
            del numbers[100000:]
        assert numbers[-1] == len(numbers) - 1 and numbers[len(numbers) // 2] == len(numbers) // 2
    data = bytearray(b"\x5a") * (1 << 20)
    for _ in range(8):
        data.extend(b"\x5a" * (1 << 18))
    assert data.count(0x5a) == len(data)
    rounds += 1
    if rounds == 3:
        print("ready", flush=True)
    if rounds > 3 and rounds % 20 == 0:
        print("right", flush=True)
'
}

@test "gawk that grows a table" {
	command -v gawk >/dev/null || skip "no gawk"
	held_out gawk 'BEGIN {
		for (round = 1;; round++) {
			for (i = 0; i < 20000; i++) { t[round % 16, i] = i * round; s = s "x"; }
			if (length(s) > 400000) s = ""
			for (i = 0; i < 20000; i += 97)
				if (t[round % 16, i] != i * round) { print "wrong" > "/dev/stderr"; exit 1 }
			if (round == 2) { print "ready"; fflush() }
			if (round > 2 && round % 10 == 0) { print "right"; fflush() }
		}
	}'
}

@test "node that grows its heap and buffers" {
	command -v node >/dev/null || skip "no node"
	held_out node -e '
let kept = [], rounds = 0
function step() {
	const buffer = Buffer.alloc(1 << 20, 7)
	for (let i = 0; i < 20000; i++) kept.push({ number: i, text: "t" + i })
	if (kept.length > 400000) kept = kept.slice(-20000)
	for (let i = 0; i < kept.length; i += 131)
		if (kept[i].text !== "t" + kept[i].number) { console.error("wrong"); process.exit(1) }
	if (buffer.some(b => b !== 7)) { console.error("wrong buffer"); process.exit(1) }
	rounds++
	if (rounds === 3) console.log("ready")
	if (rounds > 3 && rounds % 20 === 0) console.log("right")
	setImmediate(step)
}
step()'
}
