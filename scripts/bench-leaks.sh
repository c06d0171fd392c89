#!/usr/bin/env bash
# bench-leaks.sh [--blocks "MILLIONS..."] LEAKHUNT BENCH: what marking, edges and dominators of `leakhunt leaks` cost, CPU
# time of one thread, on dumps of heaps of that many million blocks (11: about 1 GB, 22: 2 GB). Output: a table.
set -euo pipefail

sizes="11 22"
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

# start_heap MILLIONS: in pid, with its input open at 3.
start_heap() {
	mkfifo "$folder/in" "$folder/out"
	"$bench/leak_heap" "$1" <"$folder/in" >"$folder/out" &
	pid=$!
	exec 3>"$folder/in" 4<"$folder/out"
	rm "$folder/in" "$folder/out"
	read -r -u 4 _
}

printf '%-10s %12s %10s %14s %14s %14s %18s %18s %10s\n' DUMP BLOCKS LOST 'MARK ns/block' 'MARK B/block' 'EDGES ns/block' \
	'DOMINATORS s/10M' 'DOMINATORS B/block' 'ALL s'
for size in $sizes; do
	start_heap "$size"
	"$leakhunt" dump "$pid" -o "$folder/dump" >/dev/null 2>&1
	exec 3>&- 4<&-
	wait "$pid" || true
	pid=
	before=$(date +%s%N)
	"$leakhunt" leaks --json "$folder/dump" >"$folder/leaks.json" 2>/dev/null || true
	after=$(date +%s%N)
	jq -r --arg bytes "$(stat -c %s "$folder/dump")" --argjson all $((after - before)) '
		.graph as $g | ([$g.blocks[]] | add) as $used | .holders_cost as $h |
		[(($bytes | tonumber) / 1e9 * 100 | round / 100 | tostring + "_GB"), $used, ($used - $g.blocks.reachable),
			($g.mark_cpu_ns / $used), ($g.memory_bytes / $used), ($h.edges_cpu_ns / $used),
			($h.dominators_cpu_ns / 1e9 / $used * 1e7), ($h.memory_bytes / $used), ($all / 1e9)] | @tsv' "$folder/leaks.json" |
		while read -r dump used lost mark bytes edges dominators dominator_bytes all; do
			printf '%-10s %12d %10d %14.1f %14.1f %14.1f %18.2f %18.1f %10.1f\n' "$dump" "$used" "$lost" "$mark" \
				"$bytes" "$edges" "$dominators" "$dominator_bytes" "$all"
		done
	rm "$folder/dump"
done
