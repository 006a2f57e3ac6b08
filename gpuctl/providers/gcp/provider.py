"""Compute Engine as a `Provider`: every method is a few lines over the parts that do it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from gpuctl.core.answers import read_as, reading
from gpuctl.core.errors import InvalidRequest, NotFound
from gpuctl.core.images.making import ImageOrder, Taken
from gpuctl.core.images.stored import StoredImage
from gpuctl.core.kinds import Market, Priced, State
from gpuctl.core.model import (
    Access,
    Check,
    Down,
    Ending,
    Footprint,
    Leftover,
    Machine,
    MachineId,
    Offer,
    Order,
    PricePoint,
    Want,
)
from gpuctl.core.names import label_of_time
from gpuctl.core.ports import Clock, NewId, Sleep
from gpuctl.core.span import Span
from gpuctl.providers.gcp.access import Doors, metadata_body
from gpuctl.providers.gcp.calls import Call
from gpuctl.providers.gcp.catalog import Catalog
from gpuctl.providers.gcp.client import Compute
from gpuctl.providers.gcp.doctor import Doctor
from gpuctl.providers.gcp.errors import Json
from gpuctl.providers.gcp.leftovers import Leftovers
from gpuctl.providers.gcp.making import Images
from gpuctl.providers.gcp.offers import Offers
from gpuctl.providers.gcp.operations import Operations
from gpuctl.providers.gcp.prices import bundled
from gpuctl.providers.gcp.request import deadline_metadata, vm_name
from gpuctl.providers.gcp.shelf import KeptImages
from gpuctl.providers.gcp.translate import (
    DEADLINE,
    LEASE,
    MANAGED,
    PREEMPTED,
    Around,
    by_key,
    disk_sources,
    ending_from,
    last,
    machine,
    market_of,
    metadata_of,
    preempted,
)
from gpuctl.providers.gcp.vm import Vms

_HOST_KEY = re.compile(r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}")
"""What a guest publishes is its own word: only what is a key is taken."""


class GcpProvider:
    """One Google project. A machine is a VM that is started and stopped."""

    name = "gcp"

    def __init__(
        self,
        compute: Compute,
        *,
        account: str,
        install: str,
        zones: Sequence[str],
        clock: Clock,
        sleep: Sleep,
        new_id: NewId,
        catalog: Catalog | None = None,
    ) -> None:
        self.account = account
        self._compute = compute
        self._catalog = catalog
        self._book = replace(bundled(), catalog=catalog)
        operations = Operations(compute, clock, sleep)
        self._doors = Doors(compute, operations, install, new_id)
        self._vms = Vms(compute, operations, self._doors, clock=clock, sleep=sleep, new_id=new_id)
        self._making = Images(compute, operations, self._vms, new_id=new_id)
        self._offers = Offers(compute, self._book, account, zones)
        self._leftovers = Leftovers(
            compute,
            operations,
            self._doors,
            self._vms,
            account=account,
            install=install,
            clock=clock,
            new_id=new_id,
        )

        self._shelf = KeptImages(
            compute, operations, account=account, install=install, clock=clock, new_id=new_id
        )

    @read_as("asking for offers", "Google")
    def offers(self, want: Want) -> Sequence[Offer]:
        """See `Provider.offers`. Prices are those at hand, summed over the parts."""
        return self._offers(want)

    def start(self, order: Order) -> Machine:
        """See `Provider.start`. Waits until Google's operation is done: stock-outs come there."""
        with reading(f"starting {order.name}", "Google", effect=True):
            return self._machine(self._vms.start(order))

    @read_as("looking for a VM", "Google")
    def find(self, order: Order) -> Machine | None:
        """See `Provider.find`: by name and lease label. No request is ever left open here."""
        vm = self._vms.look(order.offer.zone, vm_name(order))
        if vm is None or (vm.get("labels") or {}).get(LEASE) != order.lease:
            return None
        return self._machine(vm)

    def stop(self, machine: MachineId, how: Down) -> None:
        """See `Provider.stop`. Deleting takes a VM that carries gpuctl's label."""
        vm = self._vms.look(machine.zone, machine.native)
        if vm is None:
            self._doors.shut(machine.native)
        elif how is Down.END:
            self._vms.stop(vm)
        elif not (vm.get("labels") or {}).get(MANAGED):
            raise InvalidRequest(
                f"{machine.native} was never used by gpuctl, so it is not deleted",
                hint=f"gcloud compute instances delete {machine.native} --zone {machine.zone}",
            )
        else:
            self._vms.delete(vm)

    @read_as("looking at a VM", "Google")
    def get(self, machine: MachineId) -> Machine:
        """See `Provider.get`."""
        vm = self._vms.look(machine.zone, machine.native)
        if vm is None:
            raise NotFound(f"Google knows no VM {machine.native} in {machine.zone}")
        return self._machine(vm)

    @read_as("listing VMs", "Google")
    def machines(self) -> Sequence[Machine]:
        """See `Provider.machines`. Google forgets deleted VMs: `ending` asks its operations."""
        doing = "listing VMs"
        vms = list(
            self._compute.everywhere(
                Call.LIST_VMS, "instances", doing=doing, filter=f"labels.{MANAGED}:*"
            )
        )
        if not vms:
            return ()
        disks = by_key(self._compute.everywhere(Call.LIST_DISKS, "disks", doing="listing disks"))
        return tuple(self._around(vm, disks) for vm in vms)

    @read_as("asking how a VM ended", "Google")
    def ending(self, machine: MachineId) -> Ending | None:
        """See `Provider.ending`: from the VM while it is there, else from its zone's operations."""
        vm = self._vms.look(machine.zone, machine.native)
        if vm is not None:
            known = self._machine(vm)
            return known.ending if known.state is State.STOPPED else None
        return ending_from(self._zone_operations(machine.zone), machine.native)

    @read_as("listing what remains", "Google")
    def leftovers(self) -> Sequence[Leftover]:
        """See `Provider.leftovers`."""
        return self._leftovers.find()

    def remove(self, leftover: Leftover) -> None:
        """See `Provider.remove`."""
        self._leftovers.remove(leftover)

    @read_as("asking for prices", "Google")
    def prices(self, thing: Priced, span: Span) -> Sequence[PricePoint]:
        """See `Provider.prices`. One point: Google's list of the day, else the package's price."""
        del span
        if self._catalog is not None:
            self._catalog.refresh()
        return self._book.points(thing)

    def filling(self, region: str) -> PricePoint | None:
        """See `Provider.filling`: Google sells no such rate."""
        del region
        return None

    def admit(self, machine: MachineId, access: Access) -> None:
        """See `Provider.admit`."""
        vm = self._vms.look(machine.zone, machine.native)
        if vm is None:
            raise NotFound(f"Google knows no VM {machine.native} in {machine.zone}")
        self._doors.admit_keys(machine.zone, machine.native, access)
        self._doors.tag(machine.zone, machine.native)
        interface = (vm.get("networkInterfaces") or [{}])[0]
        network = interface.get("network") or "global/networks/default"
        self._doors.open(machine.native, access, network)

    def move_deadline(self, machine: MachineId, deadline: datetime) -> None:
        """See `Provider.move_deadline`: in the label, and in the metadata that the guest reads.

        Google's own limit on the run stays: it can be changed only while the VM is stopped.
        """

        def labels(vm: Json) -> Json:
            wanted = dict(vm.get("labels") or {}) | {DEADLINE: label_of_time(deadline)}
            return {"labels": wanted, "labelFingerprint": vm.get("labelFingerprint")}

        def metadata(vm: Json) -> Json | None:
            return metadata_body(vm, deadline_metadata(metadata_of(vm), deadline))

        self._doors.merge(machine.zone, machine.native, Call.SET_METADATA, metadata)
        self._doors.merge(machine.zone, machine.native, Call.SET_LABELS, labels)

    @read_as("reading the host keys", "Google")
    def host_keys(self, machine: MachineId) -> Sequence[str]:
        """See `Provider.host_keys`: the guest attributes that Google's agent publishes."""
        found = self._compute.look(
            Call.GUEST_ATTRIBUTES,
            doing=f"reading the host keys of {machine.native}",
            zone=machine.zone,
            instance=machine.native,
            query_path="hostkeys/",
        )
        items = ((found or {}).get("queryValue") or {}).get("items") or ()
        lines = (f"{item.get('key')} {item.get('value')}" for item in items)
        return tuple(line for line in lines if _HOST_KEY.fullmatch(line))

    def insure(self, machine: MachineId, deadline: datetime) -> str | None:
        """See `Provider.insure`: `maxRunDuration` does, since before the VM ran."""
        del machine, deadline
        return None

    def prepare(self) -> Sequence[str]:
        """See `Provider.prepare`. Nothing is needed."""
        return ()

    @read_as("listing images", "Google")
    def images(self) -> Sequence[StoredImage]:
        """See `KeepsImages.images`: one image serves every region."""
        return self._shelf.find_all()

    @read_as("looking for an image", "Google")
    def image(self, region: str, named: str) -> StoredImage:
        """See `KeepsImages.image`."""
        del region
        return self._shelf.find(named)

    def copy_image(self, image: StoredImage, region: str) -> StoredImage:
        """See `KeepsImages.copy_image`: it is there already."""
        del region
        return self._shelf.copy(image)

    def promote_image(self, image: StoredImage, channel: str) -> None:
        """See `KeepsImages.promote_image`."""
        self._shelf.promote(image, channel)

    def check_share(self, image: StoredImage, whom: str) -> None:
        """See `KeepsImages.check_share`."""
        self._shelf.check_share(image, whom)

    def share_image(self, image: StoredImage, whom: str) -> None:
        """See `KeepsImages.share_image`."""
        self._shelf.share(image, whom)

    def remove_image(self, image: StoredImage) -> None:
        """See `KeepsImages.remove_image`."""
        self._shelf.remove(image)

    @read_as("checking the project", "Google")
    def checks(self, want: Want | None) -> Sequence[Check]:
        """See `Provider.checks`."""
        return tuple(Doctor(self._compute, self._offers, self._book).checks(want))

    @read_as("making an image", "Google", effect=True)
    def make_image(self, order: ImageOrder) -> Taken:
        """See `Provider.make_image`: the builder is stopped by it, and stays so."""
        return self._making.make(order)

    @read_as("looking for an image", "Google")
    def taken_image(self, order: ImageOrder) -> Taken | None:
        """See `Provider.taken_image`."""
        return self._making.taken(order)

    def unmake_image(self, order: ImageOrder) -> None:
        """See `Provider.unmake_image`."""
        self._making.unmake(order)

    @read_as("listing what gpuctl made", "Google")
    def footprint(self) -> Sequence[Footprint]:
        """See `Provider.footprint`."""
        return self._leftovers.footprint()

    def erase(self, footprint: Footprint) -> None:
        """See `Provider.erase`."""
        self._doors.erase(footprint.resource)

    def _machine(self, vm: Json) -> Machine:
        """One VM with its disks, read one by one."""
        disks: dict[str, Json] = {}
        for source in disk_sources(vm):
            zone, name = source.split("/")
            doing = f"reading disk {name}"
            disk = self._compute.look(Call.GET_DISK, doing=doing, zone=zone, disk=name)
            if disk is not None:
                disks[source] = disk
        return self._around(vm, disks)

    def _around(self, vm: Json, disks: Mapping[str, Json]) -> Machine:
        zone = last(vm["zone"])
        shape = self._offers.shape(zone, last(vm["machineType"]))
        ended = vm.get("lastStopTimestamp") and market_of(vm) is Market.SPOT
        by_provider = bool(ended) and preempted(vm, self._zone_operations(zone, PREEMPTED))
        return machine(vm, Around(self.account, disks, shape, by_provider=by_provider))

    def _zone_operations(self, zone: str, kind: str | None = None) -> list[Json]:
        fields = {"filter": f'operationType = "{kind}"'} if kind else {}
        return list(
            self._compute.listed(
                Call.LIST_ZONE_OPERATIONS, doing=f"reading what {zone} did", zone=zone, **fields
            )
        )
