#!/usr/bin/env bash
# Runs test suites and ends with one line "N passed, N failed, N skipped".
#   check.sh BUILD SAMPLES TIER SUITE...     suites: unit, replay, cli, live
# BUILD holds the program, unit tests and replays; SAMPLES the sample programs. TIER: short (tests without the tag
# "long"), long (those with it, and what does more in this tier: the tag "tiers", unit_is_long), or all.
set -uo pipefail

build=$(realpath "$1")
samples=$(realpath "$2")
case $3 in
short) filter=(--filter-tags '!long') ;;
long) filter=(--filter-tags long --filter-tags tiers) ;;
all) filter=() ;;
*)
	echo "check: unknown tier '$3'" >&2
	exit 64
	;;
esac
export LEAKHUNT_TIER=$3
shift 3
root=$(cd "$(dirname "$0")/.." && pwd)
export LEAKHUNT=$build/leakhunt SAMPLES=$samples LEAKHUNT_ROOT=$root
export CMOCKA_MESSAGE_OUTPUT=TAP
# Sanitized leakhunt must fail loudly; its targets are never sanitized.
export ASAN_OPTIONS=abort_on_error=0:exitcode=99:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
cd "$root" || exit 2

work=$(mktemp -d "${TMPDIR:-/tmp}/leakhunt-check.XXXXXX")
trap 'rm -rf "$work"' EXIT

passed=0 failed=0 skipped=0

# Counts the TAP lines of one run, shows what failed; a run that died without a "not ok" counts as failed.
tally() {
	local name=$1 output=$2 status seconds ok bad skip
	read -r status seconds <"$output.ended"
	# bats skips with "ok N # skip why", cmocka 1.1 with "not ok N # SKIP name".
	skip=$(grep -Eci '^(not )?ok .*# skip' "$output")
	ok=$(grep -E '^ok ' "$output" | grep -Evci '# skip')
	bad=$(grep -E '^not ok ' "$output" | grep -Evci '# skip')
	if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
		bad=1
		echo "not ok - $name ended with status $status"
	fi
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	printf '%-36s %4d passed %3d failed %3d skipped %5d s\n' "$name" "$ok" "$bad" "$skip" "$seconds"
	if [ "$bad" -gt 0 ]; then
		grep -Ev '^(ok |[0-9]+\.\.[0-9]+$|TAP version)' "$output" | sed 's/^/    /'
	fi
	grep -Ei '^(not )?ok .*# skip' "$output" | sed -E 's/^(not )?ok [0-9]* /    skipped: /'
}

# run_one OUTPUT COMMAND...: leaves OUTPUT, and its status and seconds in OUTPUT.ended.
run_one() {
	local output=$1 begun=$SECONDS status
	shift
	"$@" >"$output" 2>&1
	status=$?
	echo "$status $((SECONDS - begun))" >"$output.status"
	mv "$output.status" "$output.ended"
}

# Tells of those that have ended, in the order in which they began.
names=()
tell_ended() {
	local output
	while [ ${#names[@]} -gt 0 ]; do
		output=$work/${names[0]//\//_}.tap
		[ -e "$output.ended" ] || break
		tally "${names[0]}" "$output"
		names=("${names[@]:1}")
	done
}

# run NAME COMMAND...: waits until fewer than $jobs run, and does not wait for the end of this one.
run() {
	local name=$1
	shift
	names+=("$name")
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
		wait -n
	done
	# What a shell starts in the background ignores Ctrl-C, and some tests send it.
	run_one "$work/${name//\//_}.tap" env --default-signal=INT,QUIT "$@" &
	[ "$jobs" -gt 1 ] || wait
	tell_ended
}

long_units=$(grep -rl 'unit_is_long()' tests/unit --include='test_*.c' | sed 's|.*/||; s|\.c$||' | tr '\n' ' ')
run_bats() {
	[ "$(bats --count "${filter[@]}" "$1")" -eq 0 ] ||
		run "$(basename "$(dirname "$1")")/$(basename "$1" .bats)" bats --tap "${filter[@]}" "$1"
}

# These measure pauses, or must not be disturbed.
is_run_alone() {
	[[ $1 == tests/live/@(dump*|own_safety).bats ]]
}

for suite in "$@"; do
	jobs=$(nproc)
	case $suite in
	unit) for test in "$build"/unit/test_*; do
		name=$(basename "$test")
		[[ $test == *.d ]] || [[ $LEAKHUNT_TIER == long && " $long_units " != *" $name "* ]] || run "unit/$name" "$test"
	done ;;
	replay) for test in "$build"/replay/fuzz_*; do
		[[ -x $test ]] || continue
		name=$(basename "$test")
		run "replay/$name" "$test" "tests/fuzz/corpus/${name#fuzz_}"
	done ;;
	cli | live)
		for file in tests/"$suite"/*.bats; do
			is_run_alone "$file" || run_bats "$file"
		done
		wait
		tell_ended
		jobs=1
		for file in tests/"$suite"/*.bats; do
			! is_run_alone "$file" || run_bats "$file"
		done
		;;
	*)
		echo "check: unknown suite '$suite'" >&2
		exit 64
		;;
	esac
	wait
	tell_ended
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
