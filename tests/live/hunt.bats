#!/usr/bin/env bats
# One question, one answer, on running programs. Truth: what the samples say of themselves.

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
	[ -z "${LOAD_PID:-}" ] || kill -KILL "$LOAD_PID" 2>/dev/null || true
}

# has_served N: caches and buffers of the proxy are then as large as they get.
has_served() {
	sample_step 0 && [ "$(truth connections)" -ge "$1" ]
}

# start_proxy FLAGS...: the proxy, and the load that drives it.
start_proxy() {
	start_sample tlsproxy --listen 127.0.0.1:0 --upstream unix:shop.sock --name shop.example "$@"
	"$SAMPLES/tlsload" --proxy "127.0.0.1:$(truth port)" --serve unix:shop.sock --rate 80 --errors 30 --seconds 120 \
		>load.txt 3>&- </dev/null &
	LOAD_PID=$!
	wait_until 200 has_served 300
}

# answer FILTER: of report.json in the folder of the only hunt.
answer() {
	jq -er "$1" ./*.*T*Z/report.json
}

@test "tlsproxy: the heap leaks SSL objects, in use, for want of SSL_free" {
	start_proxy
	run --separate-stderr "$LEAKHUNT" "$SAMPLE_PID" --interval 300ms --for 90s
	echo "$output$stderr"
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -le 24 ]
	[ "$(answer .grows.region)" = heap ]
	[ "$(answer .grows.verdict)" = leak ]
	[ "$(answer '.is.rows[0].name')" = SSL ]
	sample_step 0
	[ "$(answer '.is.rows[0].after_count')" -le "$(truth leaked)" ]
	[ "$(answer '.is.rows[0].count')" -ge 10 ]
	[ "$(answer .why.word)" = in-use ]
	[ "$(answer .next.release)" = "SSL_free()" ]
	[[ $output == *"SSL_new() needs SSL_free()"* ]]
	[[ $output == *'$ leakhunt strings tlsproxy.'* ]]
	assert_sample_unharmed
	assert_left_alone "$SAMPLE_PID"
	[ "$(stat -c %a ./*.*T*Z)" = 700 ]
	# The same from the files alone.
	"$LEAKHUNT" hunt ./*.*T*Z/before.core ./*.*T*Z/after.core --record ./*.*T*Z/record.jsonl --json >offline.json
	local same='[.grows.verdict, .grows.probability, .grows.samples, .grows.rate_bytes_per_hour, .is.rows]'
	[ "$(jq -c "$same" offline.json)" = "$(answer "$same | tojson")" ]
	# Each sample is in the record; the dumps beside it are found.
	"$LEAKHUNT" hunt --record ./*.*T*Z/record.jsonl --json >beside.json
	[ "$(jq -c "$same" beside.json)" = "$(jq -c "$same" offline.json)" ]
}

# bats test_tags=long
@test "tlsproxy --fixed: it does not grow, and nothing is dumped" {
	start_proxy --fixed
	run --separate-stderr "$LEAKHUNT" "$SAMPLE_PID" --interval 150ms --for 60s
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == *"does not grow" ]]
	[ "$(answer .why.word)" = no-growth ]
	[ "$(answer '.receipt.pauses')" -eq 0 ]
	[ -z "$(find . -name '*.core')" ]
}

@test "a folder in the target's own root: refused before anything is sampled" {
	start_sample heap_leak --auto 20
	run -64 "$LEAKHUNT" "$SAMPLE_PID" -o "/proc/$SAMPLE_PID/root$PWD/hunt"
	[[ $output == *'below /proc'* ]]
	[ ! -e hunt ]
	"$LEAKHUNT" dump "$SAMPLE_PID" -o "/proc/$SAMPLE_PID/root$PWD/dump.bin"
	[ -s dump.bin ]
}

# bats test_tags=long
@test "--no-keep leaves the record and the report; an existing folder is not touched" {
	start_sample heap_leak --auto 50
	mkdir taken
	run "$LEAKHUNT" hunt "$SAMPLE_PID" -o taken
	[ "$status" -eq 2 ]
	[ -z "$(ls taken)" ]
	run --separate-stderr "$LEAKHUNT" hunt "$SAMPLE_PID" -o new --no-keep --interval 100ms --for 60s --json
	[ "$(jq -r .grows.region <<<"$output")" = "$(truth region_kind)" ]
	[ "$(jq -r .is.compared <<<"$output")" = true ]
	[ "$(find new -type f | sort | tr '\n' ' ')" = "new/record.jsonl new/report.html new/report.json " ]
}

# bats test_tags=long
@test "python: objects of a class of the program's own, still referenced" {
	cat >leak.py <<-'EOF_PYTHON'
		import time
		class Session:
		    def __init__(self, number):
		        self.number, self.headers = number, {"user": str(number)}
		kept = []
		open("started", "w").close()
		while True:
		    kept.extend(Session(len(kept) + i) for i in range(400))
		    time.sleep(0.02)
	EOF_PYTHON
	python3 leak.py 3>&- &
	LOAD_PID=$!
	wait_until 100 test -e started
	run --separate-stderr "$LEAKHUNT" "$LOAD_PID" --interval 200ms --for 90s
	[ "$(answer .grows.verdict)" = leak ]
	[ "$(answer '.is.rows[0].family')" = Python ]
	[ "$(answer '.is.rows[0].name')" = Session ]
	[ "$(answer .why.word)" = referenced ]
}

@test "Ctrl-C gives the answer so far" {
	start_sample heap_leak --auto 50
	"$LEAKHUNT" hunt "$SAMPLE_PID" -o cut --interval 50ms --for 10m >out.txt 2>err.txt 3>&- &
	local pid=$!
	wait_until 100 has_samples cut/record.jsonl 5
	kill -INT "$pid"
	local status=0
	wait "$pid" || status=$?
	[ "$status" -eq 1 ] || [ "$status" -eq 0 ]
	jq -e '.grows.samples >= 2' cut/report.json
	grep -q 'what grows' out.txt
	assert_left_alone "$SAMPLE_PID"
}

# outcome FOLDER STEP: of a step, as report.json says.
outcome() {
	jq -er --arg step "$2" '.steps[] | select(.step == $step) | .outcome' "$1/report.json"
}

@test "--for ends with the first dump: the second is made all the same" {
	start_sample heap_leak --auto 1
	run --separate-stderr "$LEAKHUNT" hunt "$SAMPLE_PID" -o short --interval 5ms --for 15ms
	echo "$output$stderr"
	[ "$(outcome short 'wait for growth')" = "cut short" ]
	[ "$(outcome short 'dump after')" = "done" ]
	[[ $output == *"before growth since the first dump could be measured"* ]]
	[[ $output != *"did not grow"* ]]
	# Blocks are added in steps of 64 KiB; none is freed.
	sample_step 0
	local grown
	grown=$(jq '.why.after.used_blocks - .why.before.used_blocks' short/report.json)
	[ "$grown" -ge 64 ]
	[ "$grown" -le "$(($(truth leaked_bytes) / 1000))" ]
	assert_left_alone "$SAMPLE_PID"
}

# has_dumped FOLDER
has_dumped() {
	[ -e "$1/before.core" ]
}

# bats test_tags=long
@test "it is said that it did not grow where this was measured" {
	local folder=held steps=0
	start_sample heap_leak
	"$LEAKHUNT" hunt "$SAMPLE_PID" -o "$folder" --interval 100ms --for 25s >out.txt 2>err.txt 3>&- &
	LOAD_PID=$!
	until has_dumped "$folder"; do
		sample_step 1
		steps=$((steps + 1))
		[ "$steps" -lt 20000 ]
	done
	wait "$LOAD_PID" || true
	cat out.txt
	[ "$(outcome "$folder" 'dump after')" = skipped ]
	jq -e '.steps[] | select(.step == "dump after") | .reason == "it did not grow since the first dump"' \
		"$folder/report.json"
	grep -Eq 'wait for growth \(cut short\): --for was over after .* of growth in [0-9.]+ s' out.txt
	[ ! -e "$folder/after.core" ]
}

@test "two variables hold each block: none is lost, and from where they are reached is said" {
	start_sample containers twice
	local before after
	before=$(truth elements)
	"$LEAKHUNT" dump "$SAMPLE_PID" -o a.core
	sample_step 50
	after=$(truth elements)
	"$LEAKHUNT" dump "$SAMPLE_PID" -o b.core
	"$LEAKHUNT" hunt a.core b.core --json >answer.json || true
	jq -c .why answer.json
	[ "$(jq -r .why.word answer.json)" = in-use ]
	[ "$(jq .why.holder answer.json)" = null ]
	[ "$(jq .why.lost.growth_bytes answer.json)" -le 0 ]
	[ "$(jq .why.new.reachable_blocks answer.json)" -eq $((after - before)) ]
	[ "$(jq '.why.new.root_bytes == .why.new.reachable_bytes' answer.json)" = true ]
	[[ $(jq -r .why.new.root answer.json) == "global g_twice"*" in containers" ]]
	run "$LEAKHUNT" hunt a.core b.core
	[[ $output == *"none of it lost: all still reachable, 100 % of 5,000 new blocks from global g_twice"* ]]
	[[ $output == *"no single block holds most of it"* ]]
	[[ $output != *"is not known"*"lost"* ]]
}

# has_samples RECORD N
has_samples() {
	[ -e "$1" ] && [ "$(wc -l <"$1")" -gt "$2" ]
}
