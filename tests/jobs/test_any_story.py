"""Whatever happens to a job: one machine at a time, within its bounds, and an end with a reason."""

from itertools import chain
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.jobs.world import TROUBLES, ZONES, World

Happening = tuple[Any, ...]
"""A method of the world, and what it is given."""
engines = st.integers(0, 1)
moments = st.integers(1, 50)
looks = st.one_of(
    st.tuples(st.just("step"), engines),
    st.tuples(st.just("killed"), engines, moments),
    st.tuples(st.just("overtaken"), engines, moments),
)
weather = st.one_of(
    st.just(("rain",)),
    st.just(("rain",)),
    st.tuples(st.just("drought"), st.sampled_from(ZONES)),
    st.tuples(st.just("trouble"), st.sampled_from(TROUBLES)),
)
ends = st.sampled_from([("interrupted",)] * 6 + [("pass_time", 30)] * 3 + [("ended_by_hand",)])
chapters = st.tuples(
    weather, looks, looks, st.tuples(st.just("pass_time"), st.integers(0, 14)), looks, ends
)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    # A story says enough as it was drawn; to shorten it takes minutes.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(chapters, min_size=2, max_size=8))
def test_one_machine_at_a_time_and_an_end_with_a_reason(story: list[tuple[Happening, ...]]) -> None:
    world = World()
    try:
        for name, *drawn in chain.from_iterable(story):
            getattr(world, name)(*drawn)
            world.holds()
        done = world.to_the_end()
        assert (done.code in (0, 5, 6, 7, 125, 143), bool(done.says)) == (True, True)
        assert world.aws.running() == []
        assert len(world.spans()) == len(set(world.spans())), "a machine that is billed twice"
    finally:
        world.close()
