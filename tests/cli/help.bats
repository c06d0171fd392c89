#!/usr/bin/env bats
# Help, man page, completions, and what every command says to a wrong command line.

commands() {
	"$LEAKHUNT" --help | sed -n '/^commands:/,/^$/p' | awk '/^  /{print $1}'
}

# Runs leakhunt keeping stdout and stderr apart: $output, $errors, $status.
leakhunt() {
	errors_file=$BATS_TEST_TMPDIR/errors
	run sh -c '"$LEAKHUNT" "$@" 2>"$0"' "$errors_file" "$@"
	errors=$(cat "$errors_file")
}

@test "no command: usage, exit 64, one line, nothing on stdout" {
	leakhunt
	[ "$status" -eq 64 ]
	[ -z "$output" ]
	[ "$(wc -l <"$errors_file")" -eq 1 ]
	[[ $errors == *"--help"* ]]
}

@test "--help lists all commands" {
	run commands
	for name in maps ps select dump strings; do
		grep -qx "$name" <<<"$output"
	done
}

@test "every command has help that names each of its options with a summary" {
	for name in $(commands); do
		run "$LEAKHUNT" "$name" --help
		[ "$status" -eq 0 ]
		[[ ${lines[0]} == "usage: leakhunt $name"* ]]
		[ "$("$LEAKHUNT" help "$name")" = "$output" ]
		# An option line continues with its summary, or carries it on the next line.
		[ "$(grep -E '^  (-., )?--[a-z-]+$' -A1 <<<"$output" | grep -cE '^$')" -eq 0 ]
	done
}

@test "help fits 100 columns" {
	for name in $(commands); do
		run bash -c '"$LEAKHUNT" "$1" --help | awk "length > 100" | grep -v "^  leakhunt"' _ "$name"
		[ -z "$output" ]
	done
}

@test "unknown command: did you mean" {
	leakhunt slect
	[ "$status" -eq 64 ]
	[[ $errors == *"did you mean \`leakhunt select\`"* ]]
}

@test "an unknown command without a near match points to --help" {
	leakhunt frobnicate
	[ "$status" -eq 64 ]
	[[ $errors == *"--help"* ]]
	[[ $errors != *"did you mean"* ]]
}

@test "a hostile command name does not reach the terminal raw" {
	leakhunt $'\e[2J'
	[ "$status" -eq 64 ]
	[[ $errors != *$'\e'* ]]
}

@test "unknown option: exit 64, did you mean, one line, for every command" {
	for name in $(commands); do
		leakhunt "$name" --helpp
		[ "$status" -eq 64 ]
		[ -z "$output" ]
		[ "$(wc -l <"$errors_file")" -eq 1 ]
		leakhunt "$name" -Z
		[ "$status" -eq 64 ]
	done
	leakhunt maps --jsn 1
	[[ $errors == *"did you mean --json?"* ]]
}

@test "an option without its value, a flag with one, an option twice" {
	leakhunt maps --sort
	[ "$status" -eq 64 ]
	[[ $errors == *"needs a value"* ]]
	leakhunt maps --json=yes 1
	[ "$status" -eq 64 ]
	[[ $errors == *"takes no value"* ]]
	leakhunt maps --sort uss --sort rss 1
	[ "$status" -eq 64 ]
	[[ $errors == *"twice"* ]]
}

@test "operands: missing and one too many" {
	for name in maps dump strings; do
		leakhunt "$name"
		[ "$status" -eq 64 ]
		[[ $errors == *"operand"* ]]
	done
	leakhunt maps 1 2 3
	[ "$status" -eq 64 ]
	[[ $errors == *"'2'"* ]]
}

@test "--name=value, --name value and the letter mean the same" {
	printf 'hello world\0' >"$BATS_TEST_TMPDIR/file"
	a=$("$LEAKHUNT" strings --list --bytes=5 "$BATS_TEST_TMPDIR/file")
	b=$("$LEAKHUNT" strings --list --bytes 5 "$BATS_TEST_TMPDIR/file")
	c=$("$LEAKHUNT" strings --list -n5 "$BATS_TEST_TMPDIR/file")
	d=$("$LEAKHUNT" strings "$BATS_TEST_TMPDIR/file" -n 5 --list)
	[ "$a" = "hello world" ]
	[ "$a" = "$b" ] && [ "$a" = "$c" ] && [ "$a" = "$d" ]
}

@test "-- ends the options" {
	printf 'hello world\0' >"$BATS_TEST_TMPDIR/--json"
	cd "$BATS_TEST_TMPDIR"
	run "$LEAKHUNT" strings --list -- --json
	[ "$status" -eq 0 ]
	[ "$output" = "hello world" ]
}

@test "a closed pipe is quiet" {
	run bash -c 'set -o pipefail; "$LEAKHUNT" --help | head -c 1'
	[ "$status" -eq 0 ]
	[ "$output" = u ]
}

@test "a full disk under stdout is an error" {
	run bash -c '"$LEAKHUNT" --help >/dev/full'
	[ "$status" -eq 2 ]
	[[ $output == *"No space left"* ]]
}

@test "--version names the version once" {
	run "$LEAKHUNT" --version
	[ "$status" -eq 0 ]
	[[ $output =~ ^leakhunt\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "man pages are good roff and name every command and option" {
	for name in "" $(commands); do
		page=$BATS_TEST_TMPDIR/leakhunt$name.1
		# shellcheck disable=SC2086 # no word for leakhunt(1)
		"$LEAKHUNT" man $name >"$page"
		if command -v groff >/dev/null; then
			run groff -man -Tutf8 -ww -z "$page"
			[ -z "$output" ]
		fi
	done
	for section in 'EXIT STATUS' PERMISSIONS ENVIRONMENT EXAMPLES; do
		for name in hunt maps ps select watch dump strings heap leaks explain trace redact; do
			grep -qxE "\.SH \"?$section\"?" "$BATS_TEST_TMPDIR/leakhunt$name.1" || { echo "$name: no $section"; false; }
		done
	done
	for page in VERDICTS:{select,watch,heap,trace} STATUS:leaks FILES:{,dump,hunt}; do
		grep -qxF ".SH ${page%:*}" "$BATS_TEST_TMPDIR/leakhunt${page#*:}.1" || { echo "$page"; false; }
	done
	for name in $(commands); do
		grep -q "^.BR leakhunt..$name (1)" "$BATS_TEST_TMPDIR/leakhunt.1"
		"$LEAKHUNT" "$name" --help | grep -oE '^  (-., )?--[a-z]+' | grep -oE '[a-z]+$' | grep -v help | while read -r option; do
			grep -q -- "\\\\-\\\\-$option" "$BATS_TEST_TMPDIR/leakhunt$name.1"
		done
	done
	run "$LEAKHUNT" man nonsense
	[ "$status" -eq 64 ]
}

@test "completions: bash completes commands, options and words" {
	"$LEAKHUNT" completion bash >"$BATS_TEST_TMPDIR/completion"
	complete_words() {
		bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _leakhunt; echo "${COMPREPLY[@]}"' _ \
			"$BATS_TEST_TMPDIR/completion" "$@"
	}
	[ "$(complete_words leakhunt sel)" = select ]
	[[ $(complete_words leakhunt maps --so) == --sort ]]
	[[ $(complete_words leakhunt maps --sort u) == uss ]]
	[[ $(complete_words leakhunt maps -s u) == uss ]]
	[[ $(complete_words leakhunt maps --sort = u) == uss ]]
	[[ $(complete_words leakhunt dump $$ --mode =) == "snapshot stop child live" ]]
	# Each option with a value that the help lists in words completes it, by its name and by its letter.
	[ "$(complete_words leakhunt dump $$ -m "")" = "$(complete_words leakhunt heap $$ --mode "")" ]
	[[ $(complete_words leakhunt dump $$) == *$$* ]]
}

# -t is --total of ps, as in free(1), and --radix of strings, as in GNU strings.
@test "a letter means the same option in all commands" {
	commands=$("$LEAKHUNT" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
	[ "$(wc -w <<<"$commands")" -gt 10 ]
	for command in $commands; do
		"$LEAKHUNT" "$command" --help | sed -nE 's/^  (-[A-Za-z]), (--[a-z-]+).*/\1 \2/p'
	done | sort -u >"$BATS_TEST_TMPDIR/letters"
	for option in '-n --bytes' '-m --mode' '-s --sort' '-j --json'; do
		grep -qx -- "$option" "$BATS_TEST_TMPDIR/letters"
	done
	[ "$(cut -d' ' -f1 "$BATS_TEST_TMPDIR/letters" | uniq -d)" = -t ]
	# --json has its letter everywhere.
	for command in $commands; do
		"$LEAKHUNT" "$command" --help >"$BATS_TEST_TMPDIR/help"
		! grep -q -- '--json ' "$BATS_TEST_TMPDIR/help" || grep -q '^  -j, --json ' "$BATS_TEST_TMPDIR/help"
	done
}

@test "completions: zsh and fish scripts parse" {
	"$LEAKHUNT" completion zsh | grep -q '^#compdef leakhunt'
	"$LEAKHUNT" completion fish | grep -q '^complete -c leakhunt'
	if command -v zsh >/dev/null; then "$LEAKHUNT" completion zsh | zsh -n; fi
	if command -v fish >/dev/null; then "$LEAKHUNT" completion fish | fish -n; fi
	run "$LEAKHUNT" completion tcsh
	[ "$status" -eq 64 ]
}

@test "install and uninstall leave nothing behind" {
	[ -n "${LEAKHUNT_ROOT:-}" ]
	config=$(basename "$(dirname "$LEAKHUNT")")
	[ "$config" = gcc ] || skip "only for the plain build"
	make --no-print-directory -C "$LEAKHUNT_ROOT" install DESTDIR="$BATS_TEST_TMPDIR/root" prefix=/usr >/dev/null
	[ -x "$BATS_TEST_TMPDIR/root/usr/bin/leakhunt" ]
	[ -s "$BATS_TEST_TMPDIR/root/usr/share/man/man1/leakhunt.1" ]
	make --no-print-directory -C "$LEAKHUNT_ROOT" uninstall DESTDIR="$BATS_TEST_TMPDIR/root" prefix=/usr >/dev/null
	[ -z "$(find "$BATS_TEST_TMPDIR/root" -type f)" ]
}
