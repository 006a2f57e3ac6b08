"""What a job believes of its zones, look by look."""

from gpuctl.core.deadline.memory import LONG_AGO, Memory, learn
from gpuctl.core.deadline.regimes import mean_stay, weights
from gpuctl.core.deadline.view import IDLE, ON_DEMAND, Job, Observation, Place

HOUR = 3600
JOB = Job(work=48 * HOUR, deadline=72 * HOUR, overhead=720, interval=HOUR // 2)


def looks(*shown: Observation) -> Memory:
    """One after the other, an interval apart, by somebody who remembers."""
    memory: Memory | None = None
    for at, view in enumerate(shown):
        memory = learn(view._replace(elapsed=at * JOB.interval, memory=memory))
    assert memory is not None
    return memory


def at(held: Place, *, lost: Place | None = None, refused: tuple[Place, ...] = ()) -> Observation:
    return Observation(JOB, 0, JOB.work, (0.3, 0.3), held, lost=lost, refused=refused)


def seen(*available: bool) -> Observation:
    return at(IDLE)._replace(available=available)


def stays(memory: Memory) -> list[float]:
    return [mean_stay(weights(zone.logs)) for zone in memory.zones]


def test_a_zone_that_was_never_asked_may_have_had_spot_for_long() -> None:
    memory = looks(at(IDLE), at(ON_DEMAND), at(ON_DEMAND))
    assert memory.away is None
    assert {zone.absent for zone in memory.zones} == {LONG_AGO}


def test_a_refusal_is_as_old_as_the_interval_that_began_with_it() -> None:
    memory = looks(at(IDLE), at(IDLE, refused=(0,)), at(ON_DEMAND))
    assert memory.zones[0].absent == 1.0
    assert memory.zones[1].absent == LONG_AGO
    assert memory.away == 1.0


def test_spot_that_is_found_is_taken_to_be_as_old_as_the_last_refusal() -> None:
    memory = looks(at(IDLE), at(IDLE, refused=(0,)), at(ON_DEMAND), at(0), at(0))
    assert (memory.zones[0].on, memory.zones[0].age) == (True, 2.0)
    assert memory.away == 0.0


def test_a_loss_begins_anew_and_is_held_against_that_zone_alone() -> None:
    memory = looks(*[at(IDLE), at(0), at(IDLE, lost=0), at(1), at(1)] * 4)
    assert memory.zones[0].on is False
    tight, calm = stays(memory)
    assert tight < calm


def test_a_zone_that_was_left_and_then_refuses_ended_in_between() -> None:
    memory = looks(at(IDLE), at(0), at(0), at(1), at(1), at(1, refused=(0,)))
    # Left after an hour and a half, not asked for two intervals, refused at the third's beginning.
    assert (memory.zones[0].on, memory.zones[0].age, memory.zones[0].absent) == (False, 0.5, 0.5)


def test_in_sight_nothing_is_guessed() -> None:
    gone = looks(seen(True, True), *[seen(False, False)] * 3)
    assert [(zone.on, zone.age) for zone in gone.zones] == [(False, 1.0)] * 2
    assert gone.away == 1.0
    one = looks(seen(True, True), *[seen(False, True)] * 3)
    assert [(zone.on, zone.age) for zone in one.zones] == [(False, 1.0), (True, 1.5)]
