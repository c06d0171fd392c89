#!/usr/bin/env bats
# ps: its table and JSON. Some processes of the machine may be closed to us: then the exit code is 1, and each is named.

ps_ok() {
	run --separate-stderr "$LEAKHUNT" ps "$@"
	[ "$status" -le 1 ]
	[ -z "$stderr" ]
}

bats_require_minimum_version 1.5.0
load ../helpers

# start_sleeper NAME: a process whose command line begins with NAME; $target.
start_sleeper() {
	bash -c 'exec -a "$1" sleep 1000' bash "$1" 3>&- &
	target=$!
	wait_until 100 grep -qx sleep "/proc/$target/comm"
}

teardown() {
	[ -z "${target:-}" ] || kill -KILL "$target"
}

@test "a table sorted by USS, and a closing line" {
	ps_ok
	[[ ${lines[0]} =~ ^\ *PID\ +USER\ +USS\ +PSS\ +RSS\ +SWAP\ +COMMAND$ ]]
	[ "$(grep -cE '^[0-9]+ process(es)?, USS .*, PSS .*, swap ' <<<"$output")" -eq 1 ]
	[ "${#lines[@]}" -ge 3 ]
	if [ "$status" -eq 1 ]; then
		[[ $output == *"could not be read"*$'\n'"not read: process "* ]]
	else
		[[ $output != *"could not be read"* ]]
		[[ $output != *"not read:"* ]]
	fi
}

@test "a process that cannot be read is named with the reason, unless others were asked for" {
	[ "$(id -u)" -eq 0 ] || skip "needs root: a process of root is looked at by another user"
	start_sleeper needle-closed-$$
	exec {program}<"$LEAKHUNT" # by a descriptor: the folders above it may be closed to others
	local as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "/proc/self/fd/$program")
	run "${as_nobody[@]}" ps needle-closed-$$
	[ "$status" -eq 1 ]
	[[ $output == *"0 processes, "*"; 1 could not be read"*$'\n'"not read: process $target of user root: Permission denied" ]]
	run "${as_nobody[@]}" ps --json needle-closed-$$
	[ "$status" -eq 1 ]
	jq -e --argjson pid "$target" '.not_read == [{pid: $pid, user: "root", command: "needle-closed-'$$' 1000",
		reason: "Permission denied"}] and .complete == false' <<<"$output"
	run "${as_nobody[@]}" ps "no process has the name $$"
	[ "$status" -eq 0 ]
	[[ $output != *"not read"* ]]
	run "${as_nobody[@]}" ps # of many, some are named
	[ "$status" -eq 1 ]
	[ "$(grep -c '^not read: ' <<<"$output")" -le 5 ]
	exec {program}<&-
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
	[ "$(grep -vc '^not read: ' <<<"$output")" -eq 3 ]
	[[ ${lines[2]} == *"(1 shown)"* ]]
	ps_ok --most 1 --json # the spelling of 0.1
	jq -e '(.processes | length) == 1 and .total.processes > 1' <<<"$output"
	ps_ok --top 1000000
	[[ $output != *" shown)"* ]]
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
	start_sleeper needle-1
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
}

@test "a command line cannot reach the terminal raw" {
	start_sleeper $'ev\e[2Jil'
	run "$LEAKHUNT" ps
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
