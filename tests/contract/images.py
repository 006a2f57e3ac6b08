"""What every provider promises of images that exist; inherited beside `ProviderContract`.

A cloud's own file gives the fixtures `provider` and `shelf`.
"""

from dataclasses import replace
from typing import Protocol

import pytest

from gpuctl.core.errors import Denied, InvalidRequest, ListingIncomplete, NotFound
from gpuctl.core.images.stored import StoredImage
from gpuctl.core.kinds import Kind
from gpuctl.core.ports import Provider

NAME = "torch-portable"
SHA = "9f" * 32


class Shelf(Protocol):
    """What a test may do to the cloud's images behind the provider's back."""

    other: str
    """Another region; where images have none, any word."""
    stranger: str
    """Another account or project to share with."""

    def image(self, version: str, *, ours: bool = True, encrypted: bool = False) -> str:
        """Make an image of NAME, with its tags; its id. `encrypted`: with the cloud's own key."""

    def settle(self) -> None:
        """Let every passing state (pending) pass."""

    def shared(self, image: StoredImage) -> bool:
        """Whether the stranger may use it, and what it is made of."""

    def snapshots(self) -> int:
        """How many things still cost for images."""

    def deny(self) -> None:
        """From now on the credentials are refused."""


class ImageContract:
    """Inherit it and give the two fixtures."""

    def test_an_account_without_images_has_none(self, provider: Provider, shelf: Shelf) -> None:
        assert list(provider.images()) == []

    def test_an_image_tells_what_it_is_and_what_it_costs(
        self, provider: Provider, shelf: Shelf
    ) -> None:
        made = shelf.image("7")
        [image] = provider.images()
        assert (image.id, image.name, image.version, image.key) == (made, NAME, "7", f"{NAME}@7")
        assert (image.provider, image.account) == (provider.name, provider.account)
        assert image.ready
        assert image.ours
        assert image.recipe_sha256 == SHA[: len(image.recipe_sha256 or "")]
        assert len(image.recipe_sha256 or "") >= 63
        assert image.channels == ()
        assert {thing.kind for thing in image.billed} == {Kind.SNAPSHOT}
        assert all(thing.quantity > 0 and thing.until is None for thing in image.billed)
        assert str(image.facts.driver) == "R580"
        assert (image.facts.cuda, image.facts.torch) == ("cu126", "2.10.0")

    def test_a_version_and_an_id_lead_to_it(self, provider: Provider, shelf: Shelf) -> None:
        shelf.image("6")
        made = shelf.image("7")
        [_, seven] = sorted(provider.images(), key=lambda image: image.version)
        for text in (f"{NAME}@7", made):
            found = provider.image(seven.region, text)
            assert (found.id, found.key) == (made, f"{NAME}@7")

    def test_what_leads_nowhere_is_not_found(self, provider: Provider, shelf: Shelf) -> None:
        shelf.image("7")
        [image] = provider.images()
        for text in (f"{NAME}@8", f"{NAME}@stable", NAME, "nobodys@1"):
            with pytest.raises(NotFound):
                provider.image(image.region, text)

    def test_a_channel_leads_to_one_version_and_can_be_moved_back(
        self, provider: Provider, shelf: Shelf
    ) -> None:
        shelf.image("6")
        shelf.image("7")
        six, seven = sorted(provider.images(), key=lambda image: image.version)
        for image in (six, seven, six, six):
            provider.promote_image(image, "stable")
            shelf.settle()
            assert provider.image(image.region, f"{NAME}@stable").key == image.key
            assert provider.image(image.region, NAME).id == image.id
        provider.promote_image(seven, "next")
        shelf.settle()
        shown = {image.key: image.channels for image in provider.images()}
        assert shown == {f"{NAME}@6": ("stable",), f"{NAME}@7": ("next",)}

    def test_what_is_no_channel_is_refused(self, provider: Provider, shelf: Shelf) -> None:
        shelf.image("7")
        [image] = provider.images()
        for channel in ("", "V2", "v2", "7", "a/b", "x" * 31):
            with pytest.raises(InvalidRequest):
                provider.promote_image(image, channel)

    def test_a_copy_is_found_where_it_was_asked_for_and_is_made_once(
        self, provider: Provider, shelf: Shelf
    ) -> None:
        shelf.image("7")
        [image] = provider.images()
        provider.promote_image(image, "stable")
        copy = provider.copy_image(image, shelf.other)
        shelf.settle()
        again = provider.copy_image(image, shelf.other)
        assert (again.id, again.key, again.recipe_sha256) == (
            copy.id,
            image.key,
            image.recipe_sha256,
        )
        there = provider.image(copy.region, f"{NAME}@7")
        assert (there.id, there.ready, there.ours) == (copy.id, True, True)
        assert len({(one.region, one.id) for one in provider.images()}) == len(provider.images())
        if copy.region != image.region:
            with pytest.raises(NotFound):
                provider.image(copy.region, f"{NAME}@stable")

    def test_what_is_shared_can_be_used_and_sharing_twice_is_no_error(
        self, provider: Provider, shelf: Shelf
    ) -> None:
        shelf.image("7")
        [image] = provider.images()
        provider.check_share(image, shelf.stranger)
        assert not shelf.shared(image)
        provider.share_image(image, shelf.stranger)
        provider.share_image(image, shelf.stranger)
        assert shelf.shared(image)

    def test_nobody_is_shared_with_that_is_no_account(
        self, provider: Provider, shelf: Shelf
    ) -> None:
        shelf.image("7")
        [image] = provider.images()
        for whom in ("", "everybody", "1111"):
            with pytest.raises(InvalidRequest):
                provider.check_share(image, whom)
            with pytest.raises(InvalidRequest):
                provider.share_image(image, whom)

    def test_a_removed_image_costs_nothing_and_removing_twice_is_no_error(
        self, provider: Provider, shelf: Shelf
    ) -> None:
        shelf.image("6")
        shelf.image("7")
        six, seven = sorted(provider.images(), key=lambda image: image.version)
        provider.remove_image(six)
        shelf.settle()
        provider.remove_image(six)
        assert [image.id for image in provider.images()] == [seven.id]
        assert shelf.snapshots() == 1
        with pytest.raises(NotFound):
            provider.image(seven.region, f"{NAME}@6")

    def test_what_another_installation_made_is_seen_and_never_removed(
        self, provider: Provider, shelf: Shelf
    ) -> None:
        shelf.image("7", ours=False)
        [image] = provider.images()
        assert not image.ours
        for claimed in (image, replace(image, ours=True)):
            with pytest.raises(ValueError, match="installation"):
                provider.remove_image(claimed)
        assert len(provider.images()) == 1

    def test_no_credentials_no_images(self, provider: Provider, shelf: Shelf) -> None:
        shelf.deny()
        with pytest.raises((Denied, ListingIncomplete)):
            provider.images()
