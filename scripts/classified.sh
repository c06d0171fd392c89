#!/usr/bin/env bash
# What share of the memory of real programs the classes of `leakhunt strings` explain: nginx under TLS load,
# redis-server, python3, each started here, filled, dumped and ended. Prints a Markdown table. "Read" is the private
# anonymous memory in a dump. The last column but one is the share of these bytes in objects: it overlaps the other
# columns, and counts whole malloc chunks, also pages that were never touched.
#   classified.sh LEAKHUNT
set -euo pipefail

leakhunt=$(realpath "$1")
for tool in nginx redis-server redis-cli curl openssl python3 jq; do
	command -v "$tool" >/dev/null || { echo "classified: $tool is missing: run make deps" >&2; exit 2; }
done

work=$(mktemp -d "${TMPDIR:-/tmp}/leakhunt-classified.XXXXXX")
pids=()
end_all() {
	local pid
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	rm -rf "$work"
}
trap end_all EXIT

# until_true COMMAND...: for at most a minute.
until_true() {
	local i
	for ((i = 0; i < 600; i++)); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 0.1
	done
	echo "classified: '$*' never came true" >&2
	return 1
}

# "other", text that no recognizer knows and high entropy are not classified; the rest is.
show() {
	local name=$1 pid=$2
	"$leakhunt" dump "$pid" --region anon --force -o "$work/dump" >/dev/null 2>&1 || [ $? -eq 1 ]
	{ "$leakhunt" strings --json --top 100000 "$work/dump" 2>/dev/null || [ $? -eq 1 ]; } |
		jq -r --arg name "$name" '
		def share($part): ($part * 1000 / .totals.scanned_bytes | round / 10 | tostring) + " %";
		def rest($class): .rest[] | select(.class == $class) | .bytes;
		([.classes[].bytes] | add // 0) as $known |
		"| \($name) | \(.totals.scanned_bytes) | \(share($known)) | \(share(rest("zero"))) | \(share(rest("pointers"))) " +
		"| \(share(rest("text"))) | \(share(rest("high-entropy"))) | \(share(rest("other"))) " +
		"| \(share([.objects[].bytes] | add // 0)) | \([.classes[:4][] | .class] | join(", ")) |"'
}

all_connected() {
	[ "$(find "$work" -name 'body.*' -size +0 | wc -l)" -eq 100 ]
}

start_nginx() {
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 -subj /CN=localhost 2>/dev/null
	seq 20000 >"$work/index.html"
	cat >"$work/nginx.conf" <<-END
		daemon off; master_process off; pid $work/nginx.pid; error_log $work/error.log;
		events { worker_connections 2048; }
		http { access_log $work/access.log; server { listen unix:$work/nginx.sock ssl; root $work;
		ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem; ssl_session_cache shared:s:4m; } }
	END
	nginx -c "$work/nginx.conf" -e "$work/error.log" &
	nginx_pid=$!
	pids+=("$nginx_pid")
	until_true curl -sk --unix-socket "$work/nginx.sock" https://localhost/
	local i
	for ((i = 0; i < 100; i++)); do
		curl -sk --unix-socket "$work/nginx.sock" --limit-rate 2k https://localhost/ -o "$work/body.$i" &
		pids+=("$!")
	done
	until_true all_connected
}

start_redis() {
	redis-server --port 0 --unixsocket "$work/redis.sock" --save '' >/dev/null &
	redis_pid=$!
	pids+=("$redis_pid")
	until_true redis-cli -s "$work/redis.sock" ping
	seq 50000 | awk -v q="'" '{ print "SET session:" $1 " " q "{\"user\":" $1 ",\"mail\":\"u" $1 "@example.org\"}" q }' |
		redis-cli -s "$work/redis.sock" >/dev/null
	[ "$(redis-cli -s "$work/redis.sock" dbsize)" = 50000 ]
}

start_python() {
	mkfifo "$work/ready"
	python3 -c '
import json, sys, time
keep = [json.loads(json.dumps({"id": i, "name": "user %d" % i, "tags": ["a", "b"]})) for i in range(50000)]
open(sys.argv[1], "w").write("ready")
time.sleep(600)' "$work/ready" &
	python_pid=$!
	pids+=("$python_pid")
	read -r -N 5 <"$work/ready"
}

start_nginx
start_redis
start_python
echo "| program | bytes | recognized | zero | pointers | other text | high entropy | other | in objects | most of it |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
show nginx "$nginx_pid"
show redis-server "$redis_pid"
show python3 "$python_pid"
