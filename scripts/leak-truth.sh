#!/usr/bin/env bash
# leak-truth.sh [--counts "N..."] LEAKHUNT SAMPLES: compares what programs know they have lost with what leakhunt,
# LeakSanitizer and valgrind find. Each of N structures (default: 600 and 3000) has some blocks, a third is lost.
# TRUTH: lost blocks; FOUND, INVENTED: those of leakhunt, by address, and blocks in use that it calls lost. Of the other
# two only counts are known; valgrind's possibly lost blocks stand behind a plus sign.
set -euo pipefail

counts="600 3000"
if [ "${1-}" = --counts ]; then
	counts=$2
	shift 2
fi
leakhunt=$(realpath "$1") samples=$(realpath "$2")
root=$(realpath "$(dirname "$0")/..")
folder=$(mktemp -d "${TMPDIR:-/tmp}/leak-truth.XXXXXX")
pid=
finish() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	rm -rf "$folder"
}
trap finish EXIT
cd "$folder"
mkfifo in

# start_truth LIBRARY PROGRAM ARGS...: with its pid in pid, the truth in the file truth.
start_truth() {
	mkfifo out
	LD_PRELOAD=$1 "${@:2}" --file truth <in >out 2>/dev/null &
	pid=$!
	exec 3>in 4<out
	rm out
	read -r -u 4 _
}

stop_truth() {
	exec 3>&- 4<&-
	wait "$pid" 2>/dev/null || true
	pid=
}

# find_lost LIBRARY PROGRAM ARGS...: prints LOST FOUND INVENTED in one line.
find_lost() {
	start_truth "$@"
	"$leakhunt" leaks --list "$pid" >listed 2>/dev/null || true
	stop_truth
	"$root/tests/live/compare_leaks.sh" truth listed | jq -r '"\(.lost) \(.found) \(.invented)"'
}

# Blocks that LeakSanitizer reports of a program built with it.
count_lsan() {
	echo quit | "$@" 2>&1 | sed -n 's/^SUMMARY: LeakSanitizer:.* in \([0-9]*\) alloc.*/\1/p'
}

count_valgrind() {
	local log
	log=$(echo quit | valgrind --leak-check=full --undef-value-errors=no "$@" 2>&1 | tr -d ,)
	printf '%s+%s' "$(sed -n 's/.* \(definitely\|indirectly\) lost: .* in \([0-9]*\) blocks/\2/p' <<<"$log" | awk '{ sum += $1 } END { print sum + 0 }')" \
		"$(sed -n 's/.* possibly lost: .* in \([0-9]*\) blocks/\1/p' <<<"$log")"
}

gcc -std=gnu11 -O2 -D_GNU_SOURCE -fsanitize=leak -o lsan_c "$root/samples/leak_truth.c" -lpthread
g++ -O2 -fsanitize=leak -o lsan_cxx "$root/samples/leak_truth_cxx.cc"
musl=
if command -v musl-gcc >/dev/null; then
	musl-gcc -std=gnu11 -O2 -D_GNU_SOURCE -o leak_truth_musl "$root/samples/leak_truth.c"
	musl=$folder/leak_truth_musl
fi

printf '%-22s %8s %9s %9s %9s %14s %14s\n' PROGRAM COUNT TRUTH FOUND INVENTED LeakSanitizer valgrind
row() {
	read -r lost found invented < <(find_lost "$3" "$4" --count "$2" "${@:7}")
	printf '%-22s %8s %9s %9s %9s %14s %14s\n' "$1" "$2" "$lost" "$found" "$invented" "$5" "$6"
}
for count in $counts; do
	row C "$count" "" "$samples/leak_truth" "$(count_lsan ./lsan_c --count "$count")" \
		"$(count_valgrind "$samples/leak_truth" --count "$count")"
	row C++ "$count" "" "$samples/leak_truth_cxx" "$(count_lsan ./lsan_cxx --count "$count")" \
		"$(count_valgrind "$samples/leak_truth_cxx" --count "$count")"
	for library in libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2.0; do
		[ -e "/usr/lib/x86_64-linux-gnu/$library" ] || continue
		row "C, ${library%%.*}" "$count" "/usr/lib/x86_64-linux-gnu/$library" "$samples/leak_truth" - -
		row "C++, ${library%%.*}" "$count" "/usr/lib/x86_64-linux-gnu/$library" "$samples/leak_truth_cxx" - -
	done
	[ -z "$musl" ] || row "C, musl" "$count" "" "$musl" - -
done
