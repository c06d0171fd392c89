#!/usr/bin/env bash
# Runs the static leakhunt without its build system's libraries: in an empty root, in a root of busybox and musl, and in
# each ROOT, a folder with another distribution's root file system. In each it dumps a process, and reads the dump.
#   check-static.sh LEAKHUNT_STATIC SAMPLES [ROOT...]
# Needs root, and busybox-static and musl-tools (Debian) for the second root: without them it is skipped.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 64; }
program=$(realpath "$1")
samples=$(realpath "$2")
shift 2
source=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

passed=0 failed=0 skipped=0

# The commands to run in the root while the target lives: each command that needs a process, then those on its dump.
# The target is a musl process or one of this system; the root needs no shell.
# shellcheck disable=SC2016 # the inner shell expands
in_root='
	root=$1 target=$2
	mount -t proc proc "$root/proc"
	$target <"$root.in" >"$root.out" &
	exec 9>"$root.in"
	read -r ready <"$root.out"
	pid=$(sed -n "s/.*\"pid\":\([0-9]*\).*/\1/p" <<<"$ready")
	run() {
		local expected=$1 status=0
		shift
		chroot "$root" /leakhunt "$@" >"$root.said" 2>&1 || status=$?
		[ "$status" -ne "$expected" ] || return 0
		echo "leakhunt $*: exit $status, not $expected"
		tail -n 3 "$root.said"
		exit 1
	}
	run 0 --version
	run 0 maps "$pid"
	run 0 select "$pid" --samples 3 --interval 50ms
	run 0 dump "$pid" -o /tmp/dump
	run 0 heap /tmp/dump
	run 0 strings /tmp/dump
	run 0 strings --list /tmp/dump
	run 0 explain "$(sed -n "s/.*\"first_addr\":\"\(0x[0-9a-f]*\)\".*/\1/p" <<<"$ready")" /tmp/dump
	run 3 leaks /tmp/dump
'

# check_root NAME FOLDER TARGET...: the static program in it, which is removed again.
check_root() {
	local name=$1 root=$2 output
	shift 2
	mkdir -p "$root/proc" "$root/tmp"
	mkfifo "$root.in"
	mkfifo "$root.out"
	cp "$program" "$root/leakhunt"
	if output=$(unshare --mount --pid --fork --kill-child --propagation private bash -c "$in_root" bash "$root" "$*" 2>&1); then
		passed=$((passed + 1))
		echo "ok $name"
	else
		failed=$((failed + 1))
		printf 'not ok %s\n%s\n' "$name" "$output"
	fi
	rm -f "$root/leakhunt" "$root/tmp/dump" "$root.in" "$root.out" "$root.said"
}

if ldd "$program" 2>/dev/null | grep -q '=>'; then
	echo "check-static: $program needs shared libraries" >&2
	exit 1
fi

mkdir "$work/empty"
check_root 'an empty root' "$work/empty" "$samples/heap_leak" --steps 100

busybox=$(command -v busybox || true)
if [ -n "$busybox" ] && ! ldd "$busybox" 2>/dev/null | grep -q "=>" && command -v musl-gcc >/dev/null; then
	mkdir -p "$work/musl/bin" "$work/musl/lib"
	cp "$busybox" "$work/musl/bin/busybox"
	cp -L /lib/ld-musl-x86_64.so.1 "$work/musl/lib/"
	musl-gcc -std=gnu11 -O2 -D_GNU_SOURCE -o "$work/musl/bin/heap_leak" "$source/samples/heap_leak.c"
	check_root 'busybox and musl' "$work/musl" chroot "$work/musl" /bin/heap_leak --steps 100
else
	skipped=$((skipped + 1))
	echo 'ok busybox and musl # skip needs busybox-static and musl-tools'
fi

# The target runs with the libraries of that root where it can.
for root; do
	root=$(realpath "$root")
	cp "$samples/heap_leak" "$root/heap_leak"
	target=("$samples/heap_leak")
	! chroot "$root" /heap_leak </dev/null >/dev/null 2>&1 || target=(chroot "$root" /heap_leak)
	check_root "$root (${target[*]})" "$root" "${target[@]}" --steps 100
	rm -f "$root/heap_leak"
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
