#!/usr/bin/env python3
"""python_leak: a Python program that keeps what it should drop: in each step instances of a class, of a
class with a metaclass, of one with slots, and lists and dictionaries. It speaks the protocol of the other
samples (sample.h): READY {json}, then "step N", "check", "quit". Truth: how many of each live."""

import abc
import gc
import json
import os
import sys


class Session:
    def __init__(self, number):
        self.number = number
        self.headers = {"number": number, "user": str(number)}


class Handler(abc.ABC):
    @abc.abstractmethod
    def handle(self):
        """Has to be there."""


class LoginHandler(Handler):
    def handle(self):
        return 0


class Point:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y


KEPT = []
PER_STEP = 1000


def step():
    for i in range(PER_STEP):
        session = Session(i)
        KEPT.append(session)
        KEPT.append(LoginHandler())
        KEPT.append(Point(i, session))
        KEPT.append([session, i])
        KEPT.append({i, str(i)})
    # Made and dropped again: none of it lives.
    garbage = [Session(i) for i in range(PER_STEP)]
    del garbage
    gc.collect()


def count_dicts():
    """All, also those that the collector does not track: what can be reached from what it does."""
    seen, found = set(), gc.get_objects()
    own, count = {id(seen)}, 0
    while found:
        new = {id(o): o for o in found if id(o) not in seen and id(o) not in own}
        seen.update(new)
        count += sum(type(o) is dict for o in new.values())
        found = gc.get_referents(*new.values())
        own = {id(seen), id(found), id(new)}
    return count


def truth(steps):
    """Classes by what was made; of containers as many as there are."""
    dicts = count_dicts()
    objects = gc.get_objects()
    counts = {name: sum(type(o) is kind for o in objects) for name, kind in
              (("Session", Session), ("LoginHandler", LoginHandler), ("Point", Point), ("list", list), ("set", set))}
    return {"pid": os.getpid(), "name": "python_leak", "condition": "leak", "region_kind": None, "steps": steps,
            "made": steps * PER_STEP, "objects": counts | {"dict": dicts}}


def main():
    steps = int(sys.argv[sys.argv.index("--steps") + 1]) if "--steps" in sys.argv else 0
    for _ in range(steps):
        step()
    print("READY " + json.dumps(truth(steps)), flush=True)
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            break
        if words == ["check"]:
            alive = all(KEPT[i].number == i % PER_STEP for i in range(0, 5, 5) if i < len(KEPT))
            print(json.dumps({"alive": alive, "checksum_ok": len(KEPT) == steps * PER_STEP * 5, "workers": 0,
                              "interrupted_calls": 0}), flush=True)
        elif len(words) == 2 and words[0] == "step":
            for _ in range(int(words[1])):
                step()
            steps += int(words[1])
            print(json.dumps(truth(steps)), flush=True)
        else:
            print('{"error":"commands: step N, check, quit"}', flush=True)


main()
