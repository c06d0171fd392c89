#!/usr/bin/python3
"""http_client.py PORT BODY_FILE [URL_OF_AB]: clients of a web server that verify status, length and every byte of each
answer, over connections that are kept and over new ones; with a third word, ab(1) beside them."""
import http.client
import subprocess
import sys
import re
import threading

from checkers import Checkers

PORT = int(sys.argv[1])
with open(sys.argv[2], "rb") as file:
    BODY = file.read()
checkers = Checkers()
kept = threading.local()


def get(connection):
    connection.request("GET", "/body")
    response = connection.getresponse()
    data = response.read()
    checkers.expect("status", response.status, 200)
    if data != BODY:
        checkers.count("wrong", f"a body of {len(data)} bytes is not the file's {len(BODY)}")


def get_kept():
    if not hasattr(kept, "connection"):
        kept.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    try:
        for _ in range(20): # fewer than a server's keepalive_requests
            get(kept.connection)
    finally:
        kept.connection.close()


def get_once():
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    get(connection)
    connection.close()


def run_ab(url):
    done = subprocess.run(["ab", "-q", "-k", "-n", "2000", "-c", "8", url], capture_output=True, text=True, check=False)
    failed = re.search(r"Failed requests:\s+(\d+)", done.stdout)
    others = re.search(r"Non-2xx responses:\s+(\d+)", done.stdout)
    if done.returncode or not failed:
        checkers.count("failed", f"ab: {done.stderr.strip()[-100:]}")
    elif int(failed[1]) or others:
        checkers.count("wrong", f"ab: {failed[0]} {others[0] if others else ''}")


for _ in range(4):
    checkers.start(get_kept)
checkers.start(get_once)
if len(sys.argv) > 3:
    checkers.start(run_ab, sys.argv[3])
checkers.serve()
