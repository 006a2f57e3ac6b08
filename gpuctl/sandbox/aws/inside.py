"""The one place that reaches into moto's objects and modules, where the wire cannot do it.

Each function names what moto hides. tests/sandbox/aws/test_inside.py has a test for each, so
that a moto that changes under it is noticed.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gpuctl.sandbox.aws.wire import Shape


def prepare() -> None:
    """Keep moto from loading its 1,301 old images, which costs seconds. Before importing EC2."""
    os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")


def _moto_modules_with(name: str) -> Iterator[Any]:
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("moto.") and name in vars(module):
            yield module


@contextmanager
def replaced(name: str, ours: Any) -> Iterator[None]:
    """`name` means `ours` in every moto module that has imported it, until the end."""
    originals = [(module, getattr(module, name)) for module in _moto_modules_with(name)]
    for module, _ in originals:
        setattr(module, name, ours)
    try:
        yield
    finally:
        known = {id(module): original for module, original in originals}
        fallback = originals[0][1] if originals else None
        for module in _moto_modules_with(name):
            if getattr(module, name) is ours:
                setattr(module, name, known.get(id(module), fallback))


@contextmanager
def moto_clock(now: Callable[[], datetime]) -> Iterator[None]:
    """All that moto stamps has the sandbox's time, in whole seconds as AWS does."""

    def utcnow() -> datetime:
        return now().replace(tzinfo=None, microsecond=0)

    import moto.ec2.models  # noqa: F401, PLC0415 - the names to replace must be there

    with replaced("utcnow", utcnow):
        yield


@contextmanager
def public_addresses(give: Callable[[], str]) -> Iterator[None]:
    """Public addresses, automatic and elastic, come from `give`."""
    import moto.ec2.models  # noqa: F401, PLC0415

    with replaced("random_public_ip", give), replaced("random_ip", give):
        yield


@contextmanager
def image_mappings() -> Iterator[None]:
    """An image can have other disks than moto's single 15 GiB one."""
    from moto.ec2.models.amis import Ami  # noqa: PLC0415

    images: Any = Ami
    original = images.block_device_mappings

    def mappings(image: Any) -> Any:
        ours = vars(image).get("sandbox_mappings")
        return original.fget(image) if ours is None else ours

    images.block_device_mappings = property(mappings)
    try:
        yield
    finally:
        images.block_device_mappings = original


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What a launch says of a disk and moto forgets."""

    type: str
    iops: int | None
    throughput: int | None
    snapshot: str | None
    delete_on_termination: bool


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """What a launch says of an instance and moto forgets."""

    token: str | None
    spot_request: str | None
    protected: bool
    behaviour: str
    architecture: str
    root_device: str
    hypervisor: str


class Inside:
    """moto's own objects of one account."""

    def __init__(self, account: str) -> None:
        self._account = account

    def backend(self, region: str) -> Any:
        """The EC2 of a region, in moto."""
        from moto.ec2.models import ec2_backends  # noqa: PLC0415

        return ec2_backends[self._account][region]

    def instance(self, region: str, instance_id: str) -> Any | None:
        """The instance, None when moto has none."""
        return self.backend(region).get_instance_by_id(instance_id)

    def complete(
        self, region: str, instance_id: str, facts: InstanceFacts, disks: Mapping[str, VolumeFacts]
    ) -> None:
        """Put on a new instance, its disks and its interface what moto has dropped."""
        backend = self.backend(region)
        instance = self.instance(region, instance_id)
        assert instance is not None  # noqa: S101 - moto has just answered with it
        instance.client_token = facts.token or ""
        instance.spot_instance_request_id = facts.spot_request
        instance.disable_api_termination = facts.protected
        instance.instance_initiated_shutdown_behavior = facts.behaviour
        instance.architecture, instance.virtualization_type = facts.architecture, "hvm"
        instance.root_device_name, instance.hypervisor = facts.root_device, facts.hypervisor
        instance.ena_support = True
        instance.platform_details, instance.usage_operation = "Linux/UNIX", "RunInstances"
        for device, block in instance.block_device_mapping.items():
            wanted = disks[device]
            block.delete_on_termination = wanted.delete_on_termination
            volume = backend.volumes[block.volume_id]
            volume.volume_type, volume.snapshot_id = wanted.type, wanted.snapshot
            volume.iops, volume.throughput = wanted.iops, wanted.throughput
            self._attachment_follows(volume, wanted.delete_on_termination)
        for nic in instance.nics.values():
            nic.delete_on_termination = True
            instance.security_groups = instance.security_groups or list(nic.group_set)

    def _attachment_follows(self, volume: Any, delete: bool) -> None:  # noqa: FBT001
        if volume.attachment is not None:
            volume.attachment.delete_on_termination = delete

    def set_state(
        self, region: str, instance_id: str, state: tuple[str, int], transition: str | None = None
    ) -> None:
        """Show a state; `transition` is the text of StateTransitionReason."""
        instance = self.instance(region, instance_id)
        if instance is not None:
            instance._state.name, instance._state.code = state  # noqa: SLF001
            if transition is not None:
                instance._reason = transition  # noqa: SLF001

    def set_reason(self, region: str, instance_id: str, code: str, message: str) -> None:
        """Show StateReason; an empty code shows none."""
        instance = self.instance(region, instance_id)
        if instance is not None:
            instance.state_reason.code, instance.state_reason.message = code, message

    def launched(self, region: str, instance_id: str, at: datetime) -> None:
        """LaunchTime, which AWS renews at each start."""
        instance = self.instance(region, instance_id)
        if instance is not None:
            instance.launch_time = at.replace(tzinfo=None)

    def power(self, region: str, instance_id: str, *, on: bool) -> None:
        """Give the interfaces a public address, or take it back as a stop does."""
        instance = self.instance(region, instance_id)
        for nic in instance.nics.values() if instance is not None else ():
            if on:
                nic.start()
            else:
                nic.stop()

    def tear_down(self, region: str, instance_id: str) -> None:
        """Delete or detach the disks and the interfaces of an instance that has ended."""
        instance = self.instance(region, instance_id)
        if instance is not None:
            instance.terminate()

    def forget(self, region: str, instance_id: str) -> None:
        """Take it out of every listing, as AWS does about an hour after its end."""
        backend = self.backend(region)
        for key, reservation in list(backend.reservations.items()):
            reservation.instances = [one for one in reservation.instances if one.id != instance_id]
            if not reservation.instances:
                del backend.reservations[key]
        backend.tags.pop(instance_id, None)

    def tag(self, region: str, resource: str, tags: Mapping[str, str]) -> None:
        """Tag something whose tags moto drops at creation."""
        if tags:
            self.backend(region).create_tags([resource], dict(tags))

    def tags(self, region: str, resource: str) -> dict[str, str]:
        """The tags of anything."""
        return dict(self.backend(region).tags.get(resource, {}))

    def interfaces(self, region: str, instance_id: str) -> Sequence[str]:
        """Ids of its network interfaces."""
        instance = self.instance(region, instance_id)
        return [nic.id for nic in instance.nics.values()] if instance is not None else []

    def disks_of(self, region: str, instance_id: str) -> Sequence[str]:
        """Ids of the volumes attached to it."""
        instance = self.instance(region, instance_id)
        blocks = instance.block_device_mapping.values() if instance is not None else ()
        return [block.volume_id for block in blocks]

    def addresses_in_use(self) -> set[str]:
        """Public addresses in use, in every region."""
        from moto.ec2.models import ec2_backends  # noqa: PLC0415

        regions = ec2_backends[self._account].values()
        automatic = {nic.public_ip for one in regions for nic in one.enis.values()}
        elastic = {held.public_ip for one in regions for held in one.addresses}
        return {address for address in automatic | elastic if address}

    def group_in_use(self, region: str, group_id: str) -> bool:
        """Whether an interface has this security group."""
        groups = (group for nic in self.backend(region).enis.values() for group in nic.group_set)
        return any(group.id == group_id for group in groups)

    def address_in_use(self, region: str, allocation: str) -> bool:
        """Whether an elastic address is associated with something."""
        held = self.backend(region).addresses
        return any(one.allocation_id == allocation and one.association_id for one in held)

    def volumes(self, region: str) -> Mapping[str, Any]:
        """The disks that exist."""
        return dict(self.backend(region).volumes)

    def register(self, region: str, image: Mapping[str, Any], mappings: Sequence[Shape]) -> None:
        """Add an image with its own id; `mappings` without snapshot ids get the image's own."""
        from moto.ec2.models.amis import Ami  # noqa: PLC0415

        backend = self.backend(region)
        made = Ami(backend, region_name=f"{region}a", **image)
        backend.amis[made.id] = made
        self.map_image(region, made.id, mappings)

    def image(self, region: str, image_id: str) -> Any | None:
        """The image, None when moto has none."""
        return self.backend(region).amis.get(image_id)

    def map_image(self, region: str, image_id: str, mappings: Sequence[Shape]) -> None:
        """Give an image its disks; the first is the root and has the image's own snapshot."""
        image = self.backend(region).amis[image_id]
        image.ena_support, image.hypervisor = True, image.hypervisor or "xen"
        image.root_device_type = "ebs"
        image.virtualization_type = image.virtualization_type or "hvm"
        image.architecture = image.architecture or "x86_64"
        filled = []
        for number, mapping in enumerate(mappings):
            ebs = dict(mapping["Ebs"])
            if number == 0:
                ebs["SnapshotId"] = image.ebs_snapshot.id
                image.ebs_snapshot.volume.size = ebs["VolumeSize"]
                image.ebs_snapshot.encrypted = bool(ebs.get("Encrypted"))
                image.root_device_name = mapping["DeviceName"]
            filled.append({"DeviceName": mapping["DeviceName"], "Ebs": ebs})
        image.sandbox_mappings = filled

    def set_image_state(self, region: str, image_id: str, state: str) -> None:
        """`pending` while its snapshot is taken, then `available`."""
        with suppress(KeyError):
            image = self.backend(region).amis[image_id]
            image.state = state
            image.ebs_snapshot.status = "completed" if state == "available" else "pending"

    def public_key(self, region: str, name: str) -> str | None:
        """The OpenSSH public key of a key pair."""
        pair = self.backend(region).key_pairs.get(name)
        return str(pair.public_key).strip() if pair is not None else None
