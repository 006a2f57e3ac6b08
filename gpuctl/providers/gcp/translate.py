"""Google's JSON -> our values. Pure: no call, no clock. Times become UTC, cut to the second."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, State
from gpuctl.core.model import Billable, Ending, Machine, MachineId
from gpuctl.core.names import (
    label_of_project,
    label_of_time,
    project_of_label,
    time_of_label,
    user_name,
)
from gpuctl.core.rules import address_sku
from gpuctl.core.span import parse_time
from gpuctl.providers.gcp.errors import Json
from gpuctl.providers.gcp.shapes import Shape, short_gpu

MANAGED = "gpuctl-managed"
INSTALL = "gpuctl-install"
LEASE = "gpuctl-lease"
PROJECT = "gpuctl-project"
DEADLINE = "gpuctl-deadline"
TEMPLATE = "gpuctl-template"
USER = "gpuctl-user"
"""Key of the instance metadata that names the login; labels know no underscore at the start."""
PREEMPTED = "compute.instances.preempted"
ONE = Decimal(1)
_LABEL = r"[a-z0-9_-]{1,63}"
"""What the value of a label may be."""
_LOCAL_SSD_GIB = 375
"""Size of a local SSD where the VM does not tell it."""

STATES: Mapping[str, State] = {
    "PENDING": State.STARTING,
    "PROVISIONING": State.STARTING,
    "STAGING": State.STARTING,
    "RUNNING": State.RUNNING,
    "REPAIRING": State.RUNNING,
    "PENDING_STOP": State.STOPPING,
    "STOPPING": State.STOPPING,
    "SUSPENDING": State.STOPPING,
    "SUSPENDED": State.STOPPED,
    "TERMINATED": State.STOPPED,
    "STOPPED": State.STOPPED,
    "DEPROVISIONING": State.STOPPING,
}
"""Every status of the API; one that it grows later may bill, so it counts as running."""
_BESIDE = timedelta(minutes=10)
"""How far Google's note of a preemption may be from the end of the run."""


def last(link: str) -> str:
    """The name at the end of a resource's address."""
    return link.rpartition("/")[2]


def region_of(zone: str) -> str:
    """`us-central1` of `us-central1-a`."""
    return zone.rpartition("-")[0]


def moment(text: str | None) -> datetime | None:
    """A timestamp of the API, or None where it is absent or empty."""
    return parse_time(text) if text else None


def labels_of(
    *, install: str, lease: str, project: str, deadline: datetime, template: str | None = None
) -> dict[str, str]:
    """The labels of a machine of ours and of the disk made with it."""
    fits = template is not None and re.fullmatch(_LABEL, template)
    return {
        MANAGED: "true",
        INSTALL: install,
        LEASE: lease,
        PROJECT: label_of_project(project),
        DEADLINE: label_of_time(deadline),
        **({TEMPLATE: template} if template is not None and fits else {}),
    }


def market_of(vm: Json) -> Market:
    """Spot, and its older form preemptible, or on demand."""
    scheduling = vm.get("scheduling") or {}
    spot = scheduling.get("provisioningModel") == "SPOT" or scheduling.get("preemptible")
    return Market.SPOT if spot else Market.ON_DEMAND


def state_of(vm: Json) -> State:
    """The state in our words."""
    return STATES.get(vm.get("status") or "", State.RUNNING)


def _strange(vm: Json) -> str | None:
    said = vm.get("status") or ""
    return None if said in STATES else said or "nothing"


def metadata_of(vm: Json) -> dict[str, str]:
    """The instance metadata as a map."""
    items = (vm.get("metadata") or {}).get("items") or ()
    return {item["key"]: item.get("value") or "" for item in items}


def run_started(vm: Json) -> datetime | None:
    """When the present or last run began; None while a new one has not begun yet.

    ValueError for one that runs and does not tell since when: it costs all the same.
    """
    start, stop = moment(vm.get("lastStartTimestamp")), moment(vm.get("lastStopTimestamp"))
    if start is None and vm.get("status") == "RUNNING":
        raise ValueError(f"{vm.get('name')} is RUNNING and has no lastStartTimestamp")
    if state_of(vm) is State.STARTING and start and stop and start < stop:
        return None  # still the start of the run before
    return start


def gpus_of(vm: Json, shape: Shape) -> tuple[str | None, int]:
    """The accelerator's name and how many; G2 and A2 have them in their type."""
    for attached in vm.get("guestAccelerators") or ():
        return last(attached.get("acceleratorType") or ""), int(attached["acceleratorCount"])
    return shape.gpu, shape.gpus


def address_of(vm: Json) -> str | None:
    """The external IPv4 address; a stopped VM has one only if it is static."""
    for interface in vm.get("networkInterfaces") or ():
        for access in interface.get("accessConfigs") or ():
            if access.get("natIP"):
                return str(access["natIP"])
    return None


def billed(vm: Json, disks: Mapping[str, Json], shape: Shape) -> tuple[Billable, ...]:
    """Everything on the clock for a VM in its present state."""
    state, market = state_of(vm), market_of(vm)
    found = [disk_billed(disks[source]) for source in disk_sources(vm) if source in disks]
    address, stopped = address_of(vm), moment(vm.get("lastStopTimestamp"))
    if state is State.STOPPED:
        if address and stopped:
            found.append(_thing(address, Kind.IPV4, "idle", ONE, market, stopped))
        return tuple(found)
    since = run_started(vm)
    if since is None:
        return tuple(found)
    found.extend(_computing(vm, shape, since))
    if address:
        sku = address_sku("gcp", market)
        found.append(_thing(address, Kind.IPV4, sku, ONE, market, since))
    return tuple(found)


def _computing(vm: Json, shape: Shape, since: datetime) -> list[Billable]:
    """Cores, memory, GPU and local SSD of a run.

    Source: Google "VM instance pricing", "Disks and images pricing": local SSD is billed while it
    is attached to a VM that runs, by GiB and month, and less on a spot VM.
    """
    resource, market, family = str(vm["id"]), market_of(vm), shape.family
    gpu, count = gpus_of(vm, shape)
    parts = [
        _thing(resource, Kind.VCPU, f"{family}-core", shape.vcpus, market, since),
        _thing(resource, Kind.RAM, f"{family}-ram", shape.memory_gib, market, since),
    ]
    if gpu and count:
        parts.append(_thing(resource, Kind.GPU, gpu, Decimal(count), market, since))
    scratch = [disk for disk in vm.get("disks") or () if disk.get("type") == "SCRATCH"]
    if scratch:
        gib = sum(Decimal(disk.get("diskSizeGb") or _LOCAL_SSD_GIB) for disk in scratch)
        sku = "local-ssd-spot" if market is Market.SPOT else "local-ssd"
        parts.append(_thing(resource, Kind.DISK, sku, Decimal(gib), Market.ON_DEMAND, since))
    return parts


def ran(vm: Json, shape: Shape) -> tuple[Billable, ...]:
    """The last run's computing, whole, once the VM is stopped."""
    since, stopped = run_started(vm), moment(vm.get("lastStopTimestamp"))
    if state_of(vm) is not State.STOPPED or not since or not stopped or stopped < since:
        return ()
    return tuple(replace(part, until=stopped) for part in _computing(vm, shape, since))


def _thing(
    resource: str, kind: Kind, sku: str, quantity: Decimal, market: Market, since: datetime
) -> Billable:
    return Billable(
        resource=resource, kind=kind, sku=sku, quantity=quantity, market=market, since=since
    )


def disk_billed(disk: Json) -> Billable:
    """A persistent disk: GiB of its type since it was made, attached or not, VM on or off."""
    since = moment(disk.get("creationTimestamp"))
    if since is None:
        raise ValueError(f"disk {disk.get('name')} has no creation time")
    size, kind = Decimal(disk["sizeGb"]), last(disk["type"])
    resource = str(disk.get("id") or disk["name"])
    made = _thing(resource, Kind.DISK, kind, size, Market.ON_DEMAND, since)
    return made if MANAGED in (disk.get("labels") or {}) else replace(made, foreign=True)


def disk_sources(vm: Json) -> tuple[str, ...]:
    """`zone/name` of the persistent disks attached to a VM (local SSDs have no address)."""
    sources = (d.get("source") or "" for d in vm.get("disks") or ())
    return tuple(disk_key(source) for source in sources if source)


def disk_key(link: str) -> str:
    """`zone/name` from a disk's address, whatever host or project stands before it."""
    parts = link.split("/")
    return f"{parts[-3]}/{parts[-1]}"


def by_key(disks: Iterable[Json]) -> dict[str, Json]:
    """Disks of a listing by `zone/name`."""
    return {f"{last(d.get('zone') or '')}/{d['name']}": d for d in disks}


def preempted(vm: Json, operations: Iterable[Json]) -> bool:
    """Whether Google ended the last run that ended: its preemption stands beside that end."""
    stop = moment(vm.get("lastStopTimestamp"))
    for operation in operations:
        same = str(operation.get("targetId")) == str(vm.get("id"))
        at = moment(operation.get("insertTime") or operation.get("endTime"))
        told = operation.get("operationType") == PREEMPTED and same
        if told and at and stop and abs(at - stop) <= _BESIDE:
            return True
    return False


def ending_of(vm: Json, *, by_provider: bool) -> Ending | None:
    """How the last run that ended did, by the VM's own clock; None when none has.

    While a VM runs this is the end of the run before: whoever starts and stops it by other
    means leaves no gap that would be billed.
    """
    at = moment(vm.get("lastStopTimestamp"))
    if at is None:
        return None
    by = EndedBy.PROVIDER if by_provider else EndedBy.USER
    reason = PREEMPTED if by_provider else vm.get("statusMessage") or "lastStopTimestamp"
    return Ending(at=at, by=by, evidence=Evidence.STATE_REASON, reason=reason)


_ENDS = {
    "stop": EndedBy.USER,
    "delete": EndedBy.USER,
    "compute.instances.guestTerminate": EndedBy.USER,
    "compute.instances.hostError": EndedBy.USER,
    PREEMPTED: EndedBy.PROVIDER,
}
_BEGINS = ("start", "insert", "compute.instances.automaticRestart")


def ending_from(operations: Sequence[Json], name: str) -> Ending | None:
    """How a VM that is gone ended its last run, from what the zone's operations tell."""
    told = []
    for operation in operations:
        at = moment(operation.get("endTime") or operation.get("insertTime"))
        if last(operation.get("targetLink") or "") == name and at and not operation.get("error"):
            told.append((at, operation.get("operationType") or ""))
    told.sort()
    found: Ending | None = None
    for at, kind in told:
        if kind in _BEGINS:
            found = None
        elif kind in _ENDS and found is None:
            found = Ending(at=at, by=_ENDS[kind], evidence=Evidence.AUDIT_LOG, reason=kind)
        elif kind == "delete" and found is not None:
            found = replace(found, gone_at=at)  # stopped before: its disks cost until now
    return found


@dataclass(frozen=True, slots=True)
class Around:
    """What a VM's own JSON does not say: its disks, its type's shape, whose end it was."""

    account: str
    disks: Mapping[str, Json]
    shape: Shape
    by_provider: bool = False


def machine(vm: Json, around: Around) -> Machine:
    """One VM as Google reports it now."""
    labels, zone = vm.get("labels") or {}, last(vm.get("zone") or "")
    gpu, count = gpus_of(vm, around.shape)
    metadata = metadata_of(vm)
    identity = MachineId(
        provider="gcp",
        account=around.account,
        region=region_of(zone),
        zone=zone,
        native=vm["name"],
    )
    state = state_of(vm)
    return Machine(
        id=identity,
        name=vm["name"],
        type=last(vm.get("machineType") or ""),
        gpu=short_gpu(gpu) if gpu else None,
        gpus=count,
        market=market_of(vm),
        state=state,
        strange=_strange(vm),
        launched_at=run_started(vm),
        billed=billed(vm, around.disks, around.shape),
        ran=ran(vm, around.shape),
        ending=ending_of(vm, by_provider=around.by_provider),
        address=address_of(vm) if state is not State.STOPPED else None,
        image=_image(vm, around.disks),
        project=project_of_label(labels.get(PROJECT) or ""),
        lease=labels.get(LEASE),
        install=labels.get(INSTALL),
        deadline=time_of_label(labels.get(DEADLINE) or ""),
        user=_user(metadata.get(USER)),
        template=labels.get(TEMPLATE) or None,
    )


def _user(told: str | None) -> str | None:
    """Whoever may change the VM may have written it; None = no login name."""
    try:
        return user_name(told) if told else None
    except ValueError:
        return None


def _image(vm: Json, disks: Mapping[str, Json]) -> str | None:
    for attached in vm.get("disks") or ():
        if attached.get("boot") and attached.get("source"):
            image = (disks.get(disk_key(attached["source"])) or {}).get("sourceImage")
            return last(image) if image else None
    return None
