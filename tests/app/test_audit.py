"""`audit`, `doctor`, `offers`: looking everywhere, and saying who could not be looked at."""

from decimal import Decimal
from fractions import Fraction

import pytest

from gpuctl.app.audit import Finding, audit, fix
from gpuctl.app.doctor import doctor
from gpuctl.app.market import offers
from gpuctl.config.model import Defaults, ProjectPolicy
from gpuctl.config.template import Template
from gpuctl.core.errors import Denied, GpuctlError
from gpuctl.core.events import Usage
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.model import Accelerator, DiskSpec
from tests.app.conftest import ACME, Desk, MakeDesk, settings_with
from tests.app.ledgers import Failing
from tests.changed import changed
from tests.fake_cloud import Thing


def findings(desk: Desk) -> dict[str, Finding]:
    return {finding.resource: finding for finding in audit(desk.app).findings}


def test_a_machine_within_its_lease_is_in_use(desk: Desk) -> None:
    desk.up()
    desk.up(template="t4", name="box")
    desk.down("box")
    assert findings(desk) == {}


def test_a_machine_past_its_deadline_is_found_with_its_price(desk: Desk) -> None:
    desk.up()
    desk.clock.tick(hours=9)
    (found,) = audit(desk.app).findings
    assert (found.resource, found.kind, found.ours) == ("i-000001", "machine", True)
    assert found.reason.startswith("past its deadline 2026-03-02T17:00:00Z")
    assert found.fix == "gpuctl down i-000001"
    disk = Fraction("0.08") * 100 / (31 * 24)
    assert found.monthly == (Fraction("0.918") + Fraction("0.005") + disk) * 730


def lent(desk: Desk, install: str) -> None:
    """A machine of a lease that this ledger does not know."""
    order = desk.aws.vms[0].order
    strange = changed(order, lease="77" * 16, token="88" * 16, install=install, name="strange")
    desk.aws.begin(strange, "i-000009")


@pytest.mark.parametrize(("install", "ours"), [("1f" * 16, True), ("2e" * 16, False)])
def test_a_machine_without_a_lease_here_is_found(desk: Desk, install: str, ours: bool) -> None:
    desk.up()
    lent(desk, install)
    (found,) = audit(desk.app).findings
    assert (found.resource, found.ours) == ("i-000009", ours)
    assert "without a lease" in found.reason


def test_a_missing_price_is_no_price(desk: Desk) -> None:
    desk.aws.free_of_price = {"in-use"}
    desk.up()
    desk.clock.tick(hours=9)
    assert [found.monthly for found in audit(desk.app).findings] == [None]


def test_leftovers_are_found_dearest_first(desk: Desk) -> None:
    desk.aws.things = [
        Thing("vol-small", ours=True, created=desk.clock(), gb=10),
        Thing("vol-big", ours=False, created=desk.clock(), gb=500),
    ]
    found = audit(desk.app).findings
    assert [item.resource for item in found] == ["vol-big", "vol-small"]
    # March has 744 hours in UTC; a month of 730 costs that part of it.
    assert found[0].monthly == Fraction("0.08") * 500 * 730 / 744
    assert (found[1].ours, found[1].fix) == (True, "gpuctl audit --fix (vol-small)")


def test_fix_ends_what_is_ours_and_nothing_else(desk: Desk) -> None:
    desk.aws.things = [
        Thing("vol-ours", ours=True, created=desk.clock()),
        Thing("vol-theirs", ours=False, created=desk.clock()),
    ]
    desk.up()
    lent(desk, "2e" * 16)
    desk.clock.tick(hours=9)
    ended = fix(desk.app, audit(desk.app).findings)
    assert {finding.resource for finding in ended} == {"vol-ours", "i-000001"}
    assert [thing.resource for thing in desk.aws.things] == ["vol-theirs"]
    assert [vm.native for vm in desk.aws.running()] == ["i-000009"]


def test_a_leftover_of_ours_is_billed_until_it_is_removed(desk: Desk) -> None:
    made = desk.clock()
    desk.aws.things = [Thing("vol-ours", ours=True, created=made, project=ACME, machine="i-0")]
    for _ in range(3):
        desk.clock.tick(hours=1)
        audit(desk.app)
    (usage,) = desk.books.open
    assert (usage.resource, usage.start, usage.project) == ("vol-ours", made, ACME)
    desk.clock.tick(hours=1)
    fix(desk.app, audit(desk.app).findings)
    assert desk.books.open == ()
    assert desk.books.usages[0].end == desk.clock()


def test_what_is_not_ours_is_on_nobodys_bill(desk: Desk) -> None:
    desk.aws.things = [Thing("vol-theirs", ours=False, created=desk.clock())]
    audit(desk.app)
    assert desk.events(Usage) == []


def test_where_nobody_could_look_is_said(desk: Desk) -> None:
    desk.gcp.broken_region = "us-central1"
    (silent,) = audit(desk.app).silent
    assert (silent.provider, silent.region) == ("gcp", "us-central1")


def test_doctor_checks_this_computer_and_every_account(desk: Desk) -> None:
    desk.gcp.denied = True
    sections = {section.name: section.checks for section in doctor(desk.app)}
    assert list(sections) == ["here", "aws", "gcp"]
    assert [(check.name, check.ok) for check in sections["here"]] == [
        ("ledger", True),
        ("projects", True),
        ("ssh", True),
    ]
    assert [check.ok for check in (*sections["aws"], *sections["gcp"])] == [True, False]
    assert sections["aws"][0].says == "asked for p3.2xlarge g5.xlarge"


def test_doctor_asks_for_the_templates_in_use(make_desk: MakeDesk) -> None:
    policy = ProjectPolicy(name=ACME, template="dear")
    desk = make_desk(defaults=Defaults(template="t4"), projects={ACME: policy})
    says = {section.name: section.checks[-1].says for section in doctor(desk.app)}
    assert (says["aws"], says["gcp"]) == ("asked for p3.2xlarge", "asked for n1-standard-8")


def test_doctor_without_a_template_for_a_cloud(make_desk: MakeDesk) -> None:
    templates = {"t4": settings_with().templates["t4"]}
    sections = {s.name: s.checks for s in doctor(make_desk(templates=templates).app)}
    assert sections["aws"][0].says == "asked for nothing"


def test_doctor_raises_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(projects={}, clients={})
    failing = Failing(desk.app.ledger)
    failing.unreadable = True
    desk = failing.under(desk)
    desk.reach.key_error = GpuctlError("ssh-keygen is missing", hint="install OpenSSH")
    desk.app.clouds.providers.clear()
    here, accounts = doctor(desk.app)
    assert [check.says for check in accounts.checks] == ["no cloud account is in use"]
    assert [(check.name, check.ok, check.fix) for check in here.checks] == [
        ("ledger", False, "gpuctl ledger verify"),
        ("projects", None, "gpuctl project add CLIENT/PROJECT"),
        ("ssh", False, "install OpenSSH"),
    ]


def test_doctor_tells_when_an_account_cannot_be_connected(desk: Desk) -> None:
    desk.app.clouds.connect = refuse
    sections = doctor(desk.app)
    assert [check.ok for section in sections[1:] for check in section.checks] == [False, False]


def test_doctor_tells_when_the_accounts_cannot_be_known(desk: Desk) -> None:
    desk.app.clouds.accounts = refuse
    assert [(section.name, section.checks[0].says) for section in doctor(desk.app)][1:] == [
        ("accounts", "no credentials")
    ]


def refuse(*_: object) -> None:
    raise Denied("no credentials", hint="log in")


def templates(desk: Desk, *names: str) -> list[Template]:
    return [desk.app.settings.template(name) for name in names]


def test_offers_are_the_cheapest_first_and_why_not_last(desk: Desk) -> None:
    desk.aws.not_sold["p3.2xlarge"] = "retired"
    found = offers(desk.app, templates(desk, "v100", "t4"), []).offers
    assert [(offer.type, offer.hourly) for offer in found[:3]] == [
        ("g5.xlarge", Decimal("0.38")),
        ("g5.xlarge", Decimal("0.40")),
        ("n1-standard-8", Decimal("0.59")),
    ]
    assert [(offer.type, offer.available, offer.reason) for offer in found[4:]] == [
        ("p3.2xlarge", False, "retired")
    ]


def test_offers_of_one_market(desk: Desk) -> None:
    found = offers(desk.app, templates(desk, "v100"), [Market.ON_DEMAND]).offers
    assert {offer.market for offer in found} == {Market.ON_DEMAND}


def test_templates_that_differ_in_types_are_one_question(desk: Desk) -> None:
    first = desk.app.settings.template("v100")
    other = changed(first, name="g", type="g5.xlarge", fallbacks=(), max_price=Decimal("0.01"))
    found = offers(desk.app, [first, other], []).offers
    assert desk.aws.calls == ["offers"]
    assert len(found) == 5


def test_templates_with_other_gpus_are_questions_of_their_own(desk: Desk) -> None:
    first = desk.app.settings.template("t4")
    disk = DiskSpec(gb=1, type="pd-balanced")
    other = changed(first, name="p4", gpu=Accelerator(type="nvidia-tesla-p4"), disk=disk)
    offers(desk.app, [first, other], [])
    assert desk.gcp.calls == ["offers", "offers"]


def test_a_cloud_that_offers_nothing_now_is_named(desk: Desk) -> None:
    desk.gcp.denied = True
    found = offers(desk.app, templates(desk, "v100", "t4"), [])
    assert [silent.provider for silent in found.silent] == ["gcp"]
    assert found.offers
    assert all(offer.provider == "aws" for offer in found.offers)


def test_only_what_is_billed_by_the_month_is_a_leftovers_price(desk: Desk) -> None:
    desk.aws.things = [Thing("vol-x", ours=True, created=desk.clock())]
    desk.aws.free_of_price = {"gp3"}
    (found,) = audit(desk.app).findings
    assert (found.kind, found.monthly) == (Kind.DISK, None)
