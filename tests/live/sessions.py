"""sessions: for each line "N" it makes N sessions, each with a dict, a list and strings of its own. All stay. Says "READY"
at the start, then "DONE" for each line."""
import sys


class Session:
    def __init__(self, number):
        self.user = "user %d" % number
        self.headers = {"name %d-%d" % (number, i): "value %d" % (number * 10 + i) for i in range(6)}
        self.numbers = [number * 1000 + i for i in range(9)]
        self.itself = self


# The list itself does not grow.
KEPT = [None] * 100000
count = 0
print("READY", flush=True)
for line in sys.stdin:
    for _ in range(int(line)):
        KEPT[count] = Session(count)
        count += 1
    print("DONE", flush=True)
