#!/usr/bin/env bash
# The story of a TLS leak, typed as a user would: a proxy in production grows and may not be
# restarted; leakhunt finds what grows, copies it and names it; the fixed proxy does not grow.
#   demo.sh LEAKHUNT SAMPLES
# Everything runs on loopback and in a new folder in $TMPDIR (/tmp), and is gone at the end. Ends with
# 0 only if each expected answer came out; the expectations are checked on the JSON twins of what is
# shown, made from the same samples and the same dumps.
# shellcheck disable=SC2016 # the $words in single quotes are jq's
set -euo pipefail

leakhunt=$(realpath "$1")
SAMPLES=$(realpath "$2")
root=$(cd "$(dirname "$0")/.." && pwd)

RATE=80        # requests a second
ERRORS=30      # percent of them that take the leaking path
NAME=shop-front.example

work=$(mktemp -d "${TMPDIR:-/tmp}/leakhunt-demo.XXXXXX")
export TMPDIR=$work
load_pid=
failures=0
answers=()

# shellcheck source=tests/helpers.bash
. "$root/tests/helpers.bash"

stop_all() {
	if [ -n "$load_pid" ]; then
		kill "$load_pid" 2>/dev/null || true
		wait "$load_pid" 2>/dev/null || true
		load_pid=
	fi
	stop_samples
}

# shellcheck disable=SC2317 # called by the trap
clean_up() {
	stop_all
	cd / && rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Commands are found as if leakhunt were installed.
mkdir "$work/bin"
ln -s "$leakhunt" "$work/bin/leakhunt"
ln -s "$SAMPLES"/tls* "$work/bin/"
PATH=$work/bin:$PATH
cd "$work"

say() {
	printf '\n# %s\n' "$@"
}

# note RESULT WHAT: an expected answer that came out (RESULT 0) or didn't; shown at the end.
note() {
	if [ "$1" -eq 0 ]; then
		answers+=("ok    $2")
	else
		answers+=("FAIL  $2")
		failures=$((failures + 1))
	fi
}

# typed COMMAND...: shows the command, then runs it; it has to end with 0, complete.
typed() {
	local status=0
	printf '\n$ %s\n' "$*"
	"$@" || status=$?
	note "$status" "$1 $2: exit code $status"
	[ "$status" -le 1 ] || exit "$status"
}

# expect WHAT FILE JQ-FILTER [--arg NAME VALUE]...: notes whether the filter is true of the JSON file.
expect() {
	local what=$1 file=$2 filter=$3
	shift 3
	local status=0
	jq -e "$@" "$filter" "$file" >/dev/null || status=$?
	note "$status" "$what"
}

# start_service FLAGS...: the proxy, and the load that drives it until it is stopped.
start_service() {
	printf '\n$ tlsproxy --listen 127.0.0.1:0 --upstream unix:shop.sock --name %s%s &\n' "$NAME" "${*:+ $*}"
	start_sample tlsproxy --listen 127.0.0.1:0 --upstream unix:shop.sock --name "$NAME" "$@"
	proxy_pid=$SAMPLE_PID
	printf '[pid %s] listens at port %s\n' "$proxy_pid" "$(truth port)"
	printf '\n$ tlsload --proxy 127.0.0.1:%s --serve unix:shop.sock --rate %s --errors %s &\n' \
		"$(truth port)" "$RATE" "$ERRORS"
	tlsload --proxy "127.0.0.1:$(truth port)" --serve unix:shop.sock --rate "$RATE" --errors "$ERRORS" \
		--seconds 110 >load.txt </dev/null &
	load_pid=$!
	wait_until 150 has_served 400
}

# has_served N: the proxy has taken N connections; caches and buffers are then as large as they get.
has_served() {
	sample_step 0 && [ "$(truth connections)" -ge "$1" ]
}

stop_service() {
	sample_step 0
	printf '\n(the proxy served %s requests; by its own count it lost %s SSL objects)\n' \
		"$(truth connections)" "$(truth leaked)"
	local status=0
	assert_sample_unharmed || status=$?
	note "$status" "proxy $proxy_pid: all its threads, memory and calls are as they should be"
	stop_all
}

say "A TLS proxy runs in production. Its memory grows, and it may not be restarted."
start_service

say "What grows, what is it, why does it stay, what is to be done? The proxy goes on serving."
sample_step 0
typed leakhunt "$proxy_pid" -o hunt
sample_step 0
leaked=$(truth leaked)
stop_service

say "TLS connections that nobody frees: on the path where the upstream fails, SSL_free() is missing." \
	"The same load on the fixed proxy:"
start_service --fixed
typed leakhunt hunt "$proxy_pid" -o fixed
stop_service

report=hunt/report.json
expect "grows: the heap, a leak" "$report" '.grows.region == "heap" and .grows.verdict == "leak"'
expect "is: OpenSSL's SSL objects, at most as many as the proxy lost ($leaked)" "$report" \
	'.is.rows[0] | .name == "SSL" and .count >= 10 and .after_count <= ($leaked | tonumber)' --arg leaked "$leaked"
expect "is: the growth is accounted for" "$report" '.is.explained > 0.9'
expect "why: in use, nobody has freed them" "$report" '.why.word == "in-use"'
expect "next: SSL_free()" "$report" '.next.release == "SSL_free()"'
expect "receipt: two pauses, all steps done" "$report" '.receipt.pauses == 2 and .complete'
expect "folder: mode 0700, dumps are ELF cores, mode 0600" <(jq -n --arg magic "$(head -c 4 hunt/after.core | tail -c 3)" \
	--arg mode "$(stat -c %a hunt hunt/after.core | tr '\n' ' ')" '{$magic, $mode}') '.magic == "ELF" and .mode == "700 600 "'
expect "fixed: nothing leaks, and nothing was dumped" fixed/report.json \
	'.grows.verdict != "leak" and .why.word == "no-growth" and .receipt.pauses == 0'

say "What came out"
printf '%s\n' "${answers[@]}"
if [ "$failures" -gt 0 ]; then
	printf '\ndemo: %d of the expected answers did not come out\n' "$failures"
	exit 1
fi
printf '\ndemo: all of it came out\n'
