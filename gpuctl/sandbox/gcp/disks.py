"""Disks: made alone or with a VM, attached, outliving it when autoDelete is off."""

from datetime import datetime

from gpuctl.sandbox.gcp.catalogue import DISK_TYPES, Image, region_of
from gpuctl.sandbox.gcp.checks import check_labels, check_name
from gpuctl.sandbox.gcp.images import image_facts
from gpuctl.sandbox.gcp.listing import aggregated, page
from gpuctl.sandbox.gcp.operations import Operations
from gpuctl.sandbox.gcp.project import Disk, Project, Vm
from gpuctl.sandbox.gcp.quotas import Quotas, disk_metric
from gpuctl.sandbox.gcp.routes import Call
from gpuctl.sandbox.gcp.wire import (
    ROOT,
    Json,
    already_exists,
    fingerprint,
    in_use,
    invalid,
    not_found,
    path_of,
    relative,
    required,
    stale,
    stamp,
)

_SECONDS = 0.3
_DEFAULT_SIZE = 500
"""GiB of a blank disk without a size, as Google gives pd-standard."""


def image_of(project: Project, link: str, field: str) -> Image:
    """The image a link names, maybe by family. Refusal: 400 malformed, 404 unknown."""
    path = relative(link, project.name)
    head, _, name = (path or "").partition("/global/images/")
    if not name:
        raise invalid(field, link, "The URL is malformed.")
    owner = head.removeprefix("projects/")
    image = image_facts(project, owner, name)
    if image is None:
        raise not_found(path or link)
    return image


class Disks:
    """Disks of all zones."""

    def __init__(self, project: Project, operations: Operations, quotas: Quotas) -> None:
        self._project = project
        self._operations = operations
        self._quotas = quotas

    # For instances

    def attachment(self, vm: Vm, index: int, item: Json) -> tuple[Json, Disk | None]:
        """An attached-disk entry, and the new disk when it asks for one."""
        field = f"resource.disks[{index}]"
        params = item.get("initializeParams")
        new = None
        if params is not None and "source" in item:
            raise invalid(f"{field}.source", item["source"], "initializeParams is given as well.")
        if params is not None:
            name = check_name(
                params.get("diskName") or self._own_name(vm, index), f"{field}.diskName"
            )
            if item.get("boot") and not (params.get("sourceImage") or params.get("sourceSnapshot")):
                raise required(f"{field}.initializeParams.sourceImage")
            kind = params.get("diskType", f"zones/{vm.zone}/diskTypes/pd-standard")
            wanted = {"sizeGb": params.get("diskSizeGb") or item.get("diskSizeGb"), "type": kind}
            wanted |= {
                k: params[k] for k in ("sourceImage", "sourceSnapshot", "labels") if k in params
            }
            new = self._draw(vm.zone, name, wanted)
            body = new.body
        elif "source" in item:
            body = self._free(vm, item["source"], f"{field}.source").body
        else:
            raise required(f"{field}.source")
        return self._entry(index, item, body), new

    def _own_name(self, vm: Vm, index: int) -> str:
        return vm.name if index == 0 else f"{vm.name}-{index}"

    def _entry(self, index: int, item: Json, disk: Json) -> Json:
        entry: Json = {
            "kind": "compute#attachedDisk",
            "type": "PERSISTENT",
            "mode": "READ_WRITE",
            "boot": False,
            "autoDelete": False,
            "interface": "SCSI",
            "deviceName": f"persistent-disk-{index}",
        } | {key: value for key, value in item.items() if key != "initializeParams"}
        return entry | {"source": disk["selfLink"], "index": index, "diskSizeGb": disk["sizeGb"]}

    def _free(self, vm: Vm, link: str, field: str) -> Disk:
        path = relative(link, self._project.name)
        if path is None or f"/zones/{vm.zone}/disks/" not in path:
            raise invalid(field, link, f"The disk must be in zone '{vm.zone}'.")
        disk = self._project.disks.get((vm.zone, path.rpartition("/")[2]))
        if disk is None:
            raise not_found(path)
        if disk.body.get("users"):
            raise in_use("disk", path, disk.body["users"][0])
        return disk

    def put(self, disk: Disk) -> None:
        """A drawn disk comes into being."""
        self._project.disks[disk.zone, str(disk.body["name"])] = disk
        self._project.every_disk.append(disk)

    def join(self, vm: Vm) -> None:
        """Every attached disk learns of its user."""
        for entry in vm.body["disks"]:
            self._by_link(vm, entry).body["users"] = [vm.body["selfLink"]]

    def leave(self, vm: Vm, when_gone: str, *, also: tuple[Disk, ...] = ()) -> list[Disk]:
        """The VM is gone: the disks that go with it, which are forgotten; the rest is free."""
        gone = []
        for entry in vm.body["disks"]:
            disk = self._by_link(vm, entry)
            disk.body.pop("users", None)
            disk.body["lastDetachTimestamp"] = when_gone
            if entry["autoDelete"] or disk in also:
                del self._project.disks[disk.zone, str(disk.body["name"])]
                gone.append(disk)
        return gone

    def image_of_boot(self, vm: Vm) -> str | None:
        """The image of its boot disk, as `projects/P/global/images/NAME`."""
        for entry in vm.body["disks"]:
            if entry.get("boot"):
                image = self._by_link(vm, entry).body.get("sourceImage")
                return relative(image, self._project.name) if image else None
        return None

    def free(self, vm: Vm, entry: Json) -> None:
        """A detached disk has no user any more."""
        self._by_link(vm, entry).body.pop("users", None)

    def _by_link(self, vm: Vm, entry: Json) -> Disk:
        return self._project.disks[vm.zone, entry["source"].rpartition("/")[2]]

    def attach(self, vm: Vm, item: Json) -> Json:
        """An entry for a disk attached later. Refusal when it is not free."""
        if "source" not in item:
            raise required("resource.source")
        disk = self._free(vm, item["source"], "resource.source")
        return self._entry(len(vm.body["disks"]), item, disk.body)

    # Making

    def _draw(self, zone: str, name: str, given: Json) -> Disk:
        """A disk that could be made. Refusal: wrong type, size, source, or a name taken."""
        project = self._project
        path = f"zones/{zone}/disks/{name}"
        if (zone, name) in project.disks:
            raise already_exists(f"projects/{project.name}/{path}")
        kind_path = relative(given.get("type", f"zones/{zone}/diskTypes/pd-standard"), project.name)
        kind = (kind_path or "").rpartition("/")[2]
        if kind_path != f"projects/{project.name}/zones/{zone}/diskTypes/{kind}":
            raise invalid("resource.type", given.get("type"), "The URL is malformed.")
        if kind not in DISK_TYPES:
            raise not_found(kind_path)
        now = project.now()
        body: Json = {
            "kind": "compute#disk",
            "id": project.ids.number(),
            "creationTimestamp": stamp(now),
            "name": name,
            "status": "READY",
            "selfLink": project.link(path),
            "zone": project.link(f"zones/{zone}"),
            "type": project.link(f"zones/{zone}/diskTypes/{kind}"),
            "physicalBlockSizeBytes": "4096",
            "labels": check_labels(given.get("labels", {})),
            "labelFingerprint": fingerprint(given.get("labels", {})),
        }
        body["sizeGb"] = str(self._size(given, kind, body))
        return Disk(body=body, zone=zone, created=now)

    def _size(self, given: Json, kind: str, body: Json) -> int:
        """GiB: at least the source's, within the type's bounds. Notes the source in `body`."""
        least = 0
        if given.get("sourceImage"):
            image = image_of(self._project, given["sourceImage"], "resource.sourceImage")
            body["sourceImage"] = f"{ROOT}projects/{image.project}/global/images/{image.name}"
            least = image.size
        elif given.get("sourceSnapshot"):
            path = relative(given["sourceSnapshot"], self._project.name) or ""
            snapshot = self._project.snapshots.get(path.rpartition("/")[2])
            if snapshot is None:
                raise not_found(path)
            body["sourceSnapshot"] = snapshot["selfLink"]
            least = int(snapshot["diskSizeGb"])
        size = int(given.get("sizeGb") or least or _DEFAULT_SIZE)
        if size < least:
            why = f"Requested disk size cannot be smaller than the image size ({least} GB)"
            raise invalid("resource.sizeGb", size, why)
        low, high = DISK_TYPES[kind]
        if not low <= size <= high:
            raise invalid("resource.sizeGb", size, f"Disk size must be from {low} GB to {high} GB.")
        return size

    # The calls

    def insert(self, call: Call) -> Json:
        """A disk by itself."""
        zone = self._project.check_zone(call.path["zone"])
        disk = self._draw(zone, check_name(call.body.get("name")), call.body)
        kind, size = disk.body["type"], float(disk.body["sizeGb"])
        error = self._quotas.exceeded_by(disk_metric(kind), size, region_of(zone))
        return self._operations.begin(
            call,
            "insert",
            disk.body,
            f"zones/{zone}",
            seconds=_SECONDS,
            finish=lambda _: self.put(disk),
            error=error,
        )

    def get(self, call: Call) -> Json:
        """One disk."""
        return self._find(call.path["zone"], call.path["disk"]).body

    def listed(self, call: Call) -> Json:
        """Those of a zone."""
        zone = self._project.check_zone(call.path["zone"])
        items = [disk.body for disk in self._project.disks.values() if disk.zone == zone]
        return page(
            call, items, "compute#diskList", f"projects/{self._project.name}/zones/{zone}/disks"
        )

    def aggregated_list(self, call: Call) -> Json:
        """Those of all zones."""
        scoped: dict[str, list[Json]] = {}
        for disk in self._project.disks.values():
            scoped.setdefault(f"zones/{disk.zone}", []).append(disk.body)
        return aggregated(self._project, call, "disks", "compute#diskAggregatedList", scoped)

    def delete(self, call: Call) -> Json:
        """Delete one that no VM uses."""
        zone = call.path["zone"]
        disk = self._find(zone, call.path["disk"])
        if disk.body.get("users"):
            raise in_use("disk", path_of(disk.body), disk.body["users"][0].removeprefix(ROOT))

        def finish(when: datetime) -> None:
            if self._project.disks.pop((zone, str(disk.body["name"])), None) is not None:
                disk.deleted = when

        scope = f"zones/{zone}"
        return self._operations.begin(
            call, "delete", disk.body, scope, seconds=_SECONDS, finish=finish
        )

    def set_labels(self, call: Call) -> Json:
        """Replace its labels; the fingerprint must be the present one."""
        disk = self._find(call.path["zone"], call.path["resource"])
        labels = check_labels(call.body.get("labels", {}))
        if call.body.get("labelFingerprint") != disk.body["labelFingerprint"]:
            raise stale("Labels fingerprint either invalid or resource labels have changed")

        def finish(_: object) -> None:
            disk.body.update(labels=labels, labelFingerprint=fingerprint(labels))

        scope = f"zones/{disk.zone}"
        return self._operations.begin(
            call, "setLabels", disk.body, scope, seconds=_SECONDS, finish=finish
        )

    def _find(self, zone: str, name: str) -> Disk:
        self._project.check_zone(zone)
        disk = self._project.disks.get((zone, name))
        if disk is None:
            raise not_found(f"projects/{self._project.name}/zones/{zone}/disks/{name}")
        return disk
