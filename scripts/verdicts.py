#!/usr/bin/env python3
"""Records real programs, leaking and not, and prints how often leakhunt's verdicts on them are right.

    verdicts.py record [--jobs N] [--samples 45] [--interval 2s] [--runs 1] LEAKHUNT SAMPLES RECORDS [CASE...]
    verdicts.py table LEAKHUNT RECORDS

`record` starts each program of field.py and of this file twice a run: "cold", sampled from its start, and "warm", sampled
after 40 s under load. It keeps a record each, RECORDS/CASE.cold.1.jsonl, and leaves out those that are there already, so
that it can be stopped and started again. The truth is how a program was made to run: index.json has it.

`table` judges the records by `leakhunt select`, whole and their first 10, 20 and 45 samples, and prints the matrix of
confusions, calibration, and how many firm verdicts flip later. Programs that are not installed are left out, and said.
"""
import argparse, collections, concurrent.futures, glob, json, os, re, shutil, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from field import (CASES, Field, case, connect, java, memcached, memcached_pages, nginx, postgres, quiet, redis, redis_command, redis_writes)

PREFIXES = (10, 20, 45)
WARM_S = 40
BOUNDED = "steady|plateau|step|sawtooth|shrinking"
KINDS = ("nginx", "redis", "postgres", "memcached", "node", "java", "go", "python", "php")


def go(field, text):
	field.write("target.go", text)
	environment = dict(os.environ, GOFLAGS="-mod=mod", GOCACHE=os.path.join(field.folder, "cache"), GO111MODULE="off")
	subprocess.run(["go", "build", "-o", "target", "target.go"], cwd=field.folder, check=True, env=environment)
	return field.run("./target").pid


@case("go, a map that is never emptied", "go")
def _(field):
	return go(field, """
		package main
		import ("strconv"; "time")
		type order struct { id int; text string; lines []int }
		func main() { seen := map[int]*order{}
		for { for i := 0; i < 100; i++ { n := len(seen); seen[n] = &order{n, "order " + strconv.Itoa(n), make([]int, 20)} }
		time.Sleep(20 * time.Millisecond) } }
		""")


@case("go, goroutines that wait forever", "go", held=True)
def _(field):
	return go(field, """
		package main
		import "time"
		func main() { gate := make(chan int)
		for { for i := 0; i < 5; i++ { go func() { <-gate }() }; time.Sleep(20 * time.Millisecond) } }
		""")


@quiet("go, garbage", BOUNDED, "go")
def _(field):
	return go(field, """
		package main
		import ("strings"; "time")
		var kept string
		func main() { for { for i := 0; i < 50; i++ { kept = strings.Repeat("x", 1000+i*100) }; time.Sleep(10 * time.Millisecond) } }
		""")


@quiet("go, a server of requests", BOUNDED, "go", held=True)
def _(field):
	return go(field, """
		package main
		import ("fmt"; "io"; "net/http"; "net/http/httptest"; "time")
		func main() { server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 20000); fmt.Fprint(w, len(body), r.URL.Path) }))
		for n := 0; ; n++ { answer, err := http.Get(server.URL + "/" + fmt.Sprint(n)); if err == nil { io.Copy(io.Discard, answer.Body)
		answer.Body.Close() }; time.Sleep(5 * time.Millisecond) } }
		""")


@quiet("nginx, requests", BOUNDED, "nginx")
def _(field):
	pid, port = nginx(field, ";")

	def step(n):
		with connect(port) as one:
			one.sendall(b"GET /%d HTTP/1.0\r\n\r\n" % n)
			one.recv(4096)
		time.sleep(0.01)
	field.load(step)
	return pid


@quiet("nginx, connections that come and go", BOUNDED, "nginx", held=True)
def _(field):
	pid, port = nginx(field, "; keepalive_timeout 5s;")
	kept = []

	def step(n):
		one = connect(port)
		one.sendall(b"GET /%d HTTP/1.1\r\nHost: shop.example\r\n\r\n" % n)
		kept.append(one)
		if len(kept) > 100:
			kept.pop(n * 7919 % 100).close()
		time.sleep(0.02)
	field.load(step)
	return pid


@quiet("redis, the same keys again", BOUNDED, "redis-server", held=True)
def _(field):
	pid, port = redis(field)
	redis_writes(field, port, keys=20000, pause=0.01)
	return pid


@quiet("redis, keys with a time to live", BOUNDED, "redis-server")
def _(field):
	pid, port = redis(field)
	link = connect(port)

	def step(n):
		link.sendall(b"".join(redis_command("SET", f"token:{n * 20 + i}", "v" * 60, "EX", 8) for i in range(20)))
		link.recv(65536)
		time.sleep(0.01)
	field.load(step)
	return pid


@quiet("postgres, queries", BOUNDED, "psql")
def _(field):
	return postgres(field, lambda n: f"SELECT count(*) FROM pg_class WHERE oid > {n % 20000};")


@quiet("postgres, temporary tables made and dropped", BOUNDED, "psql", held=True)
def _(field):
	return postgres(field, lambda n: "CREATE TEMP TABLE t AS SELECT generate_series(1, 2000) AS n; SELECT sum(n) FROM t; DROP TABLE t;")


@quiet("memcached at its bound", BOUNDED, "memcached")
def _(field):
	return memcached_pages(field, "16")


@quiet("memcached, the same keys again", BOUNDED, "memcached", held=True)
def _(field):
	pid, port = memcached(field)
	link = connect(port)

	def step(n):
		value = b"v" * (100 + n * 7919 % 3000)
		link.sendall(b"set page:%d 0 0 %d noreply\r\n%s\r\n" % (n % 3000, len(value), value))
		time.sleep(0.005)
	field.load(step)
	return pid


@quiet("node, garbage", BOUNDED, "node")
def _(field):
	return field.run("node", field.write("garbage.js", """
		let kept = []; setInterval(() => { for (let i = 0; i < 300; i++) kept.push({ id: i, text: "order " + i });
		if (kept.length > 20000) kept = []; }, 20);
		""")).pid


@quiet("node, a cache with a bound", BOUNDED, "node", held=True)
def _(field):
	return field.run("node", field.write("lru.js", """
		const cache = new Map(); let n = 0; setInterval(() => { for (let i = 0; i < 200; i++) { cache.set(n++, "x".repeat(200) + n);
		if (cache.size > 20000) cache.delete(cache.keys().next().value); } }, 20);
		""")).pid


@quiet("java, a cache with a bound", BOUNDED, "javac")
def _(field):
	return java(field, """
		public class Target { public static void main(String[] a) throws Exception {
		java.util.LinkedHashMap<Integer, byte[]> cache = new java.util.LinkedHashMap<>();
		for (int n = 0; ; n++) { cache.put(n, new byte[2000]); if (cache.size() > 5000) cache.remove(n - 5000);
		if (n % 50 == 0) Thread.sleep(10); } } }""", "-Xms16m", "-Xmx128m")


@quiet("python, objects that come and go", BOUNDED, "python3")
def _(field):
	return field.python("""
		import random, time
		alive = []
		while True:
		    for _ in range(100):
		        alive.append("x" * random.randrange(20, 2000))
		        if len(alive) > 8000:
		            alive[random.randrange(8000)] = alive.pop()
		    time.sleep(0.02)
		""")


@quiet("python, circles for the collector", BOUNDED, "python3", held=True)
def _(field):
	return field.python("""
		import time
		class Node: pass
		while True:
		    for _ in range(300):
		        a, b = Node(), Node()
		        a.other, b.other, a.data = b, a, list(range(50))
		    time.sleep(0.02)
		""")


@quiet("php, a worker with requests", BOUNDED, "php", held=True)
def _(field):
	return field.run("php", "-d", "memory_limit=-1", field.write("requests.php", """\
		<?php while (true) { $rows = []; for ($i = 0; $i < 500 + rand(0, 500); $i++) $rows[] = ["id" => $i, "text" => str_repeat("x", rand(10, 400))];
		$json = json_encode($rows); usleep(20000); }
		""")).pid


# ------------------------------------------------------------------ recording

def slug(name):
	return re.sub(r"\W+", "-", name).strip("-")


def leaks(one):
	return one.expected["reason"] != "no-growth"


def record(one, way, run, arguments):
	path = os.path.join(arguments.records, f"{slug(one.name)}.{way}.{run}.jsonl")
	if os.path.exists(path):
		return path, None
	folder = tempfile.mkdtemp(prefix="leakhunt-verdicts-")
	os.rmdir(folder)
	field = Field(arguments.samples, folder)
	try:
		pid = one.start(field)
		if way == "warm":
			time.sleep(WARM_S)
		result = subprocess.run([arguments.leakhunt, "select", str(pid), "--interval", arguments.interval, "--samples", str(arguments.count), "--save", path],
					capture_output=True, text=True, errors="replace")
		return path, None if os.path.exists(path) else result.stderr.strip()[:200]
	except Exception as error:  # a program that cannot run is a row, too
		return path, f"{type(error).__name__}: {error}"[:200]
	finally:
		field.end()
		shutil.rmtree(folder, ignore_errors=True)


def record_all(arguments):
	os.makedirs(arguments.records, exist_ok=True)
	wanted = [one for one in CASES.values() if not arguments.cases or any(word in one.name for word in arguments.cases)]
	for one in [one for one in wanted if one.needs and not shutil.which(one.needs)]:
		print(f"{one.name}: left out, no {one.needs}")
		wanted.remove(one)
	with open(os.path.join(arguments.records, "index.json"), "w") as file:
		json.dump({slug(one.name): {"name": one.name, "leaks": leaks(one), "held": one.held} for one in CASES.values()}, file, indent=1)
	jobs = [(one, way, run) for run in range(1, arguments.runs + 1) for one in wanted for way in ("cold", "warm")]
	failed = False
	with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
		for done in concurrent.futures.as_completed([pool.submit(record, *job, arguments) for job in jobs]):
			path, error = done.result()
			failed |= error is not None
			print(f"{os.path.basename(path)}: {error or 'recorded'}", flush=True)
	return 1 if failed else 0


# ------------------------------------------------------------------ judging

def answer_of(total):
	verdict = total["verdict"]
	return "leak" if verdict == "leak" else "open" if verdict in ("undecided", "growing") else "none"


def judge(leakhunt, lines, count):
	"""A header, and the samples behind it; a record of several headers is of several processes and is not made here."""
	with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
		file.writelines(lines[: count + 1])
		file.flush()
		result = subprocess.run([leakhunt, "select", "--from", file.name, "--json"], capture_output=True, text=True)
	return json.loads(result.stdout)["process"]


def ratio(part, whole):
	return f"{part / whole:.3f}" if whole else "-"


def show_matrix(title, rows):
	print(f"\n{title}\n{'':12}{'leak':>6}{'open':>6}{'none':>6}")
	for truth in (True, False):
		cells = collections.Counter(row["answer"] for row in rows if row["leaks"] == truth)
		print(f"{'leaks' if truth else 'no leak':12}" + "".join(f"{cells[answer]:6}" for answer in ("leak", "open", "none")))
	said = [row for row in rows if row["answer"] == "leak"]
	decided = [row for row in rows if row["leaks"] and row["answer"] != "open"]
	print(f"precision {ratio(sum(row['leaks'] for row in said), len(said))}, recall of decided "
	      f"{ratio(sum(row['answer'] == 'leak' for row in decided), len(decided))}, undecided "
	      f"{ratio(sum(row['answer'] == 'open' for row in rows), len(rows))} of {len(rows)}")


def show_calibration(rows):
	print("\nprobability said -> share that leaks (records)")
	ends = (0.03, 0.1, 0.3, 0.7, 0.9, 0.97, 1.01)
	for low, high in zip((0,) + ends, ends):
		some = [row for row in rows if low <= row["probability"] < high]
		if some:
			print(f"  {sum(row['probability'] for row in some) / len(some):.2f} -> {ratio(sum(row['leaks'] for row in some), len(some))} ({len(some)})")


def show_table(arguments):
	with open(os.path.join(arguments.records, "index.json")) as file:
		index = json.load(file)
	rows, flips, pairs = [], 0, 0
	for path in sorted(glob.glob(os.path.join(arguments.records, "*.jsonl"))):
		name, way, run = os.path.basename(path).rsplit(".", 3)[:3]
		with open(path) as file:
			lines = file.readlines()
		answers = []
		for count in [count for count in PREFIXES if count < len(lines) - 1] + [len(lines) - 1]:
			total = judge(arguments.leakhunt, lines, count)
			answers.append(answer_of(total))
		rows.append({**index[name], "answer": answers[-1], "probability": total["probability"]})
		firm = [answer for answer in answers if answer != "open"]
		pairs += max(0, len(firm) - 1)
		flips += sum(a != b for a, b in zip(firm, firm[1:]))
		wrong = answers[-1] == ("none" if index[name]["leaks"] else "leak")
		print(f"{'held' if index[name]['held'] else '    '} {name[:52]:52} {way} {run} {total['verdict']:9} {total['probability']:.2f} "
		      f"{'WRONG' if wrong else '     '} {'/'.join(answers)}; {total['reason']}")
	for kind in KINDS:
		some = [row for row in rows if row["name"].startswith(kind)]
		if some:
			show_matrix(kind, some)
	for held in (False, True):
		show_matrix("held out" if held else "looked at", [row for row in rows if row["held"] == held])
	show_matrix("all", rows)
	show_calibration(rows)
	print(f"\n{flips} of {pairs} firm verdicts flip between {', '.join(map(str, PREFIXES))} samples and all")
	return 0


def main():
	parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
	commands = parser.add_subparsers(dest="command", required=True)
	record_parser = commands.add_parser("record")
	record_parser.add_argument("--jobs", type=int, default=2)
	record_parser.add_argument("--samples", dest="count", type=int, default=45)
	record_parser.add_argument("--interval", default="2s")
	record_parser.add_argument("--runs", type=int, default=1)
	record_parser.add_argument("leakhunt")
	record_parser.add_argument("samples")
	record_parser.add_argument("records")
	record_parser.add_argument("cases", nargs="*")
	table_parser = commands.add_parser("table")
	table_parser.add_argument("leakhunt")
	table_parser.add_argument("records")
	arguments = parser.parse_args()
	arguments.leakhunt = os.path.abspath(arguments.leakhunt)
	return record_all(arguments) if arguments.command == "record" else show_table(arguments)


if __name__ == "__main__":
	sys.exit(main())
