"""Listing and reading machines.

A listing is two calls a region, all at once: instances and volumes by their tag. A region that
has ended instances which do not say when costs one or two more calls for each of these.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from gpuctl.core.answers import reading
from gpuctl.core.errors import Denied, GpuctlError, ListingIncomplete, NotFound
from gpuctl.core.kinds import State
from gpuctl.core.model import Ending, Machine, MachineId
from gpuctl.core.ports import Clock, Sleep
from gpuctl.providers.aws import ending as endings
from gpuctl.providers.aws import tags, translate
from gpuctl.providers.aws.client import Clients, pages
from gpuctl.providers.aws.errors import as_error, refusal_of, sdk_errors
from gpuctl.providers.aws.parallel import attempts, each, together

Described = Mapping[str, Any]

_UNKNOWN_PAUSES = (2.0, 4.0)
_OVER = (State.STOPPING, State.STOPPED, State.GONE)


def list_all(
    clients: Clients, regions: Sequence[str], account: Callable[[], str], clock: Clock
) -> Sequence[Machine]:
    """All tagged machines of these regions; ListingIncomplete when one cannot be listed.

    Denied when all regions are: then it is the credentials and not the regions.
    """
    tried = attempts(regions, lambda region: _raw(clients, region), GpuctlError)
    failed = [(region, error) for region, error in tried if isinstance(error, Exception)]
    if failed:
        raise _incomplete(failed, whole=len(failed) == len(regions))
    owner = account()
    found = each(
        [(region, raw) for region, raw in tried if not isinstance(raw, Exception)],
        lambda pair: [
            _machine(
                clients, instance, volumes=pair[1][1], owner=owner, region=pair[0], clock=clock
            )
            for instance in pair[1][0]
        ],
    )
    return [machine for machines in found for machine in machines]


def read(clients: Clients, machine: MachineId, account: str, clock: Clock) -> Machine:
    """The machine as it is. NotFound when EC2 no longer knows its id.

    Straight after a launch EC2 may not know it yet: the caller, who launched it, waits.
    """
    region = machine.region
    instances, volumes = together(
        lambda: _instance(clients, machine),
        lambda: _volumes(clients, region, [tags.where("attachment.instance-id", machine.native)]),
    )
    return _machine(
        clients, instances[0], volumes=volumes, owner=account, region=region, clock=clock
    )


def described(
    clients: Clients, instance: Described, account: str, region: str, clock: Clock
) -> Machine:
    """A machine whose instance is known already, from a launch's own reply or a search.

    Its disks are asked for, one call; where that fails they are known from the next listing on,
    since nothing may make a launch that succeeded look like one that failed.
    """
    attached = [tags.where("attachment.instance-id", instance["InstanceId"])]
    volumes: Sequence[Described] = ()
    with suppress(GpuctlError):
        volumes = _volumes(clients, region, attached)
    return _machine(clients, instance, volumes=volumes, owner=account, region=region, clock=clock)


def _instance(clients: Clients, machine: MachineId) -> list[Described]:
    found = _flat(
        pages(
            clients.ec2(machine.region).describe_instances,
            "Reservations",
            f"looking at {machine.native}",
            InstanceIds=[machine.native],
        )
    )
    if not found:
        raise NotFound(f"no machine {machine.native} in {machine.region}", hint="gpuctl ps")
    return found


def _raw(clients: Clients, region: str) -> tuple[list[Described], list[Described]]:
    doing = f"listing machines in {region}"

    def instances() -> list[Described]:
        call = clients.ec2(region).describe_instances
        return _flat(pages(call, "Reservations", doing, Filters=list(tags.ours()), MaxResults=1000))

    found, volumes = together(instances, lambda: _volumes(clients, region, tags.ours()))
    with reading(doing, "AWS"):
        return found, [*volumes, *_untagged(clients, region, found, volumes)]


def _volumes(
    clients: Clients, region: str, filters: Sequence[Mapping[str, Any]]
) -> list[Described]:
    return pages(
        clients.ec2(region).describe_volumes,
        "Volumes",
        f"listing disks in {region}",
        Filters=list(filters),
    )


def _untagged(
    clients: Clients,
    region: str,
    instances: Sequence[Described],
    volumes: Sequence[Described],
) -> list[Described]:
    """Disks of our machines without a tag of ours: attached by hand, billed all the same."""
    known = {volume["VolumeId"] for volume in volumes}
    wanted = [
        mapping["Ebs"]["VolumeId"]
        for instance in instances
        for mapping in instance.get("BlockDeviceMappings") or ()
        if mapping.get("Ebs", {}).get("VolumeId") not in (None, *known)
    ]
    return _volumes(clients, region, [tags.where("volume-id", *wanted)]) if wanted else []


def _machine(
    clients: Clients,
    instance: Described,
    *,
    volumes: Sequence[Described],
    owner: str,
    region: str,
    clock: Clock,
) -> Machine:
    known: Ending | None = None
    with reading(f"reading {instance.get('InstanceId')} in {region}", "AWS"):
        if translate.state_of(instance) in _OVER and translate.ending_of(instance) is None:
            known = _evidence(clients, region, instance["InstanceId"], clock)
        return translate.machine(
            instance, account=owner, region=region, volumes=volumes, ending=known
        )


def _evidence(clients: Clients, region: str, instance_id: str, clock: Clock) -> Ending | None:
    """Evidence is looked for, not relied on: without it the caller asks again later."""
    try:
        return endings.of_request_or_event(clients, region, instance_id, clock)
    except GpuctlError:
        return None


def _flat(reservations: Sequence[Described]) -> list[Described]:
    return [instance for one in reservations for instance in one.get("Instances") or ()]


def _incomplete(failed: Sequence[tuple[str, Exception]], *, whole: bool) -> GpuctlError:
    region, first = failed[0]
    if whole and isinstance(first, Denied):
        return first
    names = ", ".join(name for name, _ in failed)
    detail = first.detail if isinstance(first, GpuctlError) else str(first)
    hint = first.hint if isinstance(first, GpuctlError) else None
    return ListingIncomplete(
        f"AWS could not be listed in {names}: {first}",
        provider=translate.NAME,
        region=region,
        hint=hint,
        detail=detail,
    )


def terminate(clients: Clients, machine: MachineId, sleep: Sleep) -> bool:
    """Terminates it; False when EC2 does not know it, asked three times over six seconds.

    Right after a launch EC2 may not know an instance that runs and costs.
    """
    doing = f"terminating {machine.native}"
    for pause in (*_UNKNOWN_PAUSES, None):
        try:
            clients.ec2(machine.region).terminate_instances(InstanceIds=[machine.native])
        except sdk_errors() as error:
            refusal = refusal_of(error)
            if refusal.code != "InvalidInstanceID.NotFound":
                raise as_error(refusal, doing, effect=True) from error
        else:
            return True
        if pause is not None:
            sleep(pause)
    return False
