#!/usr/bin/env bash
# How much of a program's private memory `leakhunt heap` explains, under load, as a Markdown table: blocks, free and
# overhead of allocators that were walked, stacks, and data of modules. The rest is unexplained: no walker knows it.
#   explained-table.sh LEAKHUNT
# Programs that are not installed have no row. Servers listen on loopback alone.
set -euo pipefail

leakhunt=$(realpath "$1")
root=$(realpath "$(dirname "$0")/..")
work=$(mktemp -d)
# shellcheck source=tests/helpers.bash
. "$root/tests/helpers.bash"
pids=()
end_all() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait
	rm -rf "$work"
}
trap end_all EXIT
cd "$work"

has() {
	local program
	for program in "$@"; do command -v "$program" >/dev/null || return 1; done
}

# row NAME PID: anonymous private bytes of the process, and what explains them.
row() {
	"$leakhunt" maps --json "$2" >maps.json
	timeout 120 "$leakhunt" heap --json "$2" >heap.json || [ $? -eq 1 ]
	jq -rn --arg name "$1" --slurpfile maps maps.json --slurpfile heap heap.json '
		def mib: . * 100 / 1048576 | round / 100;
		($maps[0].regions | map(.anonymous_bytes) | add) as $all |
		($maps[0].regions | map(select(.kind | test("stack|data|bss|code|file|vdso|vvar")) | .anonymous_bytes) | add)
			as $modules |
		($heap[0].arenas | map(.resident_bytes) | add // 0) as $walked |
		($heap[0].allocators | map(.lost_bytes) | add // 0) as $lost |
		([$all - $modules - $walked + $lost, 0] | max) as $rest |
		"| \($name) | \($all | mib) | \($walked | mib) | \($modules | mib) | \($rest | mib) | \(1000 * $rest / $all | round / 10) % | \($heap[0].allocators | map(.name) | join(", ")) |"'
}

run_redis() {
	redis-server --port 0 --unixsocket "$work/redis.sock" --save "" --appendonly no >redis.log 2>&1 &
	pids+=($!)
	wait_until 100 redis-cli -s "$work/redis.sock" ping >/dev/null 2>&1
	redis-benchmark -s "$work/redis.sock" -q -n 40000 -r 20000 -d 300 -t set,lpush,hset,zadd >/dev/null 2>&1
	row redis-server "${pids[-1]}"
}

run_nginx() {
	cat >nginx.conf <<-END
		daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx.log;
		events { worker_connections 512; }
		http { access_log off; keepalive_timeout 60; client_body_temp_path $work/b; proxy_temp_path $work/p;
			fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
			server { listen 127.0.0.1:18080; location / { root $work; } } }
	END
	head -c 200000 /dev/zero >page
	nginx -c "$work/nginx.conf" -p "$work" 2>/dev/null &
	pids+=($!)
	wait_until 100 curl -s http://127.0.0.1:18080/page -o /dev/null
	ab -q -k -n 4000 -c 100 http://127.0.0.1:18080/page >/dev/null 2>&1
	row nginx "${pids[-1]}"
}

run_postgres() {
	local bin
	bin=$(find /usr/lib/postgresql -name postgres -path '*bin*' | sort | tail -1)
	bin=${bin%/postgres}
	chmod 711 "$work"
	install -d -o nobody "$work/pg"
	local as=(setpriv --reuid nobody --clear-groups env HOME="$work/pg" LC_ALL=C)
	"${as[@]}" "$bin/initdb" -D "$work/pg/data" -A trust >/dev/null 2>&1
	"${as[@]}" "$bin/postgres" -D "$work/pg/data" -k "$work/pg" -c listen_addresses= >pg.log 2>&1 &
	pids+=($!)
	wait_until 200 "${as[@]}" psql -h "$work/pg" -U nobody postgres -c 'select 1' >/dev/null 2>&1
	mkfifo pg.in
	"${as[@]}" psql -h "$work/pg" -U nobody postgres <pg.in >pg.out 2>&1 &
	pids+=($!)
	exec 8>pg.in
	echo "set work_mem='64MB'; select pg_backend_pid(); create temp table t as select i, repeat(md5(i::text), 4) as v from generate_series(1, 50000) i;" >&8
	echo "prepare q as select a.v, count(*) from t a join t b on a.i = b.i group by a.v; begin; declare c cursor for select v from t order by v; fetch 10 from c;" >&8
	# psql prints what it fetched.
	wait_until 200 grep -q '10 rows' pg.out
	row "postgres backend" "$(grep -A2 pg_backend_pid pg.out | grep -oE '[0-9]+' | head -1)"
	exec 8>&-
}

# run_program NAME COMMAND...: one that says READY and then waits for its input.
run_program() {
	mkfifo "$1.in"
	"${@:2}" <"$1.in" >"$1.out" 2>&1 &
	pids+=($!)
	exec 7>"$1.in"
	wait_until 300 grep -q READY "$1.out"
	row "$1" "${pids[-1]}"
	exec 7>&-
}

cat >load.js <<'END'
const kept = [];
for (let i = 0; i < 60000; i++) kept.push({ id: i, name: `user ${i}`, tags: [i, i + 1], when: new Date(i) });
globalThis.buffers = Array.from({ length: 50 }, () => Buffer.alloc(100000, 7));
console.log('READY'); process.stdin.resume();
END
cat >load.py <<'END'
import json, sys
kept = [{"id": i, "name": "user %d" % i, "tags": [i, str(i)], "data": bytes(i % 3000)} for i in range(40000)]
text = json.dumps([k["name"] for k in kept])
print("READY", flush=True)
sys.stdin.read()
END
cat >load.php <<'END'
<?php for ($i = 0; $i < 60000; $i++) { $kept[] = ["id" => $i, "name" => "user $i", "tags" => [$i, "$i"], "data" => str_repeat("x", $i % 2000)]; }
echo "READY\n"; flush(); fgets(STDIN);
END

echo "| program | private MiB | walked | stacks, modules | unexplained | share | allocators |"
echo "| --- | --- | --- | --- | --- | --- | --- |"
has redis-server redis-cli redis-benchmark && run_redis
has nginx ab curl && run_nginx
has psql && [ -d /usr/lib/postgresql ] && run_postgres
has node && run_program node "$(command -v node)" load.js
[ -x /usr/bin/python3 ] && run_program python3 /usr/bin/python3 load.py
has php && run_program php php -d memory_limit=-1 load.php
