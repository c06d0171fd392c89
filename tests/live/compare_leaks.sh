#!/usr/bin/env bash
# compare-leaks.sh TRUTH LISTED: how well a list of lost blocks (`leakhunt leaks --list`) meets what samples/leak_truth
# wrote. Output: JSON; "found", "missed": lost blocks; "invented": blocks that can be reached and were called lost;
# "others": blocks called lost that the program does not know.
set -euo pipefail
awk '
	NR == FNR { kind[$2] = $1; bytes[$2] = $3; if ($1 == "L") { lost++; lost_bytes += $3 } next }
	$3 == "possible" { possible++; next }
	kind[$1] == "L" { found++; found_bytes += $2; next }
	kind[$1] == "R" { invented++; next }
	{ others++ }
	END {
		printf "{\"lost\":%d,\"lost_bytes\":%d,\"found\":%d,\"found_bytes\":%d,\"missed\":%d,\"invented\":%d,\"others\":%d,\"possible\":%d}\n",
			lost, lost_bytes, found, found_bytes, lost - found, invented, others, possible
	}' "$1" "$2"
