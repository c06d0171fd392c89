#!/usr/bin/env bats
# ps: its table and JSON. Some processes of the machine may be closed to us: then the exit code is 1, said so.

ps_ok() {
	run --separate-stderr "$LEAKHUNT" ps "$@"
	[ "$status" -le 1 ]
	[ -z "$stderr" ]
}

bats_require_minimum_version 1.5.0

@test "a table sorted by USS, and a closing line" {
	ps_ok
	[[ ${lines[0]} =~ ^\ *PID\ +USER\ +USS\ +PSS\ +RSS\ +SWAP\ +COMMAND$ ]]
	[[ ${lines[-1]} =~ ^[0-9]+\ process(es)?,\ USS\ .*,\ PSS\ .*,\ swap\  ]]
	[ "${#lines[@]}" -ge 3 ]
	if [ "$status" -eq 1 ]; then
		[[ ${lines[-1]} == *"could not be read"* ]]
	else
		[[ ${lines[-1]} != *"could not be read"* ]]
	fi
}

@test "--json: sorted, with units, complete or not" {
	ps_ok --json
	jq -e '.schema == "leakhunt/ps/1"' <<<"$output"
	jq -e '[.processes[].uss_bytes] | . == (sort | reverse)' <<<"$output"
	jq -e --argjson status "$status" '.complete == ($status == 0) and .complete == (.unreadable == 0)' <<<"$output"
	jq -e '.total.processes == (.processes | length) and .total.uss_bytes == ([.processes[].uss_bytes] | add)' <<<"$output"
}

@test "this shell is in it, with its user and command line" {
	ps_ok --json
	row=$(jq -e ".processes[] | select(.pid == $$)" <<<"$output")
	[ "$(jq .uid <<<"$row")" -eq "$(id -u)" ]
	[ "$(jq -r .user <<<"$row")" = "$(id -un)" ]
	[ "$(jq -r .command <<<"$row")" = "$(tr '\0' ' ' <"/proc/$$/cmdline" | sed 's/ $//')" ]
}

@test "--top N shows the first N, and says so" {
	ps_ok --top 1
	[ "${#lines[@]}" -eq 3 ]
	[[ ${lines[2]} == *"(1 shown)"* ]]
	ps_ok --most 1 --json # the spelling of 0.1
	jq -e '(.processes | length) == 1 and .total.processes > 1' <<<"$output"
	ps_ok --top 1000000
	[[ ${lines[-1]} != *shown* ]]
}

@test "bad words: exit 64" {
	for words in "--top 0" "--top x" "--top -1" "--top 99999999999999999999" "--sort size" "one two"; do
		# shellcheck disable=SC2086
		run "$LEAKHUNT" ps $words
		[ "$status" -eq 64 ]
		[ "${#lines[@]}" -eq 1 ]
	done
}

@test "--sort, --user, --cgroup and NAME choose and order the rows" {
	exec -a needle-1 sleep 1000 3>&- &
	target=$!
	ps_ok --json needle-1
	jq -e --argjson pid "$target" '[.processes[].pid] | index($pid) != null' <<<"$output"
	jq -e '[.processes[].command | test("needle-1")] | all' <<<"$output"
	# Not leakhunt itself, whose command line has the name, too.
	jq -e '[.processes[].command | test("leakhunt ps|leakhunt.* --json needle-1")] | any | not' <<<"$output"
	cgroup=$(jq -r --argjson pid "$target" '.processes[] | select(.pid == $pid).cgroup' <<<"$output")
	grep -qF ":$cgroup" "/proc/$target/cgroup"
	ps_ok --json --cgroup "$cgroup" --user "$(id -un)" needle-1
	jq -e '.processes | length >= 1' <<<"$output"
	ps_ok --json --cgroup /no/such/group
	jq -e '.processes == []' <<<"$output"
	ps_ok --json --user nobody-of-this-name
	jq -e '.processes == []' <<<"$output"
	for column in pss rss swap; do
		ps_ok --json --sort "$column"
		jq -e --arg key "${column}_bytes" '[.processes[][$key]] | . == (sort | reverse)' <<<"$output"
	done
	ps_ok --json --sort pid
	jq -e '[.processes[].pid] | . == sort' <<<"$output"
	ps_ok --total needle-1
	[[ $output == *"process"*"USS"* ]] && [ "${#lines[@]}" -eq 1 ]
	kill -KILL "$target"
}

@test "a command line cannot reach the terminal raw" {
	bash -c 'exec -a $'"'"'ev\e[2Jil'"'"' sleep 1000' 3>&- &
	sleeper=$!
	for ((i = 0; i < 100; i++)); do
		[ "$(cat "/proc/$sleeper/comm")" = sleep ] && break
		sleep 0.1
	done
	run "$LEAKHUNT" ps
	kill "$sleeper"
	[[ $output == *'ev\x1b[2Jil 1000'* ]]
	[[ $output != *$'\e'* ]]
}

# bats test_tags=long
@test "too low a limit on open files is reported as such, not as ended processes" {
	local command files said told
	for command in ps "maps $$" "strings $$" "dump $$ --force -o $BATS_TEST_TMPDIR/dump"; do
		told=0
		for files in {4..20}; do
			# With the fewest, not even the libraries can be opened.
			# shellcheck disable=SC2086 # words of a command
			said=$(prlimit "--nofile=$files:$files" "$LEAKHUNT" $command 2>&1 >/dev/null) || true
			[[ $said != *"has ended"* ]]
			[[ $said != *"no process"* ]]
			[[ $said != *"Too many open files; hint: "*"ulimit -n"* ]] || told=$((told + 1))
		done
		[ "$told" -gt 0 ]
	done
}
