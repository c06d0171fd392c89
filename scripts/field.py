#!/usr/bin/env python3
"""Hunts programs of others that leak the way everyday mistakes do, and programs that grow without a leak.

    field.py [--jobs N] [--for TIME] LEAKHUNT SAMPLES WORK [CASE...]

Each case starts a program from Debian's packages (or a small one of its own), drives it with a real load, runs
`leakhunt PID` alone, and compares report.json with what is true. Prints one row a case: what was right of region,
verdict, type, reason, counterpart. Cases marked "held" were never looked at while leakhunt was tuned. Programs that are
not installed are left out, and said. Talks to loopback only; ends what it started.
"""
import argparse, concurrent.futures, json, os, re, shutil, signal, socket, subprocess, sys, textwrap, threading, time

CASES = {}
HEAP = "heap|arena|mmap-chunk"


class Case:
	def __init__(self, name, start, needs, held, region, verdict, kind, why, counterpart):
		self.name, self.start, self.needs, self.held = name, start, needs, held
		self.expected = {"region": region, "verdict": verdict, "type": kind, "reason": why, "counterpart": counterpart}


def case(name, needs="", held=False, region=HEAP, verdict="leak|growing", kind="", why="in-use", counterpart=""):
	"""Patterns are matched whole; "" for type or counterpart: none is to be claimed wrongly, so nothing is judged."""
	def register(start):
		CASES[name] = Case(name, start, needs, held, region, verdict, kind, why, counterpart)
		return start
	return register


def quiet(name, verdict, needs="", held=False):
	return case(name, needs, held, region="all", verdict=verdict, kind="", why="no-growth")


class Field:
	"""What a case starts, in a folder of its own."""

	def __init__(self, samples, folder):
		self.samples, self.folder, self.processes, self.stop = samples, folder, [], threading.Event()
		os.makedirs(folder)
		os.chmod(folder, 0o755)

	def run(self, *words, user=None, **options):
		options.setdefault("stdout", subprocess.DEVNULL)
		options.setdefault("stderr", open(os.path.join(self.folder, "errors.txt"), "ab"))
		options.setdefault("stdin", subprocess.DEVNULL)
		if user and os.getuid() == 0:
			words = ("setpriv", "--reuid", user, "--regid", user, "--clear-groups", *words)
		process = subprocess.Popen(words, cwd=self.folder, start_new_session=True, **options)
		self.processes.append(process)
		return process

	def write(self, name, text):
		path = os.path.join(self.folder, name)
		with open(path, "w") as file:
			file.write(textwrap.dedent(text))
		return path

	def load(self, step):
		"""Calls step(n) in a thread until the case ends."""
		def work():
			n = 0
			while not self.stop.is_set():
				try:
					step(n)
				except OSError:
					if self.stop.wait(0.2):
						return
				n += 1
		threading.Thread(target=work, daemon=True).start()

	def python(self, text):
		return self.run("python3", self.write("target.py", text)).pid

	def compile(self, text, *flags):
		self.write("target.c", text)
		subprocess.run(["gcc", "-O1", "-o", "target", "target.c", *flags], cwd=self.folder, check=True)
		return self.run("./target").pid

	def end(self):
		self.stop.set()
		for process in reversed(self.processes):
			try:
				os.killpg(process.pid, signal.SIGKILL)
			except ProcessLookupError:
				pass
			process.wait()


def free_port():
	with socket.socket() as probe:
		probe.bind(("127.0.0.1", 0))
		return probe.getsockname()[1]


def connect(port, seconds=20):
	for _ in range(int(seconds * 10)):
		try:
			return socket.create_connection(("127.0.0.1", port), timeout=5)
		except OSError:
			time.sleep(0.1)
	raise RuntimeError(f"nobody listens at {port}")


# ------------------------------------------------------------------ PostgreSQL

def postgres(field, statements):
	"""A server, and one session that is sent statements; the PID of its backend."""
	binaries = sorted(p for p in (f"/usr/lib/postgresql/{n}/bin" for n in range(13, 20)) if os.path.isdir(p))[-1]
	data, port = os.path.join(field.folder, "data"), free_port()
	shutil.chown(field.folder, "postgres", "postgres")
	field.run(binaries + "/initdb", "-D", data, "-A", "trust", "-N", user="postgres").wait()
	field.run(binaries + "/postgres", "-D", data, "-p", str(port), "-k", "", "-h", "127.0.0.1", user="postgres")
	connect(port).close()
	time.sleep(1)
	psql = field.run("psql", "-qtAX", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "postgres", stdin=subprocess.PIPE,
			 stdout=subprocess.PIPE, text=True)
	psql.stdin.write("SELECT pg_backend_pid();\n")
	psql.stdin.flush()
	pid = int(psql.stdout.readline())
	threading.Thread(target=psql.stdout.read, daemon=True).start()

	def step(n):
		psql.stdin.write(statements(n) + "\n")
		psql.stdin.flush()
		time.sleep(0.01)
	field.load(step)
	return pid


@case("postgres, statements prepared and never deallocated", "psql", kind="texts|objects|blocks|content")
def _(field):
	return postgres(field, lambda n: f"PREPARE order_{n} AS SELECT {n}, relname FROM pg_class WHERE oid = $1 AND relname <> 'x{n}';")


@case("postgres, advisory locks and notices kept in a session's temporary functions", "psql", held=True, kind="texts|objects|blocks|content")
def _(field):
	return postgres(field, lambda n: f"CREATE FUNCTION pg_temp.f{n}() RETURNS int LANGUAGE sql AS 'SELECT {n}'; SELECT pg_temp.f{n}();")


# ------------------------------------------------------------------ nginx

def nginx(field, server, main=""):
	port = free_port()
	subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
			"-subj", "/CN=shop.example"], cwd=field.folder, check=True, capture_output=True)
	field.write("nginx.conf", f"""
		daemon off; master_process off; pid {field.folder}/pid; error_log {field.folder}/error.log; {main}
		events {{ worker_connections 4096; }}
		http {{ access_log off; client_body_temp_path {field.folder}; proxy_temp_path {field.folder}; fastcgi_temp_path {field.folder};
		uwsgi_temp_path {field.folder}; scgi_temp_path {field.folder};
		server {{ listen 127.0.0.1:{port} {server} location / {{ return 200 "ok"; }} }} }}""")
	pid = field.run("nginx", "-c", field.folder + "/nginx.conf", "-p", field.folder).pid
	connect(port).close()
	return pid, port


@case("nginx, session cache without a bound", "nginx", kind="SSL_SESSION", counterpart=r"SSL_SESSION_free\(\)")
def _(field):
	pid, port = nginx(field, "ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_protocols TLSv1.2; ssl_session_tickets off; "
			  "ssl_session_cache builtin:10000000; ssl_session_timeout 1d;")
	import ssl
	context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
	context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

	def step(n):
		with connect(port) as plain, context.wrap_socket(plain) as tls:
			tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
			tls.recv(4096)
	for _ in range(3):
		field.load(step)
	return pid


@case("nginx, clients that never close", "nginx", held=True, kind="objects|texts|blocks|content")
def _(field):
	pid, port = nginx(field, "; keepalive_timeout 1d; client_header_timeout 1d;")
	kept = []

	def step(n):
		one = connect(port)
		one.sendall(b"GET / HTTP/1.1\r\nHost: shop.example\r\nX-Request: %d\r\n" % n)
		kept.append(one)
		time.sleep(0.02)
	field.load(step)
	return pid


# ------------------------------------------------------------------ redis, memcached

def redis(field, *options):
	port = free_port()
	pid = field.run("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", field.folder, *options).pid
	connect(port).close()
	return pid, port


def redis_command(*words):
	words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
	return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def redis_writes(field, port, keys=None, value=b'{"user":"anna","cart":[1,2,3]}', pause=0.005):
	link = connect(port)

	def step(n):
		first = n * 50
		link.sendall(b"".join(redis_command("SET", f"session:{(first + i) % keys if keys else first + i}", value) for i in range(50)))
		link.recv(65536)
		time.sleep(pause)
	field.load(step)


@case("redis, keys without a time to live", "redis-server", region="jemalloc|" + HEAP, kind="texts|content|objects|blocks")
def _(field):
	pid, port = redis(field)
	redis_writes(field, port)
	return pid


@case("redis, a subscriber that does not read", "redis-server", held=True, region="jemalloc|" + HEAP, kind="texts|content|objects|blocks")
def _(field):
	pid, port = redis(field, "--client-output-buffer-limit", "pubsub 0 0 0")
	slow, link = connect(port), connect(port)
	field.kept = slow
	slow.sendall(redis_command("SUBSCRIBE", "news"))

	def step(n):
		link.sendall(redis_command("PUBLISH", "news", f"{{\"event\":{n},\"text\":\"" + "x" * 20000 + "\"}"))
		link.recv(4096)
		time.sleep(0.005)
	field.load(step)
	return pid


def memcached(field, *options):
	port = free_port()
	pid = field.run("memcached", "-u", "root", "-l", "127.0.0.1", "-p", str(port), *options).pid
	connect(port).close()
	return pid, port


def memcached_pages(field, megabytes):
	pid, port = memcached(field, "-m", megabytes)
	link = connect(port)

	def step(n):
		value = b"v" * 900
		link.sendall(b"".join(b"set page:%d 0 0 %d noreply\r\n%s\r\n" % (n * 20 + i, len(value), value) for i in range(20)))
		time.sleep(0.01)
	field.load(step)
	return pid


@case("memcached, filling up", "memcached", region="anon|" + HEAP, kind="texts|content|objects|blocks")
def _(field):
	return memcached_pages(field, "2048")


@case("memcached, connections that are never closed", "memcached", held=True, kind="texts|content|objects|blocks")
def _(field):
	pid, port = memcached(field, "-c", "15000")
	kept = []

	def step(n):
		one = connect(port)
		one.sendall(b"get key:%d\r\n" % n)
		kept.append(one)
		time.sleep(0.01)
	field.load(step)
	return pid


# ------------------------------------------------------------------ Python, PHP, node, Java

@case("python, a cache of objects without a bound", "python3", region="pymalloc|" + HEAP, kind="Order", why="referenced")
def _(field):
	return field.python("""
		import time
		class Order:
		    def __init__(self, number):
		        self.number, self.lines = number, [number, str(number)]
		orders = {}
		while True:
		    for _ in range(200):
		        orders[len(orders)] = Order(len(orders))
		    time.sleep(0.02)
		""")


@case("python, answers kept in a list", "python3", held=True, region="pymalloc|" + HEAP, kind="str|bytes|texts|content", why="referenced")
def _(field):
	return field.python("""
		import json, time
		answers = []
		while True:
		    for i in range(20):
		        answers.append(json.dumps({"order": len(answers), "status": "shipped", "note": "n" * 600}))
		    time.sleep(0.02)
		""")


@case("python, threads that wait forever", "python3", held=True, region="thread-stack", verdict="leak|growing", why="running")
def _(field):
	return field.python("""
		import threading, time
		gate = threading.Event()
		while True:
		    threading.Thread(target=gate.wait).start()
		    time.sleep(0.03)
		""")


@case("php, a worker that keeps a log", "php", region="zend-mm", why="referenced", kind="texts|content|objects|blocks")
def _(field):
	return field.run("php", "-d", "memory_limit=-1", field.write("worker.php", """\
		<?php $log = [];
		while (true) { for ($i = 0; $i < 100; $i++) $log[] = ["id" => count($log), "text" => "order " . count($log) . " shipped"]; usleep(20000); }
		""")).pid


def fastcgi_request(port, script):
	def pair(name, value):
		return bytes([len(name), len(value)]) + name + value

	def record(kind, body):
		return bytes([1, kind, 0, 1, len(body) >> 8, len(body) & 255, 0, 0]) + body
	params = pair(b"SCRIPT_FILENAME", script.encode()) + pair(b"REQUEST_METHOD", b"GET")
	link = connect(port)
	link.sendall(record(1, b"\0\1\0\0\0\0\0\0") + record(4, params) + record(4, b"") + record(5, b""))
	return link


@case("php-fpm, a request that does not end", "php-fpm8.2", held=True, region="zend-mm", why="referenced", kind="texts|content|objects|blocks")
def _(field):
	port = free_port()
	script = field.write("feed.php", """\
		<?php ini_set("memory_limit", "-1"); set_time_limit(0); $seen = [];
		while (true) { for ($i = 0; $i < 100; $i++) $seen["key" . count($seen)] = str_repeat("x", 100) . count($seen); usleep(20000); }
		""")
	field.write("fpm.conf", f"""
		[global]
		error_log = {field.folder}/fpm.log
		daemonize = no
		[www]
		user = www-data
		group = www-data
		listen = 127.0.0.1:{port}
		pm = static
		pm.max_children = 1
		""")
	master = field.run("php-fpm8.2", "-R", "-y", field.folder + "/fpm.conf").pid
	field.kept = fastcgi_request(port, script)
	time.sleep(0.5)
	return int(open(f"/proc/{master}/task/{master}/children").read().split()[0])


@case("node, a map that is never emptied", "node", region="v8-heap", why="collector")
def _(field):
	return field.run("node", field.write("map.js", """
		const seen = new Map(); let n = 0;
		setInterval(() => { for (let i = 0; i < 500; i++) seen.set(n++, { id: n, at: Date.now(), tags: ["a" + n] }); }, 20);
		""")).pid


@case("node, buffers kept", "node", held=True, region="anon|" + HEAP, why="in-use|collector")
def _(field):
	return field.run("node", field.write("buffers.js", """
		const kept = []; setInterval(() => { for (let i = 0; i < 4; i++) kept.push(Buffer.alloc(20000, "order " + kept.length + " ")); }, 20);
		""")).pid


def java(field, text, *options):
	field.write("Target.java", text)
	subprocess.run(["javac", "Target.java"], cwd=field.folder, check=True, capture_output=True)
	return field.run("java", "-Xmx900m", *options, "-cp", field.folder, "Target").pid


@case("java, a static map", "javac", region="jvm-heap|java-heap", why="collector")
def _(field):
	return java(field, """
		public class Target { static final java.util.Map<Integer, String> seen = new java.util.HashMap<>();
		public static void main(String[] a) throws Exception { while (true) { for (int i = 0; i < 2000; i++)
		seen.put(seen.size(), "order " + seen.size()); Thread.sleep(20); } } }""", "-Xms16m")


@case("java, thread pools never shut down", "javac", held=True, region="thread-stack", why="not-released|in-use", counterpart=r"ExecutorService\.shutdown\(\)|")
def _(field):
	return java(field, """
		import java.util.concurrent.*;
		public class Target { public static void main(String[] a) throws Exception { while (true) {
		ExecutorService pool = Executors.newFixedThreadPool(2); pool.submit(() -> 1); pool.submit(() -> 2); Thread.sleep(100); } } }""")


# ------------------------------------------------------------------ small programs on libraries

@case("C, joinable threads that nobody joins", "gcc", region="thread-stack|anon", why="not-released", counterpart=r"pthread_join\(\).*")
def _(field):
	return field.compile("""
		#include <pthread.h>
		#include <string.h>
		#include <unistd.h>
		static void *work(void *a) { char room[20000]; memset(room, 1, sizeof(room)); return a ? room : 0; }
		int main(void) { for (;;) { pthread_t t; pthread_create(&t, 0, work, 0); usleep(30000); } }""", "-lpthread")


@case("C, regular expressions compiled for each request", "gcc", held=True, kind="objects|blocks|content|texts", counterpart=r"")
def _(field):
	return field.compile("""
		#include <regex.h>
		#include <unistd.h>
		int main(void) { for (;;) { for (int i = 0; i < 10; i++) { regex_t one; regcomp(&one, "^/orders/([0-9]+)/items/[a-z]+$", REG_EXTENDED);
		regexec(&one, "/orders/1/items/x", 0, 0, 0); } usleep(20000); } }""")


@case("C, addresses looked up and not freed", "gcc", held=True, kind="objects|blocks|content|texts")
def _(field):
	return field.compile("""
		#include <netdb.h>
		#include <unistd.h>
		int main(void) { for (;;) { for (int i = 0; i < 40; i++) { struct addrinfo *list; getaddrinfo("127.0.0.1", "80", 0, &list); } usleep(20000); } }""")


@case("C, folders opened and not closed", "gcc", held=True, kind="objects|blocks|content|texts")
def _(field):
	return field.compile("""
		#include <dirent.h>
		#include <unistd.h>
		int main(void) { for (;;) { DIR *one = opendir("/"); if (one) readdir(one); usleep(60000); } }""")


@case("C, deflate streams that are never ended", "gcc", kind="deflate state", counterpart=r"deflateEnd\(\)")
def _(field):
	return field.compile("""
		#include <stdlib.h>
		#include <string.h>
		#include <unistd.h>
		#include <zlib.h>
		int main(void) { for (;;) { z_stream *one = calloc(1, sizeof(*one)); Bytef in[400], out[1000]; memset(in, 'x', sizeof(in));
		deflateInit2(one, 6, Z_DEFLATED, 9, 1, Z_DEFAULT_STRATEGY); one->next_in = in; one->avail_in = sizeof(in); one->next_out = out;
		one->avail_out = sizeof(out); deflate(one, Z_FINISH); usleep(20000); } }""", "-lz")


# ------------------------------------------------------------------ other languages and servers

@case("go, a map that is never emptied", "go", region="go-heap", why="collector")
def _(field):
	source = field.write("main.go", """
		package main
		import ("fmt"; "time")
		type order struct { id int; note string }
		var seen = map[int]*order{}
		func main() { for { for i := 0; i < 500; i++ { n := len(seen); seen[n] = &order{n, fmt.Sprintf("order %d shipped", n)} }
		time.Sleep(20 * time.Millisecond) } }
		""")
	subprocess.run(["go", "build", "-o", "target", source], cwd=field.folder, check=True, capture_output=True,
		       env={**os.environ, "GOCACHE": os.path.join(field.folder, "data"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"})
	return field.run("./target").pid


@case("perl, a hash of what was seen", "perl", kind="texts|objects|blocks|content")
def _(field):
	return field.run("perl", "-e", """
		my %seen; my $n = 0;
		while (1) { for (1..200) { $seen{"session-$n"} = "user $n looked at page " . $n++ } select(undef, undef, undef, 0.02) }
		""").pid


@case("gawk, an array of lines", "gawk", kind="texts|objects|blocks|content")
def _(field):
	return field.run("gawk", 'BEGIN { while (1) { for (i = 0; i < 100; i++) line[n++] = "line " n " of the log"; system("sleep 0.02") } }').pid


@case("tcl, a list that is appended to", "tclsh", held=True, kind="texts|objects|blocks|content")
def _(field):
	script = 'set log {}\nwhile 1 { for {set i 0} {$i < 100} {incr i} { lappend log "order $i shipped at [clock clicks]" }\nafter 20 }\n'
	return field.run("tclsh", field.write("log.tcl", script)).pid


@case("lua, a table of sessions", "lua5.4", held=True, kind="texts|objects|blocks|content")
def _(field):
	return field.run("lua5.4", field.write("sessions.lua", """
		local sessions, n = {}, 0
		while true do
		  for i = 1, 400 do n = n + 1; sessions[n] = { user = "user" .. n, visits = n } end
		  os.execute("sleep 0.02")
		end
		""")).pid


@case("ruby, an array of answers", "ruby", held=True, region="anon|arena|" + HEAP, why="in-use|collector", kind="texts|objects|blocks|content")
def _(field):
	return field.run("ruby", "-e", """
		answers = []
		loop { 100.times { answers << { id: answers.size, text: "answer %d, of some length, to be kept" % answers.size } }; sleep 0.02 }
		""").pid


@case("sqlite3, a database in memory", "sqlite3", held=True, kind="texts|objects|blocks|content")
def _(field):
	shell = field.run("sqlite3", ":memory:", stdin=subprocess.PIPE, text=True)
	shell.stdin.write("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT);\n")

	def step(n):
		shell.stdin.write(f"INSERT INTO orders (note) VALUES ('order {n} was shipped to a customer in the north');\n" * 20)
		shell.stdin.flush()
		time.sleep(0.01)
	field.load(step)
	return shell.pid


@case("lighttpd, requests that are never finished", "lighttpd", held=True, kind="texts|objects|blocks|content")
def _(field):
	port = free_port()
	field.write("lighttpd.conf", f"""
		server.document-root = "{field.folder}"
		server.bind = "127.0.0.1"
		server.port = {port}
		server.max-fds = 16384
		server.max-connections = 8000
		server.max-read-idle = 3600
		""")
	pid = field.run("lighttpd", "-D", "-f", field.folder + "/lighttpd.conf").pid
	connect(port).close()
	kept = []

	def step(n):
		one = connect(port)
		one.sendall(b"GET / HTTP/1.1\r\nHost: shop.example\r\nX-Request: %d\r\nCookie: " % n + b"c" * 3000)
		kept.append(one)
		time.sleep(0.02)
	field.load(step)
	return pid


# ------------------------------------------------------------------ no leak

def redis_wait(port, command, is_reached):
	"""Until the answer to a command says so."""
	link = connect(port)
	for _ in range(1200):
		link.sendall(redis_command(*command))
		if is_reached(link.recv(65536)):
			return
		time.sleep(0.1)
	raise RuntimeError(f"redis did not come to where {command} was to show it")


def wait_for_file(path):
	for _ in range(1200):
		if os.path.exists(path):
			return
		time.sleep(0.1)
	raise RuntimeError(f"there is no {path}")


@quiet("redis at its bound", "steady|plateau|sawtooth|shrinking|step", "redis-server")
def _(field):
	pid, port = redis(field, "--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru")
	redis_writes(field, port, pause=0.001)
	redis_wait(port, ("INFO", "stats"), lambda text: int(re.search(rb"evicted_keys:(\d+)", text)[1]) > 50000)
	return pid


@quiet("fragmentation: half is freed, steady", "steady|plateau|step|shrinking|sawtooth", "gcc")
def _(field):
	return field.compile("""
		#include <stdlib.h>
		#include <string.h>
		#include <unistd.h>
		int main(void) { static char *all[200000]; for (int i = 0; i < 200000; i++) memset(all[i] = malloc(200), 1, 200);
		for (;;) { for (int i = 0; i < 200000; i += 2 + rand() % 2) { free(all[i]); all[i] = malloc(100 + rand() % 100); all[i][0] = 1; } usleep(50000); } }""")


@quiet("fork and copy on write", "steady|plateau|sawtooth|shrinking|step", "redis-server", held=True)
def _(field):
	pid, port = redis(field)
	redis_writes(field, port, keys=100000, pause=0.002)
	link = connect(port)
	redis_wait(port, ("INFO", "stats"), lambda text: int(re.search(rb"total_commands_processed:(\d+)", text)[1]) > 300000)

	def step(n):
		link.sendall(redis_command("BGSAVE"))
		link.recv(4096)
		field.stop.wait(2)
	field.load(step)
	return pid


@quiet("java, garbage", "steady|plateau|sawtooth|shrinking|step", "javac", held=True)
def _(field):
	pid = java(field, """
		public class Target { static Object kept; public static void main(String[] a) throws Exception { for (int n = 0;; n++) {
		for (int i = 0; i < 200; i++) kept = new byte[10000]; Thread.sleep(10);
		if (n == 1500) new java.io.File("warm").createNewFile(); } } }""", "-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch")
	wait_for_file(os.path.join(field.folder, "warm"))
	return pid


@quiet("huge pages for sparse memory", "steady|plateau|sawtooth|shrinking|step", "python3", held=True)
def _(field):
	return field.python("""
		import mmap, time
		area = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
		area.madvise(14)
		for at in range(0, 64 << 20, 1 << 20):
		    area[at] = 1
		while True:
		    for at in range(0, 64 << 20, 1 << 20):
		        area[at] = (area[at] + 1) % 256
		    time.sleep(0.05)
		""")


@quiet("a cache that warms up", "steady|plateau|step|sawtooth", "python3")
def _(field):
	return field.python("""
		import random, time
		cache = {}
		while True:
		    for _ in range(400):
		        cache[random.randrange(20000)] = "page " * 20
		    time.sleep(0.02)
		""")


@quiet("files read through the page cache", "steady|plateau|step|sawtooth|shrinking", "python3", held=True)
def _(field):
	return field.python("""
		import mmap, os, time
		with open("big", "wb") as file:
		    file.write(os.urandom(1 << 20) * 64)
		file = open("big", "rb")
		area = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
		at = 0
		while True:
		    total = sum(area[at:at + 200000:4096])
		    at = (at + 200000) % (60 << 20)
		    time.sleep(0.02)
		""")


@quiet("threads without a join, of a bounded number", "steady|plateau|step|sawtooth", "gcc")
def _(field):
	return field.compile("""
		#include <pthread.h>
		#include <unistd.h>
		static void *work(void *a) { char room[20000]; for (int i = 0; i < 20000; i++) room[i] = (char)i; return a ? room : 0; }
		int main(void) { for (int i = 0; i < 40; i++) { pthread_t t; pthread_create(&t, 0, work, 0); usleep(20000); } for (;;) pause(); }""", "-lpthread")


# ------------------------------------------------------------------ judging

def kinds_said(report):
	"""Kinds and names of the rows, as one text a row."""
	return [text for row in report["is"]["rows"][:3] for text in (row["kind"], row["name"])]


def judge(wanted, report):
	grows = report["grows"] or {}
	expected = wanted.expected
	said = {"region": grows.get("held") or grows.get("region", ""), "verdict": grows.get("verdict", ""), "reason": report["why"]["word"],
		"counterpart": report["next"]["release"] or ""}
	right = {key: bool(re.fullmatch(expected[key], said[key])) for key in ("region", "verdict", "reason")}
	said["type"] = "; ".join(f"{row['kind']} {row['name']}" for row in report["is"]["rows"][:2])[:60]
	right["type"] = not expected["type"] or any(re.fullmatch(expected["type"], text) for text in kinds_said(report))
	right["counterpart"] = bool(re.fullmatch(expected["counterpart"], said["counterpart"]))
	said["sure"] = grows.get("probability", 0)
	return said, right


def hunt(wanted, arguments):
	folder = os.path.join(arguments.work, re.sub(r"\W+", "-", wanted.name))
	shutil.rmtree(folder, ignore_errors=True)
	field = Field(arguments.samples, folder)
	begun = time.monotonic()
	try:
		pid = wanted.start(field)
		result = subprocess.run([arguments.leakhunt, "hunt", str(pid), "-o", os.path.join(folder, "hunt"), "--for", arguments.time,
					 "--interval", "500ms"], capture_output=True, text=True, timeout=400, errors="replace")
		with open(os.path.join(folder, "answer.txt"), "w") as file:
			file.write(result.stdout + result.stderr)
		with open(os.path.join(folder, "hunt", "report.json")) as file:
			report = json.load(file)
		said, right = judge(wanted, report)
		return wanted, said, right, time.monotonic() - begun, report["receipt"]["longest_pause_ns"]
	except Exception as error:  # a case that cannot run is a row, too
		return wanted, {"error": f"{type(error).__name__}: {error}"[:200]}, None, time.monotonic() - begun, 0
	finally:
		field.end()
		for name in ("before.core", "after.core", "data", "big"):
			path = os.path.join(folder, "hunt", name) if name.endswith("core") else os.path.join(folder, name)
			if not arguments.keep:
				shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.path.exists(path) and os.unlink(path)


def show(row):
	wanted, said, right, seconds, pause_ns = row
	head = f"{'held ' if wanted.held else '     '}{wanted.name[:58]:58}"
	if right is None:
		print(f"{head} did not run: {said['error']}", flush=True)
		return
	wrong = [key for key, holds in right.items() if not holds]
	print(f"{head} {'right' if not wrong else 'WRONG ' + ', '.join(wrong)}; {seconds:.0f} s, pause {pause_ns / 1e6:.1f} ms; "
	      + ", ".join(f"{key} {said[key]}" for key in ("region", "verdict", "type", "reason", "counterpart") if said[key])
	      + (f"; wrong although {said['sure']:.2f} sure" if wrong and said["sure"] >= 0.9 else ""), flush=True)


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--jobs", type=int, default=2)
	parser.add_argument("--for", dest="time", default="60s")
	parser.add_argument("--keep", action="store_true")
	parser.add_argument("leakhunt")
	parser.add_argument("samples")
	parser.add_argument("work")
	parser.add_argument("cases", nargs="*")
	arguments = parser.parse_args()
	arguments.leakhunt, arguments.work = os.path.abspath(arguments.leakhunt), os.path.abspath(arguments.work)
	wanted = [one for one in CASES.values() if not arguments.cases or any(word in one.name for word in arguments.cases)]
	for one in [one for one in wanted if one.needs and not shutil.which(one.needs)]:
		print(f"     {one.name}: left out, no {one.needs}")
		wanted.remove(one)
	rows = []
	with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
		for row in concurrent.futures.as_completed([pool.submit(hunt, one, arguments) for one in wanted]):
			rows.append(row.result())
			show(rows[-1])
	for name, quiet_ones in (("leaking", False), ("not leaking", True)):
		some = [row for row in rows if (row[0].expected["reason"] == "no-growth") == quiet_ones]
		good = [row for row in some if row[2] and all(row[2].values())]
		held = [row for row in some if row[0].held]
		print(f"{name}: {len(good)} of {len(some)} right in all; of those held back {sum(row in good for row in held)} of {len(held)}")
	return 0 if all(row[2] for row in rows) else 1


if __name__ == "__main__":
	sys.exit(main())
