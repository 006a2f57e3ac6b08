"""Images of the fake provider: those of builders, and those that a test puts there."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from gpuctl.core.errors import InvalidRequest, ListingIncomplete, NotFound
from gpuctl.core.images.facts import Branches, ImageFacts, Module
from gpuctl.core.images.making import Making
from gpuctl.core.images.stored import StoredImage, channel_name, named
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.model import Billable
from tests.fake_cloud import FakeCloud, Shot

NAME = "torch-portable"
SHA = "9f" * 32
FACTS = ImageFacts(
    NAME,
    "fake",
    architecture="x86_64",
    driver=Branches(580, 580),
    module=Module.PROPRIETARY,
    cuda="cu126",
    torch="2.10.0",
)


def ami(version: str | int, region: str = "us-east-1", name: str = NAME) -> str:
    """The id of a version in a region, of AWS's form."""
    return f"ami-0{hashlib.sha256(f'{name}@{version}/{region}'.encode()).hexdigest()[:16]}"


def stored(
    version: str,
    *,
    made_at: datetime,
    name: str = NAME,
    region: str = "us-east-1",
    provider: str = "aws",
    account: str = "111122223333",
    ours: bool = True,
    encrypted: bool = False,
    project: str | None = None,
    gb: str = "40",
    facts: ImageFacts = FACTS,
) -> StoredImage:
    """An image as a cloud would tell of it."""
    ident = f"{name}-{version}-{region}"
    billed = Billable(
        resource=f"snap-{ident}",
        kind=Kind.SNAPSHOT,
        sku="standard" if provider == "aws" else "image",
        quantity=Decimal(gb),
        market=Market.ON_DEMAND,
        since=made_at,
    )
    return StoredImage(
        provider=provider,
        account=account,
        region=region,
        id=ami(version, region, name) if provider == "aws" else f"projects/p/global/images/{ident}",
        name=name,
        version=version,
        made_at=made_at,
        ready=True,
        facts=facts._replace(name=f"{name}@{version}"),
        ours=ours,
        recipe_sha256=SHA,
        billed=(billed,),
        encrypted=encrypted,
        project=project,
    )


class FakeImages:
    """What `KeepsImages` asks for, over a `FakeCloud`."""

    cloud: FakeCloud
    name: str
    account: str

    def images(self) -> Sequence[StoredImage]:
        self.cloud.call("images")
        if self.cloud.broken_region is not None:
            raise ListingIncomplete(
                f"{self.cloud.broken_region} did not answer",
                provider=self.name,
                region=self.cloud.broken_region,
            )
        return [replace(image, channels=self._channels(image)) for image in self._all()]

    def image(self, region: str, text: str) -> StoredImage:
        self.cloud.call(f"image {text} {region}")
        here = [i for i in self._all() if i.region in (region, "global")]
        wanted = named(text)
        if wanted is None or text in {image.id for image in here}:
            found = [image for image in here if image.id == text]
        elif wanted.version is not None:
            found = [i for i in here if (i.name, i.version) == (wanted.name, wanted.version)]
        else:
            place = "global" if self.cloud.stops else region
            key = (place, wanted.name, wanted.channel or "")
            led = self.cloud.kept.channels.get(key)
            found = [image for image in here if image.id == led]
        if not found:
            raise NotFound(f"no image {text} in {region}", hint="gpuctl ami list")
        return replace(found[-1], channels=self._channels(found[-1]))

    def copy_image(self, image: StoredImage, region: str) -> StoredImage:
        self.cloud.call(f"copy {image.id} {region}")
        if self.cloud.stops:
            return image
        for known in self._all():
            if (known.key, known.region) == (image.key, region):
                return known
        made = stored(
            image.version,
            made_at=self.cloud.clock(),
            name=image.name,
            region=region,
            account=self.account,
            facts=image.facts,
            project=image.project,
        )
        self.cloud.kept.images.append(made)
        return made

    def promote_image(self, image: StoredImage, channel: str) -> None:
        self.cloud.call(f"promote {image.id} {channel}")
        key = (image.region, image.name, channel_name(channel))
        self.cloud.kept.channels[key] = image.id

    def share_image(self, image: StoredImage, whom: str) -> None:
        self.cloud.call(f"share {image.id} {whom}")
        self.check_share(image, whom)
        self.cloud.kept.shares.add((image.id, whom))

    def check_share(self, image: StoredImage, whom: str) -> None:
        if not whom.isdecimal() or len(whom) != 12:
            raise InvalidRequest(f"{whom!r} is not an account")
        if image.encrypted:
            raise InvalidRequest(f"{image.key} is encrypted with the cloud's own key")

    def remove_image(self, image: StoredImage) -> None:
        self.cloud.call(f"remove image {image.id}")
        found = [known for known in self._all() if known.id == image.id]
        if not all(known.ours for known in found) or not image.ours:
            raise ValueError(f"{image.id} was not made by this installation")
        self.cloud.kept.images = [i for i in self.cloud.kept.images if i.id != image.id]
        self.cloud.shots = [shot for shot in self.cloud.shots if shot.id != image.id]

    def _all(self) -> list[StoredImage]:
        shots = [self._of_builder(s) for s in self.cloud.shots if not self._failed(s)]
        return [*self.cloud.kept.images, *shots]

    def _failed(self, shot: Shot) -> bool:
        return self.cloud.making(shot) is Making.FAILED

    def _of_builder(self, shot: Shot) -> StoredImage:
        order = shot.order
        image = stored(
            order.version,
            made_at=shot.at,
            name=order.name,
            region="global" if self.cloud.stops else order.machine.region,
            provider=self.name,
            account=self.account,
            project=order.project,
            gb=str(shot.gb),
        )
        [billed] = image.billed
        return replace(
            image,
            id=shot.id,
            ready=self.cloud.making(shot) is Making.READY,
            recipe_sha256=order.recipe_sha256,
            billed=(replace(billed, resource=f"snap-{shot.id}", sku="standard"),),
        )

    def _channels(self, image: StoredImage) -> tuple[str, ...]:
        found = self.cloud.kept.channels.items()
        return tuple(sorted(key[2] for key, led in found if led == image.id))
