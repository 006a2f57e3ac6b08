"""Images: the public ones, and those that the project makes of its disks."""

from collections.abc import Mapping
from contextlib import suppress

from gpuctl.sandbox.gcp.catalogue import IMAGES, Image, find_image
from gpuctl.sandbox.gcp.checks import check_labels, check_name
from gpuctl.sandbox.gcp.listing import page
from gpuctl.sandbox.gcp.operations import Operations
from gpuctl.sandbox.gcp.project import Project
from gpuctl.sandbox.gcp.routes import Call
from gpuctl.sandbox.gcp.wire import (
    ROOT,
    Json,
    already_exists,
    fingerprint,
    invalid,
    not_found,
    not_ready,
    relative,
    required,
    stale,
    stamp,
)

_SECONDS = 1.0
_LABELS_SECONDS = 0.2
_USED = 0.4
"""Share of a disk that its image stores."""


def own_image(project: Project, name: str) -> Json | None:
    """An image of the project's own by name, or by `family/…` (the newest that is ready)."""
    if not name.startswith("family/"):
        return project.images.get(name)
    family = name.removeprefix("family/")
    found = [one for one in project.images.values() if one.get("family") == family]
    ready = [one for one in found if one["status"] == "READY"]
    return max(ready, key=lambda one: str(one["creationTimestamp"]), default=None)


class Images:
    """The images that the project can see; its own are made of disks that no VM uses."""

    def __init__(self, project: Project, operations: Operations) -> None:
        self._project = project
        self._operations = operations
        self._policies: dict[str, Json] = {}

    def get(self, call: Call) -> Json:
        """By name."""
        return self._show(call, call.path["image"])

    def get_from_family(self, call: Call) -> Json:
        """The newest of a family."""
        return self._show(call, f"family/{call.path['family']}")

    def listed(self, call: Call) -> Json:
        """Those of a project."""
        owner = call.path["project"]
        items = [_public(image) for image in IMAGES if image.project == owner]
        if owner == self._project.name:
            items = list(self._project.images.values())
        return page(call, items, "compute#imageList", f"projects/{owner}/global/images")

    def insert(self, call: Call) -> Json:
        """Of a disk that is there and that no running VM uses."""
        project, given = self._project, call.body
        name = check_name(given.get("name"))
        if name in project.images:
            raise already_exists(f"projects/{project.name}/global/images/{name}")
        disk = self._source(given.get("sourceDisk"))
        users = [one.rpartition("/")[2] for one in disk.get("users") or ()]
        for vm in project.vms.values():
            force = call.flag("forceCreate")
            if vm.name in users and vm.running is not None and not force:
                raise invalid(
                    "resource.sourceDisk",
                    disk["selfLink"],
                    "The source disk must not be in use by a running instance.",
                )
        labels = check_labels(given.get("labels", {}))
        size = int(disk["sizeGb"])
        body: Json = given | {
            "kind": "compute#image",
            "id": project.ids.number(),
            "creationTimestamp": stamp(project.now()),
            "name": name,
            "status": "PENDING",
            "sourceType": "RAW",
            "architecture": given.get("architecture") or "X86_64",
            "diskSizeGb": str(size),
            "archiveSizeBytes": "0",
            "sourceDisk": disk["selfLink"],
            "sourceDiskId": disk["id"],
            "storageLocations": given.get("storageLocations") or ["us"],
            "labels": labels,
            "labelFingerprint": fingerprint(labels),
            "selfLink": project.link(f"global/images/{name}"),
        }
        project.images[name] = body
        for vm in project.vms.values():
            if vm.name in users:
                with suppress(KeyError):  # it never ran
                    project.metal.keep_image(vm.id, f"projects/{project.name}/global/images/{name}")

        def finish(_: object) -> None:
            body.update(status="READY", archiveSizeBytes=str(int(size * _USED * 1024**3)))

        def undo(_: object) -> None:
            project.images.pop(name, None)

        return self._operations.begin(
            call,
            "insert",
            body,
            "global",
            seconds=_SECONDS,
            finish=finish,
            undo=undo,
        )

    def delete(self, call: Call) -> Json:
        """One goes. A public one is not the caller's to delete."""
        image = self._own(call.path["image"], call.path["project"])

        def finish(_: object) -> None:
            self._project.images.pop(image["name"], None)
            self._policies.pop(image["name"], None)

        return self._operations.begin(
            call, "delete", image, "global", seconds=_SECONDS, finish=finish
        )

    def set_labels(self, call: Call) -> Json:
        """Replace its labels; the fingerprint must be the present one."""
        image = self._own(call.path["resource"], call.path["project"])
        labels = check_labels(call.body.get("labels", {}))
        if call.body.get("labelFingerprint") != image["labelFingerprint"]:
            raise stale("Labels fingerprint either invalid or resource labels have changed")

        def finish(_: object) -> None:
            image.update(labels=labels, labelFingerprint=fingerprint(labels))

        return self._operations.begin(
            call, "setLabels", image, "global", seconds=_LABELS_SECONDS, finish=finish
        )

    def get_policy(self, call: Call) -> Json:
        """Who may use it besides the project."""
        image = self._own(call.path["resource"], call.path["project"])
        return self._policies.get(image["name"]) or {"etag": "ACAB"}

    def set_policy(self, call: Call) -> Json:
        """Replace that; an etag that was read must still be the present one."""
        image = self._own(call.path["resource"], call.path["project"])
        policy = call.body.get("policy") or {}
        present = self.get_policy(call)
        if policy.get("etag") not in (None, present["etag"]):
            raise stale("The etag of the policy is not the present one.")
        for binding in policy.get("bindings") or ():
            for member in binding.get("members") or ():
                kind, _, who = member.partition(":")
                if kind not in ("user", "serviceAccount", "group", "domain") or not who:
                    raise invalid("policy.bindings.members", member, "Unknown member type.")
        made = {"bindings": policy.get("bindings") or []}
        self._policies[image["name"]] = made | {"etag": fingerprint(made)}
        return self._policies[image["name"]]

    def _source(self, link: str | None) -> Json:
        if not link:
            raise required("resource.sourceDisk")
        parts = (relative(link, self._project.name) or "").split("/")
        if len(parts) != 6 or parts[4] != "disks":  # noqa: PLR2004 - projects/p/zones/z/disks/d
            raise invalid("resource.sourceDisk", link, "The URL is malformed.")
        disk = self._project.disks.get((parts[3], parts[5]))
        if disk is None:
            raise not_found("/".join(parts))
        return disk.body

    def _own(self, name: str, owner: str) -> Json:
        image = self._project.images.get(name) if owner == self._project.name else None
        if image is None:
            raise not_found(f"projects/{owner}/global/images/{name}")
        if image["status"] == "PENDING":
            raise not_ready(f"projects/{owner}/global/images/{name}")
        return image

    def _show(self, call: Call, name: str) -> Json:
        owner = call.path["project"]
        if owner == self._project.name:
            own = own_image(self._project, name)
            if own is not None:
                return own
        image = find_image(owner, name)
        if image is None:
            raise not_found(f"projects/{owner}/global/images/{name}")
        return _public(image)


def image_facts(project: Project, owner: str, name: str) -> Image | None:
    """An image as disks are made of it: a public one, or one of the project's own."""
    if owner != project.name:
        return find_image(owner, name)
    own: Mapping[str, object] | None = own_image(project, name)
    if own is None or own["status"] != "READY":
        return None
    size = int(str(own["diskSizeGb"]))
    return Image(owner, str(own.get("family") or ""), str(own["name"]), size, "")


def _public(image: Image) -> Json:
    head = f"{ROOT}projects/{image.project}/global"
    return {
        "kind": "compute#image",
        "id": str(5_000_000_000_000_000_000 + IMAGES.index(image)),
        "creationTimestamp": "2026-08-20T02:11:43.512-07:00",
        "name": image.name,
        "family": image.family,
        "status": "READY",
        "sourceType": "RAW",
        "architecture": "X86_64",
        "diskSizeGb": str(image.size),
        "archiveSizeBytes": str(image.size * 400_000_000),
        "licenses": [f"{head}/licenses/{image.licence}"],
        "selfLink": f"{head}/images/{image.name}",
    }
