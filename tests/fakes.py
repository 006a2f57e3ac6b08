"""Parts for tests that keep the ports' promises in memory: clouds, SSH, progress, accounts."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from gpuctl.core.checkpoints import Store
from gpuctl.core.errors import GpuctlError, NotFound, RemoteFailed
from gpuctl.core.keeping import Keep
from gpuctl.core.model import Machine, MachineId
from gpuctl.core.names import client_of
from gpuctl.core.ports import CloudRef, Copied, Provider
from tests.fake_cloud import FakeCloud
from tests.fake_provider import FakeProvider
from tests.fake_workbench import Builders, FakeWorkbench

__all__ = ["FakeCloud", "FakeJob", "FakeProvider", "FakeReach", "ListedClouds", "Quiet"]

HERE = "198.51.100.1/32"


@dataclass
class FakeJob:
    """What a job writes, piece by piece; an error in between is a connection that broke."""

    log: list[bytes | GpuctlError]
    code: int | None = 0


@dataclass
class FakeReach:
    """SSH to machines that answer at once, unless a test says otherwise."""

    arms: bool = True
    answering: bool = True
    address: str = HERE
    introduced: dict[str, tuple[str, ...]] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    ran: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    run_code: int = 0
    pushed: list[tuple[str, str]] = field(default_factory=list)
    started: dict[str, tuple[tuple[str, ...], str, Mapping[str, str]]] = field(default_factory=dict)
    running: dict[str, FakeJob] = field(default_factory=dict)
    offsets: list[int] = field(default_factory=list)
    deadlines: dict[str, datetime] = field(default_factory=dict)
    key_error: GpuctlError | None = None
    keeps: Store | None = None
    builders: Builders = field(default_factory=Builders)

    def public_key(self) -> str:
        if self.key_error is not None:
            raise self.key_error
        return "ssh-ed25519 AAAA gpuctl"

    def addresses(self) -> Sequence[str]:
        return (self.address,)

    def introduce(self, machine: Machine, host_keys: Sequence[str]) -> None:
        self.introduced[machine.name] = tuple(host_keys)

    def forget(self, machine: MachineId, name: str) -> None:
        self.forgotten.append(name)

    def answers(self, machine: Machine) -> bool:
        return self.answering and f"{machine.id} {machine.lease}" not in self.builders.closed

    def shell(self, machine: Machine, argv: Sequence[str]) -> int:
        return len(argv)

    def run(self, machine: Machine, argv: Sequence[str]) -> tuple[int, str]:
        self.ran.append((machine.name, tuple(argv)))
        return self.run_code, "line\n" * 20 + "the last line\n"

    def push(
        self, machine: Machine, source: Path, directory: str, exclude: Sequence[str]
    ) -> Copied:
        self.pushed.append((machine.name, directory))
        return Copied(1, 10)

    def pull(
        self, machine: Machine, source: str, directory: Path, exclude: Sequence[str]
    ) -> Copied:
        return Copied(1, 10)

    def start_job(
        self,
        machine: Machine,
        name: str,
        argv: Sequence[str],
        directory: str,
        environ: Mapping[str, str],
    ) -> None:
        self.started[name] = (tuple(argv), directory, dict(environ))

    def follow_job(self, machine: Machine, name: str, offset: int) -> Iterator[bytes]:
        """From the byte on; an error is met once, and the next connection goes on behind it."""
        self.offsets.append(offset)
        job, at = self.running[name], 0
        for place, piece in enumerate(job.log):
            if isinstance(piece, GpuctlError):
                del job.log[place]
                raise piece
            if at >= offset:
                yield piece
            at += len(piece)

    def job_code(self, machine: Machine, name: str) -> int | None:
        return self.running[name].code

    def job_phase(self, machine: Machine, name: str) -> str:
        return "running" if self.job_code(machine, name) is None else "ended"

    def signal_job(self, machine: Machine, name: str, what: str) -> None:
        self.ran.append((machine.name, ("kill", what, name)))

    def jobs(self, machine: Machine) -> Sequence[str]:
        return list(self.running)

    def workbench(self, machine: Machine, key: str) -> FakeWorkbench:
        return FakeWorkbench(self.builders, f"{machine.id} {machine.lease}", key)

    def keep(self, machine: Machine, keep: Keep, argv: Sequence[str]) -> tuple[str, ...]:
        return ("keeper", keep.job, *argv)

    def kept(self, machine: Machine) -> Store:
        if self.keeps is not None:
            return self.keeps
        raise NotFound(f"{machine.name} keeps nothing")

    def armed(self, machine: Machine) -> datetime | None:
        closed = f"{machine.id} {machine.lease}" in self.builders.closed
        armed = self.arms and not closed
        return self.deadlines.get(machine.name, machine.deadline) if armed else None

    def extend(self, machine: Machine, deadline: datetime) -> datetime:
        if not self.answering:
            raise RemoteFailed(f"{machine.name} does not answer")
        self.deadlines[machine.name] = deadline
        return deadline


class Quiet:
    """Progress that only remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[str] = []

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        self.steps.append(text)
        yield

    def note(self, text: str) -> None:
        self.notes.append(text)


class ListedClouds:
    """Accounts as a dictionary; a client with an account of its own is served there."""

    def __init__(self, providers: Mapping[CloudRef, Provider]) -> None:
        self.providers = dict(providers)
        self.buckets: dict[tuple[str, str | None], Store] = {}

    def accounts(self) -> Sequence[CloudRef]:
        return list(self.providers)

    def of(self, provider: str, project: str | None) -> CloudRef:
        own = CloudRef(provider, client_of(project)) if project else None
        return own if own in self.providers else CloudRef(provider)

    def connect(self, ref: CloudRef) -> Provider:
        return self.providers[ref]

    def bucket(self, address: str, payer: str | None) -> Store:
        return self.buckets[address, payer]
