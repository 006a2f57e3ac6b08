"""What remains and perhaps costs: disks, addresses, snapshots, rules, stopped machines."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from gpuctl.core.errors import NotFound
from gpuctl.core.kinds import Kind, Market, State
from gpuctl.core.model import Billable, Footprint, Leftover
from gpuctl.core.names import project_of_label
from gpuctl.core.ports import Clock, NewId
from gpuctl.providers.gcp.access import Doors
from gpuctl.providers.gcp.calls import Call
from gpuctl.providers.gcp.client import Compute
from gpuctl.providers.gcp.errors import Json
from gpuctl.providers.gcp.operations import Operations
from gpuctl.providers.gcp.request import request_id
from gpuctl.providers.gcp.translate import (
    INSTALL,
    LEASE,
    MANAGED,
    PROJECT,
    disk_billed,
    last,
    moment,
    region_of,
    state_of,
)
from gpuctl.providers.gcp.vm import Vms

_GIB = 2**30
_REMOVALS = {
    "disk": (Call.GET_DISK, Call.DELETE_DISK, "disk", "zone"),
    "address": (Call.GET_ADDRESS, Call.DELETE_ADDRESS, "address", "region"),
    "snapshot": (Call.GET_SNAPSHOT, Call.DELETE_SNAPSHOT, "snapshot", None),
    "image": (Call.GET_IMAGE, Call.DELETE_IMAGE, "image", None),
}
"""What -> (read, delete, field of the name, field of the place)."""


class Leftovers:
    """Finds and removes what is no machine in use."""

    def __init__(
        self,
        compute: Compute,
        operations: Operations,
        doors: Doors,
        vms: Vms,
        *,
        account: str,
        install: str,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._compute = compute
        self._operations = operations
        self._doors = doors
        self._vms = vms
        self._account = account
        self._install = install
        self._clock = clock
        self._new_id = new_id

    def find(self) -> Sequence[Leftover]:
        """Everything of the account, ours or not; complete, or ListingIncomplete."""
        doing = "listing what remains"
        vms = list(self._compute.everywhere(Call.LIST_VMS, "instances", doing=doing))
        running = {last(vm["selfLink"]): vm for vm in vms if state_of(vm) is not State.STOPPED}
        disks = self._compute.everywhere(Call.LIST_DISKS, "disks", doing=doing)
        addresses = self._compute.everywhere(Call.LIST_ADDRESSES, "addresses", doing=doing)
        snapshots = self._compute.listed(Call.LIST_SNAPSHOTS, doing=doing)
        images = self._compute.listed(Call.LIST_IMAGES, doing=doing)
        found = [self._disk(disk) for disk in disks if not _used(disk, running)]
        found += [self._address(a) for a in addresses if _reserved(a) and not _used(a, running)]
        found += [self._snapshot(snapshot) for snapshot in snapshots]
        found += [self._image(image) for image in images]
        found += [self._stopped(vm) for vm in vms if state_of(vm) is State.STOPPED]
        return (*found, *self._rules(running))

    def _leftover(
        self,
        thing: Json,
        what: str,
        reason: str,
        fix: str,
        *,
        zone: str | None = None,
        region: str = "",
        billed: tuple[Billable, ...] = (),
        machine: str | None = None,
    ) -> Leftover:
        labels = thing.get("labels") or {}
        return Leftover(
            provider="gcp",
            account=self._account,
            region=region or (region_of(zone) if zone else "global"),
            zone=zone,
            resource=thing["name"],
            what=what,
            ours=labels.get(INSTALL) == self._install,
            reason=reason,
            fix=fix,
            billed=billed,
            project=project_of_label(labels.get(PROJECT) or ""),
            lease=labels.get(LEASE),
            created_at=moment(thing.get("creationTimestamp")),
            machine=machine,
        )

    def _disk(self, disk: Json) -> Leftover:
        name, zone = disk["name"], last(disk.get("zone") or "")
        user = last((disk.get("users") or [""])[0]) or None
        reason = f"belongs to {user}, which is stopped" if user else "is attached to nothing"
        fix = f"gcloud compute disks delete {name} --zone {zone}"
        fix = f"gpuctl down {user} --delete" if user else fix
        billed = (disk_billed(disk),)
        return self._leftover(disk, "disk", reason, fix, zone=zone, billed=billed, machine=user)

    def _address(self, address: Json) -> Leftover:
        name, region = address["name"], last(address.get("region") or "")
        user = last((address.get("users") or [""])[0]) or None
        place = f"--region {region}" if region else "--global"
        since = moment(address.get("creationTimestamp"))
        billed = _one(address.get("address") or name, Kind.IPV4, "idle", Decimal(1), since)
        reason = f"belongs to {user}, which is stopped" if user else "is used by nothing"
        fix = f"gcloud compute addresses delete {name} {place}"
        return self._leftover(
            address, "address", reason, fix, region=region, billed=billed, machine=user
        )

    def _snapshot(self, snapshot: Json) -> Leftover:
        name = snapshot["name"]
        gib = (Decimal(snapshot.get("storageBytes") or 0) / _GIB).quantize(Decimal("0.000001"))
        since = moment(snapshot.get("creationTimestamp"))
        resource = str(snapshot.get("id") or name)
        region = (snapshot.get("storageLocations") or [""])[0]
        fix = f"gcloud compute snapshots delete {name}"
        billed = _one(resource, Kind.SNAPSHOT, "snapshot", gib, since)
        reason = "is a snapshot"
        return self._leftover(snapshot, "snapshot", reason, fix, region=region, billed=billed)

    def _image(self, image: Json) -> Leftover:
        name = image["name"]
        fix = f"gcloud compute images delete {name}"
        billed = image_billed(image)
        return self._leftover(image, "image", "is an image", fix, region="global", billed=billed)

    def _stopped(self, vm: Json) -> Leftover:
        name, zone = vm["name"], last(vm["zone"])
        managed = (vm.get("labels") or {}).get(MANAGED)
        fix = f"gpuctl down {name} --delete"
        if not managed:
            fix = f"gcloud compute instances delete {name} --zone {zone}"
        reason = "is stopped; its disk still costs"
        return self._leftover(vm, "stopped-machine", reason, fix, zone=zone, machine=name)

    def _rules(self, running: dict[str, Json]) -> Iterator[Leftover]:
        now = self._clock()
        for rule, (machine, install, until) in self._doors.rules():
            if machine in running and until > now:
                continue
            reason = "has expired" if until <= now else f"is for {machine}, which is not running"
            yield Leftover(
                provider="gcp",
                account=self._account,
                region="global",
                zone=None,
                resource=rule["name"],
                what="rule",
                ours=install == self._install,
                reason=reason,
                fix=f"gcloud compute firewall-rules delete {rule['name']}",
                created_at=moment(rule.get("creationTimestamp")),
                machine=machine,
            )

    def remove(self, leftover: Leftover) -> None:
        """End one leftover; gone already is no error. ValueError when it is not ours.

        Its labels are read again first: what somebody took over meanwhile stays.
        """
        if not leftover.ours:
            raise ValueError(f"{leftover.what} {leftover.resource} is not ours")
        if leftover.what == "rule":
            self._doors.erase(leftover.resource)
            return
        if leftover.what == "stopped-machine":
            self._remove_stopped(leftover)
            return
        if leftover.what not in _REMOVALS:
            raise ValueError(f"gpuctl does not know how to remove a {leftover.what}")
        read, delete, name, place = _REMOVALS[leftover.what]
        fields: dict[str, Any] = {name: leftover.resource}
        if place is not None:
            fields[place] = leftover.zone or leftover.region
        doing = f"deleting {leftover.what} {leftover.resource}"
        found = self._compute.look(read, doing=doing, **fields)
        if found is None:
            return
        self._insist_ours(found, leftover)
        try:
            self._operations.change(delete, request_id(self._new_id()), doing=doing, **fields)
        except NotFound:
            return

    def _remove_stopped(self, leftover: Leftover) -> None:
        vm = self._vms.look(leftover.zone or "", leftover.resource)
        if vm is None:
            return
        self._insist_ours(vm, leftover)
        if state_of(vm) is not State.STOPPED:
            raise ValueError(f"{leftover.resource} is running again")
        self._vms.delete(vm)

    def _insist_ours(self, found: Json, leftover: Leftover) -> None:
        if (found.get("labels") or {}).get(INSTALL) != self._install:
            raise ValueError(f"{leftover.what} {leftover.resource} is not ours any more")

    def footprint(self) -> Sequence[Footprint]:
        """The firewall rules of this installation: all that it makes besides machines."""
        return tuple(
            Footprint(
                provider="gcp",
                account=self._account,
                region="global",
                resource=rule["name"],
                what="firewall rule",
            )
            for rule, (_, install, _) in self._doors.rules()
            if install == self._install
        )


def _used(thing: Json, running: dict[str, Json]) -> bool:
    return any(last(user) in running for user in thing.get("users") or ())


def _reserved(address: Json) -> bool:
    """External addresses that are kept: internal ones are free."""
    return (address.get("addressType") or "EXTERNAL") == "EXTERNAL"


def image_billed(image: Json) -> tuple[Billable, ...]:
    """What an image stores, in GiB; () while Google has not told since when."""
    gib = (Decimal(image.get("archiveSizeBytes") or 0) / _GIB).quantize(Decimal("0.000001"))
    since = moment(image.get("creationTimestamp"))
    return _one(str(image.get("id") or image["name"]), Kind.SNAPSHOT, "image", gib, since)


def _one(
    resource: str, kind: Kind, sku: str, quantity: Decimal, since: datetime | None
) -> tuple[Billable, ...]:
    if since is None:
        return ()
    market = Market.ON_DEMAND
    return (
        Billable(
            resource=resource, kind=kind, sku=sku, quantity=quantity, market=market, since=since
        ),
    )
