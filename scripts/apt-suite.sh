# shellcheck shell=bash
# apt-suite.sh: packages of other Debian suites, downloaded and unpacked, never installed. To be sourced.

DEBIAN_MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

# apt_suite FOLDER SUITE COMMAND...: a tool of apt that knows this suite only, and nothing of this machine's packages.
# What it keeps is in FOLDER/apt-SUITE.
apt_suite() {
	local state=$1/apt-$2 suite=$2 tool=$3
	shift 3
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $DEBIAN_MIRROR $suite main" >"$state/sources.list"
	"$tool" -qq -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$state/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$state/cache" \
		-o APT::Sandbox::User="$(id -un)" -o APT::Architecture=amd64 "$@"
}
