#!/usr/bin/env bats
# Each sample program: select ranks the region that its ground truth names first, or says that nothing
# grows; and the program is as it was.

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

teardown() {
	stop_samples
}

# select_json: watches the current sample; its JSON into $output.
select_json() {
	run --separate-stderr "$LEAKHUNT" select "$SAMPLE_PID" --interval 150ms --samples 12 --json
}

# json FILTER: of $output.
json() {
	jq -er "$1" <<<"$output"
}

# in_first_row ADDR: whether the first row's ranges hold the address.
in_first_row() {
	python3 - "$1" "$output" <<-'EOF_PYTHON'
		import json, sys
		row = json.loads(sys.argv[2])["regions"][0]
		held = any(int(r["start"], 16) <= int(sys.argv[1], 16) < int(r["end"], 16) for r in row["ranges"])
		sys.exit(0 if held else f"{sys.argv[1]} is not in {row['ranges']}")
	EOF_PYTHON
}

# A leak: the first row is of the right kind, holds what was leaked first and last, and is called so.
assert_leak() {
	start_sample "$1" --auto 50
	select_json
	[ "$status" -eq 0 ]
	sample_step 0
	[ "$(truth condition)" = leak ]
	[ "$(json '.regions[0].verdict')" = leak ]
	[ "$(json '.regions[0].kind')" = "$(truth region_kind)" ]
	[ "$(json '.process.verdict')" = leak ]
	# Some of what it says by now that it leaked: 12 samples see at least a quarter of its steps.
	assert_between $(($(truth leaked_bytes) / 4)) "$(json '.regions[0].growth_bytes')" \
		$(($(truth leaked_bytes) * 5 / 4 + 65536))
	assert_sample_unharmed
}

@test "steady: nothing grows" {
	start_sample steady --auto 50
	select_json
	[ "$status" -eq 0 ]
	[ "$(json '.process.verdict')" = steady ]
	[ "$(json '.next_command | tostring')" = null ]
	[ "$(json '[.regions[] | select(.suspect)] | length')" -eq 0 ]
	run "$LEAKHUNT" select "$SAMPLE_PID" -i 100ms -n 5
	[ "$status" -eq 0 ]
	[[ $output == *"nothing grows: "* ]]
	[[ $output != *"leakhunt dump"* ]]
	assert_sample_unharmed
}

@test "heap_leak: the brk heap, and the command that dumps it" {
	assert_leak heap_leak
	in_first_row "$(truth first_addr)"
	[ "$(json .next_command)" = "leakhunt dump $SAMPLE_PID --region heap" ]
}

# bats test_tags=long
@test "arena_leak: the arena" {
	assert_leak arena_leak
	in_first_row "$(truth first_addr)"
	[ "$(json .next_command)" = "leakhunt dump $SAMPLE_PID --region heap" ]
}

# bats test_tags=long
@test "mmap_chunk_leak: the mmapped chunks" {
	assert_leak mmap_chunk_leak
	in_first_row "$(truth first_addr)"
	[ "$(json .next_command)" = "leakhunt dump $SAMPLE_PID --region heap" ]
}

@test "anon_leak: the anonymous mapping, by its address" {
	assert_leak anon_leak
	in_first_row "$(truth first_addr)"
	[ "$(json .next_command)" = "leakhunt dump $SAMPLE_PID --region anon" ]
}

@test "thread_leak: the family of thread stacks" {
	assert_leak thread_leak
	in_first_row "$(truth first_addr)"
	(($(json '.regions[0].mappings') > 5))
	[ "$(json .next_command)" = "leakhunt dump $SAMPLE_PID --region stacks" ]
}

@test "growth and rate are what the kernel counts" {
	start_sample heap_leak --auto 50 --step-bytes 256K
	before=$(rollup Private_Dirty)
	begin_ns=$(date +%s%N)
	select_json
	after=$(rollup Private_Dirty)
	end_ns=$(date +%s%N)
	# Between two looks from outside that enclose it; as fast as the truth's steps go.
	assert_between 1 "$(json .process.growth_bytes)" $((after - before))
	assert_between 0 "$(json .span_ns)" $((end_ns - begin_ns))
	expected=$((256 * 1024 * 20 * 3600))
	assert_between $((expected / 2)) "$(json '.process.rate_bytes_per_hour | floor')" $((expected * 5 / 4))
}

# bats test_tags=long
@test "cache_plateau: nothing grows once it is full" {
	start_sample cache_plateau --auto 50
	wait_until 100 cache_is_full
	select_json
	[ "$status" -eq 0 ]
	[ "$(json '.next_command | tostring')" = null ]
	[ "$(json .process.verdict)" = steady ]
	assert_sample_unharmed
}

cache_is_full() {
	sample_step 0 && (($(truth held_bytes) > $(truth size_bytes) - $(truth block_bytes)))
}

# A condition for wait_until: the record holds its header and at least N samples, or is finished.
holds_samples() {
	local record
	[ ! -e "$BATS_TEST_TMPDIR/record" ] || return 0
	record=$(find "$BATS_TEST_TMPDIR" -name '.record.*.tmp')
	[ -n "$record" ] && (($(wc -l <"$record") > $1))
}

# step_with_samples SAMPLES STEPS COUNT: into $output what select says of COUNT samples of the current sample
# when it takes STEPS steps after each of the first SAMPLES, however unevenly a busy machine took them.
step_with_samples() {
	local i select_pid
	"$LEAKHUNT" select "$SAMPLE_PID" -i 150ms -n "$3" --save "$BATS_TEST_TMPDIR/record" --json >/dev/null 3>&- &
	select_pid=$!
	for ((i = 1; i <= $1; i++)); do
		wait_until 100 holds_samples "$i"
		sample_step "$2"
	done
	wait "$select_pid"
	even_out "$BATS_TEST_TMPDIR/record" >"$BATS_TEST_TMPDIR/even"
	output=$("$LEAKHUNT" select --from "$BATS_TEST_TMPDIR/even" --json)
}

@test "cache_plateau: filled while it is sampled, it is a plateau, not a leak" {
	start_sample cache_plateau
	# Full after about a third of the watch.
	step_with_samples 6 3 24
	[ "$(json '.regions[0].verdict')" = plateau ]
	[ "$(json '.regions[0].kind')" = "$(truth region_kind)" ]
	[ "$(json '.next_command | tostring')" = null ]
}

@test "sawtooth: no leak" {
	start_sample sawtooth
	# A tooth is four steps up and one down. A busy machine takes several samples a step.
	step_with_samples 58 1 60
	[ "$(json '[.regions[] | select(.verdict == "leak")] | length')" -eq 0 ]
	[ "$(json .process.verdict)" = sawtooth ]
	[ "$(json '.next_command | tostring')" = null ]
	assert_sample_unharmed
}

# bats test_tags=long
@test "fragmentation: nothing grows once it has fragmented" {
	start_sample fragmentation
	sample_step 1
	sample_step "$(truth growing_steps)"
	[ "$(truth is_growing)" = false ]
	"$LEAKHUNT" select "$SAMPLE_PID" -i 100ms -n 12 --json >"$BATS_TEST_TMPDIR/out" 3>&- &
	select_pid=$!
	while kill -0 "$select_pid" 2>/dev/null; do
		sample_step 1
	done
	wait "$select_pid"
	output=$(cat "$BATS_TEST_TMPDIR/out")
	[ "$(json '[.regions[] | select(.verdict == "leak")] | length')" -eq 0 ]
	[ "$(json '.next_command | tostring')" = null ]
	assert_sample_unharmed
}

@test "sampling makes no page resident and stops nobody" {
	start_sample steady
	before=$(rollup Rss)
	select_json
	[ "$(rollup Rss)" -le "$before" ]
	assert_sample_unharmed
	[ "$(json .receipt.readings)" -eq 12 ]
	(($(json .receipt.reading_ns) >= $(json .receipt.reading_max_ns)))
}

@test "a 32-bit process" {
	cat >"$BATS_TEST_TMPDIR/leak.c" <<-'EOF'
		static long call(long number, long a, long b, long c)
		{
			long result;
			__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
			return result;
		}

		/* write, brk and nanosleep (arch/x86/entry/syscalls/syscall_32.tbl) */
		__attribute__((noreturn)) void _start(void)
		{
			static const char ready[] = "READY {}\n";
			static const long nap[2] = {0, 20000000};
			long end = call(45, 0, 0, 0);
			call(4, 1, (long)ready, sizeof(ready) - 1);
			for (;;) {
				long start = end;
				end = call(45, start + 65536, 0, 0);
				for (long at = start; at < end; at += 4096)
					*(volatile char *)at = 1;
				call(162, (long)nap, 0, 0);
			}
		}
	EOF
	gcc -m32 -nostdlib -static -fno-pie -no-pie -fno-stack-protector -o "$BATS_TEST_TMPDIR/leak" \
		"$BATS_TEST_TMPDIR/leak.c" || skip "this compiler makes no 32-bit programs"
	SAMPLES=$BATS_TEST_TMPDIR start_sample leak || skip "this kernel runs no 32-bit programs"
	run --separate-stderr "$LEAKHUNT" select "$SAMPLE_PID" -i 50ms -n 30 --json
	kill -KILL "$SAMPLE_PID"
	[ "$status" -eq 0 ]
	[ "$(jq -r '.process.verdict, .regions[0].kind' <<<"$output")" = $'leak\nheap' ]
	(($(jq '.regions[0].end | ltrimstr("0x") | length' <<<"$output") <= 8))
}
