# The sample programs do what they say: their ground truth holds against the kernel's own figures,
# "check" notices harm, and they end without leftovers. Everything else that is live rests on this.
. "$LEAKHUNT_ROOT/tests/helpers.bash"

PAGE=4096
CONDITIONS=(steady heap_leak arena_leak mmap_chunk_leak anon_leak thread_leak cache_plateau sawtooth fragmentation)
LEAKS=(heap_leak arena_leak mmap_chunk_leak anon_leak thread_leak)

setup() {
	LOAD_PID=
}

teardown() {
	if [ -n "$LOAD_PID" ]; then kill "$LOAD_PID" 2>/dev/null || true; fi
	stop_samples
}

# memory_text ADDR: the C string there, read from outside.
memory_text() {
	python3 - "$1" "$SAMPLE_PID" <<-'EOF_PYTHON'
		import sys
		with open(f"/proc/{sys.argv[2]}/mem", "rb") as memory:
		    memory.seek(int(sys.argv[1], 16))
		    print(memory.read(64).split(b"\0")[0].decode("ascii"))
	EOF_PYTHON
}

# growth_of FIELD STEPS: by how many bytes a field of the mapping with the last block grows in STEPS steps.
growth_of() {
	local before after
	before=$(smaps_at "$(truth last_addr)" "$1")
	sample_step "$2"
	after=$(smaps_at "$(truth last_addr)" "$1")
	GROWTH=$((after - before))
}

# rollup_growth STEPS: by how many private bytes the whole process grows.
rollup_growth() {
	local before after
	before=$(rollup Private_Dirty)
	sample_step "$1"
	after=$(rollup Private_Dirty)
	GROWTH=$((after - before))
}

heap_bytes() {
	awk '/\[heap\]/ { found = 1 } found && $1 == "Rss:" { print $2 * 1024; exit }' "/proc/$SAMPLE_PID/smaps"
}

@test "every sample: READY, steps, check, an unknown command, quit" {
	local name pid
	for name in "${CONDITIONS[@]}"; do
		start_sample "$name"
		pid=$SAMPLE_PID
		[ "$(truth pid)" = "$pid" ]
		[ "$(truth name)" = "$name" ]
		[ "$(truth steps)" = 0 ]
		sample_step 3
		[ "$(truth steps)" = 3 ]
		assert_sample_unharmed
		sample_command nonsense
		[[ $REPLY == '{"error":'* ]]
		stop_sample
		[ ! -e "/proc/$pid" ]
	done
}

@test "end of input ends a sample" {
	run "$SAMPLES/heap_leak" --steps 2 </dev/null
	[ "$status" -eq 0 ]
	[[ $output == 'READY {'*'"steps":2,'* ]]
}

@test "bad options are refused" {
	run "$SAMPLES/heap_leak" --nonsense 1 </dev/null
	[ "$status" -eq 2 ]
	[[ $output == *"unknown option '--nonsense'"* ]]
	run "$SAMPLES/heap_leak" --steps 1x </dev/null
	[ "$status" -eq 2 ]
	run "$SAMPLES/heap_leak" --steps </dev/null
	[ "$status" -eq 2 ]
}

@test "--auto steps by itself, and commands still answer" {
	has_stepped() {
		sample_command check && sample_step 0 && [ "$(truth steps)" -ge 5 ]
	}
	start_sample heap_leak --auto 10
	wait_until 100 has_stepped
	assert_sample_unharmed
}

@test "leaked blocks lie where the truth says, with their text" {
	local name
	for name in "${LEAKS[@]}"; do
		start_sample "$name" --steps 2
		[ "$(memory_text "$(truth last_addr)")" = "$(printf 'leaked block %06d by %s' "$(truth leaked_blocks)" "$name")" ]
		[ "$(memory_text "$(truth first_addr)")" = "leaked block 000001 by $name" ]
		stop_sample
	done
}

@test "steady: nothing grows" {
	start_sample steady --steps 5
	rollup_growth 200
	assert_between 0 "$GROWTH" $((2 * PAGE))
	[ "$(truth leaked_bytes)" = 0 ]
}

@test "heap_leak: [heap] grows by the blocks and malloc's overhead" {
	start_sample heap_leak --steps 1
	local before
	before=$(truth leaked_bytes)
	growth_of Private_Dirty 50
	local leaked=$(($(truth leaked_bytes) - before)) blocks=$((50 * 66))
	[ "$leaked" = $((blocks * 1000)) ]
	assert_between $((leaked - PAGE)) "$GROWTH" $((leaked + blocks * 24 + PAGE))
	[[ $(maps_line "$(truth last_addr)") == *'[heap]' ]]
}

# bats test_tags=long
@test "arena_leak: an arena at a 64 MiB boundary grows, [heap] does not" {
	start_sample arena_leak --steps 1
	local heap_before line
	heap_before=$(heap_bytes)
	growth_of Private_Dirty 50
	assert_between $((50 * 66 * 1000 - PAGE)) "$GROWTH" $((50 * 66 * 1024 + PAGE))
	assert_between 0 $(($(heap_bytes) - heap_before)) "$PAGE"
	line=$(maps_line "$(truth last_addr)")
	[[ $line == *' rw-p 00000000 00:00 0 '* || $line == *' rw-p 00000000 00:00 0' ]]
	((16#${line%%-*} % (64 << 20) == 0))
}

@test "mmap_chunk_leak: anonymous memory grows by the blocks, each with a page for malloc's header" {
	start_sample mmap_chunk_leak --steps 1
	rollup_growth 20
	assert_between $((20 * ($(truth block_bytes) + PAGE))) "$GROWTH" $((20 * ($(truth block_bytes) + PAGE) + 2 * PAGE))
	[[ $(maps_line "$(truth last_addr)") == *' rw-p 00000000 00:00 0'* ]]
	(($(truth last_addr) % PAGE == 16))
}

@test "anon_leak: anonymous memory grows by exactly what was mapped" {
	start_sample anon_leak --steps 1
	growth_of Private_Dirty 20
	[ "$GROWTH" = $((20 * $(truth step_bytes))) ]
}

@test "thread_leak: one more thread a step, each holding its stack" {
	start_sample thread_leak --steps 1
	local threads
	threads=$(find "/proc/$SAMPLE_PID/task" -mindepth 1 -maxdepth 1 | wc -l)
	rollup_growth 20
	[ "$(find "/proc/$SAMPLE_PID/task" -mindepth 1 -maxdepth 1 | wc -l)" = $((threads + 20)) ]
	assert_between $((20 * $(truth block_bytes))) "$GROWTH" $((20 * ($(truth block_bytes) + 5 * PAGE)))
	[ "$(grep -l '^Name:.hanging' "/proc/$SAMPLE_PID"/task/*/status | wc -l)" = 21 ]
	sample_step 1000
	[ "$(truth steps)" = 300 ]
	assert_sample_unharmed
}

# bats test_tags=long
@test "cache_plateau: grows to its size, then not at all" {
	start_sample cache_plateau --steps 1
	growth_of Private_Dirty 8
	assert_between $((7 * $(truth step_bytes))) "$GROWTH" $((10 * $(truth step_bytes)))
	sample_step 20
	assert_between "$(truth size_bytes)" "$(($(truth held_bytes) + 1000))" $(($(truth size_bytes) + 1000))
	growth_of Private_Dirty 100
	[ "$GROWTH" = 0 ]
}

@test "sawtooth: each fall gives everything back to the kernel" {
	start_sample sawtooth
	local floor high low
	floor=$(heap_bytes)
	for _ in 1 2 3 4; do
		sample_step 4
		high=$(heap_bytes)
		assert_between "$(truth held_bytes)" $((high - floor)) $(($(truth held_bytes) + 32 * PAGE))
		sample_step 1
		low=$(heap_bytes)
		[ "$(truth held_bytes)" = 0 ]
		assert_between 0 $((low - floor)) $((8 * PAGE))
	done
}

# bats test_tags=long
@test "fragmentation: the heap grows with little in use, and then no more" {
	start_sample fragmentation
	local before
	before=$(heap_bytes)
	sample_step 7
	sample_step $(($(truth growing_steps) - 7))
	[ "$(truth is_growing)" = false ]
	assert_between $((100 * $(truth held_bytes))) $(($(heap_bytes) - before)) $((300 * $(truth held_bytes)))
	growth_of Private_Dirty 100
	[ "$GROWTH" = 0 ]
}

@test "check notices a changed byte" {
	start_sample steady
	gdb -batch -nx -p "$SAMPLE_PID" -ex 'set var sample_pattern[4711]=sample_pattern[4711]+1' 3>&-
	run assert_sample_unharmed
	[ "$status" -eq 1 ]
	[[ $output == *'"checksum_ok":false'* ]]
}

@test "check notices a thread whose registers were changed" {
	start_sample steady
	# At the entry of a function, which has not saved the register: gdb 16 writes no register that a frame below saved.
	gdb -batch -nx -p "$SAMPLE_PID" -ex 'tbreak nanosleep' -ex continue -ex up -ex 'set var state=state+1' 3>&-
	run assert_sample_unharmed
	[ "$status" -eq 1 ]
	[[ $output == *'"checksum_ok":false'* ]]
}

# is_in_state PID LETTER: for wait_until, which asks anew each time.
is_in_state() {
	[ "$(process_state "$1")" = "$2" ]
}

@test "a stopped process, and one that is gone, are not unharmed" {
	start_sample steady
	kill -STOP "$SAMPLE_PID"
	wait_until 100 is_in_state "$SAMPLE_PID" T
	run assert_sample_unharmed
	[ "$status" -eq 1 ]
	kill -CONT "$SAMPLE_PID"
	sample_command check # epoll_wait was interrupted by the stop (signal(7)); counted here
	assert_sample_unharmed
	kill -KILL "$SAMPLE_PID"
	wait_until 100 has_ended "$SAMPLE_PID"
	run assert_sample_unharmed
	[ "$status" -eq 1 ]
}

# ---------------------------------------------------------------- the proxy

# start_proxy ARGS...: tlsproxy, whose upstream is a socket in the test's folder.
start_proxy() {
	start_sample tlsproxy --upstream "unix:$BATS_TEST_TMPDIR/upstream.sock" "$@"
}

# run_load ARGS...: drives the current proxy; LOAD_JSON is what the load generator counted.
run_load() {
	"$SAMPLES/tlsload" --proxy "127.0.0.1:$(truth port)" --serve "unix:$BATS_TEST_TMPDIR/upstream.sock" "$@" \
		>"$BATS_TEST_TMPDIR/load.json" </dev/null 3>&-
	LOAD_JSON=$(tail -n 1 "$BATS_TEST_TMPDIR/load.json")
}

# start_upstream: an HTTP server at 127.0.0.1:$UPSTREAM_PORT, which also sends the proxy a request a second.
start_upstream() {
	"$SAMPLES/tlsload" --proxy "127.0.0.1:$(truth port)" --serve 127.0.0.1:0 --rate 1 \
		>"$BATS_TEST_TMPDIR/upstream.json" </dev/null 3>&- &
	LOAD_PID=$!
	wait_until 100 grep -q READY "$BATS_TEST_TMPDIR/upstream.json"
	UPSTREAM_PORT=$(sed -n 's/^READY //p' "$BATS_TEST_TMPDIR/upstream.json" | jq .serve_port)
}

open_files() {
	find "/proc/$SAMPLE_PID/fd" -mindepth 1 | wc -l
}

# ask_proxy TEXT: sends raw bytes over TLS, prints the answer.
ask_proxy() {
	printf '%b' "$1" | timeout 20 openssl s_client -quiet -connect "127.0.0.1:$(truth port)" 2>/dev/null 3>&-
}

@test "tlsproxy: each failed request leaves an SSL in the heap, and no open socket" {
	# Blocks in malloc's per-thread cache count as used: without it SSL_free() gives back all that it frees.
	GLIBC_TUNABLES=glibc.malloc.tcache_count=0 start_proxy
	run_load --requests 100 --rate 200
	sample_step 0
	local before files leaked
	before=$(heap_bytes) files=$(open_files)
	[ "$(truth connections)" = 100 ]
	[ "$(truth leaked)" = 30 ]
	[ "$(jq .bad_gateway <<<"$LOAD_JSON")" = 30 ]
	[ "$(jq .ok <<<"$LOAD_JSON")" = 70 ]
	run_load --requests 400 --rate 200
	sample_step 0
	leaked=$(($(truth leaked) - 30))
	[ "$leaked" = 120 ]
	[ "$(truth ssl_bytes)" -ge 41000 ]
	assert_between $((leaked * 20000)) $(($(heap_bytes) - before)) $((leaked * $(truth ssl_bytes) + 32 * PAGE))
	[ "$(open_files)" = "$files" ]
	[[ $(maps_line "$(truth last_addr)") == *'[heap]' ]]
	assert_sample_unharmed
}

# bats test_tags=long
@test "tlsproxy --fixed: the same load leaves nothing" {
	start_proxy --fixed
	run_load --requests 100 --rate 200
	local before
	before=$(heap_bytes)
	run_load --requests 400 --rate 200
	sample_step 0
	[ "$(truth connections)" = 500 ]
	[ "$(truth leaked)" = 0 ]
	assert_between 0 $(($(heap_bytes) - before)) $((64 * PAGE))
}

@test "tlsproxy: shows the certificate that the truth names" {
	start_proxy --name front.shop.example
	run openssl s_client -connect "127.0.0.1:$(truth port)" </dev/null 3>&-
	# "CN = " up to OpenSSL 3.1
	[[ $output == *'CN = front.shop.example'* || $output == *'CN=front.shop.example'* ]]
}

@test "tlsproxy: forwards an absolute URI, and tunnels CONNECT" {
	start_proxy
	start_upstream
	run ask_proxy "GET http://127.0.0.1:$UPSTREAM_PORT/v1/orders/42 HTTP/1.1\r\nHost: a\r\n\r\n"
	[[ $output == 'HTTP/1.1 200 OK'*'"order":42,'* ]]
	run ask_proxy "CONNECT 127.0.0.1:$UPSTREAM_PORT HTTP/1.1\r\n\r\nGET /v1/orders/43 HTTP/1.1\r\n\r\n"
	[[ $output == 'HTTP/1.1 200 Connection established'*'"order":43,'* ]]
	run ask_proxy "GET http://192.0.2.1/ HTTP/1.1\r\n\r\n"
	[[ $output == 'HTTP/1.1 502 Bad Gateway'* ]]
}

@test "tlsload: ends at SIGTERM, and says when nothing answers" {
	start_proxy
	start_upstream
	kill -TERM "$LOAD_PID"
	local status=0
	wait "$LOAD_PID" || status=$?
	LOAD_PID=
	[ "$(wc -l <"$BATS_TEST_TMPDIR/upstream.json")" = 2 ]
	run "$SAMPLES/tlsload" --proxy 127.0.0.1:1 --requests 5 --rate 100 </dev/null 3>&-
	[ "$status" -eq 1 ]
	[[ ${lines[1]} == *'"ok":0,"bad_gateway":0,"failed":5}' ]]
}
