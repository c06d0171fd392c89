#!/usr/bin/env bash
# Writes C that holds the style and the script of report.html, and their hashes as a Content-Security-Policy names
# them: base64 of SHA-256 of the very bytes.
#   embed-report.sh STYLE SCRIPT >report_assets.c
set -euo pipefail

# hash_of FILE
hash_of() {
	local i digits bytes=
	digits=$(sha256sum "$1")
	digits=${digits%% *}
	for ((i = 0; i < ${#digits}; i += 2)); do
		bytes+="\\x${digits:i:2}"
	done
	printf '%b' "$bytes" | base64 -w 0
}

# bytes_of FILE: numbers, and the NUL that ends them.
bytes_of() {
	od -An -v -tu1 "$1" | sed 's/ *\([0-9][0-9]*\)/\1,/g'
	echo 0
}

# put_asset NAME FILE
put_asset() {
	echo "static const unsigned char $1_bytes[] = {"
	bytes_of "$2"
	echo "};"
}

cat <<-EOF_C
	#include "report_assets.h"
EOF_C
put_asset style "$1"
put_asset script "$2"
cat <<-EOF_C
	const struct lh_report_assets lh_report_assets = {
		.style = (const char *)style_bytes,
		.style_bytes = sizeof(style_bytes) - 1,
		.style_hash = "sha256-$(hash_of "$1")",
		.script = (const char *)script_bytes,
		.script_bytes = sizeof(script_bytes) - 1,
		.script_hash = "sha256-$(hash_of "$2")",
	};
EOF_C
