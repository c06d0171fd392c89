#!/usr/bin/env bash
# Speed of `leakhunt heap` on dumps of churned heaps, as a Markdown table, page cache hot: CPU time of the walk alone on
# one thread, and of the whole command with groups; least of three runs. Beside it gdb with a Python script that follows
# the chunks of the threads' arenas, without types or checks: the way without a tool. chap, the tool to compare with, is
# not in Debian.
#   bench-heap.sh [--mib "1024 2048 4096"] LEAKHUNT BENCH
# "own memory" is anonymous memory at its peak: without the mapped file.
set -euo pipefail

sizes="1024 2048 4096"
while [ $# -gt 2 ]; do
	case $1 in
	--mib) sizes=$2 ;;
	*) echo "bench: unknown option $1" >&2 && exit 2 ;;
	esac
	shift 2
done
leakhunt=$(realpath "$1") bench=$(realpath "$2")
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/bench-common.sh
. "$root/scripts/bench-common.sh"

# Prints how many chunks gdb's Python follows in the first arenas, and the CPU time in us.
cat >"$work/follow.py" <<-'END'
	import gdb, struct, time
	HEAP = 64 << 20
	memory = gdb.selected_inferior()
	starts = set()
	for line in gdb.execute("maint info sections", to_string=True).splitlines():
	    words = line.replace("->", " ").replace(":", "").split()
	    numbers = [int(word, 16) for word in words if word.startswith("0x")]
	    if "LOAD" in line and len(numbers) >= 2:
	        first = -(-numbers[0] // HEAP) * HEAP
	        starts.update(range(first, numbers[1], HEAP))
	started, chunks = time.process_time(), 0
	for start in sorted(starts):
	    if chunks > 300000:
	        break
	    try:
	        arena, previous, size, _ = struct.unpack("<4Q", bytes(memory.read_memory(start, 32)))
	        if arena % HEAP > 64 or size > HEAP or arena < HEAP:
	            continue
	        data = bytes(memory.read_memory(start, size))
	    except gdb.MemoryError:
	        continue
	    at = arena % HEAP + (0 if previous else 2200) + 15 & ~15
	    while at + 16 <= size:
	        step = struct.unpack_from("<Q", data, at + 8)[0] & ~7
	        if step < 32:
	            break
	        at += step
	        chunks += 1
	print("followed", chunks, int((time.process_time() - started) * 1e6))
END

# per_second COUNT US: in millions.
per_second() {
	awk -v count="$1" -v us="$2" 'BEGIN { printf "%.2f M/s", us ? count / us : 0 }'
}

show_size() {
	local dump=$work/dump blocks us own_kib bytes
	need_mib $((2 * $1))
	SAMPLES=$bench start_sample heap_churn --mib "$1" || die "the target does not start"
	"$leakhunt" dump "$SAMPLE_PID" -o "$dump" >/dev/null 2>&1 || die "the dump failed"
	stop_sample
	bytes=$(stat -c %s "$dump")
	cat "$dump" >/dev/null
	read -r blocks us < <("$bench/heap_walk" "$dump")
	row "$((bytes / 1000000)) MB" "the walk, $blocks blocks" "$(per_second "$blocks" "$us")" "$((us / 1000)) ms" -
	read -r us own_kib < <(measured_runs 3 inf "$leakhunt" heap "$dump" | cut -d " " -f 2,3 | sort -n | head -n 1)
	row "$((bytes / 1000000)) MB" "leakhunt heap, with groups" "$(per_second "$blocks" "$us")" "$((us / 1000)) ms" \
		"$((own_kib / 1024)) MiB"
	if read -r _ blocks us < <(gdb -batch -nx -c "$dump" -x "$work/follow.py" 2>/dev/null | grep '^followed'); then
		row "$((bytes / 1000000)) MB" "gdb and Python, $blocks chunks" "$(per_second "$blocks" "$us")" \
			"$((us / 1000)) ms" -
	fi
	rm -f "$dump"
}

machine
echo
row dump what blocks "CPU time" "own memory"
row --- --- --- --- ---
for size in $sizes; do
	show_size "$size"
done
