#!/usr/bin/env bash
# How much of a program's private memory `leakhunt heap` explains, while it serves requests or churns, as a Markdown
# table: blocks, free and overhead of allocators that were walked, stacks, and data of modules. The rest is unexplained:
# no walker knows it. A program stands still while both are read. Walkers were never tuned for those marked held.
#   explained-table.sh LEAKHUNT
# Programs that are not installed have no row. Servers listen on loopback or a socket file alone.
set -euo pipefail

leakhunt=$(realpath "$1")
root=$(realpath "$(dirname "$0")/..")
work=$(mktemp -d)
# shellcheck source=tests/helpers.bash
. "$root/tests/helpers.bash"
pids=()
end_all() {
	# PostgreSQL does not wait for its backends after SIGINT.
	for pid in "${pids[@]}"; do kill -INT "$pid" 2>/dev/null || true; done
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

# run COMMAND...: in the background, until the end.
run() {
	"$@" >/dev/null 2>&1 &
	pids+=($!)
}

# has_grown PID MIB: to that much memory of its own.
has_grown() {
	[ "$(awk '$1 == "Private_Dirty:" { print $2 }' "/proc/$1/smaps_rollup")" -gt $((1024 * $2)) ]
}

# row NAME PID: anonymous private bytes of the process, and what explains them. While it is stopped, a live copy is exact.
row() {
	kill -STOP "$2"
	"$leakhunt" maps --json "$2" >maps.json
	timeout 120 "$leakhunt" heap --mode live --json "$2" >heap.json 2>heap.err || [ $? -eq 1 ] || cat heap.err >&2
	kill -CONT "$2"
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
	local redis
	run redis-server --port 0 --unixsocket "$work/redis.sock" --save "" --appendonly no
	redis=${pids[-1]}
	wait_until 100 redis-cli -s "$work/redis.sock" ping >/dev/null 2>&1
	run redis-benchmark -s "$work/redis.sock" -q -l -r 20000 -d 300 -t set,lpush,hset,zadd
	wait_until 600 has_grown "$redis" 40
	row redis-server "$redis"
	kill "${pids[-1]}"
}

# run_ab URL: requests without end.
run_ab() {
	wait_until 100 curl -s "$1" -o /dev/null
	run ab -q -k -t 300 -n 10000000 -c 50 "$1"
}

run_nginx() {
	local nginx
	cat >nginx.conf <<-END
		daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx.log;
		events { worker_connections 512; }
		http { access_log off; keepalive_timeout 60; client_body_temp_path $work/b; proxy_temp_path $work/p;
			fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
			server { listen 127.0.0.1:18080; location / { root $work; } } }
	END
	head -c 200000 /dev/zero >page
	run nginx -c "$work/nginx.conf" -p "$work"
	nginx=${pids[-1]}
	run_ab http://127.0.0.1:18080/page
	wait_until 600 has_grown "$nginx" 1
	row nginx "$nginx"
	kill "${pids[-1]}"
}

# The backend groups a table again and again, while a cursor is open.
run_postgres() {
	local bin postgres
	bin=$(find /usr/lib/postgresql -name postgres -path '*bin*' | sort | tail -1)
	bin=${bin%/postgres}
	chmod 711 "$work"
	install -d -o nobody "$work/pg"
	local as=(setpriv --reuid nobody --clear-groups env HOME="$work/pg" LC_ALL=C)
	"${as[@]}" "$bin/initdb" -D "$work/pg/data" -A trust >/dev/null 2>&1
	run "${as[@]}" "$bin/postgres" -D "$work/pg/data" -k "$work/pg" -c listen_addresses=
	postgres=${pids[-1]}
	wait_until 200 "${as[@]}" psql -h "$work/pg" -U nobody postgres -c 'select 1' >/dev/null 2>&1
	mkfifo pg.in
	"${as[@]}" psql -h "$work/pg" -U nobody postgres <pg.in >pg.out 2>&1 &
	pids+=($!)
	exec 8>pg.in
	echo "set work_mem='64MB'; select pg_backend_pid(); create temp table t as select i, repeat(md5(i::text), 4) as v from generate_series(1, 50000) i;" >&8
	echo "begin; declare c cursor for select v from t order by v; fetch 10 from c;" >&8
	# shellcheck disable=SC2016 # PostgreSQL's quotes
	echo 'do $$ begin loop perform count(*) from (select v, count(*) from t group by v) s; end loop; end $$;' >&8
	wait_until 200 grep -q '10 rows' pg.out
	row "postgres backend" "$(grep -A2 pg_backend_pid pg.out | grep -oE '[0-9]+' | head -1)"
	kill -INT "$postgres"
	exec 8>&-
}

# run_program NAME COMMAND...: one that says READY, and goes on.
run_program() {
	rm -f program.out
	"${@:2}" >program.out 2>&1 &
	pids+=($!)
	wait_until 600 grep -qs READY program.out
	row "$1" "${pids[-1]}"
	kill "${pids[-1]}"
}

run_node() {
	local node
	run node load.js
	node=${pids[-1]}
	run_ab http://127.0.0.1:18081/
	wait_until 600 has_grown "$node" 60
	row node "$node"
	kill "$node"
}

run_memcached() {
	local memcached
	run memcached -u "$(id -un)" -s "$work/memcached.sock" -a 0777 -m 64 -t 2
	memcached=${pids[-1]}
	wait_until 100 test -S memcached.sock
	run /usr/bin/python3 load_memcached.py
	wait_until 600 has_grown "$memcached" 30
	row "memcached (held)" "$memcached"
	kill "${pids[-1]}"
}

cat >load.js <<'END'
class Session { constructor(id) { this.id = id; this.name = 'user ' + id; this.tags = new Map([[id, { parts: [id, id + 1] }]]); this.data = Buffer.alloc(3000, 7); } }
const sessions = new Map();
let id = 0;
require('http').createServer((request, response) => {
	for (let i = 0; i < 20; i++) sessions.set(id++ % 10000, new Session(id));
	response.end(JSON.stringify([...sessions.values()].slice(0, 20).map((session) => session.name)));
}).listen(18081, '127.0.0.1');
END
cat >load.py <<'END'
import json
kept = {}
for i in range(10 ** 9):
    kept[i % 40000] = {"id": i, "name": "user %d" % i, "tags": [i, str(i)], "data": bytes(i % 3000)}
    if i % 1000 == 0:
        text = json.dumps([k["name"] for k in kept.values()])
    if i == 60000:
        print("READY", flush=True)
END
cat >load.php <<'END'
<?php for ($i = 0; ; $i++) { $kept[$i % 60000] = ["id" => $i, "name" => "user $i", "tags" => [$i, "$i"], "data" => str_repeat("x", $i % 2000)]; if ($i == 90000) { echo "READY\n"; flush(); } }
END
cat >load.rb <<'END'
kept = {}
(0..).each { |i| kept[i % 40000] = { id: i, name: "user #{i}", tags: [i, i.to_s], data: "x" * (i % 3000) }; if i == 60000 then puts "READY"; STDOUT.flush end }
END
cat >load.pl <<'END'
$| = 1;
for (my $i = 0; ; $i++) { $kept{$i % 40000} = { id => $i, name => "user $i", tags => [$i, "$i"], data => "x" x ($i % 3000) }; print "READY\n" if $i == 60000; }
END
cat >load_memcached.py <<END
import socket
server = socket.socket(socket.AF_UNIX)
server.connect("$work/memcached.sock")
for i in range(10 ** 9):
    data = b"x" * (i * 7919 % 5000)
    server.sendall(b"set key%d 0 0 %d\r\n%s\r\n" % (i % 30000, len(data), data))
    server.recv(100)
END

echo "| program | private MiB | walked | stacks, modules | unexplained | share | allocators |"
echo "| --- | --- | --- | --- | --- | --- | --- |"
! has redis-server redis-cli redis-benchmark || run_redis
! has nginx ab curl || run_nginx
! has psql || [ ! -d /usr/lib/postgresql ] || run_postgres
! has node ab curl || run_node
[ ! -x /usr/bin/python3 ] || run_program python3 /usr/bin/python3 load.py
! has php || run_program php php -d memory_limit=-1 load.php
! has memcached || run_memcached
! has ruby || run_program "ruby (held)" ruby load.rb
! has perl || run_program "perl (held)" perl load.pl
