"""Snapshots of disks, as far as leftovers need them."""

from gpuctl.sandbox.gcp.checks import check_labels, check_name
from gpuctl.sandbox.gcp.listing import page
from gpuctl.sandbox.gcp.operations import Operations
from gpuctl.sandbox.gcp.project import Project
from gpuctl.sandbox.gcp.routes import Call
from gpuctl.sandbox.gcp.wire import (
    Json,
    already_exists,
    fingerprint,
    invalid,
    not_found,
    relative,
    required,
    stamp,
)

_SECONDS = 0.5
_USED = 0.1
"""Share of a disk that its snapshot stores."""


class Snapshots:
    """Snapshots of the project."""

    def __init__(self, project: Project, operations: Operations) -> None:
        self._project = project
        self._operations = operations

    def insert(self, call: Call) -> Json:
        """Of a disk that is there."""
        project = self._project
        name = check_name(call.body.get("name"))
        if name in project.snapshots:
            raise already_exists(f"projects/{project.name}/global/snapshots/{name}")
        source = call.body.get("sourceDisk")
        if not source:
            raise required("resource.sourceDisk")
        parts = (relative(source, project.name) or "").split("/")
        if len(parts) != 6 or parts[4] != "disks":  # noqa: PLR2004 - projects/p/zones/z/disks/d
            raise invalid("resource.sourceDisk", source, "The URL is malformed.")
        disk = project.disks.get((parts[3], parts[5]))
        if disk is None:
            raise not_found("/".join(parts))
        labels = check_labels(call.body.get("labels", {}))
        size = int(disk.body["sizeGb"])
        body: Json = call.body | {
            "kind": "compute#snapshot",
            "id": project.ids.number(),
            "creationTimestamp": stamp(project.now()),
            "status": "READY",
            "sourceDisk": disk.body["selfLink"],
            "sourceDiskId": disk.body["id"],
            "diskSizeGb": str(size),
            "storageBytes": str(int(size * _USED * 1024**3)),
            "storageBytesStatus": "UP_TO_DATE",
            "storageLocations": ["us"],
            "labelFingerprint": fingerprint(labels),
            "selfLink": project.link(f"global/snapshots/{name}"),
        }
        return self._operations.begin(
            call,
            "insert",
            body,
            "global",
            seconds=_SECONDS,
            finish=lambda _: project.snapshots.update({name: body}),
        )

    def get(self, call: Call) -> Json:
        """One snapshot."""
        return self._find(call)

    def listed(self, call: Call) -> Json:
        """All of them."""
        path = f"projects/{self._project.name}/global/snapshots"
        return page(call, list(self._project.snapshots.values()), "compute#snapshotList", path)

    def delete(self, call: Call) -> Json:
        """One goes."""
        snapshot = self._find(call)

        def finish(_: object) -> None:
            self._project.snapshots.pop(snapshot["name"], None)

        return self._operations.begin(
            call, "delete", snapshot, "global", seconds=_SECONDS, finish=finish
        )

    def _find(self, call: Call) -> Json:
        name = call.path["snapshot"]
        snapshot = self._project.snapshots.get(name)
        if snapshot is None:
            raise not_found(f"projects/{self._project.name}/global/snapshots/{name}")
        return snapshot
