#!/usr/bin/env bash
# Speed and pause, side by side with GNU strings, gdb and gcore, as a Markdown table: medians of
# LEAKHUNT_BENCH_RUNS (3) runs on a target and a core of LEAKHUNT_BENCH_MIB (1024) MiB.
#   bench.sh LEAKHUNT SAMPLES BENCH
# Files go to a new folder in $TMPDIR (/tmp), and away again; page cache hot, output to /dev/null.
set -euo pipefail

leakhunt=$(realpath "$1")
SAMPLES=$(realpath "$2")
bench=$(realpath "$3")
root=$(cd "$(dirname "$0")/.." && pwd)
runs=${LEAKHUNT_BENCH_RUNS:-3}
mib=${LEAKHUNT_BENCH_MIB:-1024}

die() {
	echo "bench: $*" >&2
	exit 2
}

for tool in gdb gcore strings jq python3; do
	command -v "$tool" >/dev/null || die "$tool is missing: run make deps"
done

work=$(mktemp -d "${TMPDIR:-/tmp}/leakhunt-bench.XXXXXX")
export TMPDIR=$work
# shellcheck source=tests/helpers.bash
. "$root/tests/helpers.bash"
trap 'stop_samples; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

free_mib=$(df --output=avail -BM "$work" | tail -n 1 | tr -dc 0-9)
[ "$free_mib" -gt $((3 * mib)) ] || die "$work has $free_mib MiB free, $((3 * mib)) are needed; set TMPDIR"

now_us() {
	local now=$EPOCHREALTIME
	echo "${now/[.,]/}"
}

# The middle one of the numbers on stdin.
median() {
	sort -n | awk '{ values[NR] = $1 } END { print values[int((NR + 1) / 2)] }'
}

# time_us COMMAND...: how long it takes, in us; what it prints is thrown away, but not that it failed.
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

row() {
	printf '| %s | %s | %s | %s |\n' "$@"
}

# ratio A B: the quotient, to about three digits.
ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { q = a / b; printf q < 10 ? "%.2f" : q < 100 ? "%.1f" : "%.0f", q }'
}

# ---------------------------------------------------------------- scanning

# strings_rows N FILE
strings_rows() {
	local bytes gnu_us ours_us
	bytes=$(stat -c %s "$2")
	cmp -s <(strings -a -n "$1" -t x "$2") <("$leakhunt" strings --list --offsets -n "$1" -t x "$2") ||
		die "strings -n $1: leakhunt prints something else than GNU strings"
	gnu_us=$(median_us strings -a -n "$1" -t x "$2")
	ours_us=$(median_us "$leakhunt" strings --list --offsets -n "$1" -t x "$2")
	row "strings -n $1" "GNU strings" "$(ratio "$bytes" $((gnu_us * 1000))) GB/s" 1.0
	row "strings -n $1" "leakhunt" "$(ratio "$bytes" $((ours_us * 1000))) GB/s" "$(ratio "$gnu_us" "$ours_us")"
}

# ---------------------------------------------------------------- copying

dump_with_gdb() {
	gdb -batch -nx -p "$SAMPLE_PID" -ex "dump binary memory $work/dump $(truth start) $(truth end)"
}

dump_with_gcore() {
	gcore -o "$work/dump" "$SAMPLE_PID"
}

dump_with_leakhunt() {
	"$leakhunt" dump "$SAMPLE_PID" --mode "$1" --region "$(truth start)-$(truth end)" --bare -o "$work/dump"
}

# assert_dump_is_whole NAME: the file holds the target's memory, byte for byte. Without this a tool that
# copies less than it was asked for would look fast. The target does not write to that memory.
assert_dump_is_whole() {
	python3 - "$SAMPLE_PID" "$(truth start)" "$(truth end)" "$work"/dump* <<-'EOF_PYTHON' || die "$1: its file is not the target's memory"
		import struct, sys
		pid, start, end, path = sys.argv[1], int(sys.argv[2], 16), int(sys.argv[3], 16), sys.argv[4]
		dump = open(path, "rb")
		head = dump.read(64)
		loads = [(start, end - start, 0)]  # gdb's dump memory: plain bytes
		if head[:4] == b"\x7fELF":
		    offset, = struct.unpack_from("<Q", head, 32)
		    size, count = struct.unpack_from("<HH", head, 54)
		    dump.seek(offset)
		    headers = [struct.unpack_from("<IIQQQQQQ", dump.read(size)) for _ in range(count)]
		    loads = sorted((h[3], h[5], h[2]) for h in headers if h[0] == 1)
		memory, at = open(f"/proc/{pid}/mem", "rb"), start
		for address, held, offset in loads:
		    if not address <= at < address + held:
		        continue
		    dump.seek(offset + at - address)
		    memory.seek(at)
		    while at < min(end, address + held):
		        step = min(1 << 22, end - at, address + held - at)
		        if dump.read(step) != memory.read(step):
		            sys.exit(f"{path}: other bytes than the target near {at:#x}")
		        at += step
		if at != end:
		    sys.exit(f"{path}: ends at {at:#x}, not at {end:#x}")
	EOF_PYTHON
}

# dump_row NAME COMMAND...: wall time and the pause that the target felt.
dump_row() {
	local name=$1 i elapsed_us pause_ns
	shift
	for ((i = 0; i < runs; i++)); do
		sample_command gap
		time_us "$@" >>"$work/elapsed"
		sample_command gap
		jq .gap_ns <<<"$REPLY" >>"$work/pauses"
		assert_dump_is_whole "$name"
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

echo "$(nproc) CPUs ($(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)), Linux $(uname -r), medians of $runs, load $(cut -d " " -f 1 /proc/loadavg) at the start"
echo

helpers_samples=$SAMPLES
SAMPLES=$bench start_sample heartbeat --mib "$mib"
SAMPLES=$helpers_samples

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
