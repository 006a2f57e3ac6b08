"""Images of builders: the builder is stopped, then `images.insert` reads its disk."""

from typing import Any

from gpuctl.core.errors import NotFound
from gpuctl.core.images.making import ImageOrder, Making, Taken
from gpuctl.core.names import label_of_project
from gpuctl.core.ports import NewId
from gpuctl.providers.gcp.calls import Call
from gpuctl.providers.gcp.client import Compute
from gpuctl.providers.gcp.errors import Json, Refused, Step, error_of
from gpuctl.providers.gcp.image_labels import (
    CUDA,
    DRIVER,
    IMAGE,
    MODULE,
    RECIPE,
    TORCH,
    VERSION,
    label,
)
from gpuctl.providers.gcp.operations import Operations
from gpuctl.providers.gcp.request import request_id
from gpuctl.providers.gcp.translate import INSTALL, LEASE, MANAGED, PROJECT
from gpuctl.providers.gcp.vm import Vms

TOKEN = "gpuctl-token"  # noqa: S105 - the key of a label
GLOBAL = "global"
"""One image serves every region."""
_MAKING = {"READY": Making.READY, "PENDING": Making.PENDING}
_ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64"}


class Images:
    """Makes and unmakes them in one project."""

    def __init__(
        self, compute: Compute, operations: Operations, vms: Vms, *, new_id: NewId
    ) -> None:
        self._compute = compute
        self._operations = operations
        self._vms = vms
        self._new_id = new_id

    def make(self, order: ImageOrder) -> Taken:
        """The order's image, accepted now or before. NotFound without such a builder."""
        known = self.taken(order)
        if known is not None:
            return known
        zone, name = order.machine.zone, order.machine.native
        vm = self._vms.look(zone, name)
        if vm is None or (vm.get("labels") or {}).get(LEASE) != order.lease:
            raise NotFound(f"Google knows no builder {name} in {zone}")
        self._vms.stop(vm)
        doing = f"making an image of {name}"
        body = _body(order, _boot_disk(vm))
        try:
            self._compute.write(Call.CREATE_IMAGE, request_id(order.token, "image"), body)
        except Refused as refused:
            if refused.refusal.step is not Step.EXISTS:
                raise error_of(refused.refusal, doing=doing, effect=True) from refused
        found = self.taken(order)
        return found or Taken(
            id=_link(self._compute.project, order), region=GLOBAL, making=Making.PENDING, gb=0
        )

    def taken(self, order: ImageOrder) -> Taken | None:
        """What became of it: Google forgets one that failed."""
        image = self._look(order)
        if image is None:
            return None
        status = str(image.get("status") or "")
        making = _MAKING.get(status, Making.FAILED)
        return Taken(
            id=_link(self._compute.project, order),
            region=GLOBAL,
            making=making,
            gb=int(image.get("diskSizeGb") or 0),
            architecture=_ARCHITECTURES.get(str(image.get("architecture"))),
            reason=status if making is Making.FAILED else None,
        )

    def unmake(self, order: ImageOrder) -> None:
        """It is deleted; Google's images keep no snapshot."""
        if self._look(order) is None:
            return
        doing = f"deleting the image {order.resource}"
        try:
            self._operations.change(
                Call.DELETE_IMAGE, request_id(self._new_id()), doing=doing, image=order.resource
            )
        except NotFound:
            return

    def _look(self, order: ImageOrder) -> Json | None:
        doing = f"looking for the image {order.resource}"
        image = self._compute.look(Call.GET_IMAGE, doing=doing, image=order.resource)
        ours = image is not None and (image.get("labels") or {}).get(TOKEN) == order.token
        return image if ours else None


def _link(project: str, order: ImageOrder) -> str:
    return f"projects/{project}/global/images/{order.resource}"


def _boot_disk(vm: Json) -> str:
    for attached in vm.get("disks") or ():
        if attached.get("boot") and attached.get("source"):
            return str(attached["source"])
    raise NotFound(f"{vm['name']} has no boot disk")


def _body(order: ImageOrder, disk: str) -> dict[str, Any]:
    told = {
        MANAGED: "true",
        INSTALL: order.install,
        LEASE: order.lease,
        PROJECT: None if order.project is None else label_of_project(order.project),
        TOKEN: order.token,
        IMAGE: order.name,
        VERSION: order.version,
        RECIPE: order.recipe_sha256,
        DRIVER: order.driver,
        MODULE: order.module,
        CUDA: order.cuda,
        TORCH: order.torch,
    }
    labels = {key: label(value) for key, value in told.items() if value is not None}
    return {
        "name": order.resource,
        "description": f"{order.key}, made by gpuctl of {order.base or 'a base not known'}",
        "family": order.name,
        "sourceDisk": disk,
        "labels": labels,
    }
