#!/usr/bin/env bash
# Makes a .deb and a .rpm of what `make install` installs.   package.sh FOLDER
# Same sources, same compiler: same bytes. The date of the last commit stands for all times (SOURCE_DATE_EPOCH).
set -euo pipefail

cd "$(dirname "$0")/.."
folder=$(realpath "$1")
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y README.md)}
export SOURCE_DATE_EPOCH
version=$("$folder/leakhunt" --version | cut -d' ' -f2)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

# The installed tree, stripped, its man pages compressed without a time stamp.
stage() {
	make --no-print-directory install DESTDIR="$1" PREFIX=/usr >/dev/null
	strip "$1/usr/bin/leakhunt"
	gzip -9n "$1"/usr/share/man/man1/*.1
	install -D -m 0644 LICENSE "$1/usr/share/doc/leakhunt/copyright"
	find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

make_deb() {
	local root=$work/debian/leakhunt architecture depends
	architecture=$(dpkg --print-architecture)
	stage "$root"
	echo 'Source: leakhunt' >"$work/debian/control"
	depends=$(cd "$work" && dpkg-shlibdeps -O debian/leakhunt/usr/bin/leakhunt | sed -n 's/^shlibs:Depends=//p')
	mkdir "$root/DEBIAN"
	cat >"$root/DEBIAN/control" <<-EOT
		Package: leakhunt
		Version: $version
		Architecture: $architecture
		Maintainer: The leakhunt authors <leakhunt@localhost>
		Installed-Size: $(du -k -s --apparent-size "$root/usr" | cut -f1)
		Depends: $depends
		Section: devel
		Priority: optional
		Description: memory-leak forensics on live Linux processes
		 leakhunt finds memory leaks in running processes, from outside, without
		 restarting or noticeably stopping them: which mappings grow, a copy of
		 their memory, and what that memory holds.
	EOT
	(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
	find "$root/DEBIAN" -exec touch --date="@$SOURCE_DATE_EPOCH" {} +
	dpkg-deb --root-owner-group --build "$root" "$folder/leakhunt_${version}_$architecture.deb" >/dev/null
	echo "$folder/leakhunt_${version}_$architecture.deb"
}

# rpm detects the needed libraries itself.
make_rpm() {
	local root=$work/rpm
	stage "$root"
	cat >"$work/leakhunt.spec" <<-EOT
		Name: leakhunt
		Version: $version
		Release: 1
		Summary: Memory-leak forensics on live Linux processes
		License: MIT
		%global debug_package %{nil}
		%global __os_install_post %{nil}
		%global _build_id_links none
		%description
		leakhunt finds memory leaks in running processes, from outside, without
		restarting or noticeably stopping them.
		%install
		cp -a "$root/." "%{buildroot}"
		%files
		%defattr(-,root,root)
		$(cd "$root" && find usr -type f -printf '/%p\n' | sort)
	EOT
	rpmbuild --quiet -bb --define "_topdir $work/top" --define "_rpmdir $work" --define '_buildhost localhost' \
		--define 'use_source_date_epoch_as_buildtime 1' --define 'clamp_mtime_to_source_date_epoch 1' \
		"$work/leakhunt.spec"
	install -m 0644 "$work"/*/leakhunt-*.rpm "$folder/"
	echo "$folder/$(basename "$work"/*/leakhunt-*.rpm)"
}

make_deb
make_rpm
