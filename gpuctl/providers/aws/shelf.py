"""Images that exist: listed, found by name, copied, promoted, shared and removed.

A channel is an SSM parameter per region: a copy is reached by it only once promoted there too.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from gpuctl.core.errors import GpuctlError, InvalidRequest, ListingIncomplete, NotFound
from gpuctl.core.images.stored import StoredImage, channel_name, named
from gpuctl.core.ports import Clock
from gpuctl.core.span import parse_time
from gpuctl.providers.aws import images, tags, translate
from gpuctl.providers.aws.client import Clients, pages, part
from gpuctl.providers.aws.errors import translated
from gpuctl.providers.aws.image_facts import IMAGE, RECIPE, VERSION, facts_of
from gpuctl.providers.aws.leftovers import (
    enabled_regions,
    snapshot_billable,
    snapshots_of,
)
from gpuctl.providers.aws.parallel import attempts, together
from gpuctl.providers.aws.settings import AwsSettings

Described = Mapping[str, Any]

_ACCOUNT_DIGITS = 12
_AWS_KEY = "alias/aws/ebs"
_KEPT = ("gpuctl:", tags.NAME)
_OF_THE_BUILDER = (tags.DEADLINE, tags.USER, tags.TEMPLATE)


class KeptImages:
    """The images of one account."""

    def __init__(self, clients: Clients, settings: AwsSettings, account: str, clock: Clock) -> None:
        self._clients = clients
        self._settings = settings
        self._account = account
        self._clock = clock

    def find_all(self) -> Sequence[StoredImage]:
        """In every region the account may use; ListingIncomplete when one could not be read."""
        regions = enabled_regions(self._clients, self._settings)
        tried = attempts(regions, self._in_region, GpuctlError)
        for region, got in tried:
            if isinstance(got, Exception):
                raise ListingIncomplete(
                    f"AWS could not list images in {region}: {got}",
                    provider=translate.NAME,
                    region=region,
                    detail=getattr(got, "detail", None),
                )
        return [image for _, got in tried if not isinstance(got, Exception) for image in got]

    def find(self, region: str, text: str) -> StoredImage:
        """The image a name or id leads to. NotFound, InvalidRequest; see images.describe."""
        found = images.describe(self._clients, region, text)
        wanted = named(text)
        channels = (wanted.channel,) if wanted is not None and wanted.channel else ()
        return self._stored(region, found, (), channels)

    def copy(self, image: StoredImage, region: str) -> StoredImage:
        """CopyImage with its tags on image and snapshots; what is there already is taken.

        Its tags are there from the first instant, so a copy whose answer was lost is found.
        """
        known = self._version(region, image)
        if known is not None:
            return known
        source = self._described(image)
        kept = {
            key: value
            for key, value in tags.read(source).items()
            if key.startswith(_KEPT) and key not in _OF_THE_BUILDER
        } | tags.of_install(self._settings.install)
        doing = f"copying {image.key} to {region}"
        with translated(doing, effect=True):
            reply = self._clients.ec2(region).copy_image(
                Name=source.get("Name") or image.key.replace("@", "-"),
                SourceImageId=image.id,
                SourceRegion=image.region,
                TagSpecifications=[
                    tags.specification(kind, kept) for kind in ("image", "snapshot")
                ],
            )
        return replace(
            image,
            region=region,
            id=str(part(reply, "ImageId", doing)),
            made_at=self._clock(),
            ready=False,
            ours=True,
            billed=(),
            channels=(),
        )

    def promote(self, image: StoredImage, channel: str) -> None:
        """One PutParameter, which the next launch reads. The image is looked at again first."""
        path = images.PARAMETER.format(name=image.name, channel=channel_name(channel))
        if self._described(image).get("State", "available") != "available":
            raise InvalidRequest(
                f"{image.key} ({image.id}) is not ready in {image.region}",
                hint="gpuctl ami list",
            )
        with translated(f"pointing {path} in {image.region} at {image.id}", effect=True):
            self._clients.ssm(image.region).put_parameter(
                Name=path, Value=image.id, Type="String", Overwrite=True
            )

    def check_share(self, image: StoredImage, whom: str) -> None:
        """InvalidRequest for no account, one's own, and what cannot be shared at all."""
        self._shareable(image, whom)

    def share(self, image: StoredImage, whom: str) -> None:
        """Launch permission, and permission on each snapshot, which a copy over there needs.

        InvalidRequest as `check_share`.
        """
        snapshots = self._shareable(image, whom)
        ec2 = self._clients.ec2(image.region)
        # The snapshots first: an image without them can be started over there, and not copied.
        for snapshot in snapshots:
            name = snapshot["SnapshotId"]
            with translated(f"sharing {name} with {whom}", effect=True):
                ec2.modify_snapshot_attribute(
                    SnapshotId=name,
                    Attribute="createVolumePermission",
                    OperationType="add",
                    UserIds=[whom],
                )
        with translated(f"sharing {image.id} with {whom}", effect=True):
            ec2.modify_image_attribute(
                ImageId=image.id, LaunchPermission={"Add": [{"UserId": whom}]}
            )

    def _shareable(self, image: StoredImage, whom: str) -> Sequence[Described]:
        """Its snapshots, none of which is encrypted with AWS's own key: that cannot be shared.

        Under a key of the user's, that key's policy must allow the other account too.
        Source: Amazon EBS User Guide, "Share an Amazon EBS snapshot"; EC2 User Guide, "Share an AMI
        with specific AWS accounts".
        """
        if not (whom.isdecimal() and len(whom) == _ACCOUNT_DIGITS):
            raise InvalidRequest(
                f"{whom!r} is not an AWS account: twelve digits",
                hint="they see theirs with: aws sts get-caller-identity",
            )
        if whom == self._account:
            raise InvalidRequest(f"{whom} is your own account: it has {image.key} already")
        found = self._described(image)
        snapshots = self._snapshots(image.region, [found])
        self._refuse_encrypted(image, snapshots)
        return snapshots

    def remove(self, image: StoredImage) -> None:
        """Deregisters it with its snapshots. ValueError when it is not ours (read again)."""
        ec2 = self._clients.ec2(image.region)
        try:
            found = self._described(image)
        except NotFound:
            found = {}
        if found and not self._is_ours(found):
            raise ValueError(f"{image.id} was not made by this installation")
        if not found:
            if not image.ours:
                raise ValueError(f"{image.id} was not made by this installation")
            return
        kept = snapshots_of(found)
        with suppress(NotFound), translated(f"deregistering {image.id}", effect=True):
            ec2.deregister_image(ImageId=image.id, DeleteAssociatedSnapshots=True)
        for snapshot in self._still_there(image.region, kept):
            with suppress(NotFound), translated(f"deleting {snapshot}", effect=True):
                ec2.delete_snapshot(SnapshotId=snapshot)

    def _in_region(self, region: str) -> list[StoredImage]:
        found = pages(
            self._clients.ec2(region).describe_images,
            "Images",
            f"listing images in {region}",
            Owners=["self"],
            Filters=[tags.where("tag-key", IMAGE)],
        )
        found = [image for image in found if tags.read(image).get(VERSION)]
        if not found:
            return []
        snapshots, channels = together(
            lambda: self._snapshots(region, found), lambda: self._channels(region)
        )
        return [
            self._stored(
                region,
                image,
                [one for one in snapshots if one["SnapshotId"] in snapshots_of(image)],
                tuple(sorted(channels.get(image["ImageId"], ()))),
            )
            for image in found
        ]

    def _stored(
        self,
        region: str,
        image: Described,
        snapshots: Sequence[Described],
        channels: tuple[str, ...] = (),
    ) -> StoredImage:
        read = tags.read(image)
        created = image.get("CreationDate")
        mappings = image.get("BlockDeviceMappings") or ()
        return StoredImage(
            provider=translate.NAME,
            account=self._account,
            region=region,
            id=str(image["ImageId"]),
            name=read.get(IMAGE, ""),
            version=read.get(VERSION, ""),
            made_at=parse_time(str(created)) if created else self._clock(),
            ready=image.get("State", "available") == "available",
            facts=facts_of(image),
            ours=self._is_ours(image),
            recipe_sha256=read.get(RECIPE),
            billed=tuple(snapshot_billable(one) for one in snapshots),
            channels=channels,
            encrypted=any((one.get("Ebs") or {}).get("Encrypted") for one in mappings),
            project=read.get(tags.PROJECT) or None,
        )

    def _is_ours(self, image: Described) -> bool:
        return tags.read(image).get(tags.INSTALL) == self._settings.install

    def _version(self, region: str, image: StoredImage) -> StoredImage | None:
        try:
            return self.find(region, image.key)
        except NotFound:
            return None

    def _described(self, image: StoredImage) -> Described:
        return self._by_id(image.region, image.id, image)

    def _by_id(self, region: str, ami: str, image: StoredImage) -> Described:
        doing = f"looking at {image.key} in {region}"
        found = pages(self._clients.ec2(region).describe_images, "Images", doing, ImageIds=[ami])
        if not found:
            raise NotFound(f"{image.key} ({ami}) is gone from {region}", hint="gpuctl ami list")
        return found[0]

    def _snapshots(self, region: str, found: Sequence[Described]) -> list[Described]:
        wanted = sorted({one for image in found for one in snapshots_of(image)})
        if not wanted:
            return []
        return pages(
            self._clients.ec2(region).describe_snapshots,
            "Snapshots",
            f"listing snapshots in {region}",
            OwnerIds=["self"],
            Filters=[tags.where("snapshot-id", *wanted)],
        )

    def _still_there(self, region: str, names: Sequence[str]) -> list[str]:
        """What deregistering did not delete with it: an older API does not know how."""
        if not names:
            return []
        found = pages(
            self._clients.ec2(region).describe_snapshots,
            "Snapshots",
            f"listing snapshots in {region}",
            OwnerIds=["self"],
            Filters=[tags.where("snapshot-id", *names)],
        )
        return [str(one["SnapshotId"]) for one in found]

    def _channels(self, region: str) -> Mapping[str, list[str]]:
        """AMI id -> the channels that lead to it."""
        found = pages(
            self._clients.ssm(region).get_parameters_by_path,
            "Parameters",
            f"reading channels in {region}",
            Path=images.ROOT,
            Recursive=True,
        )
        channels: dict[str, list[str]] = {}
        for parameter in found:
            channel = str(parameter["Name"]).rpartition("/")[2]
            channels.setdefault(str(parameter.get("Value", "")), []).append(channel)
        return channels

    def _refuse_encrypted(self, image: StoredImage, snapshots: Sequence[Described]) -> None:
        for snapshot in snapshots:
            if not snapshot.get("Encrypted") or self._is_own_key(image, snapshot):
                continue
            raise InvalidRequest(
                f"{image.key} ({snapshot['SnapshotId']}) is encrypted with AWS's own key, "
                f"{_AWS_KEY}, which opens it in your account alone: AWS shares no such snapshot",
                hint="make a key of yours the default of EBS, build it again, and share that; "
                "or hand over the recipe",
            )

    def _is_own_key(self, image: StoredImage, snapshot: Described) -> bool:
        """Whether its key is the user's: then the key's own policy says who may use it."""
        key = snapshot.get("KmsKeyId")
        if not key:
            return False
        doing = f"looking at the key of {image.key}"
        with translated(doing):
            reply = self._clients.kms(image.region).describe_key(KeyId=key)
        return bool(part(reply, "KeyMetadata", doing).get("KeyManager") == "CUSTOMER")
