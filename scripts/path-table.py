#!/usr/bin/env python3
"""The path select, next, dump, second dump, strings on programs under load: is the leak in it at each step?

usage: scripts/path-table.py [--records N] LEAKHUNT SAMPLES [PROGRAM...]

Each program leaks, and writes lines "NS COUNT BYTES": CLOCK_REALTIME, how many records it has leaked, and what its own
statistics (malloc_usable_size, sys._debugmallocstats, process.memoryUsage, INFO memory, memory_get_usage, MemStats) call
allocated. leakhunt's dumps carry the instant they are of, so what should be in them is known. Of each dump the table
shows the wanted bytes in percent of the allocated ones; of `strings A B` the error of the leaked template's growth.
Exit code 1 when a program misses: below 99 %, a first row that is not the leak, or a growth off by more than 2 %.
The second pair of dumps comes 10 s after the first; with --records, as soon as the program has leaked N more records.
"""
import argparse, bisect, json, os, re, shutil, socket, subprocess, sys, tempfile, threading, time

PYTHON = r'''
import os, sys, time
def allocated():
    read, write = os.pipe()
    saved = os.dup(2); os.dup2(write, 2); sys._debugmallocstats(); os.dup2(saved, 2); os.close(write); os.close(saved)
    text = b""
    while piece := os.read(read, 65536): text += piece
    os.close(read)
    for line in text.decode().splitlines():
        if line.startswith("# bytes in allocated blocks"): return int(line.split("=")[1].replace(",", ""))
keep, count, last, bytes_now = [], 0, 0, allocated()
while True:
    for _ in range(40):
        keep.append({"id": count, "name": "order-%d;customer=ACME;state=open" % count}); count += 1
    if time.time() - last > 1: bytes_now, last = allocated(), time.time()
    print(time.time_ns(), count, bytes_now, flush=True); time.sleep(0.02)
'''
OLD_PYTHON = PYTHON.replace('while piece := os.read(read, 65536): text += piece',
                            'for piece in iter(lambda: os.read(read, 65536), b""): text += piece')
NODE = r'''
const keep = []; let count = 0;
setInterval(() => {
    for (let i = 0; i < 400; i++, count++) { const name = "order-" + count + ";customer=ACME;state=open"; name.charCodeAt(3); keep.push({id: count, name}); }
    const m = process.memoryUsage();
    console.log((BigInt(Date.now()) * 1000000n).toString() + " " + count + " " + (m.heapUsed + m.external));
}, 20);
'''
PHP = r'''<?php $keep = []; $count = 0;
while (true) {
    for ($i = 0; $i < 40; $i++, $count++) $keep[] = ["id" => $count, "name" => "order-$count;customer=ACME;state=open"];
    printf("%d %d %d\n", (int)(microtime(true) * 1e6) * 1000, $count, memory_get_usage()); usleep(20000);
}'''
PERL = r'''use Time::HiRes qw(time usleep); $| = 1; my @keep; my $count = 0; my $bytes = 0;
while (1) { for (1..40) { my $t = "order-$count;customer=ACME;state=open"; push @keep, {id => $count, name => $t}; $count++; $bytes += length $t; }
printf "%d %d %d\n", time * 1e9, $count, $bytes; usleep(20000); }'''
JAVA = r'''import java.util.*;
public class Leak { public static void main(String[] a) throws Exception {
    List<Object> keep = new ArrayList<>(); int count = 0; Runtime r = Runtime.getRuntime();
    while (true) { for (int i = 0; i < 40; i++, count++) keep.add(Map.of("id", count, "name", "order-" + count + ";customer=ACME;state=open"));
        System.out.println(System.currentTimeMillis() * 1000000L + " " + count + " " + (r.totalMemory() - r.freeMemory())); Thread.sleep(20); } } }'''
GO = r'''package main
import ("fmt"; "runtime"; "time")
type order struct { id int; name string }
var keep []*order
func main() { for count := 0; ; { for i := 0; i < 40; i++ { keep = append(keep, &order{count, fmt.Sprintf("order-%d;customer=ACME;state=open", count)}); count++ }
    var m runtime.MemStats; runtime.ReadMemStats(&m); fmt.Println(time.Now().UnixNano(), count, m.HeapAlloc); time.Sleep(20 * time.Millisecond) } }'''
LIB = "/usr/lib/x86_64-linux-gnu/"


class Truth:
    def __init__(self):
        self.lines, self.lock = [], threading.Lock()

    def add(self, ns, count, allocated):
        with self.lock:
            self.lines.append((ns, count, allocated))

    def at(self, ns, field):
        """Interpolated."""
        with self.lock:
            lines = self.lines[:]
        i = min(max(bisect.bisect(lines, (ns,)), 1), len(lines) - 1)
        (a, b) = lines[i - 1], lines[i]
        share = (ns - a[0]) / (b[0] - a[0]) if b[0] > a[0] else 0
        return a[field] + (b[field] - a[field]) * min(max(share, 0), 1)

    def wait(self, process, is_enough):
        """Until its lines are enough; each has a time and a count."""
        deadline = time.monotonic() + 60
        while not (self.lines and is_enough(self.lines[-1])):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the program does not leak")
            time.sleep(0.01)

    def wait_for_growth(self, process, count):
        self.wait(process, lambda line: True)
        before = self.lines[-1][1]
        self.wait(process, lambda line: line[1] >= before + count)

    def least(self, ns):
        """Allocated for certain at that instant, also by a collector's figure that goes up and down."""
        return min(self.at(ns, 2), self.at(ns - 10**8, 2))


def start(words, env=None, cwd=None):
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=cwd,
                               env={**os.environ, **(env or {})})
    truth = Truth()

    def read():
        for line in process.stdout:
            words = line.split()
            if len(words) == 3:
                truth.add(*map(int, words))
    threading.Thread(target=read, daemon=True).start()
    return process, truth


def start_redis(folder, env=None):
    path = os.path.join(folder, "socket")
    process = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder],
                               stdout=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    truth = Truth()

    def load():
        link = socket.socket(socket.AF_UNIX)
        while process.poll() is None and link.connect_ex(path):
            time.sleep(0.01)
        stream, count = link.makefile("rb"), 0
        while process.poll() is None:
            batch = b"".join(b"SET k:%d order-%d;customer=ACME;state=open\r\n" % (n, n)
                             for n in range(count, count + 200))
            try:
                link.sendall(batch + b"INFO memory\r\n")
                for _ in range(200):
                    stream.readline()
                count += 200
                text = stream.read(int(stream.readline()[1:]) + 2)
            except (OSError, ValueError):
                return
            truth.add(time.time_ns(), count, int(re.search(rb"used_memory:(\d+)", text)[1]))
            time.sleep(0.02)
    threading.Thread(target=load, daemon=True).start()
    return process, truth


def preload(library):
    return lambda samples, folder: start([samples + "/path_load"], {"LD_PRELOAD": LIB + library})


def script(words, text, name):
    def run(samples, folder):
        path = os.path.join(folder, name)
        with open(path, "w") as file:
            file.write(text)
        return start(words + [path], cwd=folder)
    return run


def go(samples, folder):
    with open(folder + "/leak.go", "w") as file:
        file.write(GO)
    subprocess.run(["go", "build", "-o", "leak", "leak.go"], cwd=folder, check=True,
                   env={**os.environ, "GOFLAGS": "-mod=mod", "GO111MODULE": "off", "GOCACHE": folder + "/cache"})
    return start([folder + "/leak"])


PROGRAMS = {
    "glibc-threads": lambda samples, folder: start([samples + "/path_load"]),
    "jemalloc": preload("libjemalloc.so.2"),
    "tcmalloc": preload("libtcmalloc_minimal.so.4"),
    "mimalloc": preload("libmimalloc.so.2"),
    "python3.11": script(["/usr/bin/python3"], PYTHON, "leak.py"),
    "node": script(["node"], NODE, "leak.js"),
    "redis": lambda samples, folder: start_redis(folder),
    "redis-tcmalloc": lambda samples, folder: start_redis(folder, {"LD_PRELOAD": LIB + "libtcmalloc_minimal.so.4"}),
    "php": script(["php"], PHP, "leak.php"),
    "perl": script(["perl"], PERL, "leak.pl"),
    "java": script(["java", "-Xmx512m"], JAVA, "Leak.java"),
    "go": go,
}
for version in ("3.8", "3.9", "3.10", "3.12", "3.13"):
    PYENV = [os.path.join(folder, entry, "bin/python3") for folder in [os.path.expanduser("~/.pyenv/versions")]
             if os.path.isdir(folder) for entry in os.listdir(folder) if entry.startswith(version + ".")]
    if PYENV:
        PROGRAMS["python" + version] = script([PYENV[0]], OLD_PYTHON, "leak.py")


def dump(leakhunt, words, folder):
    run = subprocess.run([leakhunt] + words + ["--json"], cwd=folder, capture_output=True, text=True)
    if run.returncode not in (0, 1):
        raise RuntimeError(" ".join(words) + ": " + run.stderr.strip())
    receipt = json.loads(run.stdout)
    receipt["wanted"] = receipt["copied_bytes"] - receipt["context_bytes"]
    return receipt


def held_percent(receipt, truth):
    return 100.0 * receipt["wanted"] / truth.least(receipt["time_ns"])


def growth_row(leakhunt, first, second, truth, folder):
    run = subprocess.run([leakhunt, "strings", first["path"], second["path"], "--json"], cwd=folder,
                         capture_output=True, text=True)
    rows = json.loads(run.stdout)
    expected = truth.at(second["time_ns"], 1) - truth.at(first["time_ns"], 1)
    found = [row for key in ("templates", "texts", "classes") for row in rows.get(key, [])
             if "customer=ACME" in row["name"]]
    first_name = rows["templates"][0]["name"] if rows.get("templates") else "(none)"
    grown = max((row["growth_count"] for row in found), default=0)
    return first_name, 100.0 * (grown - expected) / expected


def follow_path(leakhunt, samples, name, records):
    folder = tempfile.mkdtemp(prefix="path-")
    process, truth = PROGRAMS[name](samples, folder)
    try:
        if records:
            truth.wait_for_growth(process, records)
        else:
            time.sleep(4)
        select = json.loads(subprocess.run([leakhunt, "select", str(process.pid), "-i", "500ms", "-n", "12", "--json"],
                                           capture_output=True, text=True, cwd=folder).stdout)
        command = select["next_command"]
        cause = select["regions"][0]["cause"] if select["regions"] else "(nothing)"
        words = command.split()[1:] if command else ["dump", str(process.pid)]
        dumps = [dump(leakhunt, ["dump", str(process.pid)], folder), dump(leakhunt, words, folder)]
        if records:
            truth.wait_for_growth(process, records)
        else:
            time.sleep(10)
        dumps += [dump(leakhunt, words, folder), dump(leakhunt, ["dump", str(process.pid)], folder)]
        truth.wait(process, lambda line: line[0] > dumps[-1]["time_ns"])
        held = [held_percent(receipt, truth) for receipt in dumps]
        first, error = growth_row(leakhunt, dumps[1], dumps[2], truth, folder)
        is_good = min(held) >= 99 and abs(error) <= 2 and "customer=ACME" in first and command
        print("%-15s %-16s %-26s %s  %+6.2f %%  %-42s %s" % (
            name, cause, " ".join(words[2:]) or "(no suspect)", " ".join("%7.1f" % value for value in held), error,
            first[:42], "ok" if is_good else "MISSED"), flush=True)
        return is_good
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=0)
    parser.add_argument("leakhunt", type=os.path.abspath)
    parser.add_argument("samples", type=os.path.abspath)
    parser.add_argument("program", nargs="*", default=list(PROGRAMS))
    options = parser.parse_args()
    print("%-15s %-16s %-26s %s  %8s  %s" % ("program", "cause", "next: dump PID", "held: default, next; 10 s later: next, default",
                                          "growth", "first template"))
    missed = 0
    for name in options.program:
        try:
            missed += not follow_path(options.leakhunt, options.samples, name, options.records)
        except (OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError) as error:
            print("%-15s FAILED: %r" % (name, error), flush=True)
            missed += 1
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
