#!/usr/bin/env bash
# Prints the share of each module's lines that tests executed since the counters were last removed.
#   coverage.sh BUILD     a build with COVERAGE=1
set -euo pipefail

build=$1
# gcov prints, for each source: File 'src/...', Lines executed:P% of N.
find "$build/src" -name '*.gcda' -print0 | xargs -0 -r gcov -n 2>/dev/null | awk '
	/^File / { file = substr($2, 2, length($2) - 2); next }
	/^Lines executed/ && file ~ /^src\// {
		split(file, parts, "/")
		split($2, share, /[:%]/)
		lines[parts[2]] += $4
		ran[parts[2]] += share[2] * $4 / 100
		file = ""
	}
	END {
		printf "%-10s %7s %7s %8s\n", "MODULE", "LINES", "RUN", "COVERAGE"
		for (module in lines) {
			printf "%-10s %7d %7d %6.1f %%\n", module, lines[module], ran[module] + 0.5, 100 * ran[module] / lines[module] | "sort"
			all += lines[module]
			all_ran += ran[module]
		}
		close("sort")
		if (!all) {
			print "coverage: no counters: run tests first" > "/dev/stderr"
			exit 1
		}
		printf "%-10s %7d %7d %6.1f %%\n", "all", all, all_ran + 0.5, 100 * all_ran / all
	}'
