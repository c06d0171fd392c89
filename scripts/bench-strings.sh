#!/usr/bin/env bash
# Speed of scanning, side by side with GNU strings, eu-strings and ripgrep, as a Markdown table: on a core of
# 2048 MiB, page cache hot, all output to /dev/null; one run each; the median of five if a run takes less than
# a second. Checks that leakhunt lists with --show-secrets what GNU strings lists.
#   bench-strings.sh [--mib N] [--parts "list-4 list-100 contents summary"] LEAKHUNT BENCH
# --parts measures some parts alone: all of them take minutes on 2 GiB. "contents" is the summary at its defaults, on the
# CPUs there are, of four cores: of 256 MiB of the system's text files, objects of Python, and runs of one letter
# (scripts/bench_contents.py), and of the mix.
# The core is of a process whose memory is one quarter each of text, pointers, random bytes and zeros. Files go
# to a new folder in $TMPDIR (/tmp), and are removed.
set -euo pipefail

mib=2048
parts="list-4 list-100 contents summary"
while [ $# -gt 2 ]; do
	case $1 in
	--mib) mib=$2 ;;
	--parts) parts=$2 ;;
	*) echo "bench: unknown option $1" >&2 && exit 2 ;;
	esac
	shift 2
done
leakhunt=$(realpath "$1") bench=$(realpath "$2")
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/bench-common.sh
. "$root/scripts/bench-common.sh"
for tool in eu-strings rg; do
	command -v "$tool" >/dev/null || die "$tool is missing: run make deps"
done

need_mib $((2 * mib))
start_heartbeat --mib "$mib"
gcore -o "$work/core" "$SAMPLE_PID" >/dev/null 2>&1 || die "gcore failed"
stop_sample
core=$(echo "$work"/core.*)
bytes=$(stat -c %s "$core")
cat "$core" >/dev/null

# measure COMMAND...: sets elapsed_us, cpu_us (user and system), and own_kib: the most resident memory that is
# not the mapped file's. Of what takes less than a second, the median of five runs.
measure() {
	local figures
	figures=$(measured_runs 5 1 "$@") || die "'$*' failed"
	read -r elapsed_us cpu_us own_kib < <(sort -n -k 1,1 -k 2,2 -k 3,3 <<<"$figures" |
		awk '{ runs[NR] = $0 } END { print runs[int(NR / 2) + 1] }')
}

# quotient A B DIGITS
quotient() {
	awk -v a="$1" -v b="$2" -v digits="$3" 'BEGIN { printf "%.*f", digits, a / b }'
}

# tool_row WHAT TOOL COMMAND...: the first tool of each WHAT is what the others are compared with.
tool_row() {
	local what=$1 tool=$2
	shift 2
	measure "$@"
	[ "$tool" != "GNU strings" ] || base_us=$elapsed_us
	row "$what" "$tool" "$(quotient "$bytes" "$elapsed_us" 0) MB/s" "$(quotient "$base_us" "$elapsed_us" 1)" \
		"$(quotient "$cpu_us" 1000000 2) s" "$(quotient "$own_kib" 1024 0) MiB"
}

echo "$(machine), a core of $((bytes / 1000000)) MB"
echo
row what tool speed factor "CPU time" "own memory"
row --- --- --- --- --- ---
has_part() {
	[[ " $parts " == *" $1 "* ]]
}

for chars in 4 100; do
	has_part "list-$chars" || continue
	list=("$leakhunt" strings --list --offsets -n "$chars")
	cmp -s <(strings -a -n "$chars" -t x "$core") <("${list[@]}" --show-secrets "$core") ||
		die "strings -n $chars: leakhunt prints something else than GNU strings"
	tool_row "list, n=$chars" "GNU strings" strings -a -t x -n "$chars" "$core"
	tool_row "list, n=$chars" "eu-strings" eu-strings -a -t x -n "$chars" "$core"
	tool_row "list, n=$chars" "rg -a -o -b" rg --no-config -j1 -a -o -b --no-unicode "[\\t\\x20-\\x7e]{$chars,}" "$core"
	for threads in 1 2; do
		tool_row "list, n=$chars" "merely reading a word of each line, threads: $threads" "$bench/bare_scan" "$core" $threads
		tool_row "list, n=$chars" "leakhunt --show-secrets, threads: $threads" "${list[@]}" --show-secrets --threads $threads "$core"
		tool_row "list, n=$chars" "leakhunt, secrets masked, threads: $threads" "${list[@]}" --threads $threads "$core"
	done
done
# core_of_contents KIND: sets core and bytes.
core_of_contents() {
	local pid ready
	coproc holder { exec python3 "$root/scripts/bench_contents.py" "$1" 256; }
	# shellcheck disable=SC2154 # set by coproc
	pid=$holder_PID
	read -r ready _ <&"${holder[0]}" || true
	[ "$ready" = READY ] || die "no memory of $1"
	gcore -o "$work/core-$1" "$pid" >/dev/null 2>&1 || die "gcore failed"
	kill "$pid"
	wait "$pid" || true
	core=$work/core-$1.$pid
	bytes=$(stat -c %s "$core")
	cat "$core" >/dev/null
}

contents_rows() {
	tool_row "$1" "GNU strings" strings -a -t x -n 8 "$core"
	tool_row "$1" "rg -a -o -b" rg --no-config -a -o -b --no-unicode "[\\t\\x20-\\x7e]{8,}" "$core"
	tool_row "$1" "leakhunt strings" "$leakhunt" strings "$core"
}

if has_part contents; then
	contents_rows "summary of the mix"
	mix_core=$core mix_bytes=$bytes
	for kind in texts python letters; do
		core_of_contents "$kind"
		contents_rows "summary of $kind"
		rm "$core"
	done
	core=$mix_core bytes=$mix_bytes
fi

has_part summary || exit 0
if ! has_part list-100; then
	tool_row "list, n=100" "GNU strings" strings -a -t x -n 100 "$core"
fi
for threads in 1 2; do
	tool_row "whole summary, n=100" "leakhunt, threads: $threads" "$leakhunt" strings -n 100 --threads $threads "$core"
done
