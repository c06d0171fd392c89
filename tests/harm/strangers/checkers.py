"""Counts of a program that checks itself or a server, and the answers to harm.py: samples/self_check.h in Python."""
import json
import sys
import threading
import time


class Checkers:
    def __init__(self):
        self.lock = threading.Lock()
        self.counts = {"wrong": 0, "failed": 0, "interrupted": 0}
        self.first = ""
        self.rounds = []

    def count(self, what, text):
        with self.lock:
            self.counts[what] += 1
            self.first = self.first or text

    def fail(self, error):
        """An exception of a call that must succeed."""
        self.count("interrupted" if isinstance(error, InterruptedError) else "failed", f"{type(error).__name__}: {error}")

    def expect(self, what, found, expected):
        if found != expected:
            self.count("wrong", f"{what}: {str(found)[:80]} instead of {str(expected)[:80]}")

    def start(self, work, *arguments):
        """A thread that repeats work(*arguments) for ever."""
        index = len(self.rounds)
        self.rounds.append(0)

        def repeat():
            while True:
                try:
                    work(*arguments)
                except Exception as error: # pylint: disable=broad-except
                    self.fail(error)
                    time.sleep(0.01)
                self.rounds[index] += 1
        threading.Thread(target=repeat, daemon=True).start()

    def answer(self):
        before, deadline = list(self.rounds), time.monotonic() + 60
        while any(now == then for now, then in zip(self.rounds, before)) and time.monotonic() < deadline:
            time.sleep(0.002)
        stuck = sum(now == then for now, then in zip(self.rounds, before))
        with self.lock:
            return self.counts | {"rounds": sum(self.rounds), "stuck": stuck, "first": self.first}

    def serve(self, **truth):
        print("READY", json.dumps(truth), flush=True)
        for line in sys.stdin:
            if line.strip() == "quit":
                break
            print(json.dumps(self.answer()), flush=True)
