"""Machines as people ask for them, with their money beside them."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given, settings

from gpuctl.app.fleet import _about, began, cached, owner, pick, show
from gpuctl.core.bill import bill, fixed
from gpuctl.core.errors import NotFound, UsageProblem
from gpuctl.core.events import Usage
from gpuctl.core.kinds import Market, State
from gpuctl.core.model import Machine, MachineId
from tests.app.conftest import ACME, MACHINE_HOUR, Desk
from tests.changed import changed
from tests.core.histories import History, histories


def machine(
    name: str, native: str, state: State = State.RUNNING, launched: datetime | None = None
) -> Machine:
    return Machine(
        id=MachineId("aws", "1", "us-east-1", "us-east-1a", native),
        name=name,
        type="g5.xlarge",
        gpu="A10G",
        gpus=1,
        market=Market.SPOT,
        state=state,
        launched_at=launched,
    )


VISION, NLP = machine("vision-1", "i-1"), machine("nlp-1", "i-2")
GONE = machine("vision-1", "i-0", State.GONE, datetime(2026, 1, 1, tzinfo=UTC))
OLDER = machine("vision-1", "i-00", State.GONE, datetime(2025, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("name", ["vision-1", "vis", "i-1", "aws:us-east-1a:i-1"])
def test_by_name_prefix_or_id(name: str) -> None:
    assert pick([VISION, NLP], name) is VISION


def test_without_a_name_the_only_one_that_is_not_gone() -> None:
    assert pick([GONE, NLP], None) is NLP
    with pytest.raises(NotFound, match="no machine"):
        pick([GONE], None)
    with pytest.raises(UsageProblem, match="nlp-1, vision-1"):
        pick([VISION, NLP], None)


def test_a_name_that_is_used_again_means_the_living_one() -> None:
    assert pick([OLDER, VISION, GONE], "vision-1") is VISION
    assert pick([OLDER, GONE], "vision-1") is GONE


def test_a_typo_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match='no machine "visoin-1"') as caught:
        pick([VISION, NLP], "visoin-1")
    assert caught.value.hint == "did you mean vision-1?"
    with pytest.raises(NotFound, match="none") as caught:
        pick([], "zzz")
    assert caught.value.hint == "gpuctl ps"


def test_a_prefix_of_several_is_not_guessed() -> None:
    with pytest.raises(UsageProblem, match=r"vision-1 \(i-1\), vision-2 \(i-3\)") as caught:
        pick([VISION, machine("vision-2", "i-3")], "vis")
    assert caught.value.hint == "use the cloud id"


def test_the_ledger_remembers_what_is_not_gone(desk: Desk) -> None:
    desk.up()
    desk.up(name="box", detach=True)
    desk.down("vision-1")
    assert [(m.name, m.state) for m in cached(desk.books)] == [("box", State.RUNNING)]


def test_what_it_costs_now_and_cost_so_far(desk: Desk) -> None:
    start = desk.clock()
    desk.up()
    desk.clock.now = start.replace(hour=start.hour + 3)
    synced = desk.sync()
    (shown,) = show(desk.app.ledger.events(), synced.books, synced.machines, desk.clock())
    assert (shown.hourly, shown.cost, shown.project) == (MACHINE_HOUR, 3 * MACHINE_HOUR, ACME)


def test_of_a_stranger_the_tags_are_all_that_is_known(desk: Desk) -> None:
    stranger = changed(VISION, project="ghost/ship", launched_at=GONE.launched_at)
    assert owner(desk.books, stranger, desk.clock()) == "ghost/ship"
    assert began(desk.books, stranger) == GONE.launched_at
    assert began(desk.books, VISION) == datetime(2000, 1, 1, tzinfo=UTC)


def test_of_a_machine_just_ordered_the_lease_tells_whose_it_is(desk: Desk) -> None:
    lease = desk.machine(detach=True).lease
    unseen = changed(VISION, lease=lease)
    assert owner(desk.books, unseen, desk.clock()) == ACME
    (shown,) = show(desk.app.ledger.events(), desk.books, [unseen], desk.clock())
    assert (shown.hourly, shown.cost) == (Fraction(0), 0)


@settings(max_examples=200)
@given(histories)
def test_a_machines_charges_depend_on_nothing_that_is_left_out(history: History) -> None:
    machines = ("m-1", "m-2", None)
    events = [
        event._replace(machine=history.random.choice(machines))
        if isinstance(event, Usage)
        else event
        for event in history.events
    ]
    others = [e for e in events if not isinstance(e, Usage) or e.machine == "m-1"]
    charged = [
        [c for c in bill(some, fixed(history.whole), history.now).charges if c.machine == "m-1"]
        for some in (others, _about(events, {"m-1"}))
    ]
    assert charged[0] == charged[1]
