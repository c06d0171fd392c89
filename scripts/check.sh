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

# Counts the TAP lines of one run, and shows failures; a run that died without a "not ok" counts as failed.
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
	# A test of cmocka says why in a line before (skip_because).
	awk '/^# because: / { reason = substr($0, 12); next }
		/^(not )?ok .*# [Ss][Kk][Ii][Pp]/ { sub(/^(not )?ok [0-9]* (- )?(# SKIP )?/, ""); print "    skipped: " $0 (reason ? ": " reason : "") }
		/^(not )?ok / { reason = "" }' "$output"
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

# Reports the runs that have ended.
names=()
tell_ended() {
	local name output running=()
	for name in "${names[@]}"; do
		output=$work/${name//\//_}.tap
		if [ -e "$output.ended" ]; then
			tally "$name" "$output"
		else
			running+=("$name")
		fi
	done
	names=("${running[@]}")
}

# run NAME COMMAND...: starts it once fewer than $jobs run, and does not wait for its end.
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

# These files take longest, since bats runs the tests of a file one after the other. They begin first, so that no
# processor idles at the end.
longest=(cli/strings live/objects live/hunt live/runtimes live/leaks live/object_families live/maps live/select)

# These measure pauses, or must not be disturbed.
is_run_alone() {
	[[ $1 == tests/live/@(dump*|own_safety).bats ]]
}

# Runs a file of bats, if it has tests for this tier.
run_bats() {
	[ "$(bats --count "${filter[@]}" "$1")" -eq 0 ] || run "$(basename "$(dirname "$1")")/$(basename "$1" .bats)" bats --tap "${filter[@]}" "$1"
}

shared=() alone=()
for suite in "$@"; do
	case $suite in
	unit) for test in "$build"/unit/test_*; do
		name=$(basename "$test")
		[[ $test == *.d ]] || [[ $LEAKHUNT_TIER == long && " $long_units " != *" $name "* ]] || shared+=("$test")
	done ;;
	replay) for test in "$build"/replay/fuzz_*; do
		[[ ! -x $test ]] || shared+=("$test")
	done ;;
	cli | live) for file in tests/"$suite"/*.bats; do
		if is_run_alone "$file"; then
			alone+=("$file")
		else
			shared+=("$file")
		fi
	done ;;
	*)
		echo "check: unknown suite '$suite'" >&2
		exit 64
		;;
	esac
done

is_among() {
	[[ " ${*:2} " == *" $1 "* ]]
}

ordered=()
for name in "${longest[@]}"; do
	! is_among "tests/$name.bats" "${shared[@]}" || ordered+=("tests/$name.bats")
done
for test in "${shared[@]}"; do
	is_among "$test" "${ordered[@]}" || ordered+=("$test")
done

# One more than processors: many tests wait for a sample's next step.
jobs=$(($(nproc) + 1))
for test in "${ordered[@]}"; do
	name=$(basename "$test")
	case $test in
	*.bats) run_bats "$test" ;;
	*/replay/*) run "replay/$name" "$test" "tests/fuzz/corpus/${name#fuzz_}" ;;
	*) run "unit/$name" "$test" ;;
	esac
done
wait
tell_ended
jobs=1
for test in "${alone[@]}"; do
	run_bats "$test"
done

times >"$work/times"
echo "took $SECONDS s on $(nproc) processors; user and system time $(tail -n 1 "$work/times")"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
