#!/usr/bin/env bash
# Dumps targets that check themselves, and kills leakhunt while it dumps them: no target may notice.
#   check-harm.sh LEAKHUNT FAULTS SAMPLES BUILT
# LEAKHUNT is the program, FAULTS the same built with FAULTS=1, SAMPLES the folder of sample programs; programs in Go
# and Java are compiled into the folder BUILT. The environment says how much:
#   DUMPS=200 for each target and mode; KILLS=3000 for each mode, over all targets; MODES="snapshot child stop live";
#   TARGETS="own strangers", or names; SEED of all random choices; REPORT=BUILT/report.json
set -uo pipefail

leakhunt=$1 faults=$2 samples=$3 built=$4
root=$(cd "$(dirname "$0")/.." && pwd)
strangers=$root/tests/harm/strangers
mkdir -p "$built" && built=$(realpath "$built") || exit 2

# harm.py skips a target whose compiler is missing, and says so.
build_go() {
	command -v go >/dev/null || return 0
	local cgo
	for cgo in 0 1; do
		(cd "$strangers/go_server" && CGO_ENABLED=$cgo GO111MODULE=off GOCACHE=$built/go-cache \
			go build -o "$built/go_server_cgo$cgo" .) || return
	done
}

build_java() {
	command -v javac >/dev/null || return 0
	javac -d "$built" "$strangers/JavaServer.java"
}

build_go && build_java || exit 2

words=(--leakhunt "$leakhunt" --faults "$faults" --samples "$samples" --built "$built"
	--dumps "${DUMPS:-200}" --kills "${KILLS:-3000}" --modes "${MODES:-snapshot child stop live}"
	--targets "${TARGETS:-own strangers}" --report "${REPORT:-$built/report.json}")
[ -z "${SEED:-}" ] || words+=(--seed "$SEED")
exec "$root/tests/harm/harm.py" "${words[@]}"
