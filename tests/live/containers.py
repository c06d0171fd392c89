"""containers: for each line "N" a module's dict, an object's list and a local list get N more elements each. Says "READY"
at the start, then "DONE" for each line."""
import sys


class Log:
    def __init__(self):
        self.entries = []


CACHE = {}
log = Log()


def serve():
    history = []
    number = 0
    print("READY", flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            CACHE["key %06d" % number] = b"a value of %06d" % number * 20
            log.entries.append(("entry %06d" % number, number * 1000))
            history.append(["item %06d" % number, number * 1000])
            number += 1
        print("DONE", flush=True)


serve()
