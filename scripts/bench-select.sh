#!/usr/bin/env bash
# What a sample of `leakhunt select` costs, how long it holds up the target, and how fast a record of a day is judged, as
# Markdown tables:
#   60,000 mappings: beside `cat smaps`, pmap -X and smem (left out when it is not installed);
#   owners of runtimes' memory: java, node, php and python3, as far as they are installed;
#   a heap of --mib MiB: the longest wait of a thread in the target that maps and unmaps, with short calls and without,
#   beside an equally long time without sampling;
#   a record of 24 hours, 100,000 samples.
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

# median_us COMMAND...: median time; output is discarded.
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

# cost_of_owners BYTES: CPU microseconds, for 60,000 mappings of that size; the sample is left running.
cost_of_owners() {
	start_sample many_mappings --size $((60000 * $1)) --block-bytes "$1" || die "the target does not start"
	read -r _ _ find_us <<<"$("$bench/owner_search" "$SAMPLE_PID" 20)"
}

# smem -P reads all processes even if it shows one.
show_mappings() {
	local base us name find_us
	cost_of_owners $((1 << 20))
	stop_sample
	echo "owners of 60,000 mappings of 1 MiB each are found in $(ratio "$find_us" 1000) ms (CPU, bound 20 ms)"
	cost_of_owners 4096
	base=$(median_us cat "/proc/$SAMPLE_PID/smaps")
	us=$(sample_us)
	row "$(wc -l <"/proc/$SAMPLE_PID/maps") mappings" "ms" "of a sample"
	row --- --- ---
	row "cat smaps" "$(ratio "$base" 1000)" "$(ratio "$base" "$us")"
	row "leakhunt select, a sample" "$(ratio "$us" 1000)" 1
	row "of that, to find owners (CPU, bound 20 ms)" "$(ratio "$find_us" 1000)" "$(ratio "$find_us" "$us")"
	for name in "pmap -X $SAMPLE_PID" "smem -P many_mappings"; do
		command -v "${name%% *}" >/dev/null || continue
		# shellcheck disable=SC2086
		base=$(runs=1 median_us $name)
		row "${name% *}" "$(ratio "$base" 1000)" "$(ratio "$base" "$us")"
	done
	stop_sample
}

# show_owners COMMAND...: of a program that says "ready", and ends when its stdin does.
show_owners() {
	local line find_us
	command -v "$1" >/dev/null || return 0
	coproc PROGRAM { exec "$@"; }
	local pid=$PROGRAM_PID answers=${PROGRAM[0]} orders=${PROGRAM[1]}
	read -r line <&"$answers"
	[ "$line" = ready ] || die "$1 does not start"
	read -r _ _ find_us <<<"$("$bench/owner_search" "$pid" 20)"
	row "$1" "$(wc -l <"/proc/$pid/maps")" "$(ratio "$find_us" 1000)"
	exec {orders}>&-
	wait "$pid"
}

show_runtimes() {
	cat >"$work/Wait.java" <<-'END'
		class Wait {
			public static void main(String[] words) throws Exception {
				System.out.println("ready");
				System.in.read();
			}
		}
	END
	row "runtime" "mappings" "owners found in, ms (CPU)"
	row --- --- ---
	show_owners java "$work/Wait.java"
	show_owners node -e 'console.log("ready"); process.stdin.resume()'
	show_owners php -r 'echo "ready\n"; fgets(STDIN);'
	show_owners python3 -c 'import sys; print("ready", flush=True); sys.stdin.read()'
}

# stall_of COMMAND...: while it runs, the longest call of the target that slept, and the longest of all, in ns.
stall_of() {
	sample_command waits
	"$@" >"$work/stall.json"
	sample_command waits
	jq -r '"\(.slept_ns) \(.any_ns)"' <<<"$REPLY"
}

# show_stall TITLE COMMAND...: of each run the longest; leakhunt's own calls are by its receipt.
show_stall() {
	local title=$1 slept=() any=() calls=() longest=- pieces=- pair i
	shift
	for ((i = 0; i < runs; i++)); do
		pair=$(stall_of "$@")
		slept+=("${pair% *}") any+=("${pair#* }")
		[ -s "$work/stall.json" ] || continue
		calls+=("$(jq .receipt.longest_call_ns "$work/stall.json")")
		longest=$(in_ms "${calls[@]}")
		pieces=$(jq -r '.receipt | "\(.bounded_readings) of \(.readings)"' "$work/stall.json")
	done
	row "$title" "$(in_ms "${slept[@]}")" "$(in_ms "${any[@]}")" "$longest" "$pieces"
}

# in_ms NS...: the median, and the most.
in_ms() {
	echo "$(ratio "$(printf '%s\n' "$@" | median)" 1000000) ($(ratio "$(printf '%s\n' "$@" | sort -n | tail -n 1)" 1000000))"
}

# A call of the target that slept has waited for a lock; one that took long without is the machine's: a processor that was taken away.
show_stalls() {
	local samples=$SAMPLES
	SAMPLES=$bench start_sample map_waits --mib "$mib" || die "the target does not start"
	SAMPLES=$samples
	row "$mib MiB heap, ms: median (most) of $runs" "mmap that waited" "any mmap" "longest call of leakhunt's" "in pieces"
	row --- --- --- --- ---
	show_stall "nobody looks, as long" sleep 0.3
	show_stall "smaps only (--max-stall 1h)" "$leakhunt" select "$SAMPLE_PID" -i 100ms -n 3 --json --max-stall 1h
	show_stall "--max-stall 5ms (the default)" "$leakhunt" select "$SAMPLE_PID" -i 100ms -n 3 --json
	show_stall "--max-stall 1ms" "$leakhunt" select "$SAMPLE_PID" -i 100ms -n 3 --json --max-stall 1ms
	stop_sample
}

# show_day SAMPLES: judging a record of 24 hours.
show_day() {
	local wall=() peak=() i
	need_mib 200
	"$bench/day_record" "$1" "$work/day.jsonl"
	for ((i = 0; i < runs; i++)); do
		"$bench/measure" "$work/measured" "$leakhunt" select --from "$work/day.jsonl" --json >"$work/day.json"
		wall+=("$(jq .elapsed_ns "$work/measured")") peak+=("$(jq .peak_resident_bytes "$work/measured")")
	done
	[ "$(jq .samples "$work/day.json")" = "$1" ] || die "not all samples were read"
	row "a day's record of $1 samples, $(ratio "$(stat -c %s "$work/day.jsonl")" 1048576) MiB" "measured: median (most) of $runs" bound
	row --- --- ---
	row "judged in, ms" "$(in_ms "${wall[@]}")" 1000
	row "most memory, MiB" "$(ratio "$(printf '%s\n' "${peak[@]}" | sort -n | tail -n 1)" 1048576)" 64
	rm "$work/day.jsonl"
}

machine
echo
show_mappings
echo
show_runtimes
echo
show_stalls
echo
show_day 100000
