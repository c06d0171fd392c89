#!/usr/bin/env bash
# kernel-matrix.sh BUILD FAULTS_BUILD SAMPLES [SUITE/PACKAGE...]: runs leakhunt on other kernels, in emulated machines.
#   make check-kernels                                             the kernels below
#   make check-kernels KERNELS=trixie/linux-image-amd64            one of any Debian suite
# The kernels' packages are downloaded into .build/kernels and unpacked there, never installed. The machines have
# no disk and no network: programs and tests come in memory, results as TAP lines on the console.
set -euo pipefail

build=$1 faults_build=$2 samples=$3
shift 3
[ $# -gt 0 ] || set -- bullseye/linux-image-cloud-amd64 bookworm/linux-image-cloud-amd64 \
	bookworm-backports/linux-image-cloud-amd64

root=$(cd "$(dirname "$0")/.." && pwd)
folder=$root/.build/kernels
seconds_max=${KERNEL_SECONDS_MAX:-3600}
machine=(qemu-system-x86_64 -m 1024 -smp 2 -nodefaults -nographic -no-reboot -serial stdio
	-append 'console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off')

# shellcheck source=scripts/apt-suite.sh
. "$root/scripts/apt-suite.sh"

# fetch_kernel SUITE PACKAGE: prints the path of its kernel. A package without one stands for the one it depends on.
fetch_kernel() {
	local suite=$1 package=$2 real unpacked
	unpacked=$folder/$suite-$package
	if [ -z "$(compgen -G "$unpacked/boot/vmlinuz-*")" ]; then
		apt_suite "$folder" "$suite" apt-get update >&2
		real=$(apt_suite "$folder" "$suite" apt-cache depends "$package" | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
		mkdir -p "$unpacked"
		(cd "$unpacked" && apt_suite "$folder" "$suite" apt-get download "${real:-$package}" >&2)
		dpkg-deb --fsys-tarfile "$unpacked"/*.deb | tar -x -C "$unpacked" --wildcards './boot/*'
		rm "$unpacked"/*.deb
	fi
	compgen -G "$unpacked/boot/vmlinuz-*"
}

# put FILE [TARGET]: copies a file, and the libraries that it needs, into the root of the machine.
put() {
	local library
	mkdir -p "$tree$(dirname "${2:-$1}")"
	cp -L "$1" "$tree${2:-$1}"
	ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
		[ -e "$tree$library" ] || install -D "$library" "$tree$library"
	done || true
}

make_root() {
	local tool
	mkdir -p "$tree"/{proc,sys,dev,tmp,usr/bin,bin}
	for tool in bash cat cut chmod cp date find grep head jq ls mawk mkdir mkfifo mktemp mount rm sed seq sleep sort tail tr uname wc; do
		put "$(PATH=/usr/bin:/bin command -v "$tool")" "/usr/bin/$tool"
	done
	cp "$tree/usr/bin/bash" "$tree/bin/bash"
	ln -s bash "$tree/bin/sh"
	ln -s mawk "$tree/usr/bin/awk"
	cp "$(command -v env)" "$tree/usr/bin/env"
	put "$build/leakhunt" /leakhunt/leakhunt
	put "$faults_build/leakhunt" /leakhunt/leakhunt-faults
	put "$build/unit/test_dirty_trackers" /leakhunt/test_dirty_trackers
	put "$samples/page_writer" /leakhunt/samples/page_writer
	put "$samples/heap_leak" /leakhunt/samples/heap_leak
	put "$samples/check_cut" /leakhunt/samples/check_cut
	grep -rhoE 'lh_fault_point\("[a-z-]+"\)' "$root/src" | cut -d'"' -f2 |
		grep -v guard-alone >"$tree/leakhunt/fault-points"
	install -D "$root/tests/helpers.bash" "$tree/leakhunt/tests/helpers.bash"
	install "$root/tests/kernels/guest.sh" "$tree/init"
	strip "$tree"/leakhunt/{leakhunt,leakhunt-faults,test_dirty_trackers} "$tree"/leakhunt/samples/*
	# Not compressed: an emulated processor takes longer to unpack it than to load it.
	(cd "$tree" && find . | cpio --quiet -o -H newc) >"$work/initramfs"
}

# choose_accelerator KERNEL: kvm if the kernel boots with it as far as possible without a root, else emulation. The
# presence of /dev/kvm proves little: inside some virtual machines no ordinary kernel boots with it. Emulated,
# Linux 6.12 died at cmpxchg16b (QEMU 7.2), and page tables of five levels only cost time.
choose_accelerator() {
	accelerator=(-accel tcg -cpu 'max,-cx16,-la57')
	[ -w /dev/kvm ] || return 0
	if timeout 20 "${machine[@]}" -accel kvm -cpu host -kernel "$1" </dev/null 2>&1 | grep -aq 'Kernel panic'; then
		accelerator=(-accel kvm -cpu host)
	fi
}

run_machine() {
	timeout "$seconds_max" "${machine[@]}" "${accelerator[@]}" -kernel "$1" -initrd "$work/initramfs" </dev/null |
		stdbuf -oL tr -d '\r' | grep --line-buffered -aoE '(not ok|ok) [0-9].*|^#.*|1\.\.[0-9]+$'
}

# A machine that hung or crashed printed no TAP plan.
run_kernel() {
	local name=$1 kernel said=$work/said
	kernel=$(fetch_kernel "${name%%/*}" "${name#*/}")
	[ ${#accelerator[@]} -gt 0 ] || choose_accelerator "$kernel"
	echo "# ${kernel##*/vmlinuz-} ($name), ${accelerator[1]}"
	run_machine "$kernel" | tee "$said" || true
	grep -qE '^1\.\.[0-9]+$' "$said" || { echo "not ok - $name did not come to its end"; return 1; }
	! grep -q '^not ok' "$said"
}

mkdir -p "$folder"
work=$(mktemp -d "$folder/work.XXXXXX")
tree=$work/root
trap 'rm -rf "$work"' EXIT
make_root
accelerator=()
failed=()
for name in "$@"; do
	run_kernel "$name" || failed+=("$name")
done
if [ ${#failed[@]} -gt 0 ]; then
	echo "check-kernels: failed on ${failed[*]}" >&2
	exit 1
fi
echo "check-kernels: all passed on $# kernels"
