#!/usr/bin/env bash
# missing-frees.sh [--sites N] LEAKHUNT PROGRAM...: whether `leakhunt leaks` finds the blocks that nginx, redis, python,
# s_server or curl leak when frees at N places are suppressed (default: 5), each place in a run of its own. A preloaded library (tests/live/drop_site.c) drops
# each third call of free there, and writes down the addresses. Output: a table; each address is lost, or an example
# says who still points to the block. "(as it is)": lost blocks of the program when all frees are there.
set -euo pipefail

sites=5
if [ "${1-}" = --sites ]; then
	sites=$2
	shift 2
fi
leakhunt=$(realpath "$1")
shift
root=$(realpath "$(dirname "$0")/..")
# shellcheck source=tests/helpers.bash
. "$root/tests/helpers.bash"
folder=$(mktemp -d "${TMPDIR:-/tmp}/missing-frees.XXXXXX")
pid=
stop() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	[ -z "$pid" ] || wait "$pid" 2>/dev/null || true
	pid=
}
trap 'stop; rm -rf "$folder"' EXIT
gcc -O2 -D_GNU_SOURCE -shared -fPIC -o "$folder/drop.so" "$root/tests/live/drop_site.c" -ldl
cd "$folder"
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=x 2>/dev/null

# until_true COMMAND...: tries for 30 s.
until_true() {
	wait_until 300 "$@" >/dev/null 2>&1 || { echo "missing-frees: $* stays false" >&2 && return 1; }
}

# has_open NAME: whether the program has a file of that name open.
has_open() {
	readlink "/proc/$pid"/fd/* | grep -q "/$1\$"
}

# with_drop INPUT COMMAND...: in the background, its pid in pid.
with_drop() {
	DROP_FILE=$folder/book DROP_SITE=$site DROP_EVERY=3 LD_PRELOAD=$folder/drop.so "${@:2}" <"$1" >/dev/null 2>&1 &
	pid=$!
}

# Each function starts the program, gives it work, and returns when the work is done.
run_nginx() {
	mkdir -p logs html && seq 1000 >html/index.html
	cat >nginx.conf <<-END
		daemon off; master_process off; pid $folder/nginx.pid; error_log $folder/logs/error.log;
		events {}
		http { access_log off; client_body_temp_path $folder/t1; proxy_temp_path $folder/t2; fastcgi_temp_path $folder/t3;
			uwsgi_temp_path $folder/t4; scgi_temp_path $folder/t5; gzip on; gzip_min_length 1; gzip_types *;
			server { listen 127.0.0.1:$port ssl; ssl_certificate $folder/cert.pem; ssl_certificate_key $folder/key.pem;
				root $folder/html; location /p/ { proxy_pass https://127.0.0.1:$port/; } } }
	END
	with_drop /dev/null nginx -p "$folder" -c "$folder/nginx.conf"
	until_true curl -sfk "https://127.0.0.1:$port/"
	for ((i = 0; i < 60; i++)); do
		curl -sfk --compressed "https://127.0.0.1:$port/p/" -o /dev/null || true
	done
}

run_redis() {
	with_drop /dev/null redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$folder"
	until_true redis-cli -p "$port" ping
	for ((i = 0; i < 300; i++)); do
		printf 'SET k%d %d\nLPUSH l%d a b c\nDEL k%d\nHSET h%d a 1 b 2\nEXPIRE h%d 100\nDEL l%d\nEVAL "return 1" 0\n' \
			$i $i $i $((i - 1)) $i $i $((i - 2))
	done | redis-cli -p "$port" >/dev/null
}

run_python() {
	cat >work.py <<-'END'
		import json, re, sqlite3, sys, zlib
		for i in range(400):
		    text = json.dumps({str(j): [j] * 20 for j in range(60)})
		    json.loads(text)
		    re.compile("a{%d}b*" % i).match(text)
		    zlib.decompress(zlib.compress(text.encode()))
		    db = sqlite3.connect(":memory:")
		    db.execute("create table t (a)")
		    db.close()
		open("finished", "w").close()
		sys.stdin.read()
	END
	rm -f finished in && mkfifo in
	exec 5<>in
	with_drop in "$(python3 -c 'import sys; print(sys.executable)')" work.py
	until_true test -e finished
}

run_s_server() {
	with_drop /dev/null openssl s_server -accept "127.0.0.1:$port" -key key.pem -cert cert.pem -www
	until_true curl -sfk "https://127.0.0.1:$port/"
	for ((i = 0; i < 60; i++)); do
		curl -sk "https://127.0.0.1:$port/" -o /dev/null || true
	done
}

# The last file is a pipe, at which curl waits.
run_curl() {
	rm -f last && mkfifo last
	exec 6<>last
	seq 3000 >page
	for ((i = 0; i < 150; i++)); do
		printf 'url = "file://%s/page"\noutput = "/dev/null"\nheader = "X-%d: y"\nnext\n' "$folder" $i
		printf 'url = "http://127.0.0.1:1/%d?a=%d"\noutput = "/dev/null"\nuser = "u%d:p"\nnext\n' $i $i $i
	done >urls
	printf 'url = "file://%s/last"\noutput = "%s/got"\n' "$folder" "$folder" >>urls
	with_drop /dev/null curl -sS -K urls
	until_true has_open last
}

start_program() {
	rm -f book
	port=$((20000 + RANDOM % 20000))
	"run_$1"
}

# Prints "COUNT NAME" of each place in the book, without those of libc and the loader.
read_places() {
	python3 - "$folder/book" <<-'END'
		import struct, sys
		data = open(sys.argv[1], "rb").read()
		for i in range(4096):
		    at = 8 + i * 64
		    calls, name = struct.unpack_from("<Q48s", data, at + 8)
		    name = name.split(b"\0")[0].decode()
		    if calls and name and not name.startswith(("libc.", "ld-")):
		        print(calls, name)
	END
}

# Prints the addresses of the blocks whose frees were dropped.
read_dropped() {
	python3 - "$folder/book" <<-'END'
		import struct, sys
		data = open(sys.argv[1], "rb").read()
		count = min(struct.unpack_from("<Q", data)[0], 200000)
		for i in range(count):
		    print("0x%x" % (~struct.unpack_from("<Q", data, 8 + 4096 * 64 + 8 * i)[0] & (1 << 64) - 1))
	END
}

# Prints who points to a block that is not lost.
explain_block() {
	"$leakhunt" explain --json "$1" dump 2>/dev/null |
		jq -r '.block // {} | "\(.status // "no block in use") by \(.root // "?"), \((.path // []) | length) steps"' || true
}

printf '%-9s %-34s %8s %8s %6s %9s %s\n' PROGRAM SITE DROPPED BLOCKS LOST POSSIBLE 'NOT LOST, FOR EXAMPLE'
for program; do
	site=
	start_program "$program"
	read_places | awk '$1 >= 30 && $1 <= 30000' | sort -rn >places
	"$leakhunt" leaks --list "$pid" >listed 2>/dev/null || true
	printf '%-9s %-34s %8d %8d %6d %9d\n' "$program" '(as it is)' 0 0 "$(grep -vc possible listed || true)" \
		"$(grep -c possible listed || true)"
	stop
	mapfile -t chosen < <(awk -v wanted="$sites" '{ name[NR] = $2 } END {
		for (i = 0; i < wanted && i < NR; i++) print name[1 + int(i * NR / wanted)] }' places)
	for site in "${chosen[@]}"; do
		if ! start_program "$program"; then
			stop
			printf '%-9s %-34s %s\n' "$program" "$site" 'does not start'
			continue
		fi
		"$leakhunt" dump "$pid" -o dump >/dev/null 2>&1
		stop
		read_dropped >dropped
		"$leakhunt" leaks --list dump >listed 2>/dev/null || true
		sort -u dropped >distinct
		lost=$(awk 'NR == FNR { s[$1] = $3; next } $1 in s && s[$1] != "possible"' listed distinct | wc -l)
		possible=$(awk 'NR == FNR { s[$1] = $3; next } s[$1] == "possible"' listed distinct | wc -l)
		example=$(awk 'NR == FNR { s[$1] = $3; next } !($1 in s)' listed distinct | head -1)
		printf '%-9s %-34s %8d %8d %6d %9d %s\n' "$program" "$site" "$(wc -l <dropped)" "$(wc -l <distinct)" "$lost" "$possible" \
			"${example:+$example $(explain_block "$example")}"
		rm -f dump
	done
done
