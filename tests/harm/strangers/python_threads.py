#!/usr/bin/python3
"""Threads of the Python interpreter that checks itself: hashes, sockets, queues, files, subprocesses, timed waits."""
import hashlib
import os
import queue
import socket
import subprocess
import tempfile
import time

from checkers import Checkers

checkers = Checkers()
left, right = socket.socketpair()
numbers, answers = queue.Queue(), queue.Queue()
DIGEST = hashlib.sha256(bytes(range(256)) * 400).hexdigest()


def hash_bytes():
    checkers.expect("hash", hashlib.sha256(bytes(range(256)) * 400).hexdigest(), DIGEST)
    time.sleep(0.001)


def echo():
    right.sendall(right.recv(4096))


def talk():
    message = os.urandom(500)
    left.sendall(message)
    data = b""
    while len(data) < len(message):
        data += left.recv(4096)
    checkers.expect("echo", data, message)


def square():
    answers.put(numbers.get() ** 2)


def ask_for_squares():
    for number in range(50):
        numbers.put(number)
        checkers.expect("square", answers.get(timeout=30), number ** 2)


def use_file():
    with tempfile.TemporaryFile() as file:
        data = os.urandom(20000)
        file.write(data)
        file.seek(0)
        checkers.expect("file", file.read(), data)
    time.sleep(0.001)


def run_child():
    checkers.expect("status of a child", subprocess.run(["/bin/sh", "-c", "exit 5"], check=False).returncode, 5)
    time.sleep(0.02)


def wait_long_enough():
    before = time.monotonic()
    time.sleep(0.005)
    if time.monotonic() - before < 0.005:
        checkers.count("wrong", "a sleep ended early")


def make_garbage():
    kept = [{"number": number, "text": f"text {number}"} for number in range(2000)]
    for number, one in enumerate(kept):
        checkers.expect("object", one["text"], f"text {number}")
    time.sleep(0.005)


for work in (hash_bytes, echo, talk, square, ask_for_squares, use_file, run_child, wait_long_enough, make_garbage):
    checkers.start(work)
checkers.serve(pid=os.getpid())
