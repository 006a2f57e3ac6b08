"""Machines that compute, for tests of what sees a job through: work, checkpoints, exit codes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gpuctl.core.checkpoints import Manifest, Stored, manifest_key, write_manifest
from gpuctl.core.errors import GpuctlError, RemoteFailed
from gpuctl.core.keeping import Keep
from gpuctl.core.model import Machine
from gpuctl.core.ports import Clock
from gpuctl.core.span import format_time
from tests.fake_cloud import FakeCloud
from tests.fakes import FakeReach


@dataclass
class Process:
    """A job on a machine: it began at `at` with `before` seconds of work done."""

    at: datetime
    before: float
    ended: float | None = None
    """What was done when it was told to end."""


@dataclass
class Bucket:
    """Objects in memory."""

    objects: dict[str, bytes] = field(default_factory=dict)

    def entries(self, prefix: str) -> list[Stored]:
        return [Stored(k, len(v), 0.0) for k, v in self.objects.items() if k.startswith(prefix)]

    def read(self, key: str) -> Iterator[bytes]:
        if key not in self.objects:
            raise FileNotFoundError(key)
        yield self.objects[key]


@dataclass
class Workshop(FakeReach):
    """SSH to machines on which time is work; every `every` seconds it is saved for good."""

    clock: Clock = None  # type: ignore[assignment]
    cloud: FakeCloud = None  # type: ignore[assignment]
    bucket: Bucket = field(default_factory=Bucket)
    work: float = 3600.0
    every: float = 60.0
    root: str = ""
    saved: float = 0.0
    code: int = 0
    processes: dict[tuple[str, str], Process] = field(default_factory=dict)
    starts: list[str] = field(default_factory=list)
    fails: int = 0
    upload_ms: int = 1

    def alive(self, machine: Machine) -> bool:
        return self.cloud.vm(machine.id.native).alive

    def check(self, machine: Machine) -> None:
        if self.fails:
            self.fails -= 1
            raise RemoteFailed("the line is dead")
        if not self.alive(machine):
            raise RemoteFailed(f"{machine.name} does not answer")

    def done(self, process: Process, until: datetime | None = None) -> float:
        if process.ended is not None:
            return process.ended
        now = until or self.clock()
        return min(self.work, process.before + (now - process.at).total_seconds())

    def settle(self) -> None:
        """Save what was computed: whole intervals, also of machines that are gone by now."""
        for (native, _), process in self.processes.items():
            end = self.cloud.vm(native).run.end
            done = self.done(process, end)
            kept = (
                done
                if done >= self.work or process.ended is not None
                else (process.before + (done - process.before) // self.every * self.every)
            )
            if kept > self.saved:
                self.saved = kept
                at = process.at.timestamp() + (kept - process.before)
                self.save(datetime.fromtimestamp(at, tz=process.at.tzinfo))

    def save(self, at: datetime) -> None:
        if not self.root:
            return
        number = len(self.bucket.objects) + 1
        made = Manifest(
            job="train",
            sequence=number,
            name="step",
            step=None,
            lease="a",
            saved_at=format_time(at),
            attempt="a-1",
            milliseconds=self.upload_ms,
            directories=(),
            files=(),
        )
        self.bucket.objects[manifest_key(self.root, number)] = write_manifest(made)

    def start_job(
        self,
        machine: Machine,
        name: str,
        argv: Sequence[str],
        directory: str,
        environ: Mapping[str, str],
    ) -> None:
        self.check(machine)
        self.settle()
        key = (machine.id.native, name)
        if key in self.processes:
            raise GpuctlError(f"there is a job {name}")
        self.processes[key] = Process(self.clock(), self.saved)
        self.starts.append(f"{machine.name} {name} {' '.join(argv)}")

    def jobs(self, machine: Machine) -> Sequence[str]:
        self.check(machine)
        return [name for native, name in self.processes if native == machine.id.native]

    def job_code(self, machine: Machine, name: str) -> int | None:
        self.check(machine)
        process = self.processes[machine.id.native, name]
        if process.ended is not None and process.ended < self.work:
            return 143
        return self.code if self.done(process) >= self.work else None

    def job_phase(self, machine: Machine, name: str) -> str:
        return "running" if self.job_code(machine, name) is None else "ended"

    def signal_job(self, machine: Machine, name: str, what: str) -> None:
        self.check(machine)
        process = self.processes[machine.id.native, name]
        process.ended = self.done(process)
        self.settle()

    def run(self, machine: Machine, argv: Sequence[str]) -> tuple[int, str]:
        self.check(machine)
        self.ran.append((machine.name, tuple(argv)))
        return 0, ""

    def keep(self, machine: Machine, keep: Keep, argv: Sequence[str]) -> tuple[str, ...]:
        return ("keeper", f"tree={keep.tree}", f"fetch={keep.fetch}", *argv)
