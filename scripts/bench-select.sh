#!/usr/bin/env bash
# What a sample of `leakhunt select` costs, and how long it holds up the target, as Markdown tables:
#   60,000 mappings: beside `cat smaps`, pmap -X and smem (left out when it is not installed);
#   a heap of --mib MiB: the longest wait of a thread in the target that maps and unmaps, with pieces and without.
#   bench-select.sh [--mib 4096] [--runs 5] LEAKHUNT SAMPLES BENCH
set -euo pipefail

mib=4096 runs=5
while [[ ${1:-} == --* ]]; do
	case $1 in
	--mib) mib=$2 ;;
	--runs) runs=$2 ;;
	*)
		echo "bench-select: there is no option $1" >&2
		exit 64
		;;
	esac
	shift 2
done
leakhunt=$(realpath "$1") SAMPLES=$(realpath "$2") bench=$(realpath "$3")
root=$(cd "$(dirname "$0")/.." && pwd)

# shellcheck source=scripts/bench-common.sh
. "$root/scripts/bench-common.sh"

# median_us COMMAND...: how long it takes, its output thrown away.
median_us() {
	local i start
	for ((i = 0; i < runs; i++)); do
		start=$(now_us)
		"$@" >/dev/null
		echo $(($(now_us) - start))
	done | median
}

take_samples() {
	"$leakhunt" select "$SAMPLE_PID" -i 1ms -n "$1"
}

# One sample of many: what a watch of 12 costs more than one of 2.
sample_us() {
	local few many
	few=$(median_us take_samples 2)
	many=$(median_us take_samples 12)
	echo $(((many - few) / 10))
}

# What smem -P does for one process is what it does for all.
show_mappings() {
	local base us name
	start_sample many_mappings --size $((60000 * 4096)) --block-bytes 4096 || die "the target does not start"
	base=$(median_us cat "/proc/$SAMPLE_PID/smaps")
	us=$(sample_us)
	row "$(wc -l <"/proc/$SAMPLE_PID/maps") mappings" "ms" "of a sample"
	row --- --- ---
	row "cat smaps" "$(ratio "$base" 1000)" "$(ratio "$base" "$us")"
	row "leakhunt select, a sample" "$(ratio "$us" 1000)" 1
	for name in "pmap -X $SAMPLE_PID" "smem -P many_mappings"; do
		command -v "${name%% *}" >/dev/null || continue
		# shellcheck disable=SC2086
		base=$(runs=1 median_us $name)
		row "${name% *}" "$(ratio "$base" 1000)" "$(ratio "$base" "$us")"
	done
	stop_sample
}

# show_stall WORDS MAX_STALL
show_stall() {
	local receipt waits=() i
	for ((i = 0; i < runs; i++)); do
		sample_command gap
		receipt=$("$leakhunt" select "$SAMPLE_PID" -i 100ms -n 3 --max-stall "$2" --json | jq -c .receipt)
		sample_command gap
		waits+=("$(jq .map_ns <<<"$REPLY")")
	done
	row "$1" "$(ratio "$(printf '%s\n' "${waits[@]}" | median)" 1000000)" \
		"$(ratio "$(printf '%s\n' "${waits[@]}" | sort -n | tail -n 1)" 1000000)" \
		"$(jq -r '"\(.bounded_readings) of \(.readings)"' <<<"$receipt")" \
		"$(jq '.reading_max_ns / 1e6 | floor' <<<"$receipt")"
}

show_stalls() {
	start_heartbeat --mib "$mib" --map 1
	row "$mib MiB heap" "mmap waits, ms (median)" "most" "in pieces" "a reading, ms"
	row --- --- --- --- ---
	show_stall "smaps only (--max-stall 1h)" 1h
	show_stall "--max-stall 5ms (the default)" 5ms
	show_stall "--max-stall 1ms" 1ms
	stop_sample
}

machine
echo
show_mappings
echo
show_stalls
