"""`spend` and `report` from the ledger of real commands: every cent has one place."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from gpuctl.app.money import Facts, Statement, between, of_month, spend, statement, this_month
from gpuctl.config.model import ClientPolicy, ProjectPolicy, Retainer
from gpuctl.core.events import Adjust
from gpuctl.core.span import Month, Span
from tests.app.conftest import ACME, BOREALIS, MACHINE_HOUR, Desk, MakeDesk


def worked(desk: Desk) -> Desk:
    """Ten hours for acme, five for borealis."""
    start = desk.clock()
    desk.up(detach=True)
    desk.clock.now = start + timedelta(hours=5)
    desk.up(BOREALIS, detach=True)
    desk.clock.now = start + timedelta(hours=10)
    desk.sync()
    return desk


def report(desk: Desk, **wanted: str) -> Statement:
    now = desk.clock()
    events = desk.app.ledger.events()
    return statement(Facts(events), this_month(now), now, desk.app.settings, **wanted)


def test_spend_is_exact_and_by_project_or_client(desk: Desk) -> None:
    worked(desk)
    events, now = desk.app.ledger.events(), desk.clock()
    everything = spend(events, this_month(now), now)
    assert everything.total == 15 * MACHINE_HOUR
    assert spend(events, this_month(now), now, project=ACME).total == 10 * MACHINE_HOUR
    assert spend(events, this_month(now), now, client="borealis").total == 5 * MACHINE_HOUR
    assert spend(events, this_month(now), now, client="borealis", project=ACME).charges == ()


def test_windows_that_touch_add_up(desk: Desk) -> None:
    start = desk.clock()
    worked(desk)
    events, now = desk.app.ledger.events(), desk.clock()
    cut = start + timedelta(hours=7, seconds=13)
    parts = [spend(events, between(*part), now).total for part in ((start, cut), (cut, now))]
    assert sum(parts) == 15 * MACHINE_HOUR


def test_a_month_is_each_clouds_own() -> None:
    month = of_month(Month(2026, 3))
    assert month.shown == Span(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert month.window("gcp").start == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert month.window("gcp").end == datetime(2026, 4, 1, 7, tzinfo=UTC)
    assert month.month == Month(2026, 3)


def test_this_month_is_up_to_now() -> None:
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert this_month(now).shown == Span(datetime(2026, 3, 1, tzinfo=UTC), now)


def test_a_report_adds_up_to_the_cent(desk: Desk) -> None:
    found = report(worked(desk))
    acme, borealis = found.accounts
    assert (acme.project, acme.cost, acme.billable) == (ACME, Decimal("9.34"), Decimal("9.34"))
    assert borealis.cost == Decimal("4.67")
    assert found.report.total == acme.cost + borealis.cost
    assert found.report.total == Decimal("14.01")
    assert sum((line.cost for line in acme.lines), Decimal(0)) == acme.cost
    assert acme.hours == 10
    assert found.problems == ()


def clients(**acme: object) -> dict[str, object]:
    return {
        "clients": {
            "acme": ClientPolicy(name="acme", **acme),  # type: ignore[arg-type]
            "borealis": ClientPolicy(name="borealis"),
        }
    }


def test_a_markup_comes_on_top(make_desk: MakeDesk) -> None:
    acme = report(worked(make_desk(**clients(markup=Decimal("0.15"))))).accounts[0]
    assert (acme.markup, acme.billable) == (Decimal("1.40"), Decimal("10.74"))
    assert acme.absorbed == 0


def test_a_projects_own_markup_beats_its_clients(make_desk: MakeDesk) -> None:
    projects = {ACME: ProjectPolicy(name=ACME, markup=Decimal(0))}
    desk = make_desk(**clients(markup=Decimal("0.15")), projects=projects)
    assert report(worked(desk)).accounts[0].markup == 0


def test_nothing_above_the_cap_is_billed(make_desk: MakeDesk) -> None:
    found = report(worked(make_desk(**clients(cap_month=Decimal(6)))))
    acme = found.accounts[0]
    assert (acme.billable, acme.absorbed, acme.cost) == (
        Decimal(6),
        Decimal("3.34"),
        Decimal("9.34"),
    )
    assert found.report.absorbed == Decimal("3.34")


def test_a_retainer_includes_so_much(make_desk: MakeDesk) -> None:
    retainer = Retainer(month=Decimal(500), included=Decimal(4))
    desk = make_desk(**clients(retainer=retainer, markup=Decimal("0.10")))
    acme = report(worked(desk)).accounts[0]
    assert (acme.absorbed, acme.recharged, acme.markup) == (
        Decimal(4),
        Decimal("5.34"),
        Decimal("0.53"),
    )


def test_an_absorbed_client_pays_nothing(make_desk: MakeDesk) -> None:
    acme = report(worked(make_desk(**clients(absorbed=True)))).accounts[0]
    assert (acme.cost, acme.billable, acme.absorbed) == (Decimal("9.34"), 0, Decimal("9.34"))


def test_a_clients_own_account_is_shown_apart(make_desk: MakeDesk) -> None:
    found = report(worked(make_desk(own=True)))
    acme, borealis = found.accounts
    assert (acme.cost, acme.billable, acme.own_account) == (0, 0, Decimal("9.34"))
    assert acme.lines == ()
    assert found.report.total == borealis.cost == Decimal("4.67")


@pytest.mark.parametrize(
    ("wanted", "names"),
    [({"project": ACME}, [ACME]), ({"client": "borealis"}, [BOREALIS]), ({"client": "ghost"}, [])],
)
def test_a_filter_changes_no_cent(desk: Desk, wanted: dict[str, str], names: list[str]) -> None:
    whole = report(worked(desk))
    part = report(desk, **wanted)
    assert [account.project for account in part.accounts] == names
    assert all(account in whole.accounts for account in part.accounts)
    assert part.report == whole.report


def test_a_project_that_nobody_configured_is_billed_at_cost(make_desk: MakeDesk) -> None:
    desk = make_desk(projects={}, clients={})
    desk.up("ghost/ship", detach=True)
    desk.clock.tick(hours=1)
    desk.sync()
    (ghost,) = report(desk).accounts
    assert (ghost.project, ghost.markup) == ("ghost/ship", 0)
    assert ghost.billable == ghost.cost == Decimal("0.93")


def test_a_credit_is_passed_on_and_a_debt_of_nobody_is_unattributed(desk: Desk) -> None:
    now = desk.clock()
    desk.app.ledger.append(
        [
            Adjust(id="a/1", project=ACME, at=now, usd=Decimal("-1.20"), note="credit"),
            Adjust(id="a/2", project=None, at=now, usd=Decimal("0.30"), note="who?"),
        ]
    )
    desk.clock.tick(seconds=1)
    found = report(desk)
    assert found.accounts[0].billable == Decimal("-1.20")
    assert found.report.unattributed == Decimal("0.30")
    assert found.report.total == Decimal("-0.90")


def test_a_missing_price_is_a_problem_of_the_report(desk: Desk) -> None:
    desk.aws.free_of_price = {"gp3"}
    found = report(worked(desk))
    assert found.problems[0].startswith("no price for disk gp3")
    assert found.accounts[0].cost == Decimal("9.23")
    assert Fraction(found.report.total) == Fraction("13.85")
