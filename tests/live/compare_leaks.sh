#!/usr/bin/env bash
# compare-leaks.sh TRUTH LISTED: how well a list of lost blocks (`leakhunt leaks --list`) meets what samples/leak_truth
# wrote. Output: JSON; "found", "missed": lost blocks; "invented": blocks that can be reached and were called lost;
# "others": blocks called lost that the program does not know. What a program got with an alignment lies within its block.
set -euo pipefail
awk '
	function known(addr, size,    at, text) {
		if (addr in kind)
			return addr
		for (at = 16; at < size; at += 16) {
			text = sprintf("0x%x", number(addr) + at)
			if (text in kind)
				return text
		}
		return ""
	}
	function number(hex,    i, value) {
		for (i = 3; i <= length(hex); i++)
			value = value * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
		return value
	}
	NR == FNR { kind[$2] = $1; bytes[$2] = $3; if ($1 == "L") { lost++; lost_bytes += $3 } next }
	$3 == "possible" { possible++; next }
	{ block = known($1, $2) }
	block != "" && kind[block] == "L" { found++; found_bytes += bytes[block]; next }
	block != "" { invented++; next }
	{ others++ }
	END {
		printf "{\"lost\":%d,\"lost_bytes\":%d,\"found\":%d,\"found_bytes\":%d,\"missed\":%d,\"invented\":%d,\"others\":%d,\"possible\":%d}\n",
			lost, lost_bytes, found, found_bytes, lost - found, invented, others, possible
	}' "$1" "$2"
