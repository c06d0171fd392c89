"""containers: for each line "N" two dicts of a module, an object's list and two local lists get N more elements each.
One of them gets its elements from the end of a list that has room for more: pointers to them stay in that room. Says
"READY" at the start, then "DONE" for each line."""
import sys


class Log:
    def __init__(self):
        self.entries = []


class Session:
    def __init__(self, number):
        self.number = number
        self.name = "user %06d" % number


CACHE = {}
SESSIONS = {}
log = Log()
TODO = [None] * 60000


def serve():
    history = []
    done = []
    number = 0
    print("READY", flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            CACHE["key %06d" % number] = b"a value of %06d" % number * 20
            SESSIONS[number] = Session(number)
            log.entries.append(("entry %06d" % number, number * 1000))
            history.append(["item %06d" % number, number * 1000])
            TODO.append(("task %06d" % number, number * 1000))
            number += 1
        for _ in range(int(line)):
            done.append(TODO.pop())
        print("DONE", flush=True)


serve()
