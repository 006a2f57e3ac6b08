"""Copies, channels, shares and what goes: `ami copy|promote|share|prune` over fake clouds."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from gpuctl.app.prune import prunable, prune
from gpuctl.app.shelving import copies, copy, promote, share, shares
from gpuctl.app.stock import look, monthly_cost
from gpuctl.app.sync import sync
from gpuctl.config.lockfile import Built
from gpuctl.core.bill import bill, fixed
from gpuctl.core.errors import GpuctlError, InvalidRequest, NotFound, UsageProblem
from gpuctl.core.events import Ended, Intent, Outcome, Usage
from gpuctl.core.images.costs import MARK
from gpuctl.core.images.making import ImageOrder, write_image_order
from gpuctl.core.kinds import Evidence, Kind, Market
from gpuctl.core.ports import CloudRef
from gpuctl.core.span import Span
from tests.changed import changed
from tests.fake_images import NAME, stored
from tests.fake_images import ami as ident

AT = datetime(2026, 2, 20, tzinfo=UTC)
EAST, WEST = "us-east-1", "us-west-2"
MONTHLY = Fraction("0.05") * 40 * 730 / (31 * 24)
"""40 GB of a snapshot for 730 hours, in a month of 31 days."""


class Lock:
    """A lock file in memory."""

    def __init__(self, *built):
        self.built = {one.key: one for one in built}

    def update(self, change):
        changed_ = {key: change(one) for key, one in self.built.items()}
        self.built = {key: one for key, one in changed_.items() if one is not None}


@pytest.fixture
def shelved(desk):
    """Versions 1 to 5 in the east, 5 also in the west."""
    desk.aws.kept.images += [stored(str(n), made_at=AT) for n in range(1, 6)]
    desk.aws.kept.images.append(stored("5", made_at=AT, region=WEST))
    return desk


@pytest.fixture
def lock():
    return Lock(*(Built(NAME, str(n), AT, aws={EAST: ident(n)}) for n in range(1, 6)))


def keys(images):
    return [(image.version, image.region) for image in images]


def image_runs(desk):
    return [usage for usage in desk.books.usages if usage.extra.get(MARK)]


# --- copy -----------------------------------------------------------------------------------


def test_a_copy_is_priced_first_made_waited_for_and_locked(shelved, lock):
    asked = copies(shelved.app, f"{NAME}@4", [WEST, EAST, WEST])
    assert (asked.regions, asked.there, asked.monthly) == ((WEST,), (EAST,), MONTHLY)
    assert not [call for call in shelved.aws.calls if call.startswith("copy")]
    made = copy(shelved.app, asked, lock.update)
    assert keys(made) == [("4", WEST)]
    assert lock.built[f"{NAME}@4"].aws == {EAST: ident(4), WEST: ident(4, WEST)}
    assert (f"{NAME}@4", WEST) in {(run.extra[MARK], run.region) for run in image_runs(shelved)}
    assert copies(shelved.app, f"{NAME}@4", [WEST]).regions == ()


def test_a_bare_name_is_its_stable_else_its_newest(shelved):
    assert copies(shelved.app, NAME, ["eu-west-1"]).source.version == "5"
    shelved.aws.kept.channels[EAST, NAME, "stable"] = ident(3)
    assert copies(shelved.app, NAME, ["eu-west-1"]).source.version == "3"
    assert copies(shelved.app, ident(2), ["eu-west-1"]).source.version == "2"


@pytest.mark.parametrize("text", ["nobodys", f"{NAME}@9", f"{NAME}@next"])
def test_what_no_cloud_has_is_not_copied(shelved, text):
    with pytest.raises(NotFound, match=f"no cloud has an image {text}"):
        copies(shelved.app, text, [WEST])


def test_on_google_there_is_nothing_to_copy(desk):
    google = {"provider": "gcp", "account": "my-project", "region": "global"}
    desk.gcp.kept.images.append(stored("7", made_at=AT, **google))
    with pytest.raises(UsageProblem, match="in every region"):
        copies(desk.app, NAME, ["us-east4"])


def test_a_copy_that_is_never_ready_is_said_after_two_hours(shelved, lock):
    asked = copies(shelved.app, f"{NAME}@4", [WEST])
    provider = shelved.app.clouds.connect(asked_ref(shelved))
    plain, lookup = provider.copy_image, provider.image
    provider.copy_image = lambda image, region: changed(plain(image, region), ready=False)
    provider.image = lambda region, text: changed(lookup(region, text), ready=False)
    with pytest.raises(GpuctlError, match="not ready in us-west-2 after 2 hours"):
        copy(shelved.app, asked, lock.update)
    assert WEST in lock.built[f"{NAME}@4"].aws


def test_a_region_that_refuses_stops_no_other(shelved, lock):
    asked = copies(shelved.app, f"{NAME}@4", ["eu-west-1", WEST])
    provider = shelved.app.clouds.connect(asked_ref(shelved))
    plain = provider.copy_image

    def refusing(image, region):
        if region == "eu-west-1":
            raise InvalidRequest("eu-west-1 is not enabled")
        return plain(image, region)

    provider.copy_image = refusing
    with pytest.raises(InvalidRequest, match="not enabled"):
        copy(shelved.app, asked, lock.update, wait=False)
    assert set(lock.built[f"{NAME}@4"].aws) == {EAST, WEST}


def asked_ref(desk):
    return next(ref for ref in desk.app.clouds.accounts() if ref.provider == "aws")


# --- promote --------------------------------------------------------------------------------


def test_a_version_is_promoted_wherever_it_is_and_the_lock_says_so(shelved, lock):
    promote(shelved.app, f"{NAME}@4", "stable", (), lock.update)
    chosen = promote(shelved.app, f"{NAME}@5", "stable", (), lock.update)
    assert keys(chosen) == [("5", EAST), ("5", WEST)]
    assert set(shelved.aws.kept.channels.values()) == {ident(5), ident(5, WEST)}
    told = {key: one.channels for key, one in lock.built.items() if one.channels}
    assert told == {f"{NAME}@5": ("stable",)}
    assert shelved.machine(image=NAME).image == ident(5)


def test_one_region_can_go_first(shelved, lock):
    promote(shelved.app, f"{NAME}@5", "next", [WEST], lock.update)
    assert shelved.aws.kept.channels == {(WEST, NAME, "next"): ident(5, WEST)}
    assert [one for one in lock.built.values() if one.channels] == []


@pytest.mark.parametrize(
    ("text", "channel", "regions", "error"),
    [
        (NAME, "stable", (), UsageProblem),
        (f"{NAME}@stable", "stable", (), UsageProblem),
        (f"{NAME}@9", "stable", (), NotFound),
        (f"{NAME}@4", "v2", (), InvalidRequest),
        (f"{NAME}@4", "stable", (WEST,), NotFound),
    ],
)
def test_what_cannot_be_promoted(shelved, lock, text, channel, regions, error):
    with pytest.raises(error):
        promote(shelved.app, text, channel, regions, lock.update)
    assert shelved.aws.kept.channels == {}


def test_what_is_still_written_is_not_promoted(shelved, lock):
    kept = shelved.aws.kept
    kept.images = [changed(i, ready=i.region == EAST) for i in kept.images]
    with pytest.raises(InvalidRequest, match="not ready in us-west-2: nothing was promoted"):
        promote(shelved.app, f"{NAME}@5", "stable", (), lock.update)
    assert kept.channels == {}


# --- share ----------------------------------------------------------------------------------


def test_a_version_is_shared_wherever_it_is(shelved):
    whom = "444455556666"
    chosen = shares(shelved.app, f"{NAME}@5", whom, ())
    assert shelved.aws.kept.shares == set()
    share(shelved.app, chosen, whom)
    assert shelved.aws.kept.shares == {(ident(5), whom), (ident(5, WEST), whom)}


@pytest.mark.parametrize(("text", "whom"), [(NAME, "4" * 12), (f"{NAME}@9", "4" * 12)])
def test_what_cannot_be_shared(shelved, text, whom):
    with pytest.raises((NotFound, UsageProblem)):
        shares(shelved.app, text, whom, ())


def test_what_is_encrypted_or_nobodys_account_is_not_shared(shelved):
    shelved.aws.kept.images = [stored("5", made_at=AT, encrypted=True)]
    for whom in ("4" * 12, "somebody"):
        with pytest.raises(InvalidRequest):
            shares(shelved.app, f"{NAME}@5", whom, ())
    assert shelved.aws.kept.shares == set()


# --- prune ----------------------------------------------------------------------------------


def test_the_newest_stay_and_the_rest_goes_with_its_cost(shelved, lock):
    asked = prunable(shelved.app, (), None, None)
    assert keys(asked.found.goes) == [("1", EAST), ("2", EAST)]
    assert asked.saves == 2 * MONTHLY
    assert {kept.why for kept in asked.found.stays} == {"one of the 3 newest"}
    shelved.clock.tick(hours=1)
    now = shelved.clock()
    assert keys(prune(shelved.app, asked, lock.update)) == [("1", EAST), ("2", EAST)]
    assert len(shelved.aws.kept.images) == 4
    assert set(lock.built) == {f"{NAME}@{n}" for n in (3, 4, 5)}
    ended = {run.extra[MARK]: run.end for run in image_runs(shelved) if run.end is not None}
    assert ended == {f"{NAME}@1": now, f"{NAME}@2": now}
    assert all(end.evidence.certain for end in shelved.events(Ended))


def test_what_is_promoted_runs_or_is_named_never_goes(shelved, lock):
    kept = shelved.aws.kept
    kept.channels[EAST, NAME, "stable"] = ident(1)
    shelved.machine(image=f"{NAME}@2")
    templates = shelved.app.settings.templates
    named = {
        **templates,
        "pinned": changed(templates["v100"], name="pinned", image=f"{NAME}@3"),
        "by-id": changed(templates["v100"], name="by-id", image=ident(4)),
    }
    shelved.app = shelved.app._replace(settings=changed(shelved.app.settings, templates=named))
    asked = prunable(shelved.app, (), 1, NAME)
    assert asked.found.goes == ()
    assert [kept.why for kept in asked.found.stays] == [
        "promoted to stable",
        "used by vision-1",
        "used by template pinned",
        "used by template by-id",
        *["one of the 1 newest"] * 2,
    ]


def test_what_the_lock_pins_for_a_template_never_goes(shelved):
    templates = shelved.app.settings.templates
    named = {**templates, "v100": changed(templates["v100"], image=f"{NAME}@next")}
    shelved.app = shelved.app._replace(
        settings=changed(shelved.app.settings, templates=named),
        pinned=lambda text, provider, region: (f"{NAME}@2", ident(2)) if "next" in text else None,
    )
    asked = prunable(shelved.app, (), 1, None)
    assert keys(asked.found.goes) == [("1", EAST), ("3", EAST), ("4", EAST)]


def test_what_another_installation_made_or_is_still_written_never_goes(desk):
    kept = desk.aws.kept
    kept.images += [stored(str(n), made_at=AT, ours=n != 1) for n in range(1, 5)]
    kept.images[1] = changed(kept.images[1], ready=False)
    asked = prunable(desk.app, (), 1, None)
    assert keys(asked.found.goes) == [("3", EAST)]
    whys = [kept.why for kept in asked.found.stays]
    assert whys == ["made by another installation", "still being written", "one of the 1 newest"]


def test_what_was_promoted_in_between_stays(shelved, lock):
    asked = prunable(shelved.app, (), None, None)
    shelved.aws.kept.channels[EAST, NAME, "stable"] = ident(1)
    assert keys(prune(shelved.app, asked, lock.update)) == [("2", EAST)]
    assert any("was promoted in the meantime" in note for note in shelved.said.notes)


def test_nothing_goes_while_a_cloud_does_not_answer(shelved):
    with pytest.raises(NotFound):
        prunable(shelved.app, (), None, "nobodys")
    shelved.gcp.broken_region = "us-central1"
    with pytest.raises(GpuctlError, match="could not be listed"):
        prunable(shelved.app, (), None, None)
    with pytest.raises(GpuctlError, match="could not be listed"):
        copies(shelved.app, NAME, [WEST])


# --- what they cost -------------------------------------------------------------------------


def test_images_are_runs_from_when_they_exist_and_are_billed(shelved):
    look(shelved.app)
    look(shelved.app)
    runs = image_runs(shelved)
    assert len(runs) == 6
    assert {(r.kind, r.quantity, r.start, r.end) for r in runs} == {
        (Kind.SNAPSHOT, Decimal(40), AT, None)
    }
    assert {(r.session, r.machine, r.project) for r in runs} == {(None, None, None)}
    shelved.sync()
    shelved.clock.tick(hours=24)
    shelved.sync()
    now = shelved.clock()
    found = bill(shelved.app.ledger.events(), fixed(Span(AT, now)), now)
    costs = [charge.cost for charge in found.charges if charge.kind == "snapshot"]
    assert None not in costs
    assert costs
    assert monthly_cost(shelved.app, look(shelved.app).images) == 6 * MONTHLY


def test_an_image_of_a_project_is_the_projects(desk):
    desk.aws.kept.images.append(stored("1", made_at=AT, project="acme/vision"))
    look(desk.app)
    [run] = image_runs(desk)
    assert run.project == "acme/vision"


def test_a_missing_price_is_no_price(desk):
    desk.aws.kept.images.append(stored("1", made_at=AT))
    desk.aws.free_of_price.add("standard")
    assert monthly_cost(desk.app, look(desk.app).images) is None


def test_what_is_removed_in_the_console_ends_when_it_was_last_seen(shelved):
    look(shelved.app)
    for _ in range(3):
        shelved.clock.tick(days=1)
        shelved.sync()
    seen = shelved.clock()
    shelved.aws.kept.images = [i for i in shelved.aws.kept.images if i.version != "1"]
    shelved.clock.tick(hours=5)
    shelved.sync()
    assert shelved.aws.calls.count("images") == 4
    shelved.clock.tick(days=2)
    shelved.sync()
    assert [run.end for run in image_runs(shelved) if run.end] == []
    shelved.clock.tick(minutes=2)
    shelved.sync()
    [gone] = [run for run in image_runs(shelved) if run.end is not None]
    assert (gone.extra[MARK], gone.end, gone.evidence) == (f"{NAME}@1", seen, Evidence.DEADLINE)
    shelved.clock.tick(minutes=2)
    shelved.sync()
    assert len(shelved.events(Ended)) == 1


def test_what_is_shown_again_goes_on_from_where_it_was_ended(shelved):
    look(shelved.app)
    seen = shelved.clock()
    all_, shelved.aws.kept.images = shelved.aws.kept.images, []
    for _ in range(2):
        shelved.clock.tick(minutes=2)
        look(shelved.app)
    ended = [run for run in image_runs(shelved) if run.end is not None]
    assert len(ended) == 6
    shelved.aws.kept.images = all_
    look(shelved.app)
    again = [run for run in image_runs(shelved) if run.end is None]
    assert {run.start for run in again} == {run.end for run in ended} == {seen}
    shelved.aws.kept.images = all_[1:]
    shelved.clock.tick(minutes=2)
    look(shelved.app)
    assert len([run for run in image_runs(shelved) if run.end is None]) == 6


def test_an_image_that_grew_is_another_run_from_then_on(desk):
    kept = desk.aws.kept
    kept.images.append(stored("1", made_at=AT))
    look(desk.app)
    kept.images[0] = stored("1", made_at=AT, gb="50")
    desk.clock.tick(hours=1)
    look(desk.app)
    sizes = [(run.quantity, run.end, run.start) for run in image_runs(desk)]
    now = desk.clock()
    assert sizes == [(Decimal(40), now, AT), (Decimal(50), None, now)]


def test_images_that_cannot_be_listed_stop_no_command(shelved):
    look(shelved.app)
    shelved.clock.tick(days=2)
    provider = shelved.app.clouds.connect(asked_ref(shelved))

    def refused():
        raise InvalidRequest("no permission to list images")

    provider.images = refused
    sync(shelved.app)
    assert "images could not be listed: no permission to list images" in shelved.said.notes
    assert [usage for usage in shelved.events(Usage) if usage.end] == []


def test_what_was_gone_at_once_and_came_back_is_a_run_from_then_on(desk):
    desk.aws.kept.images.append(stored("1", made_at=desk.clock()))
    look(desk.app)
    image = desk.aws.kept.images.pop()
    for _ in range(2):
        desk.clock.tick(minutes=2)
        look(desk.app)
    desk.aws.kept.images.append(image)
    look(desk.app)
    first, again = image_runs(desk)
    assert (first.start, first.end) == (image.made_at, image.made_at)
    assert (again.start, again.end) == (desk.clock(), None)


def test_what_was_built_is_in_the_ledger_from_the_next_command_on(desk):
    machine = desk.machine()
    order = ImageOrder(
        token="5e" * 16,
        lease=machine.lease,
        install="1f" * 16,
        machine=machine.id,
        name=NAME,
        version="9",
        recipe_sha256="9f" * 32,
        project="acme/vision",
    )
    intent = Intent("i-9", machine.lease, "image", desk.clock(), order=write_image_order(order))
    desk.app.clouds.connect(asked_ref(desk)).make_image(order)
    desk.app.ledger.append([intent])
    desk.clock.tick(minutes=5)
    desk.sync()
    assert image_runs(desk) == []
    desk.app.ledger.append([Outcome("o-9", "i-9", desk.clock(), "done")])
    desk.sync()
    [run] = image_runs(desk)
    assert (run.extra[MARK], run.project) == (f"{NAME}@9", "acme/vision")
    before = desk.aws.calls.count("images")
    desk.sync()
    assert desk.aws.calls.count("images") == before


def test_nothing_is_pruned_while_machines_cannot_be_listed(shelved):
    provider = shelved.app.clouds.connect(asked_ref(shelved))

    def silent():
        raise GpuctlError("the listing of machines broke")

    provider.machines = silent
    with pytest.raises(GpuctlError, match="so a machine there may use any image"):
        prunable(shelved.app, (), None, None)


def test_a_copy_that_is_not_shown_at_once_is_waited_for(shelved, lock):
    asked = copies(shelved.app, f"{NAME}@4", [WEST])
    provider = shelved.app.clouds.connect(asked_ref(shelved))
    plain, lookup, asks = provider.copy_image, provider.image, []
    provider.copy_image = lambda image, region: changed(plain(image, region), ready=False)

    def shown_later(region, text):
        asks.append(text)
        if len(asks) < 3:
            raise NotFound("not shown yet")
        return lookup(region, text)

    provider.image = shown_later
    assert keys(copy(shelved.app, asked, lock.update)) == [("4", WEST)]
    assert len(asks) == 3


def test_two_names_of_one_account_are_one_account(shelved):
    provider = shelved.app.clouds.connect(asked_ref(shelved))
    shelved.app.clouds.providers[CloudRef("aws", "acme")] = provider
    look(shelved.app)
    assert len(image_runs(shelved)) == 6
    assert {run.payer for run in image_runs(shelved)} == {None}


def test_an_account_that_does_not_answer_says_nothing_about_its_images(shelved):
    look(shelved.app)
    shelved.aws.broken_region = WEST
    for _ in range(3):
        shelved.clock.tick(minutes=5)
        assert len(look(shelved.app).silent) == 1
    assert [run for run in image_runs(shelved) if run.end] == []
    assert shelved.books.missed == {}


def test_a_field_of_that_name_in_somebodys_own_record_is_no_image(desk):
    own = Usage(
        "u1", "aws", "111122223333", "us-east-1", None, "i-own", Kind.COMPUTE, "g5.xlarge",
        Market.ON_DEMAND, Decimal(1), AT, None, None, None, extra={MARK: "theirs@1"},
    )  # fmt: skip
    desk.app.ledger.append([own, own._replace(id="u2", kind=Kind.SNAPSHOT, extra={MARK: 7})])
    for _ in range(3):
        desk.clock.tick(minutes=5)
        look(desk.app)
        desk.sync()
    assert [usage for usage in desk.books.usages if usage.end] == []
