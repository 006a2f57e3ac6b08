"""The life of a VM: made or adopted, started, stopped, deleted. Intent and lease come with it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from gpuctl.core.errors import (
    Busy,
    GpuctlError,
    InvalidRequest,
    NameTaken,
    NotFound,
    UnknownOutcome,
)
from gpuctl.core.kinds import State
from gpuctl.core.model import Order
from gpuctl.core.ports import Clock, NewId, Sleep
from gpuctl.providers.gcp.access import KEYS, Doors, merged_keys, metadata_body, rule_name
from gpuctl.providers.gcp.calls import Call
from gpuctl.providers.gcp.client import Compute
from gpuctl.providers.gcp.errors import Json, Refusal, Refused, Step, error_of
from gpuctl.providers.gcp.operations import Operations
from gpuctl.providers.gcp.request import (
    adopted_metadata,
    limited,
    new_vm,
    order_labels,
    request_id,
    scheduling_of,
    vm_name,
)
from gpuctl.providers.gcp.translate import (
    INSTALL,
    LEASE,
    MANAGED,
    PROJECT,
    disk_sources,
    metadata_of,
    state_of,
)

_log = logging.getLogger(__name__)
STOPPING_LIMIT = timedelta(minutes=5)
"""How long a VM that is still stopping is waited for before it is started again."""
PAUSE = 3.0
_UP = (State.STARTING, State.RUNNING)


class Vms:
    """Starts, makes, stops and deletes VMs of one project."""

    def __init__(
        self,
        compute: Compute,
        operations: Operations,
        doors: Doors,
        *,
        clock: Clock,
        sleep: Sleep,
        new_id: NewId,
    ) -> None:
        self._compute = compute
        self._operations = operations
        self._doors = doors
        self._clock = clock
        self._sleep = sleep
        self._new_id = new_id

    def look(self, zone: str, name: str) -> Json | None:
        """The VM, or None when there is none of that name in the zone."""
        return self._compute.look(Call.GET_VM, doing=f"reading {name}", zone=zone, instance=name)

    def start(self, order: Order) -> Json:
        """The VM of an order, accepted by Google. Same token, same VM.

        Raises what `Provider.start` promises; `UnknownOutcome` only when something may run.
        """
        zone, name = order.offer.zone, vm_name(order)
        vm = self.look(zone, name)
        if vm is None:
            if order.adopt:
                raise NotFound(
                    f"There is no VM {name} in {zone}", hint="gcloud compute instances list"
                )
            return self._create(order, zone, name)
        self._insist_on_consent(order, vm)
        return self._adopt(order, zone, name, vm)

    def _insist_on_consent(self, order: Order, vm: Json) -> None:
        """A VM of somebody else is never taken over because the names happen to be equal."""
        labels = vm.get("labels") or {}
        ours = labels.get(MANAGED) and labels.get(INSTALL) == order.install
        if not (order.adopt or order.settings.get("vm") or ours):
            raise InvalidRequest(
                f"A VM {vm['name']} that gpuctl did not make exists already",
                hint=f"to use it, set vm = {vm['name']!r} in the template; or take another name",
            )

    def _create(self, order: Order, zone: str, name: str) -> Json:
        doing = f"creating {name} in {zone}"
        tag = rule_name(order.install, name)
        keys = merged_keys("", order.access, order.install)
        body = new_vm(order, name=name, tag=tag, keys=keys)
        interface = body["networkInterfaces"][0]
        self._doors.open(name, order.access, interface.get("network", "global/networks/default"))
        refusal = self._effect(
            Call.CREATE_VM, request_id(order.token, "insert"), body=body, zone=zone
        )
        if refusal is None or refusal.step in (Step.EXISTS, Step.AMBIGUOUS):
            vm = self._look_after(zone, name)
            if vm is not None and (vm.get("labels") or {}).get(LEASE) == order.lease:
                return self._checked(order, vm)
            if vm is not None:
                raise NameTaken(f"{name} exists already and is not of this lease")
        if refusal is None:
            raise UnknownOutcome(f"{doing}: accepted, and gone again", hint="gpuctl ps")
        raise self._refused(refusal, doing, name)

    def _checked(self, order: Order, vm: Json) -> Json:
        """The new VM, if Google will end it in time; else it is ended now."""
        if not limited(vm, order):
            self.delete(vm)
            raise InvalidRequest(f"Google did not take the time limit of {vm['name']}: deleted")
        return vm

    def _adopt(self, order: Order, zone: str, name: str, vm: Json) -> Json:
        labels = vm.get("labels") or {}
        if state_of(vm) in _UP:
            if labels.get(LEASE) == order.lease:
                return vm
            whose = labels.get(PROJECT, "").replace("__", "/") or "nobody gpuctl knows"
            raise NameTaken(
                f"{name} is already running, for {whose}",
                hint=f"gpuctl switch {name} {order.project}, or gpuctl down {name}",
            )
        if vm.get("status") == "SUSPENDED":
            raise InvalidRequest(
                f"{name} is suspended", hint=f"gcloud compute instances resume {name}"
            )
        self._await_stopped(zone, name, vm)
        self._prepare(order, zone, name)
        self._doors.open(name, order.access, _network(vm))
        doing = f"starting {name} in {zone}"
        refusal = self._effect(
            Call.START_VM, request_id(order.token, "start"), zone=zone, instance=name
        )
        if refusal is None or refusal.step is Step.AMBIGUOUS:
            found = self._look_after(zone, name)
            if found is not None and (refusal is None or state_of(found) in _UP):
                return found
        if refusal is None:
            raise NotFound(f"{name} is gone")
        raise self._refused(refusal, doing, name)

    def _refused(self, refusal: Refusal, doing: str, name: str) -> GpuctlError:
        """The error to raise; what certainly did not start needs no open door."""
        error = error_of(refusal, doing=doing, effect=True)
        if not isinstance(error, UnknownOutcome):
            self._shut(name)
        return error

    def _shut(self, name: str) -> None:
        """Take the machine's rule away. Failing that is no failure: `leftovers` shows it."""
        try:
            self._doors.shut(name)
        except GpuctlError as error:
            _log.warning("the firewall rule of %s stays: %s", name, error.detail or error)

    def _effect(self, call: Call, request: str, **fields: Any) -> Refusal | None:
        """Do what costs; what it failed of, or None.

        `UnknownOutcome` when it was accepted and then nothing more could be learnt.
        """
        try:
            operation = self._compute.write(call, request, **fields)
        except Refused as refused:
            return refused.refusal
        with self._unknown():
            try:
                self._operations.finish(operation)
            except Refused as refused:
                return refused.refusal
        return None

    def _look_after(self, zone: str, name: str) -> Json | None:
        """Look at what may run by now: not being able to look is not knowing."""
        with self._unknown():
            return self.look(zone, name)

    @contextmanager
    def _unknown(self) -> Iterator[None]:
        try:
            yield
        except GpuctlError as error:
            words = f"Google accepted it, and then could not be asked: {error.message}"
            raise UnknownOutcome(words, hint="gpuctl ps", detail=error.detail) from error

    def _await_stopped(self, zone: str, name: str, vm: Json) -> None:
        until = self._clock() + STOPPING_LIMIT
        found: Json | None = vm
        while found is not None and state_of(found) is State.STOPPING:
            if self._clock() >= until:
                raise Busy(f"{name} is still stopping", hint="try again in a minute")
            self._sleep(PAUSE)
            found = self.look(zone, name)

    def _prepare(self, order: Order, zone: str, name: str) -> None:
        """Lease, keys, script and time limit, in that order; read back before anything runs."""

        def labels(vm: Json) -> Json | None:
            present = dict(vm.get("labels") or {})
            wanted = present | order_labels(order)
            if present == wanted:
                return None
            return {"labels": wanted, "labelFingerprint": vm.get("labelFingerprint")}

        def metadata(vm: Json) -> Json | None:
            present = metadata_of(vm)
            keys = merged_keys(present.get(KEYS, ""), order.access, order.install)
            return metadata_body(vm, adopted_metadata(present, order, keys))

        def scheduling(vm: Json) -> Json | None:
            return None if limited(vm, order) else scheduling_of(vm, order)

        self._doors.merge(zone, name, Call.SET_LABELS, labels)
        self._doors.merge(zone, name, Call.SET_METADATA, metadata)
        self._doors.tag(zone, name)
        self._doors.merge(zone, name, Call.SET_SCHEDULING, scheduling)
        read = self._compute.read(Call.GET_VM, doing=f"reading {name}", zone=zone, instance=name)
        if not limited(read, order):
            raise InvalidRequest(
                f"Google did not take the time limit of {name}: not started",
                hint=f"gcloud compute instances describe {name} --zone {zone}",
            )

    def stop(self, vm: Json) -> None:
        """Stop it; a VM that is stopped or gone is no error."""
        zone, name = _place(vm)
        if state_of(vm) is not State.STOPPED:
            fields: dict[str, Any] = {"zone": zone, "instance": name}
            if any(disk.get("type") == "SCRATCH" for disk in vm.get("disks") or ()):
                fields["discard_local_ssd"] = True
            self._end(Call.STOP_VM, f"stopping {name}", fields)
        self._shut(name)

    def delete(self, vm: Json) -> None:
        """Delete it with its disks: those that go with it, and ours that would stay."""
        zone, name = _place(vm)
        staying = [d for d in vm.get("disks") or () if d.get("source") and not d.get("autoDelete")]
        sources = disk_sources({"disks": staying})
        self._end(Call.DELETE_VM, f"deleting {name}", {"zone": zone, "instance": name})
        for source in sources:
            self._delete_if_ours(*source.split("/"), install=(vm.get("labels") or {}).get(INSTALL))
        self._shut(name)

    def _delete_if_ours(self, zone: str, name: str, *, install: str | None) -> None:
        doing = f"deleting disk {name}"
        disk = self._compute.look(Call.GET_DISK, doing=doing, zone=zone, disk=name)
        if disk is not None and install and (disk.get("labels") or {}).get(INSTALL) == install:
            self._end(Call.DELETE_DISK, doing, {"zone": zone, "disk": name})

    def _end(self, call: Call, doing: str, fields: dict[str, Any]) -> None:
        refusal = self._effect(call, request_id(self._new_id()), **fields)
        if refusal is not None and refusal.step is not Step.MISSING:
            raise error_of(refusal, doing=doing, effect=True)


def _place(vm: Json) -> tuple[str, str]:
    return vm["zone"].rpartition("/")[2], vm["name"]


def _network(vm: Json) -> str:
    for interface in vm.get("networkInterfaces") or ():
        if interface.get("network"):
            return str(interface["network"])
    return "global/networks/default"
