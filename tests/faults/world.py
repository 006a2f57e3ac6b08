"""Both emulated clouds in this process behind a proxy each, and homes to run gpuctl in."""

import itertools
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from gpuctl.sandbox.aws import AwsCloud
from gpuctl.sandbox.gcp import GcpCloud
from gpuctl.sandbox.state import SandboxState, environment
from gpuctl.sandbox.world import SandboxClock
from tests.faults.metal import SSH, Switches
from tests.faults.proxy import Plan, Proxy, Traffic, end
from tests.faults.waits import Waits

ROOT = Path(__file__).parents[2]

_IN_USE = {
    "aws": '[aws]\nregions = ["us-east-1"]\n',
    "gcp": '[gcp]\nzones = ["us-central1-a", "us-central1-b"]\n',
}
CONFIG = """\
[limits]
max_hourly = "9.00"
max_machines = 99

[client.acme.project.vision]
template = "aws"

[client.acme.project.nlp]
template = "gcp"

[template.aws]
provider = "aws"
type = "g6.xlarge"
market = "spot"
regions = ["us-east-1"]
image = "ssm:IMAGE"
user = "ubuntu"
disk = { gb = 100, type = "gp3" }
ttl = "8h"

[template.gcp]
provider = "gcp"
type = "n1-standard-4"
gpu = { type = "nvidia-tesla-t4", count = 1 }
market = "on-demand"
zones = ["us-central1-a", "us-central1-b"]
image = "deeplearning-platform-release/common-cu129-ubuntu-2204-nvidia-580"
user = "ubuntu"
disk = { gb = 100, type = "pd-balanced" }
ttl = "8h"
""".replace(
    "IMAGE",
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
)
PROJECT = {"aws": "acme/vision", "gcp": "acme/nlp"}


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended. `code` is negative when a signal ended it."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str
    fired: int = 0
    """How often its fault happened."""

    def __str__(self) -> str:
        return f"gpuctl {' '.join(self.argv)} -> {self.code}\n{self.err.rstrip()[-1500:]}"


@dataclass
class Running:
    """A command on its way."""

    id: int
    argv: tuple[str, ...]
    pid: int
    folder: Path


class Nursery:
    """The process that forks commands, and its messages."""

    def __init__(self) -> None:
        mine, theirs = socket.socketpair()
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
            env=environ,
        )
        theirs.close()
        self._line = mine
        self._ids = itertools.count(1)
        self._pending = b""
        self._codes: dict[int, int] = {}
        self._pids: dict[int, int] = {}
        self._wait(0, self._codes)

    def close(self) -> None:
        self._line.close()
        self._process.wait(10)

    def preload(self, modules: Sequence[str], environ: Mapping[str, str]) -> None:
        number = next(self._ids)
        told = {"preload": list(modules), "environ": environ, "clients": _CLIENTS}
        self._send({"id": number, **told})
        self._wait(number, self._codes)

    def start(self, order: Mapping[str, Any]) -> tuple[int, int]:
        number = next(self._ids)
        self._send({"id": number, **order})
        return number, self._wait(number, self._pids)

    def finish(self, number: int, limit: float = 120) -> int:
        return self._wait(number, self._codes, limit)

    def _send(self, told: Mapping[str, Any]) -> None:
        self._line.sendall(json.dumps(told).encode() + b"\n")

    def _wait(self, number: int, where: dict[int, int], limit: float = 120) -> int:
        while number not in where:
            if not select.select([self._line], [], [], limit)[0]:
                raise TimeoutError(f"command {number} does not end")
            got = self._line.recv(1 << 16)
            if not got:
                raise RuntimeError(f"the nursery has died: {self._process.wait(10)}")
            *lines, self._pending = (self._pending + got).split(b"\n")
            for line in lines:
                told = json.loads(line)
                key = "pid" if "pid" in told else "code"
                (self._pids if key == "pid" else self._codes)[told["id"]] = told[key]
        return where.pop(number)


@dataclass
class World:
    """Clouds, proxies, clock; `cloud` None = both are in use."""

    folder: Path
    clock: SandboxClock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = SandboxClock(on_change=self._write_clock)
        self._write_clock(self.clock.offset)
        guards = self.folder / "guards"
        guards.mkdir()
        self.metal = Switches(self.clock, guards)
        self.aws = AwsCloud(self.clock, self.metal)
        self.gcp = GcpCloud(self.clock, self.metal)
        self._over = threading.Event()
        threading.Thread(target=self.clock.run_forever, args=(self._over,), daemon=True).start()
        self._victim = threading.Event()
        self._pid = 0
        self._pids: list[int] = []
        self._roll = threading.Lock()
        self._waits = Waits(self.clock, self._alive)
        self.traffic = Traffic(self._kill, self._hasten)
        self._proxies = {
            "aws": Proxy("aws", self.aws.start(), self.traffic),
            "gcp": Proxy("gcp", self.gcp.start(), self.traffic),
        }
        self._serve_sleep()
        self.nursery = Nursery()
        (self.folder / "bin").mkdir()
        ssh = self.folder / "bin" / "ssh"
        ssh.write_text(SSH)
        ssh.chmod(0o755)
        for name in ("aws-config", "aws-credentials"):
            (self.folder / name).touch()
        self._homes = itertools.count()
        self._seed = self._first_home()

    def close(self) -> None:
        self.nursery.close()
        for proxy in self._proxies.values():
            proxy.close()
        self._over.set()
        self.aws.stop()
        self.gcp.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_clock(self, offset: timedelta) -> None:
        path = self.folder / "clock.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({"offset_seconds": offset.total_seconds()}))
        fresh.replace(path)

    def _serve_sleep(self) -> None:
        """Commands that wait move the clock instead."""
        self._sleepers = socket.socket(socket.AF_UNIX)
        self._sleepers.bind(str(self.folder / "sleep"))
        self._sleepers.listen(128)

        def one(line: socket.socket) -> None:
            with line:
                told = line.recv(64)
                if told.strip():
                    self._waits.wait(float(told))
                    line.sendall(b"ok\n")

        def serve() -> None:
            while True:
                try:
                    line, _ = self._sleepers.accept()
                except OSError:
                    return
                threading.Thread(target=_quiet, args=(one, line), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()

    def _hasten(self, call: Any) -> None:
        """Google holds `wait` back until its operation is over: let that be now."""
        if call.action.endswith("Operations.wait"):
            self._waits.wait(15)

    def _alive(self) -> int:
        """Commands that have not ended."""
        with self._roll:
            self._pids = [pid for pid in self._pids if Path(f"/proc/{pid}").exists()]
            return len(self._pids)

    def _kill(self) -> None:
        self._victim.wait(10)
        end(self._pid)

    # Homes and commands

    def _first_home(self) -> Path:
        seed = self.folder / "seed"
        (seed / "config").mkdir(parents=True, mode=0o700)
        return seed

    def home(self, clouds: Sequence[str] = ("aws",)) -> Path:
        """A fresh one, where these clouds are in use."""
        home = self.folder / f"h{next(self._homes)}"
        shutil.copytree(self._seed, home)
        config = home / "config" / "config.toml"
        config.write_text("\n".join([*(_IN_USE[cloud] for cloud in clouds), CONFIG]))
        config.chmod(0o600)
        return home

    def warm(self, cloud: str) -> None:
        """Let the nursery import what each command was seen to import, and find the keys made."""
        self.reset()
        home = self.home((cloud,))
        modules = self.folder / "modules"
        names: set[str] = set()
        for argv in (
            ["up", "-p", PROJECT[cloud], "-y"],
            ["extend", "--by", "1h"],
            ["down"],
            ["audit"],
        ):
            done = self.run(home, *argv, clouds=(cloud,), modules=str(modules))
            assert done.code in (0, 8), done
            names |= set(json.loads(modules.read_text()))
        self.nursery.preload(sorted(names), self.environ(home, ("aws",)))
        keys = home / "data" / "keys"
        if keys.exists():
            shutil.copytree(keys, self._seed / "data" / "keys", dirs_exist_ok=True)

    def reset(self) -> None:
        """Empty clouds, fair weather, no homes."""
        self.traffic.begin()
        for home in self.folder.glob("h[0-9]*"):
            shutil.rmtree(home, ignore_errors=True)
        self.aws.reset()
        self.gcp.reset()

    def environ(self, home: Path, clouds: Sequence[str]) -> dict[str, str]:
        state = SandboxState(
            directory=self.folder,
            pid=0,
            aws_endpoint=self._proxies["aws"].url,
            gcp_endpoint=self._proxies["gcp"].url,
            control_endpoint="",
            token="",
            account="123456789012",
            gcp_project="sandbox-project",
            seed=0,
        )
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        environ = environment(state).over({"PATH": path, "LANG": "C.UTF-8", "HOME": str(home)})
        environ |= {"GPUCTL_HOME": str(home), "FAULTS_GUARDS": str(self.folder / "guards")}
        for cloud, names in _NAMES.items():
            if cloud not in clouds:
                environ = {k: v for k, v in environ.items() if not k.startswith(names)}
        return environ

    def start(
        self, home: Path, *argv: str, clouds: Sequence[str] = ("aws",), **hooks: Any
    ) -> Running:
        """Start a command and return at once."""
        folder = Path(tempfile.mkdtemp(dir=home, prefix="run-"))
        order = {
            "argv": list(argv),
            "environ": self.environ(home, clouds),
            "cwd": str(home),
            "out": str(folder / "out"),
            "err": str(folder / "err"),
            "hooks": {"clock": str(self.folder / "sleep"), "home": str(home), **hooks},
        }
        number, pid = self.nursery.start(order)
        with self._roll:
            self._pids.append(pid)
        return Running(number, argv, pid, folder)

    def finish(self, running: Running, limit: float = 120) -> Done:
        """Wait for one."""
        code = self.nursery.finish(running.id, limit)
        said = [(running.folder / name).read_text(errors="replace") for name in ("out", "err")]
        return Done(running.argv, code, *said)

    def run(
        self,
        home: Path,
        *argv: str,
        clouds: Sequence[str] = ("aws",),
        plan: Plan | None = None,
        **hooks: Any,
    ) -> Done:
        """Run a command, with what is to happen to it, to its end and the network's rest."""
        plan = self.traffic.begin(plan)
        self._victim.clear()
        running = self.start(home, *argv, clouds=clouds, **hooks)
        self._pid = running.pid
        self._victim.set()
        done = self.finish(running)
        self.traffic.quiet()
        return Done(done.argv, done.code, done.out, done.err, plan.fired)

    def pass_time(self, **duration: float) -> None:
        """Nobody does anything for a while. EC2 shows what is new within five minutes."""
        by = timedelta(**duration)
        self.clock.advance(by)
        if by >= _CONSISTENT:
            for instance in self.aws._fleet.all():
                instance.hidden = 0

    def now(self) -> datetime:
        return self.clock.now()


_CONSISTENT = timedelta(minutes=5)
_CLIENTS = [
    *[("ec2", region, attempts) for region in ("us-east-1", "us-east-2") for attempts in (5, 1)],
    *[(name, "us-east-1", 5) for name in ("sts", "ssm", "pricing", "cloudtrail", "service-quotas")],
]
"""(service, region, attempts): what commands in the homes of a world make."""
_NAMES = {"aws": ("AWS_",), "gcp": ("GPUCTL_GCP_ENDPOINT", "GOOGLE_CLOUD_PROJECT")}


def _quiet(work: Any, line: socket.socket) -> None:
    try:
        work(line)
    except OSError:
        return  # who slept was killed


def make_world() -> World:
    """In memory where that is possible: gpuctl syncs its ledger to the disk at every write."""
    shm = Path("/dev/shm")
    base = shm if os.access(shm, os.W_OK) else None
    return World(Path(tempfile.mkdtemp(prefix="gf-", dir=base)))
