"""`image = "NAME@stable"`: where it leads in each region, what is left out, what is recorded."""

from datetime import UTC, datetime, timedelta

import pytest

from gpuctl.app.launch import NothingStarted
from gpuctl.core.errors import NotFound
from gpuctl.core.events import Intent
from gpuctl.core.images.facts import Branches, Module
from gpuctl.core.images.stored import Named, named, version_order
from gpuctl.core.orders import Used, image_used, read_order
from tests.changed import changed
from tests.fake_images import FACTS, NAME, SHA, ami, stored

AT = datetime(2026, 2, 20, tzinfo=UTC)
EAST, WEST = "us-east-1", "us-west-2"
OPEN = FACTS._replace(module=Module.OPEN, driver=Branches(595, 595))


@pytest.fixture
def shelved(desk):
    """Version 6 and 7 in the east, 7 in the west; `stable` is 7 in both."""
    kept = desk.aws.kept
    kept.images += [
        stored("6", made_at=AT),
        *(stored("7", made_at=AT, region=r) for r in (EAST, WEST)),
    ]
    for region in (EAST, WEST):
        kept.channels[region, NAME, "stable"] = ami("7", region)
    return desk


def orders(desk):
    return [event.order for event in desk.events(Intent) if event.verb == "start"]


@pytest.mark.parametrize("text", [NAME, f"{NAME}@stable", f"{NAME}@7"])
def test_a_name_is_looked_up_where_the_machine_starts_and_stands_in_the_ledger(shelved, text):
    shown = shelved.up(image=text).machine
    ident = ami("7", EAST)
    assert shown.machine.image == ident
    assert shown.image == Used(ident, f"{NAME}@7", SHA)
    [order] = orders(shelved)
    assert (order["image"], order["image_name"], order["recipe_sha256"]) == (
        ident,
        f"{NAME}@7",
        SHA,
    )
    assert read_order(order).image_name == f"{NAME}@7"


def test_another_region_is_another_image(shelved):
    shelved.aws.sold_out |= {("p3.2xlarge", f"{EAST}{zone}", None) for zone in "ab"}
    assert shelved.machine(image=NAME, fallbacks=()).image == ami("7", WEST)


def test_a_region_without_the_image_is_left_out_and_told(shelved):
    shelved.aws.kept.images = [i for i in shelved.aws.kept.images if i.region == WEST]
    done = shelved.up(image=f"{NAME}@7", fallbacks=())
    assert done.machine.machine.id.region == WEST
    told = {(a.zone, a.code, a.reason) for a in done.attempts if a.outcome == "skipped"}
    words = f"no image {NAME}@7 in {EAST}"
    assert told == {(f"{EAST}{zone}", "image", words) for zone in "ab"}


@pytest.mark.parametrize("text", [f"{NAME}@8", f"{NAME}@next", "nobodys"])
def test_what_leads_nowhere_starts_nothing(shelved, text):
    with pytest.raises(NotFound, match=f"no image {text}"):
        shelved.up(image=text)
    assert orders(shelved) == []


def test_an_image_that_is_still_written_starts_nothing(shelved):
    kept = shelved.aws.kept
    kept.images = [stored("9", made_at=AT)]
    kept.images[0] = changed(kept.images[0], ready=False)
    with pytest.raises(NotFound, match="is not ready"):
        shelved.up(image=f"{NAME}@9")


def test_a_channel_that_leads_to_a_bad_pair_leaves_the_type_out(shelved):
    kept = shelved.aws.kept
    kept.images = [stored("7", made_at=AT, region=r, facts=OPEN) for r in (EAST, WEST)]
    done = shelved.up(image=f"{NAME}@stable")
    assert done.machine.machine.type == "g5.xlarge"
    assert [a.type for a in done.attempts if a.code == "image"] == ["p3.2xlarge"]
    shelved.down()
    with pytest.raises(NothingStarted, match="V100") as caught:
        shelved.up(image=f"{NAME}@stable", fallbacks=())
    assert caught.value.exit_code == 5


def test_the_lock_file_stands_in_where_the_cloud_has_no_name_for_it(desk):
    bare = stored("3", made_at=AT, name="unnamed")
    desk.aws.kept.images.append(bare)
    pins = {
        (f"{NAME}@3", "aws", EAST): (f"{NAME}@3", bare.id),
        (NAME, "aws", WEST): ("x@1", "gone"),
    }
    desk.app = desk.app._replace(pinned=lambda *asked: pins.get(asked))
    shown = desk.up(image=f"{NAME}@3").machine
    assert (shown.image.id, shown.image.name) == (bare.id, f"{NAME}@3")
    with pytest.raises(NotFound):
        desk.up(image=NAME, name="other-1")


def test_a_machine_that_is_started_again_keeps_its_image(desk):
    google = {"provider": "gcp", "account": "my-project", "region": "global"}
    desk.gcp.kept.images.append(stored("7", made_at=AT, **google))
    first = desk.up(template="t4", image=f"{NAME}@7").machine
    desk.clock.tick(minutes=5)
    desk.down()
    desk.clock.tick(minutes=5)
    desk.gcp.kept.images.clear()
    again = desk.up(template="t4", image=f"{NAME}@7").machine
    assert again.machine.id == first.machine.id
    assert (
        again.image
        == first.image
        == Used(f"projects/p/global/images/{NAME}-7-global", f"{NAME}@7", SHA)
    )


def test_of_a_machine_that_nobody_ordered_nothing_is_known(desk):
    assert image_used(desk.books, "aws:us-east-1a:i-1") is None
    used = desk.up(image="ami-1").machine.image
    assert used == Used("ami-1")


def test_names_versions_and_their_order():
    assert named(NAME) == named(f"{NAME}@stable") == Named(NAME, None, "stable")
    assert named(f"{NAME}@2026.11.1") == Named(NAME, "2026.11.1", None)
    assert str(named(f"{NAME}@v3")) == f"{NAME}@v3"
    assert [named(text) for text in ("ami-0123456789abcdef0", "ssm:/a", "p/f", "A@1", "a@@1")] == [
        None
    ] * 5
    versions = ["10", "9", "2026.11.1", "2026.2.1", "9b"]
    assert sorted(versions, key=version_order) == ["9", "9b", "10", "2026.2.1", "2026.11.1"]


def test_the_ledger_can_be_read_that_was_written_before(shelved):
    shelved.up(image=NAME)
    [order] = orders(shelved)
    old = {key: order[key] for key in order if key not in ("image_name", "recipe_sha256")}
    assert (read_order(old).image_name, read_order(old).max_run) == (None, timedelta(days=1))
