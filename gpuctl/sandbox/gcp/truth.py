"""What really was, for tests: every VM, disk and reserved address there ever was."""

from dataclasses import dataclass
from datetime import datetime

from gpuctl.sandbox.gcp.project import Project


@dataclass(frozen=True, slots=True)
class Run:
    """One uninterrupted run: RUNNING to TERMINATED. Aware UTC, microseconds kept.

    `ended_by`: user, guest, preempted, max-run-duration, host-error; None while it goes on.
    """

    start: datetime
    stop: datetime | None
    ended_by: str | None


@dataclass(frozen=True, slots=True)
class TrueVm:
    """A VM that is or was there; `deleted` None = it is there. Failed creations have no runs."""

    name: str
    id: str
    zone: str
    type: str
    gpu: str | None
    gpus: int
    spot: bool
    labels: tuple[tuple[str, str], ...]
    created: datetime
    deleted: datetime | None
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class TrueDisk:
    """A disk that is or was there. Size in GiB."""

    name: str
    id: str
    zone: str
    type: str
    size: int
    created: datetime
    deleted: datetime | None


@dataclass(frozen=True, slots=True)
class TrueAddress:
    """A reserved address that is or was there."""

    name: str
    region: str
    address: str
    created: datetime
    deleted: datetime | None


@dataclass(frozen=True, slots=True)
class Truth:
    """All of it, oldest first."""

    vms: tuple[TrueVm, ...]
    disks: tuple[TrueDisk, ...]
    addresses: tuple[TrueAddress, ...]

    def vm(self, name: str) -> TrueVm:
        """The latest VM of that name. KeyError when there never was one."""
        found = [vm for vm in self.vms if vm.name == name]
        if not found:
            raise KeyError(name)
        return found[-1]


def tell(project: Project) -> Truth:
    """The truth now."""
    vms = tuple(
        TrueVm(
            name=vm.name,
            id=vm.id,
            zone=vm.zone,
            type=vm.machine.name,
            gpu=vm.gpu,
            gpus=vm.gpus,
            spot=vm.preemptible,
            labels=tuple(sorted(vm.body.get("labels", {}).items())),
            created=vm.created,
            deleted=vm.deleted,
            runs=tuple(Run(run.start, run.stop, run.ended_by) for run in vm.runs),
        )
        for vm in project.every_vm
    )
    disks = tuple(
        TrueDisk(
            name=disk.body["name"],
            id=disk.body["id"],
            zone=disk.zone,
            type=disk.body["type"].rpartition("/")[2],
            size=int(disk.body["sizeGb"]),
            created=disk.created,
            deleted=disk.deleted,
        )
        for disk in project.every_disk
    )
    addresses = tuple(
        TrueAddress(a.body["name"], a.region, a.body["address"], a.created, a.deleted)
        for a in project.every_address
    )
    return Truth(vms, disks, addresses)
