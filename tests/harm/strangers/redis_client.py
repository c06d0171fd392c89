#!/usr/bin/python3
"""redis_client.py SOCKET: clients of redis that verify every answer, and redis-benchmark and BGSAVE beside them."""
import os
import socket
import subprocess
import sys
import threading
import time

from checkers import Checkers

checkers = Checkers()
own = threading.local()


class Connection:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(sys.argv[1])
        self.input = self.socket.makefile("rb")

    def ask(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self.read_answer()

    def read_answer(self):
        line = self.input.readline()
        kind, text = line[:1], line[1:-2]
        if kind == b"$":
            return None if text == b"-1" else self.input.read(int(text) + 2)[:-2]
        if kind == b":":
            return int(text)
        if kind == b"+":
            return text
        if kind == b"*":
            return [self.read_answer() for _ in range(int(text))]
        raise RuntimeError(f"redis answered {line!r}")


def ask(*words):
    if not hasattr(own, "connection"):
        own.connection = Connection()
    return own.connection.ask(*words)


def set_and_get(number):
    for key in range(20):
        value = os.urandom(200)
        checkers.expect("SET", ask("SET", f"key:{number}:{key}", value), b"OK")
        checkers.expect("GET", ask("GET", f"key:{number}:{key}"), value)
    ask("DEL", f"list:{number}")
    for value in range(50):
        checkers.expect("RPUSH", ask("RPUSH", f"list:{number}", value), value + 1)
    checkers.expect("LRANGE", ask("LRANGE", f"list:{number}", 0, -1), [b"%d" % value for value in range(50)])
    before = ask("INCR", f"count:{number}")
    checkers.expect("INCR", ask("INCR", f"count:{number}"), before + 1)


def save():
    answer = ask("BGSAVE")
    checkers.expect("BGSAVE", answer, b"Background saving started")
    while b"rdb_bgsave_in_progress:1" in ask("INFO", "persistence"):
        time.sleep(0.01)
    checkers.expect("BGSAVE's end", b"rdb_last_bgsave_status:ok" in ask("INFO", "persistence"), True)
    time.sleep(0.2)


def benchmark():
    done = subprocess.run(["redis-benchmark", "-s", sys.argv[1], "-q", "-n", "3000", "-c", "10", "-t", "set,get,incr,lpush,hset"],
                          capture_output=True, text=True, check=False)
    if done.returncode or "rror" in done.stdout + done.stderr:
        checkers.count("failed", f"redis-benchmark: {done.stderr.strip()[-100:]}")
    ask("DEL", "mylist")


for number in range(3):
    checkers.start(set_and_get, number)
checkers.start(save)
checkers.start(benchmark)
checkers.serve()
