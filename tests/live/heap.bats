#!/usr/bin/env bats
# leakhunt heap and explain on running processes and dumps, against what the programs and their allocators say.
# shellcheck disable=SC2154 # bats sets them
bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

teardown() {
	stop_samples
	[ -z "${PYTHON_PID-}" ] || kill "$PYTHON_PID"
	[ -z "${SESSIONS_PID-}" ] || kill "$SESSIONS_PID" 2>/dev/null || true
}

# heap OPERAND...: its JSON, in HEAP.
heap() {
	HEAP=$("$LEAKHUNT" heap --json "$@")
}

# of_heap FILTER ARGS...
of_heap() {
	jq -r "$@" <<<"$HEAP"
}

# total NAME: a total of the allocator's own, as heap_truth wrote it.
total() {
	sed -n "s/^T $1 //p" "$BATS_TEST_TMPDIR/truth"
}

assert_glibc_totals() {
	[ "$(of_heap '.complete, .allocators[0].failed' | tr '\n' ' ')" = "true 0 " ]
	# Free blocks are counted without the 8 bytes that malloc keeps of each; what fastbins hold is free to mallinfo.
	[ "$(of_heap .totals.free_blocks)" = "$(total glibc.free_blocks)" ]
	[ "$(($(of_heap .totals.free_bytes) + 8 * $(of_heap .totals.free_blocks) + $(total glibc.fast)))" = "$(total glibc.free)" ]
	[ "$(of_heap '[.arenas[] | select(.role == "mmapped") | .used_blocks] | add // 0')" = "$(total glibc.mapped_blocks)" ]
}

@test "glibc: all blocks of a program that knows them, in a dump and live, totals equal mallinfo's" {
	start_sample heap_truth --threads 4 --operations 40000 --slots 5000 --file "$BATS_TEST_TMPDIR/truth"
	"$LEAKHUNT" dump "$SAMPLE_PID" -o "$BATS_TEST_TMPDIR/dump" 2>/dev/null >/dev/null
	compared=$("$SAMPLES/compare_blocks" "$BATS_TEST_TMPDIR/dump" "$BATS_TEST_TMPDIR/truth")
	[ "$(jq -r '.missing, .invented, .misfit, (.found == .live)' <<<"$compared" | tr '\n' ' ')" = "0 0 0 true " ]
	heap "$BATS_TEST_TMPDIR/dump"
	assert_glibc_totals
	[ "$(of_heap .receipt)" = null ]
	heap "$SAMPLE_PID"
	assert_glibc_totals
	[ "$(of_heap .receipt.pid)" = "$SAMPLE_PID" ]
	assert_sample_unharmed
}

@test "fragmentation: malloc_trim frees what was predicted, within 5 percent" {
	command -v gdb >/dev/null || skip "gdb is not installed"
	start_sample fragmentation --steps 28
	heap "$SAMPLE_PID"
	predicted=$(of_heap .totals.returnable_bytes)
	before=$(awk '/^Private_Dirty:/ {print $2 * 1024}' "/proc/$SAMPLE_PID/smaps_rollup")
	# gdb cannot write all registers of some processors, and fails after the call.
	gdb -p "$SAMPLE_PID" -batch -ex 'call (int)malloc_trim(0)' >/dev/null 2>&1 || true
	after=$(awk '/^Private_Dirty:/ {print $2 * 1024}' "/proc/$SAMPLE_PID/smaps_rollup")
	[ "$predicted" -gt 1000000 ]
	assert_between $((predicted * 95 / 100)) $((before - after)) $((predicted * 105 / 100))
	heap "$SAMPLE_PID"
	[ "$(of_heap .totals.returnable_bytes)" -lt 20000 ]
	[ "$(of_heap .findings[0].kind)" = fragmented ]
}

@test "fragmentation: the records pin what is free beside them" {
	start_sample fragmentation --steps 28
	heap "$SAMPLE_PID"
	pinned=$(of_heap '.groups[] | select(.name == "text") | .pinned_bytes')
	# Free blocks up to whole pages, which nothing pins.
	free=$(of_heap '.totals | .free_bytes - .free_page_bytes')
	assert_between $((free * 90 / 100)) "$pinned" "$free"
	"$LEAKHUNT" heap "$SAMPLE_PID" >"$BATS_TEST_TMPDIR/text"
	grep -q '^pinned:  .* by text$' "$BATS_TEST_TMPDIR/text"
}

@test "C++: groups by class have the right counts, explain says which" {
	start_sample cxx_objects --steps 500
	heap "$SAMPLE_PID"
	for class in shop::Order shop::PaidOrder shop::ExpressOrder "shop::Cache<int, double>"; do
		# shellcheck disable=SC2016 # what jq expands
		blocks=$(of_heap --arg name "$class" '.groups[] | select(.kind == "C++" and .name == $name) | .count')
		[ "$blocks" = 500 ]
	done
	[ "$(of_heap '[.groups[].bytes] | add')" = "$(of_heap .totals.used_bytes)" ]
	[ "$(of_heap '[.groups[].count] | add')" = "$(of_heap .totals.used_blocks)" ]
	addr=$(of_heap '.groups[] | select(.name == "shop::PaidOrder") | .example_addr')
	run --separate-stderr "$LEAKHUNT" explain --json "$addr" "$SAMPLE_PID"
	[ "$status" -eq 0 ]
	[ "$(jq -r '.block.state, .block.allocator, .block.group.name, .content_hex' <<<"$output" | tr '\n' ' ')" = \
		"used glibc shop::PaidOrder null " ]
}

# growth_of NAME FIELD...: figures of a group in HEAP, in one line.
growth_of() {
	local name=$1
	shift
	# shellcheck disable=SC2016 # what jq expands
	of_heap --arg name "$name" '[.groups[] | select(.name == $name) | .[$ARGS.positional[]]] | @tsv' --args "$@" | tr '\t' ' '
}

@test "two moments: what is new, gone, changed and unchanged, by group, of dumps and of a process" {
	start_sample growing_blocks --steps 2
	"$LEAKHUNT" dump "$SAMPLE_PID" -o "$BATS_TEST_TMPDIR/before" 2>/dev/null >/dev/null
	before=$(jq .blocks <<<"$SAMPLE_JSON")
	sample_step 3
	"$LEAKHUNT" dump --compress "$SAMPLE_PID" -o "$BATS_TEST_TMPDIR/after" 2>/dev/null >/dev/null
	after=$(jq .blocks <<<"$SAMPLE_JSON")
	new=$((3 * $(jq .new_per_step <<<"$SAMPLE_JSON"))) gone=$((3 * $(jq .gone_per_step <<<"$SAMPLE_JSON")))
	heap "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
	figures=(before_count after_count new_count changed_count kept_count gone_count)
	[ "$(growth_of "504 B" "${figures[@]}")" = "1000 1000 0 0 1000 0" ]
	[ "$(growth_of "600 B" "${figures[@]}")" = "300 300 0 300 0 0" ]
	[ "$(growth_of "712 B" "${figures[@]}")" = \
		"$(jq '."712 B"' <<<"$before") $(jq '."712 B"' <<<"$after") $new 0 $(jq '."712 B"' <<<"$before") 0" ]
	[ "$(growth_of "808 B" before_count after_count gone_count growth_count)" = \
		"$(jq '."808 B"' <<<"$before") $(jq '."808 B"' <<<"$after") $gone -$gone" ]
	[ "$(of_heap '.groups[0].name, .groups[0].growth_bytes' | tr '\n' ' ')" = "712 B $((new * 712)) " ]
	[ "$(of_heap '.after.totals.used_bytes == .blocks.new.bytes + .blocks.changed.bytes + .blocks.kept.bytes')" = true ]
	[ "$(of_heap '.before.totals.used_bytes == .blocks.gone.bytes + .blocks.changed.bytes + .blocks.kept.bytes')" = true ]
	"$LEAKHUNT" heap "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after" >"$BATS_TEST_TMPDIR/text"
	grep -q "^in short: +$new 712 B" "$BATS_TEST_TMPDIR/text"
	heap --every 1ms "$SAMPLE_PID"
	[ "$(of_heap '.blocks.new.count, .blocks.gone.count, .after.receipt.pid' | tr '\n' ' ')" = "0 0 $SAMPLE_PID " ]
	assert_sample_unharmed
}

@test "two moments: contradictions are refused" {
	start_sample steady
	run "$LEAKHUNT" heap --every 1s "$0"
	[ "$status" -eq 64 ]
	run "$LEAKHUNT" heap "$SAMPLE_PID" "$SAMPLE_PID"
	[ "$status" -eq 64 ]
	[[ $output == *"--every"* ]]
	run "$LEAKHUNT" heap --list --every 1s "$SAMPLE_PID"
	[ "$status" -eq 64 ]
}

# make_sessions N: N more sessions in the program of start_sessions.
make_sessions() {
	echo "$1" >&"$SESSIONS_INPUT"
	IFS= read -r -t 60 -u "$SESSIONS_OUTPUT" line && [ "$line" = DONE ]
}

# start_sessions COMMAND...: a program that reads "N" and says "DONE" when it has made N sessions.
start_sessions() {
	mkfifo "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"
	"$@" <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" 3>&- &
	SESSIONS_PID=$!
	exec {SESSIONS_INPUT}>"$BATS_TEST_TMPDIR/in" {SESSIONS_OUTPUT}<"$BATS_TEST_TMPDIR/out"
	IFS= read -r -t 60 -u "$SESSIONS_OUTPUT" line && [ "$line" = READY ]
	make_sessions 20000
}

# of_sessions FIELD: of the group of sessions in HEAP.
of_sessions() {
	of_heap ".groups[] | select(.name | test(\"(^|[.])Session\$\")) | .$1"
}

# Sessions own what the process grows by when there are more of them, within 1 percent.
assert_owns_growth() {
	local before owned
	before=$(rollup Private_Dirty "$SESSIONS_PID")
	heap "$SESSIONS_PID"
	[ "$(of_sessions count)" = 20000 ]
	owned=$(of_sessions owned_bytes)
	make_sessions 10000
	grown=$(($(rollup Private_Dirty "$SESSIONS_PID") - before))
	heap "$SESSIONS_PID"
	[ "$(of_sessions count)" = 30000 ]
	assert_between $((grown * 99 / 100)) $(($(of_sessions owned_bytes) - owned)) $((grown * 101 / 100))
}

@test "what C++ objects own is what the process grows by for each" {
	command -v g++ >/dev/null || skip "g++ is not installed"
	g++ -O2 -o "$BATS_TEST_TMPDIR/sessions" "$LEAKHUNT_ROOT/tests/live/sessions.cc"
	start_sessions "$BATS_TEST_TMPDIR/sessions"
	assert_owns_growth
}

@test "what Python objects own is what the process grows by for each" {
	start_sessions /usr/bin/python3 "$LEAKHUNT_ROOT/tests/live/sessions.py"
	assert_owns_growth
}

@test "what leaked SSLs own is what the proxy grows by for each" {
	cd "$BATS_TEST_TMPDIR" || return
	start_sample tlsproxy --listen 127.0.0.1:0 --upstream unix:shop.sock --name shop.example
	for round in 0 1; do
		"$SAMPLES/tlsload" --proxy "127.0.0.1:$(truth port)" --serve unix:shop.sock --rate 150 --errors 90 --seconds $((1 + 2 * round)) \
			>/dev/null </dev/null 3>&-
		sample_step 0
		heap "$SAMPLE_PID"
		resident[round]=$(awk '/\[heap\]/ {found = 1} found && /^Private_Dirty:/ {print $2 * 1024; exit}' "/proc/$SAMPLE_PID/smaps")
		owned[round]=$(of_heap '[.groups[] | select(.name == "SSL") | .owned_resident_bytes] | add')
		leaked[round]=$(truth leaked)
	done
	[ $((leaked[1] - leaked[0])) -gt 100 ]
	grown=$((resident[1] - resident[0]))
	assert_between $((grown * 99 / 100)) $((owned[1] - owned[0])) $((grown * 101 / 100))
}

@test "Python: blocks in use are those of sys._debugmallocstats" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	cat >"$BATS_TEST_TMPDIR/heap.py" <<-'EOF'
		import sys, time
		kept = {i: str(i) * 3 for i in range(50000)}
		for i in range(0, 50000, 3): del kept[i]
		sys._debugmallocstats()
		print("READY", flush=True)
		time.sleep(600)
	EOF
	"$(python3 -c 'import sys; print(sys.executable)')" "$BATS_TEST_TMPDIR/heap.py" \
		>"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/stats" 3>&- &
	PYTHON_PID=$!
	wait_until 200 grep -q READY "$BATS_TEST_TMPDIR/out"
	heap "$PYTHON_PID"
	[ "$(of_heap '[.allocators[] | .failed] | add')" = 0 ]
	# class, size, pools, blocks in use, blocks available
	awk '/^ *[0-9]+ +[0-9]+ +[0-9,]+ +[0-9,]+ +[0-9,]+$/ {gsub(",", ""); n += $4; bytes += $4 * $2} END {print n, bytes}' \
		"$BATS_TEST_TMPDIR/stats" >"$BATS_TEST_TMPDIR/expected"
	read -r blocks bytes <"$BATS_TEST_TMPDIR/expected"
	[ "$blocks" -gt 30000 ]
	# print() came after the statistics: its buffer and text may take some blocks.
	found=$(of_heap '.arenas[] | select(.allocator == "pymalloc") | .used_blocks')
	assert_between $((blocks - 20)) "$found" $((blocks + 20))
	found=$(of_heap '.arenas[] | select(.allocator == "pymalloc") | .used_bytes')
	assert_between $((bytes - 4096)) "$found" $((bytes + 4096))
}
