#!/usr/bin/env bats
# README.md against the program: every command that it prints is run, and every line of output that it shows must come
# out again, but for numbers. The target is the leaking proxy that README speaks of.
# shellcheck disable=SC2016 # the $words in single quotes are jq's, sed's and README's

. "$LEAKHUNT_ROOT/tests/helpers.bash"

README=$LEAKHUNT_ROOT/README.md

# blocks: the lines of README's fenced blocks that have no language.
blocks() {
	awk '/^```/ { inside = !inside && $0 == "```"; print "```"; next } inside' "$README"
}

# shown_commands: commands with a prompt, once each.
shown_commands() {
	blocks | sed -n 's/^\$ //p' | sort -u
}

# shown_output COMMAND: what README shows below each of its prompts.
shown_output() {
	blocks | awk -v prompt="\$ $1" '/^(\$ |```)/ { inside = $0 == prompt; next } inside && NF'
}

# shape: numbers, sizes, times and addresses become N, blanks one blank.
shape() {
	sed -E 's/0x[0-9a-f]+/N/g; s/[+-]?[0-9][0-9,.]*( (B|[KMGT]iB|ns|us|ms|s|min|h|d)\b)?/N/g; s/over N/N/g; s/[[:space:]]+/ /g; s/^ | $//g'
}

# start_story FLAGS...: the proxy and its load; caches are full after 400 connections.
start_story() {
	start_sample tlsproxy --listen 127.0.0.1:0 --upstream unix:shop.sock --name shop-front.example "$@"
	"$SAMPLES/tlsload" --proxy "127.0.0.1:$(truth port)" --serve unix:shop.sock --rate 80 --errors 30 --seconds 110 \
		>load.txt </dev/null 3>&- &
	LOAD_PID=$!
	wait_until 300 has_served 400
}

has_served() {
	sample_step 0 && [ "$(truth connections)" -ge "$1" ]
}

stop_load() {
	if [ -n "$LOAD_PID" ]; then
		kill "$LOAD_PID" 2>/dev/null || true
		wait "$LOAD_PID" 2>/dev/null || true
		LOAD_PID=
	fi
	stop_samples
}

setup() {
	LOAD_PID=
	cd "$BATS_TEST_TMPDIR" || return
	mkdir bin
	ln -s "$LEAKHUNT" bin/leakhunt
	PATH=$PWD/bin:$PATH
}

teardown() {
	stop_load
}

# assert_shown COMMAND FILE: each line that README shows below the command is in the file, in that order. A line that
# ends in "..." is the beginning of one, "..." alone stands for any lines. What a loaded machine adds behind a ";"
# (a stop that was given up) may follow.
assert_shown() {
	local expected line found
	exec {found}< <(shape <"$2")
	while IFS= read -r expected; do
		[ "$expected" != ... ] || continue
		while IFS= read -r -u "$found" line; do
			case $expected in
			*...) [[ $line == "${expected%...}"* ]] && continue 2 ;;
			*) [[ $line == "$expected" || $line == "$expected;"* ]] && continue 2 ;;
			esac
		done
		printf 'README shows below "%s": %s\nnot in the output, whose shape is:\n' "$1" "$expected"
		shape <"$2"
		return 1
	done < <(shown_output "$1" | shape)
	exec {found}<&-
}

# bats test_tags=long
@test "what README shows of the leaking proxy comes out again" {
	start_story
	ran=0
	# In the order of README: the later commands read what the earlier ones wrote.
	while IFS= read -r command; do
		status=0
		rm -f dump.2.bin
		[[ $command != 'leakhunt dump '* ]] || rm -f dump.bin
		# Exit status 1: a line of the receipt says what is missing.
		sh -c "${command//724/$SAMPLE_PID}" >output 2>errors </dev/null || status=$?
		[ "$status" -le 1 ] || { cat errors; false; }
		assert_shown "$command" output
		ran=$((ran + 1))
	done < <(blocks | sed -n 's/^\$ //p' | awk '!seen[$0]++')
	[ "$ran" -ge 4 ]
	leakhunt dump "$SAMPLE_PID" --region heap
	leakhunt strings dump.bin dump.2.bin >output
	[ -s output ]
	assert_sample_unharmed
	stop_load
	start_story --fixed
	leakhunt select "$SAMPLE_PID" --interval 500ms --samples 12 --save fixed.jsonl >/dev/null
	leakhunt select --before proxy.jsonl --after fixed.jsonl >output
	grep -q stopped output
}

@test "a dump opens in gdb as README says" {
	command -v gdb >/dev/null || skip "needs gdb"
	start_sample many_threads --threads 4
	blocks | sed -n '/^gdb /p' | grep -q 4711
	while IFS= read -r command; do
		sh -c "${command//4711/$SAMPLE_PID} </dev/null" >output 2>&1
	done < <(blocks | grep -E '^(leakhunt|gdb) .*4711')
	grep -q '^#0 ' output
}

@test "the commands of README's table are leakhunt's, and each of leakhunt's is in it" {
	table=$(sed -n '/^## Commands/,/^## What/s/\\|/ /g; /^## Commands/,/^## What/p' "$README" |
		grep '^| `' | cut -d'|' -f2 | grep -oE '`[a-z]+' | tr -d '`' | sort -u)
	[ -n "$table" ]
	commands=$(leakhunt --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | grep -vx 'man\|completion\|help' | sort)
	diff <(echo "$table") <(echo "$commands")
}

@test "options and commands in README's prose exist" {
	# `leakhunt watch --all --metrics FILE`: each option is in the help of that command.
	count=0
	while read -r name rest; do
		leakhunt "$name" --help >help
		for word in $rest; do
			[[ $word == -* ]] || continue
			grep -qE -- "(^| )${word%%=*}(\$|[ ,=])" help || { echo "README: leakhunt $name has no ${word}"; false; }
			count=$((count + 1))
		done
	done < <(grep -oE '`(leakhunt )?(maps|ps|select|watch|dump|strings|heap|explain|man) [^`]*`' "$README" |
		tr -d '`' | sed 's/^leakhunt //; s/|/ /g')
	[ "$count" -ge 5 ]
	# Options that stand alone belong to some command.
	for name in $(leakhunt --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
		leakhunt "$name" --help
	done >help
	for option in $(grep -oE '`--[a-z-]+`' "$README" | tr -d '`' | sort -u); do
		grep -qE -- "(^| )$option(\$|[ ,=])" help || { echo "README: no command has $option"; false; }
	done
}

@test "make's targets, scripts and man pages in README exist" {
	while read -r target; do
		grep -qE "^$target:" "$LEAKHUNT_ROOT/Makefile" || { echo "README: no target $target"; false; }
	done < <(grep -oE '(^|[`(&] ?)make( [a-z-]+)?' "$README" | sed 's/.*make *//' | grep . | sort -u)
	while read -r script; do
		[ -x "$LEAKHUNT_ROOT/$script" ]
	done < <(grep -oE 'scripts/[a-z-]+\.sh' "$README")
	while read -r page; do
		leakhunt man "$page" | grep -q '^\.TH'
	done < <(grep -oE 'man leakhunt-[a-z]+' "$README" | sed 's/.*-//')
	while read -r link; do
		[ -e "$LEAKHUNT_ROOT/$link" ]
	done < <(grep -oE '\]\([^)#]+\)' "$README" | sed 's/^](//; s/)$//')
	[ "$(wc -l <"$README")" -le 200 ]
}

@test "the setcap line gives a copy of leakhunt the powers that it names" {
	[ "$(id -u)" -eq 0 ] && command -v setcap >/dev/null || skip "needs root and setcap"
	words=$(grep -oE 'setcap [a-z_,+=]+ leakhunt' "$README")
	[ -n "$words" ]
	cp -L bin/leakhunt copy
	sh -c "${words%leakhunt}copy" || skip "this file system keeps no capabilities"
	getcap copy | grep -q cap_sys_ptrace
}
