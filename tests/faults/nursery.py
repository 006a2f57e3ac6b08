"""A process that has imported everything and forks one child a command: the real program at once.

A child is the real `gpuctl`, from `main()` to its exit code; `kill -9` of it is a real kill. What
is not real: it waits on the sandbox's clock instead of the wall's (`Waiting`), and it dies at a
named statement or file where it is told to (`Brink`).

Lines of JSON over a socket. In: {"id", "argv", "environ", "cwd", "out", "err", "hooks"}. Out:
{"id", "pid"}, then {"id", "code"}: the exit code, negative = the signal that ended it.
"""

import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PLAIN = ("gpuctl", "boto3", "botocore", "s3transfer", "click", "requests", "urllib3", "tenacity")
_PLAIN += ("google", "proto", "dateutil", "jmespath", "xml", "email", "encodings", "sqlite3")


class Waiting:
    """`time`, for whoever sleeps: sleeping moves the sandbox's clock, and takes a millisecond."""

    def __init__(self, path):
        self._path = path
        self._slept = 0.0

    def sleep(self, seconds):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(self._path)
            line.sendall(f"{seconds}\n".encode())
            line.recv(16)
        self._slept += seconds

    def monotonic(self):
        return time.monotonic() + self._slept

    def time(self):
        return time.time() + self._slept

    def __getattr__(self, name):
        return getattr(time, name)


class Brink:
    """Counts SQL statements and files touched below a home; kills itself before number `at`."""

    def __init__(self, home, at, trace):
        self._home, self._at, self._trace = home, at, trace
        self._count = 0

    def arm(self):
        import sqlite3  # noqa: PLC0415

        connect = sqlite3.connect

        @functools.wraps(connect)
        def connected(*args, **kwargs):
            db = connect(*args, **kwargs)
            db.set_trace_callback(lambda sql: self._step("sql " + " ".join(sql.split())[:60]))
            return db

        sqlite3.connect = connected
        sys.addaudithook(self._audit)

    def _audit(self, event, args):
        if event == "open":
            path, _, flags = args
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes:
                self._file("open", path)
        elif event in ("os.rename", "os.remove", "os.mkdir", "os.link", "os.chmod"):
            self._file(event, args[0])

    def _file(self, what, path):
        name = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
        if isinstance(name, str) and name.startswith(self._home) and not name.endswith(".log"):
            self._step(f"{what} {name[len(self._home) :]}")

    def _step(self, what):
        self._count += 1
        if self._trace is not None:
            os.write(self._trace, f"{what}\n".encode())
        if self._count == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def furnish(hooks):
    """Put the hooks of one command into this process."""
    waiting = Waiting(hooks["clock"])
    os.environ.update(hooks.get("environ", {}))
    import botocore.endpoint  # noqa: PLC0415
    import botocore.retries.standard  # noqa: PLC0415

    from gpuctl import wiring  # noqa: PLC0415
    from gpuctl.sandbox import safety  # noqa: PLC0415

    wiring.sleep_for = lambda environ: waiting.sleep
    safety.check_environment = lambda environ: None
    botocore.endpoint.time = waiting
    for name in ("retry_unary", "retry_base"):
        retry = sys.modules.get(f"google.api_core.retry.{name}")
        if retry is not None:
            retry.time = waiting
    if limit := hooks.get("timeout"):
        _hurry(limit)
    else:
        _use_clients()
    if drift := hooks.get("drift"):
        _drift(drift)
    if hooks.get("at") or hooks.get("trace"):
        trace = hooks.get("trace")
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY
        Brink(hooks["home"], hooks.get("at"), trace and os.open(trace, flags)).arm()
    _spoil(hooks)
    if hooks.get("terminal"):
        import click.utils  # noqa: PLC0415

        click.utils.should_strip_ansi = lambda *args, **kwargs: False
    if zone := hooks.get("zone"):
        os.environ["TZ"] = zone
        time.tzset()
    if mutant := hooks.get("mutant"):
        from tests.faults.mutants import MUTANTS  # noqa: PLC0415

        MUTANTS[mutant].apply()


def _spoil(hooks):
    """The ledger's disk: `full` = no file grows past so many bytes; `readonly`; `deny` = every
    INSERT from that one on is refused."""
    if room := hooks.get("full"):
        import resource  # noqa: PLC0415

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    if not (hooks.get("readonly") or hooks.get("deny")):
        return
    import sqlite3  # noqa: PLC0415

    connect, inserts = sqlite3.connect, [0]

    def allow(action, *_):
        inserts[0] += action == sqlite3.SQLITE_INSERT
        late = action == sqlite3.SQLITE_INSERT and inserts[0] >= hooks["deny"]
        return sqlite3.SQLITE_DENY if late else sqlite3.SQLITE_OK

    @functools.wraps(connect)
    def connected(*args, **kwargs):
        db = connect(*args, **kwargs)
        if hooks.get("readonly"):
            db.execute("PRAGMA query_only = ON")
        else:
            db.set_authorizer(allow)
        return db

    sqlite3.connect = connected


def _hurry(limit):
    """Answers are given up after so many real seconds."""
    from gpuctl.providers.aws import client as aws  # noqa: PLC0415
    from gpuctl.providers.gcp import client as gcp  # noqa: PLC0415

    aws.CONNECT_TIMEOUT = aws.READ_TIMEOUT = limit
    gcp.READ_TIMEOUT = gcp.WRITE_TIMEOUT = gcp.WAIT_TIMEOUT = limit


def _drift(seconds):
    """This computer's clock is off by `seconds`, or steps by each of a list, call by call."""
    from datetime import timedelta  # noqa: PLC0415

    from gpuctl import wiring  # noqa: PLC0415

    right = wiring.clock_for
    steps = seconds if isinstance(seconds, list) else [seconds]
    calls = [0]

    def clock_for(environ):
        clock = right(environ)

        def wrong():
            calls[0] += 1
            return clock() + timedelta(seconds=steps[calls[0] % len(steps)])

        return wrong

    wiring.clock_for = clock_for


def child(order):
    """Become `gpuctl`; never returns."""
    code = 1
    try:
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["environ"])
        for stream, path in ((1, order["out"]), (2, order["err"])):
            file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            os.dup2(file, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        furnish(order["hooks"])
        sys.argv = ["gpuctl", *order["argv"]]
        from gpuctl.__main__ import main  # noqa: PLC0415

        main()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, it is told and counted
        import traceback  # noqa: PLC0415

        traceback.print_exc()
    finally:
        if into := order["hooks"].get("modules"):
            Path(into).write_text(json.dumps(sorted(sys.modules)))
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def preload(names):
    """Import what a command was seen to import."""
    for name in names:
        if name.partition(".")[0] not in _PLAIN or name in sys.modules:
            continue
        if name.startswith("google.cloud.compute_v1"):
            continue
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001 - a child imports it itself, or need not
            continue


def _google():
    from gpuctl.providers.gcp import light  # noqa: PLC0415
    from gpuctl.providers.gcp.calls import Call  # noqa: PLC0415

    light.messages()
    for call in Call:
        light.service(call.service)


MADE = {}
"""SDK clients made before the fork: building one costs as much as a whole command's requests."""


def make_clients(environ, wanted):
    """Make them as a command with that environment would; no connection is opened."""
    from gpuctl.providers.aws.client import make_with_boto3  # noqa: PLC0415
    from gpuctl.providers.aws.settings import AwsSettings  # noqa: PLC0415

    before = dict(os.environ)
    os.environ.update(environ)
    try:
        settings = AwsSettings(account_alias="x", install="x", regions=("us-east-1",))
        make = make_with_boto3(settings, None)
        MADE.update({tuple(key): make(*key) for key in wanted})
    finally:
        os.environ.clear()
        os.environ.update(before)


def _use_clients():
    from gpuctl import providers  # noqa: F401, PLC0415
    from gpuctl.providers import aws  # noqa: PLC0415

    build = aws.make_with_boto3

    def make_with_boto3(settings, environ):
        made = []

        def make(*key):
            if key in MADE:
                return MADE[key]
            if not made:
                made.append(build(settings, environ))
            return made[0](*key)

        return make

    aws.make_with_boto3 = make_with_boto3


def _remember_models():
    """The SDK's descriptions of services are read once, not once a child."""
    from botocore.loaders import JSONFileLoader  # noqa: PLC0415

    JSONFileLoader.load_file = functools.cache(JSONFileLoader.load_file)


class Nursery:
    """Forks what it is told to, and tells of each child's end."""

    def __init__(self, line):
        self._line = line
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._alive = {}

    def serve(self):
        """Until the other end hangs up."""
        pending = b""
        while True:
            ready, _, _ = select.select([self._line, self._read], [], [])
            if self._read in ready:
                os.read(self._read, 4096)
            if self._line in ready:
                got = self._line.recv(1 << 16)
                if not got:
                    break
                *lines, pending = (pending + got).split(b"\n")
                for text in lines:
                    self._obey(json.loads(text))
            self._bury()
        for pid in self._alive:
            os.kill(pid, signal.SIGKILL)

    def _obey(self, order):
        if "preload" in order:
            preload(order["preload"])
            make_clients(order["environ"], order["clients"])
            gc.collect()
            gc.freeze()
            self.say({"id": order["id"], "code": 0})
            return
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (self._read, self._write, self._line.fileno()):
                os.close(number)
            child(order)
        self._alive[pid] = order["id"]
        self.say({"id": order["id"], "pid": pid})

    def _bury(self):
        while self._alive:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self.say({"id": self._alive.pop(pid), "code": os.waitstatus_to_exitcode(status)})

    def say(self, told):
        self._line.sendall(json.dumps(told).encode() + b"\n")


def main():
    """One nursery on the socket whose number is the argument."""
    os.environ["PYTHONPATH"] = str(ROOT)
    import gpuctl.cli  # noqa: F401, PLC0415

    _remember_models()
    import boto3  # noqa: F401, PLC0415

    _google()
    nursery = Nursery(socket.socket(fileno=int(sys.argv[1])))
    nursery.say({"id": 0, "code": 0})
    nursery.serve()


if __name__ == "__main__":
    main()
