#!/usr/bin/env bash
# Runs a command, `make demo check` if none is given, on a bare Debian: a minimal installation in a folder, as root in a
# chroot, no locale, SIGINT ignored, in PID and mount namespaces of its own.
#   check-bare.sh RELEASE FOLDER [COMMAND...]     RELEASE: bookworm, trixie; FOLDER is made if it is missing
# Takes the files that git knows. Needs root, debootstrap, and 3 GB.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 64; }
release=$1
folder=$(realpath -m "$2")
shift 2
[ $# -gt 0 ] || set -- sh -c 'make demo && make -j2 check'
root=$(cd "$(dirname "$0")/.." && pwd)

[ -e "$folder/bin/sh" ] || debootstrap --variant=minbase "$release" "$folder" http://deb.debian.org/debian
cp /etc/resolv.conf "$folder/etc/resolv.conf"
tree=$folder/root/leakhunt
mkdir -p "$tree"
# Only files that differ get a new time, so that make builds nothing else.
(cd "$tree" && find . -path ./.build -prune -o -type f -print | sed 's|^\./||' | sort) |
	comm -23 - <(git -C "$root" ls-files | sort) | while IFS= read -r file; do rm "$tree/$file"; done
git -C "$root" ls-files | while IFS= read -r file; do
	if ! cmp -s "$root/$file" "$tree/$file"; then
		mkdir -p "$tree/$(dirname "$file")"
		cp "$root/$file" "$tree/$file"
	fi
done
chroot "$folder" sh -c 'command -v make >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends make; }' >/dev/null

# The mounts and all processes end with the namespaces.
# shellcheck disable=SC2016 # the inner shell expands
exec unshare --mount --pid --fork --kill-child sh -c '
	folder=$1
	shift
	mount -t proc proc "$folder/proc"
	mount --rbind /dev "$folder/dev"
	mount --rbind /sys "$folder/sys"
	trap "" INT
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb chroot "$folder" sh -c '\''cd /root/leakhunt && exec "$@"'\'' sh "$@"
' sh "$folder" "$@"
