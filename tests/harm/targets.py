"""The targets of harm.py: how each is started, asked, and ended. All run as children of harm.py, are ended by
their pid, and keep their files in a folder of their own.

Each answers "check" on its stdin with one line of JSON: rounds, stuck, wrong, failed, interrupted, first
(samples/self_check.h). Servers are asked through a client that verifies every answer.
"""
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ANSWER_SECONDS_MAX = 90


class Gone(Exception):
    """A target or its client has ended, or does not answer."""


def quote_log(log):
    """The line that says why it ended, or the last one."""
    log.seek(0)
    lines = log.read().decode("utf-8", "replace").splitlines() or [""]
    return next((line for line in lines if any(word in line for word in ("fatal", "panic", "SIG", "ERROR"))), lines[-1])[:300]


class Speaker:
    """A child that prints READY {json} and answers lines."""

    def __init__(self, command, **more):
        # stderr goes to a file: a full pipe would block the target.
        self.log = open(os.path.join(more["cwd"], f"{os.path.basename(command[0])}.{len(os.listdir(more['cwd']))}.log"), "wb+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, **more)
        self.pending = b""
        line = self.read_line()
        if not line.startswith("READY "):
            raise Gone(f"{command[0]} said {line!r} instead of READY {self.tail()}")
        self.truth = json.loads(line.removeprefix("READY "))

    def tail(self):
        return quote_log(self.log)

    def read_line(self):
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while b"\n" not in self.pending:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else None
            if data is None:
                raise Gone(f"{self.process.args[0]} gives no answer for {ANSWER_SECONDS_MAX} s")
            if not data:
                raise Gone(f"{self.process.args[0]} has ended: status {self.process.wait()}: {self.tail()}")
            self.pending += data
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode("utf-8", "replace")

    def ask(self, text):
        try:
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise Gone(f"{self.process.args[0]} has ended: status {self.process.wait()}: {self.tail()}") from error
        return json.loads(self.read_line())

    def end(self):
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        end_process(self.process)
        self.log.close()


def end_process(process, number=signal.SIGTERM):
    """Asks it to end; kills it when it does not within 10 s."""
    try:
        process.wait(1 if number == signal.SIGTERM else 0.01)
        return
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Target:
    name = None
    group = "own"
    regions = ["anon", "stacks", "anon stacks", "anon data"]

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        self.speaker = None

    @classmethod
    def find_missing(cls, options):
        return ""

    def check(self):
        return self.speaker.ask("check")

    def pids(self):
        return [self.speaker.process.pid]

    def find_dead(self):
        status = self.speaker.process.poll()
        return None if status is None else f"status {status}: {self.speaker.tail()}"

    def stop(self):
        if self.speaker:
            self.speaker.end()


class Sample(Target):
    words = ()

    def start(self):
        # Lazy binding writes below rsp by itself: the first call of a function in a handler's small stack.
        self.speaker = Speaker([os.path.join(self.options.samples, self.words[0]), *self.words[1:]], cwd=self.folder,
                               env=dict(os.environ, LD_BIND_NOW="1"))


def make_sample(target_name, *command):
    return type(target_name, (Sample,), {"name": target_name, "words": command})


class GoServer(Target):
    group = "strangers"
    regions = ["anon", "stacks", "data"]
    program = None

    @classmethod
    def find_missing(cls, options):
        path = os.path.join(options.built or "", cls.program)
        return "" if options.built and os.path.exists(path) else f"{cls.program} was not built (golang-go)"

    def start(self):
        self.speaker = Speaker([os.path.join(self.options.built, self.program), self.folder], cwd=self.folder)


class GoServerWithoutC(GoServer):
    name = "go"
    program = "go_server_cgo0"


class GoServerWithC(GoServer):
    name = "go_cgo"
    program = "go_server_cgo1"


class Java(Target):
    name = "java"
    group = "strangers"
    regions = ["stacks", "data stacks", "anon"]

    @classmethod
    def find_missing(cls, options):
        path = os.path.join(options.built or "", "JavaServer.class")
        return "" if options.built and os.path.exists(path) else "JavaServer was not compiled (openjdk-17-jdk-headless)"

    def start(self):
        self.speaker = Speaker(["java", "-Xmx48m", "-Xss256k", "-XX:ReservedCodeCacheSize=24m", "-cp", self.options.built,
                                "JavaServer", self.folder], cwd=self.folder)


class PythonThreads(Target):
    name = "python3"
    group = "strangers"

    def start(self):
        self.speaker = Speaker(["/usr/bin/python3", os.path.join(HERE, "strangers", "python_threads.py")], cwd=self.folder)


def await_file(path, process, log):
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Gone(f"{process.args[0]} does not start: {quote_log(log)}")
        time.sleep(0.02)


def list_children(pid):
    found = []
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/children", encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


class Server(Target):
    """A server, and a client (speaker) that verifies its answers. Dumps go to the server."""
    group = "strangers"
    commands = ()
    stop_signal = signal.SIGTERM

    @classmethod
    def find_missing(cls, options):
        missing = [command for command in cls.commands if not shutil.which(command)]
        return f"no {' '.join(missing)}" if missing else ""

    def __init__(self, options, folder):
        super().__init__(options, folder)
        self.server = None

    def start_server(self, *command, ready, **more):
        self.log = open(os.path.join(self.folder, "server.log"), "wb+")
        self.server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                       cwd=self.folder, **more)
        await_file(ready, self.server, self.log)

    def start_client(self, name, *words):
        self.speaker = Speaker(["/usr/bin/python3", os.path.join(HERE, "strangers", name), *words], cwd=self.folder)

    def pids(self):
        return [self.server.pid]

    def find_dead(self):
        status = self.server.poll()
        if status is None:
            return super().find_dead()
        return f"server: status {status}: {quote_log(self.log)}"

    def stop(self):
        super().stop()
        if self.server:
            end_process(self.server, self.stop_signal)
            self.log.close()


class Node(Server):
    name = "node"
    commands = ("node",)
    regions = ["stacks", "heap", "anon"]

    def start(self):
        port = os.path.join(self.folder, "port")
        body = self.write_body()
        self.start_server("node", "--max-old-space-size=64", os.path.join(HERE, "strangers", "node_server.js"), body, port,
                          ready=port)
        with open(port, encoding="ascii") as file:
            self.start_client("http_client.py", file.read(), body)

    def write_body(self):
        path = os.path.join(self.folder, "body")
        with open(path, "wb") as file:
            file.write(b"0123456789abcdef" * 1024)
        return path


def find_free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx(Node):
    name = "nginx"
    commands = ("nginx", "ab")
    regions = ["anon", "stacks", "heap stacks", "anon data"]

    def start(self):
        port = find_free_port()
        body = self.write_body()
        config = os.path.join(self.folder, "nginx.conf")
        paths = " ".join(f"{name}_temp_path {self.folder}/{name};" for name in
                         ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(config, "w", encoding="ascii") as file:
            file.write(f"daemon off; pid {self.folder}/pid; worker_processes 2; user root; error_log {self.folder}/error.log;\n"
                       f"events {{ worker_connections 512; }}\n"
                       f"http {{ access_log off; {paths} sendfile off; keepalive_requests 1000;\n"
                       f"gzip off; server {{ listen 127.0.0.1:{port}; root {self.folder}; }} }}\n")
        self.start_server("nginx", "-p", self.folder, "-c", config, ready=os.path.join(self.folder, "pid"))
        self.start_client("http_client.py", str(port), body, f"http://127.0.0.1:{port}/body")
        self.workers = list_children(self.server.pid)

    def pids(self):
        return [self.server.pid] + self.workers * 3

    def find_dead(self):
        # The master starts a new worker for one that dies.
        gone = set(self.workers) - set(list_children(self.server.pid))
        return super().find_dead() or (f"worker {gone}" if gone else None)


class Redis(Server):
    name = "redis"
    commands = ("redis-server", "redis-benchmark")

    def start(self):
        path = os.path.join(self.folder, "socket")
        self.start_server("redis-server", "--port", "0", "--unixsocket", path, "--dir", self.folder, "--save", "",
                          "--appendonly", "no", ready=path)
        self.start_client("redis_client.py", path)


class Postgres(Server):
    name = "postgres"
    commands = ("pgbench", "psql", "setpriv")
    stop_signal = signal.SIGINT # its "fast" shutdown
    programs = "/usr/lib/postgresql/15/bin"

    @classmethod
    def find_missing(cls, options):
        if os.geteuid() != 0:
            return "needs root to become user postgres"
        return super().find_missing(options) or ("" if os.path.exists(cls.programs) else "no postgresql-15")

    def as_postgres(self, program, *words):
        return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", f"{self.programs}/{program}", *words]

    def start(self):
        data = os.path.join(self.folder, "data")
        os.chmod(os.path.dirname(self.folder), 0o755)
        shutil.chown(self.folder, "postgres", "postgres")
        made = subprocess.run(self.as_postgres("initdb", "-N", "-A", "trust", "-D", data), cwd=self.folder,
                              capture_output=True, text=True, check=False)
        if made.returncode:
            raise Gone(f"initdb: {made.stderr[-300:]}")
        self.start_server(*self.as_postgres("postgres", "-D", data, "-k", self.folder, "-c", "listen_addresses=",
                                            "-c", "shared_buffers=16MB", "-c", "fsync=off"),
                          ready=os.path.join(self.folder, ".s.PGSQL.5432"))
        deadline = time.monotonic() + 30
        while True:
            made = subprocess.run(["pgbench", "-h", self.folder, "-U", "postgres", "-i", "-q", "postgres"],
                                  capture_output=True, text=True, check=False)
            if made.returncode == 0:
                break
            if time.monotonic() > deadline:
                raise Gone(f"pgbench -i: {made.stderr[-300:]}")
            time.sleep(0.1)
        self.start_client("postgres_client.py", self.folder)
        self.helpers = set(self.list_helpers())

    def list_helpers(self):
        """The checkpointer, the writers and so on; backends come and go with their clients."""
        for pid in list_children(self.server.pid):
            try:
                with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                    title = file.read()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if any(name in title for name in ("checkpointer", "background writer", "walwriter", "logical replication")):
                yield pid

    def pids(self):
        return [self.server.pid, *list_children(self.server.pid)]

    def find_dead(self):
        # A child that dies makes the postmaster end and start all of them anew.
        gone = self.helpers - set(list_children(self.server.pid))
        return super().find_dead() or (f"processes {gone}" if gone else None)


ALL = [
    make_sample("slab_stacks", "slab_stacks"),
    make_sample("alternate_stack", "alternate_stack"),
    make_sample("coroutines", "coroutine_user"),
    make_sample("small_stacks", "small_stacks", "64"),
    make_sample("reopen_zero", "descriptor_user", "reopen"),
    make_sample("close_range", "descriptor_user", "closer"),
    make_sample("full_table", "descriptor_user", "full"),
    make_sample("mapping_mover", "mapping_mover"),
    make_sample("child_waiter", "child_waiter"),
    make_sample("slow_vfork", "slow_vfork"),
    make_sample("fork_maker", "fork_maker"),
    make_sample("signal_keeper", "signal_keeper"),
    make_sample("rseq_counter", "rseq_counter"),
    make_sample("registers_calls", "register_keeper", "calls"),
    make_sample("registers_spin", "register_keeper", "spin"),
    make_sample("io_uring", "ring_user"),
    make_sample("registered_ring", "ring_user", "registered"),
    make_sample("userfault_user", "userfault_user"),
    make_sample("datagram_reader", "datagram_reader"),
    make_sample("forking_main", "forking_main"),
    make_sample("threads_10000", "small_stacks", "10000"),
    GoServerWithoutC,
    GoServerWithC,
    Java,
    Node,
    Nginx,
    Postgres,
    Redis,
    PythonThreads,
]


def choose(words):
    chosen = []
    for word in words.split():
        found = [target for target in ALL if word in (target.name, target.group)]
        if not found:
            names = " ".join(target.name for target in ALL)
            raise SystemExit(f"harm.py: no target is called '{word}'; groups: own strangers; targets: {names}")
        chosen += [target for target in found if target not in chosen]
    return chosen
