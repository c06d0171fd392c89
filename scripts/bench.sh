#!/usr/bin/env bash
# Speed and pause, side by side with GNU strings, gdb and gcore, as a Markdown table: medians of
# LEAKHUNT_BENCH_RUNS (3) runs on a target and a core of LEAKHUNT_BENCH_MIB (1024) MiB.
#   bench.sh LEAKHUNT SAMPLES BENCH
# Files go to a new folder in $TMPDIR (/tmp), and are removed; page cache hot, output to /dev/null.
set -euo pipefail

leakhunt=$(realpath "$1")
SAMPLES=$(realpath "$2")
bench=$(realpath "$3")
root=$(cd "$(dirname "$0")/.." && pwd)
runs=${LEAKHUNT_BENCH_RUNS:-3}
mib=${LEAKHUNT_BENCH_MIB:-1024}

# shellcheck source=scripts/bench-common.sh
. "$root/scripts/bench-common.sh"
need_mib $((3 * mib))

# time_us COMMAND...: its time in us; discards its output, and fails if it fails.
time_us() {
	local started status=0
	started=$(now_us)
	"$@" >/dev/null 2>"$work/stderr" || status=$?
	echo $(($(now_us) - started))
	[ "$status" -eq 0 ] || die "'$*' failed: $(tail -n 1 "$work/stderr")"
}

# median_us COMMAND...: median time over the runs.
median_us() {
	local i
	for ((i = 0; i < runs; i++)); do time_us "$@"; done | median
}

# ---------------------------------------------------------------- scanning

# strings_rows N FILE
strings_rows() {
	local bytes gnu_us ours_us
	bytes=$(stat -c %s "$2")
	cmp -s <(strings -a -n "$1" -t x "$2") <("$leakhunt" strings --list --offsets --show-secrets -n "$1" -t x "$2") ||
		die "strings -n $1: leakhunt prints something else than GNU strings"
	gnu_us=$(median_us strings -a -n "$1" -t x "$2")
	ours_us=$(median_us "$leakhunt" strings --list --offsets --show-secrets -n "$1" -t x "$2")
	row "strings -n $1" "GNU strings" "$(ratio "$bytes" $((gnu_us * 1000))) GB/s" 1.0
	row "strings -n $1" "leakhunt" "$(ratio "$bytes" $((ours_us * 1000))) GB/s" "$(ratio "$gnu_us" "$ours_us")"
}

# ---------------------------------------------------------------- copying

# dump_row NAME COMMAND...: wall time, and how long the target was held up while nobody else was.
dump_row() {
	local name=$1 i elapsed_us pause_ns
	shift
	for ((i = 0; i < runs; i++)); do
		sample_command gap
		time_us "$@" >>"$work/elapsed"
		sample_command gap
		jq .gap_held_ns <<<"$REPLY" >>"$work/pauses"
		assert_dump_is_whole "$name" 1
		rm -f "$work"/dump*
	done
	elapsed_us=$(median <"$work/elapsed")
	pause_ns=$(median <"$work/pauses")
	rm "$work/elapsed" "$work/pauses"
	row "dump $mib MiB" "$name" "$(ratio $((mib * 1048576)) "$elapsed_us") MB/s" "$(ratio "$pause_ns" 1000000) ms"
}

# ---------------------------------------------------------------- watching

smaps_rows() {
	local cat_us ours_us
	cat_us=$(median_us cat "/proc/$SAMPLE_PID/smaps")
	ours_us=$(median_us "$leakhunt" maps "$SAMPLE_PID")
	row "look at $1" "cat smaps" "$(ratio "$cat_us" 1000) ms" 1.0
	row "look at $1" "leakhunt maps" "$(ratio "$ours_us" 1000) ms" "$(ratio "$ours_us" "$cat_us")"
}

echo "$(machine), medians of $runs"
echo

start_heartbeat --mib "$mib"

row "dump" "tool" "speed" "longest pause of the target"
row --- --- --- ---
dump_row "gcore" dump_with_gcore
dump_row "gdb dump memory" dump_with_gdb
dump_row "leakhunt --mode snapshot" dump_with_leakhunt snapshot
dump_row "leakhunt --mode stop" dump_with_leakhunt stop
dump_row "leakhunt --mode live" dump_with_leakhunt live
echo

row "sample" "tool" "time" "factor"
row --- --- --- ---
smaps_rows "$mib MiB"
echo

gcore -o "$work/core" "$SAMPLE_PID" >/dev/null 2>&1 || die "gcore failed"
stop_sample
cat "$work"/core.* >/dev/null
row "scan of a core" "tool" "speed" "factor"
row --- --- --- ---
strings_rows 4 "$work"/core.*
strings_rows 100 "$work"/core.*
