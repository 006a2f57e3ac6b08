"""A lost ledger, made again from the clouds: leases, runs, and the id that makes them ours."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gpuctl.app import App
from gpuctl.app.audit import audit
from gpuctl.app.draft import DraftLedger
from gpuctl.app.gather import Silence
from gpuctl.app.rebuild import UNKNOWN, Found, Rebuilt, choose, installations, rebuild
from gpuctl.app.sync import sync
from gpuctl.core.errors import LedgerError, ListingIncomplete, UsageProblem
from gpuctl.core.events import Leased, Usage
from gpuctl.core.kinds import State
from gpuctl.core.model import Machine
from gpuctl.core.span import Month, Span
from gpuctl.ledger.store import SqliteLedger
from tests.app.conftest import BOREALIS, Desk

OLD, NEW, OTHER = "1f" * 16, "2e" * 16, "3d" * 16


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(tmp_path / "fresh.db", install=NEW)
    yield ledger
    ledger.close()


def on(desk: Desk, ledger: SqliteLedger) -> App:
    return desk.app._replace(ledger=ledger)


def restored(desk: Desk, ledger: SqliteLedger) -> Rebuilt:
    """As the command does it."""
    app = on(desk, ledger)
    chosen = choose(ledger, installations(app), None)
    made = rebuild(app._replace(ledger=DraftLedger(ledger, install=chosen)))
    ledger.take_over(chosen)
    ledger.append(made.added)
    return made


def told_by(desk: Desk, **changes: object) -> None:
    """What the cloud tells of its machines, changed."""
    provider = next(iter(desk.app.clouds.providers.values()))  # type: ignore[attr-defined]
    shown = provider.machines
    provider.machines = lambda: [replace(machine, **changes) for machine in shown()]


def runs(desk: Desk, ledger: SqliteLedger) -> set[tuple[object, ...]]:
    app = on(desk, ledger)
    return {
        (u.id, u.start, u.end, u.project, u.session)
        for u in app.ledger.events()
        if isinstance(u, Usage)
    }


def test_what_runs_comes_back_as_it_was(desk: Desk, fresh: SqliteLedger) -> None:
    desk.up()
    desk.up(BOREALIS, "t4")
    desk.clock.tick(hours=2)

    made = restored(desk, fresh)

    assert fresh.install == OLD
    assert runs(desk, fresh) == runs(desk, desk.app.ledger)
    mine = {lease.id: lease for lease in desk.events(Leased)}
    for lease, _ in made.leases:
        before = mine[lease.id]
        assert (lease.name, lease.project, lease.account) == (
            before.name,
            before.project,
            before.account,
        )
        assert (lease.deadline, lease.ceiling) == (before.deadline, before.ceiling)
    assert len(made.leases) == 2


def test_again_adds_nothing(desk: Desk, fresh: SqliteLedger) -> None:
    desk.up()
    restored(desk, fresh)
    head = fresh.head
    desk.clock.tick(minutes=3)

    made = restored(desk, fresh)

    assert fresh.head == head
    assert (made.leases, made.added) == ((), ())


def test_what_was_adopted_by_another_command_gets_its_lease(
    desk: Desk, fresh: SqliteLedger
) -> None:
    desk.up()
    sync(on(desk, fresh))
    before = runs(desk, fresh)

    made = restored(desk, fresh)

    assert runs(desk, fresh) == before
    assert len(made.leases) == 1
    assert "by hand" not in " ".join(made.lost)


def test_audit_knows_them_again(desk: Desk, fresh: SqliteLedger) -> None:
    desk.up()
    lost = audit(on(desk, fresh)).findings
    assert [(finding.ours, finding.reason) for finding in lost if finding.machine] == [
        (False, "running without a lease in this ledger")
    ]

    restored(desk, fresh)

    assert not [finding for finding in audit(on(desk, fresh)).findings if finding.machine]


def test_a_machine_past_its_deadline_is_ours_to_end(desk: Desk, fresh: SqliteLedger) -> None:
    desk.up()
    desk.clock.tick(hours=30)
    restored(desk, fresh)

    finding = next(f for f in audit(on(desk, fresh)).findings if f.machine)

    assert finding.ours
    assert "past its deadline" in finding.reason


def test_what_tags_do_not_tell_is_said(desk: Desk, fresh: SqliteLedger) -> None:
    desk.up()
    told_by(desk, template=None, deadline=None)

    made = restored(desk, fresh)

    lease, machine = made.leases[0]
    assert machine.launched_at is not None
    assert lease.template == UNKNOWN
    assert lease.deadline - machine.launched_at == timedelta(hours=1)
    said = " ".join(made.lost)
    assert "the template of vision-1" in said
    assert "an hour after its start" in said


def test_a_template_in_the_tags_is_kept(desk: Desk, fresh: SqliteLedger) -> None:
    desk.up()
    told_by(desk, template="v100")

    assert [lease.template for lease, _ in restored(desk, fresh).leases] == ["v100"]


@pytest.mark.parametrize("change", [{"lease": None}, {"project": None}])
def test_a_machine_whose_tags_were_changed_is_named(
    desk: Desk, fresh: SqliteLedger, change: dict[str, object]
) -> None:
    desk.up()
    told_by(desk, **change)

    made = restored(desk, fresh)

    assert made.leases == ()
    assert "the lease of vision-1" in " ".join(made.lost)


def test_another_installations_machine_gets_no_lease_here(desk: Desk, fresh: SqliteLedger) -> None:
    desk.up()
    app = on(desk, fresh)

    made = rebuild(app._replace(ledger=DraftLedger(fresh, install=NEW)))

    assert made.leases == ()


def test_missing_prices_are_said(desk: Desk, fresh: SqliteLedger) -> None:
    desk.up()
    desk.clock.tick(days=100)
    provider = next(iter(desk.app.clouds.providers.values()))  # type: ignore[attr-defined]
    provider.prices = lambda thing, span: ()

    said = " ".join(restored(desk, fresh).lost)

    assert "no price for compute p3.2xlarge" in said
    assert "older than 90 days" in said


def test_where_nothing_is_there_is_nothing_to_say_of_prices(
    desk: Desk, fresh: SqliteLedger
) -> None:
    made = restored(desk, fresh)
    assert (made.leases, made.added, fresh.install) == ((), (), NEW)


def a_machine(desk: Desk, name: str) -> Machine:
    return replace(desk.machine(name=name), state=State.RUNNING)


class Own:
    """A ledger of which only the id and the events are asked for."""

    install = NEW

    def __init__(self, *events: object) -> None:
        self.events = lambda: list(events)


def found(desk: Desk, *ids: str, silent: bool = False) -> Found:
    machines = {id_: [a_machine(desk, f"m{n}")] for n, id_ in enumerate(ids)}
    silence = (Silence(provider="gcp", region=None, reason="no answer"),) if silent else ()
    return Found(machines=machines, silent=silence)


def test_the_one_id_that_machines_carry_is_taken(desk: Desk) -> None:
    assert choose(Own(), found(desk, OLD), None) == OLD
    assert choose(Own(), found(desk), None) == NEW
    assert choose(Own(), found(desk, NEW), None) == NEW
    assert choose(Own(), found(desk, OLD), OLD) == OLD
    assert choose(Own(), found(desk), OLD) == OLD


def test_of_several_ids_one_must_be_named(desk: Desk) -> None:
    several = found(desk, OLD, OTHER)
    with pytest.raises(UsageProblem, match=f"(?s){OLD}  m0.*{OTHER}  m1"):
        choose(Own(), several, None)
    assert choose(Own(), several, OTHER) == OTHER


def test_a_wrong_id_is_refused(desk: Desk) -> None:
    with pytest.raises(UsageProblem, match="no installation's id"):
        choose(Own(), found(desk, OLD), "1f1f")
    with pytest.raises(UsageProblem, match="no machine is of installation"):
        choose(Own(), found(desk, OLD), OTHER)


def test_an_account_that_is_silent_may_hold_another(desk: Desk) -> None:
    with pytest.raises(ListingIncomplete):
        choose(Own(), found(desk, OLD, silent=True), None)
    assert choose(Own(), found(desk, OLD, silent=True), OLD) == OLD


def test_a_ledger_that_has_made_machines_keeps_its_id(desk: Desk, tmp_path: Path) -> None:
    desk.up()
    assert choose(desk.app.ledger, found(desk, OTHER), None) == OLD
    with pytest.raises(UsageProblem, match="nobody's"):
        choose(desk.app.ledger, found(desk, OTHER), OTHER)
    assert choose(Own(), found(desk, NEW, OLD), None) == NEW


def test_a_draft_is_not_the_ledger(desk: Desk, fresh: SqliteLedger) -> None:
    draft = DraftLedger(fresh, install=OLD)
    desk.up()
    lease, *_ = desk.events(Leased)

    assert draft.append([lease, lease]) == 1
    assert draft.append([lease]) == 0
    with pytest.raises(LedgerError, match="other content"):
        draft.append([lease._replace(name="else")])

    span = Span(desk.clock(), desk.clock())
    assert draft.events_about(span) == [lease] == draft.added
    assert draft.touched(Month(2025, 3), "x")
    assert (draft.location, draft.head, draft.install) == (fresh.location, fresh.head, OLD)
    assert fresh.events() == []
