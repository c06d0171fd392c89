#!/usr/bin/env bats
# The watch command: what it shows, records, writes as metrics, and sets off.
# shellcheck disable=SC2016 # what others expand

bats_require_minimum_version 1.5.0
. "$LEAKHUNT_ROOT/tests/helpers.bash"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	stop_samples
}

watch() {
	run --separate-stderr "$LEAKHUNT" watch "$@"
}

# openmetrics FILE: what Prometheus' own reader of the specification makes of it, as JSON lines. promtool, where it is
# installed, must find no fault.
openmetrics() {
	! command -v promtool >/dev/null || promtool check metrics <"$1" || return
	/usr/bin/python3 - "$1" <<-'END'
		import json, sys
		from prometheus_client.openmetrics.parser import text_string_to_metric_families
		for family in text_string_to_metric_families(open(sys.argv[1]).read()):
		    for sample in family.samples:
		        print(json.dumps({"name": sample.name, "value": sample.value, **sample.labels}))
	END
}

@test "a leak: one line per sample, a record, metrics, one command" {
	start_sample heap_leak --auto 20
	# shellcheck disable=SC2016 # expanded by the shell that leakhunt starts
	watch "$SAMPLE_PID" -i 50ms --for 5s --save record --metrics metrics.prom \
		--on-leak 'echo "$LEAKHUNT_PID" >>fired'
	[ "$status" -eq 0 ]
	[ "$(cat fired)" = "$SAMPLE_PID" ]
	[[ $output == *"verdict  leak"*"leakhunt dump $SAMPLE_PID --region heap"* ]]
	openmetrics metrics.prom >metrics
	jq -es --arg pid "$SAMPLE_PID" 'all(.pid == $pid and .command == "heap_leak")' metrics
	jq -es 'map(select(.name == "leakhunt_verdict" and .value == 1)) | length == 1 and .[0].verdict == "leak"' metrics
	jq -es 'map(select(.name == "leakhunt_leak_probability")) | length == 1 and .[0].value >= 0.95' metrics
	jq -es 'map(select(.bound)) | map({(.bound): .value}) | add | .low <= .middle and .middle <= .high' metrics
	samples=$(jq -s 'map(select(.name == "leakhunt_samples")) | .[0].value' metrics)
	[ "$("$LEAKHUNT" select --from record --json | jq .samples)" -eq "$samples" ]
	assert_sample_unharmed
}

@test "--json: the result alone, as select prints it" {
	start_sample heap_leak --auto 20
	watch "$SAMPLE_PID" -i 50ms --for 1500ms --json
	[ "$status" -eq 0 ]
	jq -e --argjson pid "$SAMPLE_PID" '.schema == "leakhunt/select/2" and .pid == $pid and .samples >= 2' <<<"$output"
}

@test "--all --json: the result alone, one entry for each process" {
	start_sample heap_leak --auto 20
	watch --all -i 100ms --for 2s --json
	[ "$status" -eq 0 ]
	jq -e '.schema == "leakhunt/watch/1"' <<<"$output"
	jq -e --argjson pid "$SAMPLE_PID" '[.processes[] | select(.pid == $pid)] | length == 1 and
		.[0].command == "heap_leak" and .[0].samples >= 2 and .[0].growth_bytes > 0' <<<"$output"
	jq -e --argjson pid $$ 'any(.processes[]; .pid == $pid)' <<<"$output"
	assert_sample_unharmed
}

@test "a record goes on, is mended when torn, and is not another process's" {
	start_sample steady
	watch "$SAMPLE_PID" -i 10ms --for 100ms --save record
	[ "$status" -eq 0 ]
	first=$("$LEAKHUNT" select --from record --json | jq .samples)
	printf '{"n":99,"time' >>record
	watch "$SAMPLE_PID" -i 10ms --for 100ms --save record
	[ "$status" -eq 0 ]
	run --separate-stderr "$LEAKHUNT" select --from record --json
	[ "$status" -eq 0 ]
	(($(jq .samples <<<"$output") > first))
	watch $$ -i 10ms --for 100ms --save record
	[ "$status" -eq 2 ]
	[[ $stderr == *"a record of another process"* ]]
	echo hello >text
	watch "$SAMPLE_PID" -i 10ms --for 100ms --save text
	[ "$status" -eq 2 ]
	[ "$(cat text)" = hello ]
}

@test "a record is a record at each moment, also after kill -9" {
	start_sample heap_leak --auto 50
	"$LEAKHUNT" watch "$SAMPLE_PID" -i 1ms --save record >/dev/null 3>&- &
	watcher=$!
	wait_until 200 has_lines record 50
	kill -KILL "$watcher"
	wait "$watcher" || true
	run --separate-stderr "$LEAKHUNT" select --from record --json
	# A line that was being written is left out, and said so.
	((status <= 1))
	(($(jq .samples <<<"$output") >= 40))
	assert_sample_unharmed
}

# bats test_tags=long
@test "a record stays below its bound, and keeps the whole time" {
	start_sample heap_leak --auto 50
	started=$(date +%s%N)
	"$LEAKHUNT" watch "$SAMPLE_PID" -i 1ms --save record --save-max 64K >lines 3>&- &
	watcher=$!
	wait_until 600 has_lines lines 600
	[ "$(stat -c %s record)" -le 65536 ]
	kill -TERM "$watcher"
	wait "$watcher"
	[ "$(stat -c %s record)" -le 65536 ]
	run --separate-stderr "$LEAKHUNT" select --from record --json
	[ "$status" -eq 0 ]
	[ "$(jq -r .process.verdict <<<"$output")" = leak ]
	(($(jq .samples <<<"$output") < 600))
	# The first sample is still there.
	first=$(sed -n 2p record | jq .time_ns)
	((first - started < 10000000000))
	jq -e '.process | .private_first_bytes < .private_last_bytes' <<<"$output"
}

# A condition for wait_until.
has_lines() {
	[ "$(wc -l <"$1")" -ge "$2" ]
}

@test "all processes: metrics of each, the leaking one first" {
	start_sample heap_leak --auto 50
	watch --all -i 100ms --for 3s --metrics metrics.prom --most 3
	[ "$status" -eq 0 ]
	openmetrics metrics.prom >metrics
	jq -es --arg pid "$SAMPLE_PID" 'any(.name == "leakhunt_private_bytes" and .pid == $pid)' metrics
	jq -es --arg pid $$ 'any(.name == "leakhunt_private_bytes" and .pid == $pid)' metrics
	assert_sample_unharmed
}

@test "the process ends: the result so far" {
	start_sample steady
	"$LEAKHUNT" watch "$SAMPLE_PID" -i 20ms >out 2>err 3>&- &
	watcher=$!
	wait_until 100 has_lines out 3
	stop_sample
	wait "$watcher" && status=0 || status=$?
	[ "$status" -eq 1 ]
	grep -q 'has ended; the result covers the samples before' err
	grep -q '^verdict  ' out
}

@test "on a terminal: a chart as wide as the window" {
	start_sample heap_leak --auto 20
	run --separate-stderr script -qec "stty cols 60 rows 24; TERM=xterm LC_ALL=C.UTF-8 '$LEAKHUNT' watch $SAMPLE_PID -i 50ms --for 500ms" /dev/null
	[ "$status" -eq 0 ]
	[[ $output == *█* ]]
	local LC_ALL=C.UTF-8 # characters are counted
	# The last screen's lines, without colors, are no wider than the window, but for sentences below the table.
	last=${output##*$'\033[H\033[J'}
	chart=$(head -8 <<<"$last" | tr -d '\r')
	while IFS= read -r line; do
		[ ${#line} -le 60 ]
	done <<<"$chart"
}

@test "two watches do not write one record" {
	start_sample heap_leak --auto 20
	"$LEAKHUNT" watch "$SAMPLE_PID" -i 10ms --save record >lines 3>&- &
	watcher=$!
	wait_until 100 has_lines lines 3
	watch "$SAMPLE_PID" -i 10ms --for 100ms --save record
	[ "$status" -eq 2 ]
	[[ $stderr == *"record exists, and is being written by another leakhunt"* ]]
	kill -TERM "$watcher"
	wait "$watcher"
	run --separate-stderr "$LEAKHUNT" select --from record --json
	[ "$status" -eq 0 ]
	# Free again, also after it was thinned out.
	watch "$SAMPLE_PID" -i 1ms --for 1s --save record --save-max 64K
	[ "$status" -eq 0 ]
	watch "$SAMPLE_PID" -i 10ms --for 100ms --save record
	[ "$status" -eq 0 ]
}

@test "a sample larger than --save-max: reported, and the bound holds" {
	start_sample many_mappings --size $((5000 * 4096)) --block-bytes 4096
	watch "$SAMPLE_PID" -i 10ms --for 300ms --save record --save-max 64K
	[ "$status" -eq 1 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == *"record would exceed 65536 bytes: one sample takes "*"the samples are not saved"* ]]
	[ "$(stat -c %s record)" -le 65536 ]
	[[ $output == *"verdict  "* ]]
}

@test "a closed pipe ends watch" {
	start_sample heap_leak --auto 20
	timeout 30 "$LEAKHUNT" watch "$SAMPLE_PID" -i 10ms --save record 2>err | head -n 1 >first
	[ "${PIPESTATUS[0]}" -eq 0 ]
	[ ! -s err ]
	[ -s first ]
	timeout 30 "$LEAKHUNT" watch --all -i 100ms 2>err | head -n 1 >first
	[ "${PIPESTATUS[0]}" -eq 0 ]
	"$LEAKHUNT" select --from record --json | jq -e '.samples >= 2'
}

@test "metrics that can't be written are warned of once, and written when they can" {
	start_sample heap_leak --auto 20
	"$LEAKHUNT" watch "$SAMPLE_PID" -i 10ms --metrics later/metrics.prom >lines 2>err 3>&- &
	watcher=$!
	wait_until 100 has_lines lines 10
	mkdir later
	wait_until 100 test -s later/metrics.prom
	kill -TERM "$watcher"
	wait "$watcher" && status=0 || status=$?
	[ "$status" -eq 1 ]
	[ "$(wc -l <err)" -eq 1 ]
	openmetrics later/metrics.prom >metrics
}

@test "the user's commands run as in a shell: SIGPIPE ends them" {
	start_sample heap_leak --auto 20
	"$LEAKHUNT" watch "$SAMPLE_PID" -i 50ms --on-leak 'yes | head -n 1 >fired' --counter 'yes 7 | head -n 1' \
		>lines 2>err 3>&- &
	watcher=$!
	wait_until 300 test -s fired
	kill -TERM "$watcher"
	wait "$watcher"
	[ ! -s err ]
	[ "$(cat fired)" = y ]
}

# bats test_tags=long
@test "a counter that hangs costs seconds, not the watch" {
	start_sample heap_leak --auto 20
	run --separate-stderr "$LEAKHUNT" select "$SAMPLE_PID" -i 10ms -n 2 --counter 'sleep 1000 & wait' --json 3>&-
	[ "$status" -eq 1 ]
	[[ $stderr == *"did not print a number within 5 s"* ]]
	[ "$(jq .samples <<<"$output")" -eq 2 ]
	run --separate-stderr "$LEAKHUNT" select "$SAMPLE_PID" -i 10ms -n 2 --counter 'echo 3; exec sleep 1000' --json 3>&-
	[ "$status" -eq 0 ]
	# Nothing of them is left: each would hold the descriptor that it was given.
	run --separate-stderr timeout 60 "$LEAKHUNT" select "$SAMPLE_PID" -i 10ms -n 2 --counter 'sleep 1000 & echo 3; wait' --json
	[ "$status" -eq 0 ]
}

@test "bad usage" {
	watch
	[ "$status" -eq 64 ]
	watch $$ --all
	[ "$status" -eq 64 ]
	watch --all --save x
	[ "$status" -eq 64 ]
	watch $$ --save-max 1K
	[ "$status" -eq 64 ]
	watch $$ --interval 0
	[ "$status" -eq 64 ]
	watch $$ -i 10ms --for 50ms --metrics /nonexistent/x.prom
	[ "$status" -eq 1 ]
	[[ $stderr == *"/nonexistent/x.prom"* ]]
}

@test "metrics: readable by everybody; the time until the nearest limit; what is held beside mappings" {
	start_sample heap_leak --auto 20
	umask 077
	watch "$SAMPLE_PID" -i 50ms --for 4s --metrics metrics.prom
	[ "$status" -eq 0 ]
	[ "$(stat -c %a metrics.prom)" = 644 ]
	openmetrics metrics.prom >metrics
	jq -es 'map(select(.name == "leakhunt_limit_seconds")) | length == 1 and .[0].value > 0 and .[0].limit != ""' metrics
	jq -es 'any(.name == "leakhunt_held" and .what == "descriptors" and .value >= 3)' metrics
	jq -es 'any(.name == "leakhunt_held_bytes" and .what == "page_table_bytes" and .value > 0)' metrics
	start_sample steady
	watch "$SAMPLE_PID" -i 50ms --for 700ms --metrics metrics.prom
	[ "$(grep -c '^leakhunt_limit_seconds' metrics.prom)" -eq 0 ]
}

@test "prometheus-rules.yml: Prometheus takes it, and it fires on the metrics that watch writes" {
	command -v promtool >/dev/null || skip "needs promtool (Debian: prometheus)"
	cp "$LEAKHUNT_ROOT/scripts/prometheus-rules.yml" rules.yml
	promtool check rules rules.yml
	start_sample heap_leak --auto 20
	watch "$SAMPLE_PID" -i 50ms --for 4s --metrics metrics.prom
	# Series of an hour, of the names and labels that were written; the limit is an hour away.
	series() {
		grep "^$1{" metrics.prom | head -1 | sed 's/ [^ ]*$//'
	}
	cat >test.yml <<-END
		rule_files: [rules.yml]
		evaluation_interval: 1m
		tests:
		  - interval: 1m
		    input_series:
		      - series: '$(series leakhunt_verdict)'
		        values: '1x60'
		      - series: '$(series leakhunt_limit_seconds)'
		        values: '3600x60'
		    alert_rule_test:
		      - eval_time: 45m
		        alertname: MemoryRunsOut
		        exp_alerts:
		          - exp_labels:
		              $(series leakhunt_limit_seconds | sed 's/.*{//; s/}//; s/=/: /g; s/,/\n              /g')
		              severity: page
		            exp_annotations:
		              summary: 'heap_leak ($SAMPLE_PID) meets $(series leakhunt_limit_seconds | sed 's/.*limit="//; s/".*//') in 1h 0m 0s'
	END
	[[ $(series leakhunt_verdict) == *'verdict="leak"'* ]]
	promtool test rules test.yml
}

@test "--leak-probability: the alarm waits for it" {
	start_sample heap_leak --auto 20
	watch "$SAMPLE_PID" -i 50ms --for 5s --on-leak 'echo >>early' --leak-probability 0.5
	[ "$(wc -l <early)" -eq 1 ]
	# Less than a hundred samples are never that sure.
	watch "$SAMPLE_PID" -i 50ms --for 2s --on-leak 'echo >>late' --leak-probability 0.99999
	[ ! -e late ]
	watch "$SAMPLE_PID" --leak-probability 1
	[ "$status" -eq 64 ]
	[[ $stderr == *"--leak-probability: must be at least 0.5 and below 1"* ]]
}

@test "--on-leak waits for the verdict leak: growing is not enough" {
	start_sample heap_leak --auto 20
	# At most 8 samples, which are never enough for a leak.
	watch "$SAMPLE_PID" -i 60ms --for 400ms --on-leak 'echo >fired'
	[ "$status" -eq 0 ]
	[[ $output == *"verdict  "* && $output != *"verdict  leak"* ]]
	[ ! -e fired ]
}

# on_terminal COLUMNS ROWS COMMAND...: with a terminal of that size; its output into $output, keys from the fifo `keys`.
on_terminal() {
	local columns=$1 rows=$2
	shift 2
	script -qfec "stty cols $columns rows $rows; LC_ALL=C.UTF-8 TERM=xterm $*" typescript <keys >/dev/null 3>&- &
	terminal=$!
	exec 8>keys
}

# A condition for wait_until.
terminal_shows() {
	grep -aq "$1" typescript
}

@test "on a terminal: the alternate screen, a time axis, a status line; q ends it, and the result is left behind" {
	mkfifo keys
	start_sample heap_leak --auto 20
	on_terminal 80 24 "'$LEAKHUNT' watch $SAMPLE_PID -i 50ms"
	wait_until 200 terminal_shows 'verdict  leak'
	printf q >&8
	wait "$terminal"
	exec 8>&-
	screen=$(<typescript)
	[[ $screen == *$'\033[?1049h'*'ago'*'now'*'q: quit'*$'\033[?1049l'*'verdict  leak'* ]]
	# Behind the alternate screen: the result, no line of the table wider than the terminal.
	left=${screen##*$'\033[?1049l'}
	[[ $left == *'STARTS AT'* ]]
	sed -n '/STARTS AT/,/^.\?$/p' <<<"$left" | sed 's/\x1b\[[0-9;]*m//g' | tr -d '\r' >table
	[ "$(grep -Ec '^.{81}' table)" -eq 0 ]
	grep -q '^    rose in ' table
	assert_sample_unharmed
}

@test "on a terminal: all processes are drawn again and again in one place; q ends it" {
	mkfifo keys
	on_terminal 80 24 "'$LEAKHUNT' watch --all -i 200ms"
	wait_until 200 terminal_shows PRIVATE
	printf q >&8
	wait "$terminal"
	exec 8>&-
	screen=$(<typescript)
	[[ $screen == *$'\033[?1049h'*$'\033[H\033[J'*'PRIVATE'*$'\033[?1049l'* ]]
}
