#!/usr/bin/env bash
# heap-truth.sh LEAKHUNT SAMPLES FOLDER [SUITE...]: prints a table: under each allocator of Debian's suites, how many
# blocks of samples/heap_truth, which knows its own, leakhunt finds, misses and invents, live and in a dump.
#   missing    live blocks that are not found in use
#   invented   places that were freed, and are found in use
#   others     further blocks in use: libc's own
#   misfit     found with a size that is not malloc_usable_size, or not the one asked for
#   own total  bytes in use as the allocator itself says, and leakhunt's; - when it does not say
# Packages are unpacked in FOLDER, and run with their own C library. `oldmalloc` is built of musl's source package.
set -euo pipefail

leakhunt=$1 samples=$2 folder=$(mkdir -p "$3" && cd "$3" && pwd)
shift 3
suites=(bookworm trixie sid)
[ $# -eq 0 ] || suites=("$@")
root=$(cd "$(dirname "$0")/.." && pwd)
sizes=(--threads 6 --exits 2 --slots 4000 --operations 40000)
# shellcheck source=scripts/apt-suite.sh
. "$root/scripts/apt-suite.sh"

packages=(libc6 libjemalloc2 libmimalloc2.0 libmimalloc3 libtcmalloc-minimal4 libtcmalloc-minimal4t64 librpmalloc1
	libclang-rt-14-dev libclang-rt-16-dev libclang-rt-19-dev libstdc++6 libgcc-s1 musl)

# fetch_suite SUITE: unpacks those of the packages that the suite has.
fetch_suite() {
	local suite=$1 to=$folder/$1 package
	[ ! -e "$to/done" ] || return 0
	mkdir -p "$to/debs"
	apt_suite "$folder" "$suite" apt-get update >&2
	for package in "${packages[@]}"; do
		(cd "$to/debs" && apt_suite "$folder" "$suite" apt-get download "$package" >&2 2>/dev/null) || continue
	done
	for package in "$to"/debs/*.deb; do
		dpkg-deb -x "$package" "$to"
	done
	touch "$to/done"
}

# version SUITE PACKAGE: as its file's name says.
version() {
	local name
	name=$(find "$folder/$1/debs" -name "$2_*.deb" -printf '%f\n' | sort | head -n 1)
	name=${name#*_}
	name=${name%_*}
	echo "${name##*%3a}"
}

# A musl whose malloc is the old one, of the source of the machine's own suite.
build_oldmalloc() {
	local version=$1 source=$folder/musl-$1
	[ ! -e "$source/done" ] || return 0
	mkdir -p "$source"
	curl -sSf "$DEBIAN_MIRROR/pool/main/m/musl/musl_$version.orig.tar.gz" | tar -xz -C "$source" --strip-components=1
	# Its loader would replace that of this machine.
	(cd "$source" && ./configure --prefix="$source/installed" --syslibdir="$source/installed/lib" \
		--with-malloc=oldmalloc && make && make install) >&2
	touch "$source/done"
}

# ---------------------------------------------------------------- a row

SAMPLE_PID=
trap '[ -z "$SAMPLE_PID" ] || kill "$SAMPLE_PID" 2>/dev/null || true; rm -rf "$work"' EXIT
work=$(mktemp -d)
mkfifo "$work/input"
exec 3<>"$work/input"

# start COMMAND...: runs heap_truth until it has churned. 1: it did not.
start() {
	local line=
	rm -f "$work/truth"
	mkfifo "$work/output"
	"$@" --file "$work/truth" "${sizes[@]}" --seed "${SEED:-101}" <&3 >"$work/output" 2>"$work/errors" &
	SAMPLE_PID=$!
	exec 4<"$work/output"
	rm "$work/output"
	read -r -u 4 line || true
	[[ $line == READY* ]] || stop
}

# Always 1.
stop() {
	exec 4<&-
	kill "$SAMPLE_PID" 2>/dev/null || true
	wait "$SAMPLE_PID" 2>/dev/null || true
	SAMPLE_PID=
	return 1
}

total() {
	sed -n "s/^T $1 //p" "$work/truth"
}

# own_totals ALLOCATOR: what the allocator says is in use, and what leakhunt says that means the same.
own_totals() {
	local used cached free
	used=$(jq .bytes_used "$work/compared") cached=$(jq .bytes_cached "$work/compared") free=$(jq .bytes_free "$work/compared")
	case $1 in
	glibc)
		# mallinfo: free blocks with the 8 bytes that malloc keeps of each, and fastbins.
		echo "$(total glibc.free) $((free + 8 * $(jq .count_free "$work/compared") + $(total glibc.fast)))"
		;;
	# Beside blocks, jemalloc counts the stacks of its caches.
	jemalloc) echo "$(total stats.allocated) $((used + cached))" ;;
	tcmalloc) echo "$(total generic.current_allocated_bytes) $used" ;;
	*) echo "- $used" ;;
	esac
}

# print_row ALLOCATOR VERSION WHERE OPERAND
print_row() {
	if ! timeout 100 "$samples/compare_blocks" "$4" "$work/truth" >"$work/compared"; then
		printf '%-10s %-22s %-5s cannot be compared\n' "$1" "$2" "$3"
		return
	fi
	local totals
	totals=$(own_totals "$1")
	jq -r --arg name "$1" --arg version "$2" --arg where "$3" --arg totals "$totals" '
		(.allocators | map(select(.name | ascii_downcase == ($name | ascii_downcase | if . == "oldmalloc" then "musl" else . end)))[0]) as $walk |
		[$name, $version, $where, .live, .missing, .invented, .others, .misfit + .wrong_request,
		($walk.checked // 0), ($walk.failed // 0), ($totals | split(" ")[]),
		(if $walk.refused then "refused: " + $walk.first_failure elif $walk.partial then "partial: " + $walk.first_failure else "" end)] | @tsv' \
		"$work/compared" |
		while IFS=$'\t' read -r name version where live missing invented others misfit checked failed own ours note; do
			printf '%-10s %-22s %-5s %7s %7s %8s %6s %6s %8s %6s %11s %11s %s\n' "$name" "$version" "$where" \
				"$live" "$missing" "$invented" "$others" "$misfit" "$checked" "$failed" "$own" "$ours" "$note"
		done
}

# measure ALLOCATOR VERSION COMMAND...
measure() {
	local allocator=$1 version=$2
	shift 2
	if ! start "$@"; then
		printf '%-10s %-22s       did not start: %s\n' "$allocator" "$version" "$(head -c 80 "$work/errors")"
		return
	fi
	print_row "$allocator" "$version" live "$SAMPLE_PID"
	"$leakhunt" dump "$SAMPLE_PID" -o "$work/dump" --force >/dev/null 2>&1 || true
	print_row "$allocator" "$version" dump "$work/dump"
	stop || rm -f "$work/dump"
}

# preload SUITE ALLOCATOR PACKAGE PATTERN [ARGS...]: that library, with the C library of its suite.
preload() {
	local suite=$1 allocator=$2 package=$3 library
	library=$(find "$folder/$suite/usr/lib" -path "*$4" 2>/dev/null | sort | tail -n 1)
	[ -n "$library" ] || return 0
	shift 4
	measure "$allocator" "$(version "$suite" "$package") $suite" env LD_PRELOAD="$library" SCUDO_OPTIONS=GWP_ASAN_Enabled=false \
		"${own_libc[@]}" "$samples/heap_truth" "$@"
}

# heap_truth, as any musl runs it.
build_musl_program() {
	[ -e "$work/heap_truth_musl" ] || musl-gcc -std=gnu11 -O2 -D_GNU_SOURCE -o "$work/heap_truth_musl" "$root/samples/heap_truth.c"
}

measure_suite() {
	local suite=$1 library_path lib musl version
	lib=$(dirname "$(find "$folder/$suite" -name libc.so.6 | head -n 1)")
	# That of Scudo needs libstdc++ and libgcc_s, in another folder in bookworm.
	library_path=$lib:$folder/$suite/usr/lib/x86_64-linux-gnu:$folder/$suite/lib/x86_64-linux-gnu
	own_libc=("$lib/ld-linux-x86-64.so.2" --library-path "$library_path")
	measure glibc "$(version "$suite" libc6) $suite" "${own_libc[@]}" "$samples/heap_truth"
	preload "$suite" jemalloc libjemalloc2 /libjemalloc.so.2
	preload "$suite" mimalloc libmimalloc2.0 /libmimalloc.so.2.0
	# posix_memalign of 3.0.1 gives overlapping blocks.
	preload "$suite" mimalloc libmimalloc3 /libmimalloc.so.3 --aligned 0
	preload "$suite" tcmalloc 'libtcmalloc-minimal4*' /libtcmalloc_minimal.so.4
	preload "$suite" rpmalloc librpmalloc1 /librpmalloc.so.1
	for version in 14 16 19; do
		preload "$suite" Scudo "libclang-rt-$version-dev" "/llvm-$version/*/libclang_rt.scudo_standalone-x86_64.so"
	done
	musl=$(find "$folder/$suite" -name libc.so -path '*-linux-musl/*')
	if [ -n "$musl" ] && command -v musl-gcc >/dev/null; then
		build_musl_program
		measure musl "$(version "$suite" musl) $suite" "$musl" "$work/heap_truth_musl"
	fi
}

measure_oldmalloc() {
	command -v musl-gcc >/dev/null || return 0
	build_oldmalloc 1.2.5
	build_musl_program
	measure oldmalloc "1.2.5" "$folder/musl-1.2.5/installed/lib/libc.so" "$work/heap_truth_musl"
}

printf '%-10s %-22s %-5s %7s %7s %8s %6s %6s %8s %6s %11s %11s\n' allocator version where blocks missing invented others \
	misfit checked failed 'own total' leakhunt
for suite in "${suites[@]}"; do
	fetch_suite "$suite"
	measure_suite "$suite"
done
measure_oldmalloc
