#!/usr/bin/env bash
# Runs each libFuzzer target for a while on its corpus; new inputs go to a folder that is kept.
#   fuzz.sh FOLDER_OF_FUZZERS SECONDS
# Ends with 0 when none of them crashed; an input that crashes one stays in .build/fuzz-findings.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

fuzzers=$1
seconds=$2
findings=.build/fuzz-findings
failed=0
mkdir -p "$findings"

for fuzzer in "$fuzzers"/fuzz_*; do
	if [ ! -x "$fuzzer" ]; then continue; fi
	name=$(basename "$fuzzer")
	corpus=.build/fuzz-corpus/$name
	mkdir -p "$corpus"
	echo "== $name, $seconds s"
	"$fuzzer" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 \
		-artifact_prefix="$findings/$name-" "$corpus" "tests/fuzz/corpus/${name#fuzz_}" 2>"$findings/$name.log" ||
		failed=$((failed + 1))
	grep -E '^stat::(number_of_executed_units|peak_rss_mb)|SUMMARY' "$findings/$name.log"
done
[ "$failed" -eq 0 ] || echo "fuzz: $failed targets failed; see $findings"
[ "$failed" -eq 0 ]
