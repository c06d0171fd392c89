#!/usr/bin/python3
"""postgres_client.py SOCKET_FOLDER: pgbench in runs of some seconds, each of whose failures count, and its invariant:
in each branch, teller and account balance, the same sum as in the history of all transactions."""
import re
import subprocess
import sys

from checkers import Checkers

checkers = Checkers()
COMMON = ["-h", sys.argv[1], "-U", "postgres"]
SUMS = """SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
 (SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history);"""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        checkers.count("failed", f"{command[0]}: {done.stderr.strip()[-200:]}")
    return done


def bench():
    done = run("pgbench", *COMMON, "-n", "-c", "4", "-T", "2", "postgres")
    failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
    aborted = re.search(r"aborted|ERROR|FATAL|WARNING", done.stderr)
    if failed and int(failed[1]) or aborted:
        checkers.count("failed", f"pgbench: {failed[0] if failed else ''} {done.stderr.strip()[-200:]}")
    sums = run("psql", *COMMON, "-AtX", "-c", SUMS, "postgres").stdout.strip().split("|")
    if len(set(sums)) != 1:
        checkers.count("wrong", f"sums of accounts, tellers, branches and history: {sums}")


checkers.start(bench)
checkers.serve()
