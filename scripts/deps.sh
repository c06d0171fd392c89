#!/usr/bin/env bash
# Installs the Debian packages that leakhunt needs.
#   deps.sh install              all of them but the browser
#   deps.sh ensure GROUP...      only what is missing of the groups below
set -euo pipefail

declare -A groups=(
	[build]="gcc g++ libc6-dev make libelf-dev libdw-dev libjansson-dev libssl-dev libvectorscan-dev libpcre2-dev libseccomp-dev libxxhash-dev libiberty-dev libzstd-dev liblzma-dev zlib1g-dev"
	[demo]="procps openssl jq"
	[check]="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user libcmocka-dev bats gdb binutils elfutils jq procps openssl python3 python3-prometheus-client nginx redis-server curl gawk nodejs sqlite3 zstd lz4 xz-utils libjpeg-turbo-progs libjemalloc2 libtcmalloc-minimal4|libtcmalloc-minimal4t64 libmimalloc2.0|libmimalloc3 musl-tools gccgo-12 pkg-config libglib2.0-dev libcurl4-openssl-dev libexpat1-dev libgnutls28-dev libxml2-dev libsqlite3-dev libmbedtls-dev libwolfssl-dev libnss3-dev apache2-utils putty-tools age openssh-client openjdk-17-jdk-headless|openjdk-21-jdk-headless golang-go php-cli prometheus valgrind libc6-dbg"
	[bench]="binutils elfutils gdb jq procps ripgrep python3 smem"
	[package]="dpkg-dev rpm"
	[static]="busybox-static musl-tools"
	[harm]="golang-go openjdk-17-jdk-headless|openjdk-21-jdk-headless nodejs nginx apache2-utils redis-server redis-tools postgresql-15|postgresql-17 postgresql-client-15|postgresql-client-17 python3 util-linux"
	[kernels]="qemu-system-x86 cpio gzip"
	[browser]="chromium fonts-liberation nodejs"
	[lint]="clang clang-format clang-tidy cppcheck shellcheck git libclang-rt-14-dev|libclang-rt-19-dev llvm-14|llvm-19"
)

die() {
	echo "deps: $*" >&2
	exit 2
}

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = "ii " ]
}

# A name may be several, NAME|NAME, of which each Debian release has one. Prints one a line that is not installed.
missing_packages() {
	local names name
	for names in "$@"; do
		for name in ${names//|/ }; do
			is_installed "$name" && continue 2
		done
		echo "$names"
	done
}

# The one of NAME|NAME that this release has.
package_of() {
	local name
	for name in ${1//|/ }; do
		[ -n "$(apt-cache madison "$name" 2>/dev/null)" ] && break
	done
	echo "$name"
}

mode=${1:-install}
shift || true
case $mode in
install)
	unset "groups[browser]"
	set -- "${!groups[@]}"
	;;
ensure) [ $# -gt 0 ] || die "ensure: which groups? (${!groups[*]})" ;;
*) die "unknown mode '$mode'; modes: install, ensure GROUP..." ;;
esac

wanted=()
for group in "$@"; do
	[ -n "${groups[$group]:-}" ] || die "unknown group '$group'; groups: ${!groups[*]}"
	read -ra names <<<"${groups[$group]}"
	wanted+=("${names[@]}")
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	[ "$mode" = ensure ] && exit 0 # the compiler will say what it lacks
	die "this is not Debian (no apt-get). Install the equivalents of: ${wanted[*]}"
fi

mapfile -t missing < <(missing_packages "${wanted[@]}" | sort -u)
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || die "not root and no sudo; run as root: apt-get install ${missing[*]}"
	as_root=(sudo)
fi
echo "deps: installing ${missing[*]}"

# Tests start servers by themselves: no installed service runs or is enabled afterwards.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 0755 /dev/stdin $policy
	trap '"${as_root[@]}" rm -f $policy' EXIT
fi
"${as_root[@]}" apt-get update -qq
for i in "${!missing[@]}"; do
	missing[i]=$(package_of "${missing[i]}")
done
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

services_of() {
	dpkg-query -L "$@" | grep -oP '^(/usr)?/lib/systemd/system/\K[^/@]+\.service$' | sort -u
}
for service in $(services_of "${missing[@]}"); do
	"${as_root[@]}" deb-systemd-helper disable "$service" >/dev/null 2>&1 || true
	[ ! -e "/etc/init.d/${service%.service}" ] || "${as_root[@]}" update-rc.d "${service%.service}" disable >/dev/null 2>&1 || true
done
