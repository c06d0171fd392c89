#!/usr/bin/env bash
# How long a dump holds up its target, measured by a heartbeat inside the target, beside gcore and gdb, as
# Markdown tables: the median of N runs, with minimum and maximum in brackets. "held up" excludes delays that a control
# process, which nobody dumps, had at the same time on any CPU: those were the machine's.
#   bench-pause.sh [OPTION...] LEAKHUNT BENCH
#     --sizes "1024 2048 4096"   MiB of the target
#     --rates "10000 100000"     pages that it writes a second, at random
#     --modes "snapshot child fork stop gcore gdb"   gcore, gdb, or a mode of leakhunt; "bare" is a copy loop
#                                         with a file, "fork" a bare fork(2) by the target itself
#     --crowds "threads mappings"         besides: 1,000 threads, 60,000 mappings; "" for none
#     --as root                  or container: Docker's default capabilities and SYS_PTRACE, for target and tool;
#                                         or user: both are nobody's (gcore and gdb run as root all the same)
#     --runs 3
# Files go to a new folder in $TMPDIR (/tmp), and are removed.
set -euo pipefail

sizes="1024 2048 4096" rates="10000 100000" modes="snapshot child fork stop gcore gdb" crowds="threads mappings" runs=3 as=root
while [[ ${1:-} == --* ]]; do
	case $1 in
	--sizes) sizes=$2 ;;
	--rates) rates=$2 ;;
	--modes) modes=$2 ;;
	--crowds) crowds=$2 ;;
	--as) as=$2 ;;
	--runs) runs=$2 ;;
	*)
		echo "bench-pause: there is no option $1" >&2
		exit 64
		;;
	esac
	shift 2
done
leakhunt=$(realpath "$1")
bench=$(realpath "$2")
root=$(cd "$(dirname "$0")/.." && pwd)

# shellcheck source=scripts/bench-common.sh
. "$root/scripts/bench-common.sh"

# Target and tool with the rights asked for: `rights` goes before their commands.
case $as in
root) rights=() ;;
container) rights=(setpriv --bounding-set="-all,$DOCKER_RIGHTS,+sys_ptrace" --inh-caps=-all) ;;
user) rights=(setpriv --reuid nobody --regid nogroup --clear-groups --bounding-set=-all --inh-caps=-all) ;;
*) die "there are no rights of $as" ;;
esac
if [ "$as" != root ]; then
	mkdir "$work/bench"
	cp "$leakhunt" "$bench"/* "$work/bench"
	# shellcheck disable=SC2016 # what the written script expands
	printf '#!/bin/sh\nexec %s "$(dirname "$0")/beating" "$@"\n' "${rights[*]}" >"$work/beat"
	mv "$work/bench/heartbeat" "$work/bench/beating"
	install "$work/beat" "$work/bench/heartbeat"
	chmod 777 "$work"
	leakhunt=$work/bench/leakhunt bench=$work/bench
fi

# ms KEY FACTOR FILE: median (least..most) of a member of the JSON lines in the file, divided by the factor.
spread() {
	jq -r ".$1" "$3" | sort -g | awk -v factor="$2" '
		function short(value) { return sprintf(value < 10 ? "%.1f" : "%.0f", value) }
		{ values[NR] = $1 / factor }
		END { printf "%s (%s..%s)", short(values[int((NR + 1) / 2)]), short(values[1]), short(values[NR]) }'
}

# dump_command MODE: sets `command`, which dumps [start, end) of the target to $work/dump*.
dump_command() {
	local range
	range="$(truth start)-$(truth end)"
	case $1 in
	gcore) command=(gcore -o "$work/dump" "$SAMPLE_PID") ;;
	gdb) command=(gdb -batch -nx -p "$SAMPLE_PID" -ex "dump binary memory $work/dump $(truth start) $(truth end)") ;;
	bare) command=("$bench/bare_copy" "$SAMPLE_PID" "$(truth start)" "$(truth end)" "$work/dump") ;;
	*) command=("${rights[@]}" "$leakhunt" dump "$SAMPLE_PID" --mode "$1" --region "$range" --bare --json -o "$work/dump") ;;
	esac
}

# dump_once MODE: appends what it cost to $work/MODE, a JSON line.
dump_once() {
	local command
	dump_command "$1"
	sample_command gap
	"$bench/measure" "$work/measured" "${command[@]}" >"$work/stdout" 2>"$work/stderr" ||
		die "$1 failed: $(tail -n 1 "$work/stderr")"
	sample_command gap
	assert_dump_is_whole "$1" "$(truth unwritten_each)"
	jq -c -s '.[0] + .[1] + (.[2] // {})' "$work/measured" - \
		<(if [[ $1 =~ ^(gcore|gdb|bare)$ ]]; then echo '{}'; else cat "$work/stdout"; fi) <<<"$REPLY" >>"$work/$1"
	rm -f "$work"/dump*
}

# fork_once: the same for a fork by the target itself.
fork_once() {
	local fork_ns
	sample_command gap
	sample_command fork
	fork_ns=$(jq .fork_ns <<<"$REPLY")
	sample_command gap
	jq -c --argjson ns "$fork_ns" '. + {pause_ns: $ns, elapsed_ns: $ns, peak_resident_bytes: 0}' <<<"$REPLY" >>"$work/fork"
}

# check_mode MODE: that it was the mode asked for; leakhunt takes another one where it has to.
check_mode() {
	local mode
	mode=$(jq -r '.mode // empty' "$work/$1" | sort -u)
	[ -z "$mode" ] || [ "$mode" = "$1" ] || die "asked for mode $1, it became $mode: $(jq -r .mode_reason "$work/$1" | tail -n 1)"
}

# dump_rows WHAT MIB: one row for each mode; the target is there. Leaves $pause_MODE, medians in ns.
dump_rows() {
	local mode i rate_mb
	for mode in $modes; do
		rm -f "$work/$mode"
	done
	# In turns, so that a machine that gets slower meanwhile does so for all.
	for ((i = 0; i < runs; i++)); do
		for mode in $modes; do
			if [ "$mode" = fork ]; then fork_once; else dump_once "$mode"; fi
		done
	done
	for mode in $modes; do
		check_mode "$mode"
		rate_mb=$(jq .elapsed_ns "$work/$mode" | median | awk -v mib="$2" '{ printf "%.0f", mib * 1048576e3 / $1 }')
		declare -g "pause_$mode=$(jq .gap_held_ns "$work/$mode" | median)"
		declare -g "stop_$mode=$(jq '.pause_ns // 0' "$work/$mode" | median)"
		row "$1" "$mode" "$(spread gap_held_ns 1e6 "$work/$mode")" "$(spread 'pause_ns // 0' 1e6 "$work/$mode")" \
			"$(spread map_held_ns 1e6 "$work/$mode")" "$(spread gap_ns 1e6 "$work/$mode")" \
			"$(spread control_ns 1e6 "$work/$mode")" "$rate_mb" \
			"$(spread 'final_bytes // 0' 1048576 "$work/$mode")" "$(spread peak_resident_bytes 1048576 "$work/$mode")"
	done
}

head_rows() {
	row "target" "tool" "held up, ms" "by receipt, ms" "mmap held up, ms" "all gaps felt, ms" "felt by the control, ms" "MB/s" \
		"copied in the pause, MiB" "own memory, MiB"
	row --- --- --- --- --- --- --- --- --- ---
}

# One target, all tools: rows, and the pauses kept for the summary.
bench_target() {
	local what=$1 mib=$2
	need_mib $((mib + 512))
	start_heartbeat --mib "$mib" --map 1 "${@:3}"
	dump_rows "$what" "$mib"
	stop_sample
}

summary=()

# summarize RATE MIB: what the rows of one target say of a snapshot.
summarize() {
	if [ -n "${stop_child:-}" ] && [ -n "${stop_fork:-}" ]; then
		summary+=("$2 MiB, $1 writes/s: a copy-on-write child stops the target $(ratio "$stop_child" "$stop_fork") times as long as its own fork takes")
	fi
	[ -n "${pause_snapshot:-}" ] || return 0
	local line
	line="$2 MiB, $1 writes/s: a snapshot holds the target up for $(ratio "$pause_snapshot" 1000000) ms"
	[ -z "${pause_gcore:-}" ] || line+=", $(ratio "$pause_gcore" "$pause_snapshot") times less than gcore"
	[ -z "${first_snapshot:-}" ] ||
		line+=", $(awk -v a="$pause_snapshot" -v b="$first_snapshot" 'BEGIN { printf "%+.1f", (a - b) / 1e6 }') ms against $first_mib MiB"
	summary+=("$line")
	if [ -z "${first_snapshot:-}" ]; then
		first_snapshot=$pause_snapshot
		first_mib=$2
	fi
}

echo "$(machine), as $as; median of $runs runs (least..most)"
echo
head_rows
for rate in $rates; do
	first_snapshot='' first_mib=''
	for mib in $sizes; do
		bench_target "$mib MiB, $rate writes/s" "$mib" --rate "$rate"
		summarize "$rate" "$mib"
	done
done
for crowd in $crowds; do
	case $crowd in
	threads) bench_target "1,000 threads" 64 --rate 1000 --threads 996 ;;
	mappings) bench_target "60,000 mappings" 64 --rate 1000 --mappings 60000 ;;
	*) die "there is no crowd of $crowd" ;;
	esac
done
echo
printf '%s\n' "${summary[@]}"
