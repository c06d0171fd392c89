#!/usr/bin/env bash
# bench-leaks.sh [--blocks "MILLIONS[:SHAPE]..."] LEAKHUNT BENCH: what marking, edges and dominators of `leakhunt leaks`
# cost, CPU time, on dumps of heaps of that many million blocks (11: about 1 GB, 22: 2 GB). SHAPE: mix (default), list,
# fan, bipartite, see tests/bench/leak_heap.c. Costs are for one thread. CLOCK: elapsed time of marking on two
# CPUs, as a part of that on one; the machine should be idle otherwise. Output: a table.
set -euo pipefail

sizes="11 22 10:list 10:fan 10:bipartite"
if [ "${1-}" = --blocks ]; then
	sizes=$2
	shift 2
fi
leakhunt=$1 bench=$2
folder=$(mktemp -d "${TMPDIR:-/tmp}/bench-leaks.XXXXXX")
pid=
finish() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	rm -rf "$folder"
}
trap finish EXIT

# start_heap MILLIONS SHAPE: in pid, with its input open at 3.
start_heap() {
	mkfifo "$folder/in" "$folder/out"
	"$bench/leak_heap" "$1" "$2" <"$folder/in" >"$folder/out" &
	pid=$!
	exec 3>"$folder/in" 4<"$folder/out"
	rm "$folder/in" "$folder/out"
	read -r -u 4 _
}

# find_leaks PROCESSORS FILE
find_leaks() {
	taskset -c "$1" "$leakhunt" leaks --json "$folder/dump" >"$2" 2>/dev/null || true
}

printf '%-10s %-9s %10s %9s %14s %6s %13s %14s %17s %19s %6s\n' DUMP SHAPE BLOCKS LOST 'MARK ns/block' CLOCK 'MARK B/block' \
	'EDGES ns/block' 'DOMINATORS s/10M' 'DOMINATORS B/block' 'ALL s'
for size in $sizes; do
	shape=mix
	[[ $size != *:* ]] || shape=${size#*:}
	start_heap "${size%:*}" "$shape"
	"$leakhunt" dump "$pid" -o "$folder/dump" >/dev/null 2>&1
	exec 3>&- 4<&-
	wait "$pid" || true
	pid=
	find_leaks 0,1 "$folder/two.json"
	before=$(date +%s%N)
	find_leaks 0 "$folder/one.json"
	after=$(date +%s%N)
	# A bipartite graph has many pointers, and few blocks: costs are per pointer there.
	jq -rs --arg bytes "$(stat -c %s "$folder/dump")" --argjson all $((after - before)) --arg shape "$shape" \
		--argjson millions "${size%:*}" '
		.[0].graph as $g | .[1].graph as $two | ([$g.blocks[]] | add) as $blocks | .[0].holders_cost as $h |
		(if $shape == "bipartite" then $millions * 1e6 else $blocks end) as $used |
		[(($bytes | tonumber) / 1e9 * 100 | round / 100 | tostring + "_GB"), $shape, $blocks,
			($blocks - $g.blocks.reachable), ($g.mark_cpu_ns / $used), ($two.mark_ns / $g.mark_ns),
			($g.memory_bytes / $used), ($h.edges_cpu_ns / $used), ($h.dominators_cpu_ns / 1e9 / $used * 1e7),
			($h.memory_bytes / $used), ($all / 1e9)] | @tsv' "$folder/one.json" "$folder/two.json" |
		while read -r dump shape blocks lost mark clock bytes edges dominators dominator_bytes all; do
			printf '%-10s %-9s %10d %9d %14.1f %6.2f %13.1f %14.1f %17.2f %19.1f %6.1f\n' "$dump" "$shape" "$blocks" "$lost" \
				"$mark" "$clock" "$bytes" "$edges" "$dominators" "$dominator_bytes" "$all"
		done
	rm "$folder/dump"
done
