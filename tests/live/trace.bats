#!/usr/bin/env bats
# leakhunt trace on a program that knows which of its functions leaks, and on strangers.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # bats sets them; what jq expands; each test is a subshell
bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	TARGET_PID="" TRACE_PID="" LOAD_PID=""
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	local pid
	for pid in $TRACE_PID $LOAD_PID $TARGET_PID; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	stop_samples
}

# Once for all tests: whether this kernel and these rights allow probes.
setup_file() {
	"$LEAKHUNT" trace --for 1s --budget 400% $$ >/dev/null 2>"$BATS_FILE_TMPDIR/probed.txt" || true
}

require_uprobe_sessions() {
	if grep -qE 'needs Linux|Operation not permitted|Permission denied' "$BATS_FILE_TMPDIR/probed.txt"; then
		skip "$(cat "$BATS_FILE_TMPDIR/probed.txt")"
	fi
}

# text_sum PID FILE: a checksum of the code that is mapped from FILE, as the process has it in memory.
text_sum() {
	python3 - "$@" <<-'PYTHON'
		import hashlib, sys
		pid, name = sys.argv[1:]
		sum = hashlib.sha256()
		count = 0
		with open(f'/proc/{pid}/mem', 'rb', buffering=0) as memory:
		    for line in open(f'/proc/{pid}/maps'):
		        fields = line.split()
		        if 'x' in fields[1] and fields[-1].split('/')[-1].startswith(name):
		            start, end = (int(x, 16) for x in fields[0].split('-'))
		            memory.seek(start)
		            sum.update(memory.read(end - start))
		            count += 1
		assert count, f'no code of {name}'
		print(sum.hexdigest())
	PYTHON
}

# text_is SUM PID FILE
text_is() {
	[ "$(text_sum "$2" "$3")" = "$1" ]
}

text_is_not() {
	! text_is "$@"
}

# trace STATUS ARGUMENTS...: its JSON in TRACE, when it ends with that status.
trace() {
	local status=0
	TRACE=$("$LEAKHUNT" trace --json --top 1000 "${@:2}" 2>announced.txt) || status=$?
	[ "$status" = "$1" ] || { echo "trace ended with $status: $(cat announced.txt) ${TRACE:0:700}" >&2 && return 1; }
}

of_trace() {
	jq -er "$@" <<<"$TRACE"
}

# leaking_functions FILE: of each leaking stack, the innermost function of the program FILE.
leaking_functions() {
	jq -r --arg file "$1" '[.sites[] | select(.verdict == "leaking") | [.frames[] | select(.module == $file)][0].name] |
		unique | join(" ")' <<<"$TRACE"
}

# await_trace: until the one in the background has ended, as `status` says.
await_trace() {
	wait_until 100 has_ended "$TRACE_PID"
	status=0
	wait "$TRACE_PID" || status=$?
	TRACE_PID=
}

# start_trace SUM: in the background, of the sample; returns when its probes are there. SUM: of libc's code without them.
start_trace() {
	# Background jobs of scripts ignore SIGINT, and so would it.
	env --default-signal=INT "$LEAKHUNT" trace --for 10m --budget 400% --json "$SAMPLE_PID" >traced.json 2>announced.txt \
		3>&- &
	TRACE_PID=$!
	wait_until 100 text_is_not "$1" "$SAMPLE_PID" libc.so
	wait_until 100 test -s announced.txt
}

assert_trace_left_nothing() {
	wait_until 100 text_is "$1" "$SAMPLE_PID" libc.so
	assert_sample_unharmed
	sample_step 0
	[ "$(truth damaged_blocks)" = 0 ]
}

@test "the function that leaks is named, and no other; the rate is the truth's; the process is unharmed" {
	require_uprobe_sessions
	# With this rate some 30 survivors are expected: that a third of the time shows none is one case in 10,000.
	start_sample trace_truth --forks --leak-every 25
	before=$(text_sum "$SAMPLE_PID" libc.so)
	sample_step 0
	first_bytes=$(truth leaked_bytes) first_ms=$(truth age_ms)
	trace 3 "$SAMPLE_PID" --for 9s --budget 20%
	sample_step 0
	rate=$((($(truth leaked_bytes) - first_bytes) * 1000 / ($(truth age_ms) - first_ms)))
	[ "$(leaking_functions trace_truth)" = "$(truth site)" ]
	# 95 % in theory: three times as wide is enough for every run.
	of_trace --argjson rate "$rate" '[.sites[] | select(.verdict == "leaking")] |
		(map(.leak_bytes_per_s) | add) as $found | (map(.leak_high_bytes_per_s - .leak_bytes_per_s) | add) as $half |
		$found - 3 * $half < $rate and $rate < $found + 3 * $half'
	of_trace --arg decoy "$(truth decoy)" '[.sites[] | select(any(.frames[]; .name == $decoy))] |
		length > 0 and all(.verdict == "frees" and .median_life_ns > 1.4e9 and .median_life_ns < 3e9)'
	# A sanitized leakhunt is too slow for the samples of a loaded machine, and says that it is not complete.
	grep -q __asan_init "$LEAKHUNT" ||
		of_trace '.complete and .lost_deaths == 0 and .unseen_deaths == 0 and .incomplete_stacks == 0'
	of_trace '.target_cost + .own_cost < .budget * 1.2'
	assert_trace_left_nothing "$before"
}

@test "the same program with the leak fixed: nothing leaks" {
	require_uprobe_sessions
	start_sample trace_truth --fixed
	trace 0 "$SAMPLE_PID" --for 5s --budget 20%
	[ -z "$(leaking_functions trace_truth)" ]
	of_trace '.end == "time" and .samples > 100'
}

@test "Ctrl-C ends a trace with a result, and takes the probes out" {
	require_uprobe_sessions
	start_sample trace_truth
	before=$(text_sum "$SAMPLE_PID" libc.so)
	start_trace "$before"
	kill -INT "$TRACE_PID"
	await_trace
	# Within the first second it is too early to tell anything.
	jq -e --argjson status "$status" '.end == "interrupted" and ((.complete | not) or .duration_ns >= 1e9) and
		($status == 3 or $status == (if .complete then 0 else 1 end))' traced.json
	text_is "$before" "$SAMPLE_PID" libc.so
	assert_trace_left_nothing "$before"
}

@test "kill -9: the kernel takes the probes out" {
	require_uprobe_sessions
	start_sample trace_truth --forks
	before=$(text_sum "$SAMPLE_PID" libc.so)
	for _ in 1 2 3 4 5; do
		start_trace "$before"
		kill -KILL "$TRACE_PID"
		wait "$TRACE_PID" || true
		TRACE_PID=
		assert_trace_left_nothing "$before"
	done
}

@test "a process that allocates too often is watched in bursts: rates, no leaks, and nothing stays" {
	require_uprobe_sessions
	start_sample trace_truth --rate 20000
	before=$(text_sum "$SAMPLE_PID" libc.so)
	trace 1 --budget 1% --for 4s "$SAMPLE_PID"
	grep -q "probes would take .*more than --budget 1%; watching in bursts: .*hint: --budget " announced.txt
	of_trace '.method == "bursts" and (.complete | not) and all(.sites[]; .verdict == "rate-only")'
	of_trace '.probed_ns > 0 and .probed_ns < .duration_ns / 4 and .samples > 0 and .target_cost < .budget * 3'
	of_trace --arg site "$(truth site)" '[.sites[] | any(.frames[]; .name == $site)] | any'
	text_is "$before" "$SAMPLE_PID" libc.so
	assert_trace_left_nothing "$before"
}

@test "a process that ends meanwhile: the result so far" {
	require_uprobe_sessions
	start_sample trace_truth
	start_trace "$(text_sum "$SAMPLE_PID" libc.so)"
	stop_sample
	await_trace
	[ "$status" = 1 ] || [ "$status" = 3 ]
	[ "$(jq -r .end traced.json)" = ended ]
}

@test "folded stacks begin at _start and end at the allocator" {
	require_uprobe_sessions
	start_sample trace_truth
	"$LEAKHUNT" trace "$SAMPLE_PID" --for 1s --budget 20% --folded allocated >folded.txt 2>/dev/null || [ $? -eq 3 ]
	grep -qE '^(_start|__clone3|clone3|start_thread);.*;work;allocate_briefly;malloc [0-9]+$' folded.txt
	run ! grep -vE '^[^ ].* [0-9]+$' folded.txt
}

@test "pprof reads the profile: the leaking function has all of the leak" {
	command -v go >/dev/null && go tool pprof -h 2>&1 | grep -q top || skip "no pprof"
	require_uprobe_sessions
	start_sample trace_truth --leak-every 25
	"$LEAKHUNT" trace "$SAMPLE_PID" --for 6s --budget 20% --pprof >leak.pb.gz 2>/dev/null || [ $? -eq 3 ]
	PPROF_TMPDIR=$PWD timeout 60 go tool pprof -sample_index=leaked_per_hour_space -cum -top leak.pb.gz >top.txt 2>pprof.txt
	grep -qE ' 100% +allocate_and_lose$' top.txt
	PPROF_TMPDIR=$PWD timeout 60 go tool pprof -sample_index=alloc_space -top leak.pb.gz >top.txt 2>pprof.txt
	grep -qE ' malloc$' top.txt
	grep -q 'Duration: [56]' top.txt
}

@test "invalid options are refused" {
	run -64 "$LEAKHUNT" trace --budget 0% $$
	run -64 "$LEAKHUNT" trace --budget much $$
	run -64 "$LEAKHUNT" trace --for 1ms $$
	run -64 "$LEAKHUNT" trace --folded size $$
	run -64 "$LEAKHUNT" trace --folded leak --json $$
	run -64 "$LEAKHUNT" trace --folded leak --pprof $$
	run -64 "$LEAKHUNT" trace nothing
}

# ---------------------------------------------------------------- strangers

@test "tlsproxy: SSL_new is named: its objects are never freed" {
	require_uprobe_sessions
	start_sample tlsproxy --listen 127.0.0.1:0 --upstream unix:shop.sock --name shop.example
	"$SAMPLES/tlsload" --proxy "127.0.0.1:$(truth port)" --serve unix:shop.sock --rate 60 --errors 50 --seconds 120 \
		>load.txt 3>&- </dev/null &
	LOAD_PID=$!
	wait_until 200 test -S shop.sock
	trace 3 "$SAMPLE_PID" --for 7s --budget 100%
	# The SSL itself is made by what the program's own loop calls. From OpenSSL 3.2 on that has no name in the stack:
	# SSL_new jumps to a private function.
	local name='"SSL_new"'
	[ "$(printf '%s\n' 3.2 "$(openssl version | cut -d ' ' -f 2)" | sort -V | head -n 1)" != 3.2 ] || name=null
	of_trace --argjson name "$name" '[.sites[] | select(.verdict == "leaking") | .frames |
		any(range(1; length) as $i | [.[$i - 1, $i]]; .[0].module == "libssl.so.3" and .[0].name == $name and
			.[1].module == "tlsproxy" and .[1].name == "work")] | any'
	of_trace '.incomplete_stacks <= .samples / 100'
	assert_sample_unharmed
}

# bats test_tags=long
@test "redis with jemalloc: stacks are complete, frees are seen, and a list that grows is found" {
	command -v redis-server redis-cli >/dev/null || skip "no redis"
	require_uprobe_sessions
	redis-server --port 0 --unixsocket "$PWD/redis.sock" --save '' >redis.txt 3>&- &
	TARGET_PID=$!
	wait_until 100 test -S redis.sock
	before=$(text_sum "$TARGET_PID" libjemalloc)
	# 2,000 pushes a second of values of a size of their own, beside keys that are set anew.
	python3 - redis.sock <<-'PYTHON' >/dev/null 2>&1 3>&- &
		import socket, sys, time
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		while True:
		    value = b'v' * 3000
		    s.sendall((b'*3\r\n$5\r\nRPUSH\r\n$4\r\nlist\r\n$3000\r\n' + value + b'\r\n' +
		               b'*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3000\r\n' + value + b'\r\n') * 10)
		    s.recv(65536)
		    time.sleep(0.02)
	PYTHON
	LOAD_PID=$!
	trace 3 "$TARGET_PID" --for 5s --budget 100%
	[ "$(of_trace .allocator)" = jemalloc ]
	of_trace '[.sites[] | select(.verdict == "leaking")] |
		any(any(.frames[]; .name == "rpushCommand" or .name == "pushGenericCommand"))'
	of_trace '[.sites[] | select(.verdict == "leaking")] | all(all(.frames[]; .name != "setCommand"))'
	of_trace '.incomplete_stacks == 0 and .unseen_deaths == 0'
	text_is "$before" "$TARGET_PID" libjemalloc
	[ "$(redis-cli -s redis.sock ping)" = PONG ]
}

# bats test_tags=long
@test "python3: the growth of a bytearray list is seen through the interpreter" {
	python=$(readlink -f /usr/bin/python3) && [ -n "$python" ] || skip "no python3 of the system"
	require_uprobe_sessions
	"$python" -c '
import time
kept = []
while True:
    scratch = [bytearray(1500) for _ in range(10)]
    kept.append(bytearray(2000))
    time.sleep(0.01)
' 3>&- &
	TARGET_PID=$!
	wait_until 50 grep -q libc.so "/proc/$TARGET_PID/maps"
	trace 3 "$TARGET_PID" --for 5s --budget 20%
	of_trace '[.sites[] | select(.verdict == "leaking")] | length >= 1 and all(any(.frames[]; .name == "Py_BytesMain"))'
	# 2,000 bytes, some 90 times a second.
	of_trace '[.sites[] | select(.verdict == "leaking") | .leak_bytes_per_s] | add | . > 90000 and . < 250000'
	of_trace '.incomplete_stacks == 0'
	assert_not_stopped "$TARGET_PID"
}

@test "memory that a runtime hands out without malloc is named, and is not called free of leaks" {
	python=$(readlink -f /usr/bin/python3) && [ -n "$python" ] || skip "no python3 of the system"
	require_uprobe_sessions
	"$python" -c '
kept = [(i, [i]) for i in range(300000)]
print(len(kept), flush=True)
import time
while True:
    kept.append((len(kept), []))
    time.sleep(0.001)
' >ready.txt 3>&- &
	TARGET_PID=$!
	wait_until 100 test -s ready.txt
	trace 1 "$TARGET_PID" --for 1s
	of_trace '.end == "time" and (.complete | not) and .unseen[0].kind == "pymalloc" and .unseen_part > 0.5'
	run -1 "$LEAKHUNT" trace "$TARGET_PID" --for 1s
	[[ $output == *"python3"*"'s pymalloc hands out "*" % of its memory without malloc: this trace does not see it"* ]]
	[[ $output == *"no leak found in the smaller part of its memory"* ]]
}

# bats test_tags=long
@test "tcmalloc, preloaded: its malloc is probed, not glibc's" {
	library=$(ldconfig -p | sed -n 's/.*libtcmalloc_minimal\.so\.4 .*=> //p' | head -n 1)
	[ -n "$library" ] || skip "no tcmalloc"
	require_uprobe_sessions
	LD_PRELOAD=$library start_sample trace_truth --leak-every 25
	trace 3 "$SAMPLE_PID" --for 7s --budget 50%
	[ "$(of_trace .allocator)" = tcmalloc ]
	[ "$(leaking_functions trace_truth)" = "$(truth site)" ]
	of_trace '.unseen_deaths == 0'
	assert_sample_unharmed
}
