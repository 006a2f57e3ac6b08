"""Every policy is in time whatever spot does, and none is cheaper than the exact optimum."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.deadline.baselines import greedy, on_demand, uniform_progress
from gpuctl.core.deadline.compare import compare, first_intervals, on_demand_only
from gpuctl.core.deadline.optimum import least_cost
from gpuctl.core.deadline.policy import decide
from gpuctl.core.deadline.simulate import Market, run_job
from gpuctl.core.deadline.traces import market_of, read_trace
from gpuctl.core.deadline.view import Job
from gpuctl.core.errors import ConfigError

TRACES = Path(__file__).parents[4] / "shared/data/traces/p3-2023-02"
POLICIES = {
    "on-demand": on_demand,
    "greedy": greedy,
    "uniform-progress": uniform_progress,
    "gpuctl": decide,
}
RATIO = Decimal("0.3")


def job(market, work_h, deadline_h, overhead_h=0.2):
    return Job(
        work=round(work_h * 3600),
        deadline=round(deadline_h * 3600),
        overhead=round(overhead_h * 3600),
        interval=market.interval,
    )


@st.composite
def markets(draw):
    """Random, alternating, and gone for good after the start: one to three zones."""
    zones = draw(st.integers(1, 3))
    length = 90
    rows = []
    kind = draw(
        st.sampled_from(["random", "alternating", "off after the start", "never", "always"])
    )
    chance = draw(st.randoms(use_true_random=False))
    for at in range(length):
        match kind:
            case "random":
                row = tuple(chance.random() < 0.6 for _ in range(zones))
            case "alternating":
                row = tuple((at + zone) % 2 == 0 for zone in range(zones))
            case "off after the start":
                row = (at < 3,) * zones
            case "never":
                row = (False,) * zones
            case _:
                row = (True,) * zones
        rows.append(row)
    prices = [tuple(draw(st.integers(100, 1100)) for _ in range(zones))] * length
    shares = [tuple(price / 1000 for price in row) for row in prices]
    return Market(tuple("abc"[:zones]), 900, rows, prices, shares, 1000)


@given(markets(), st.integers(4, 14), st.integers(0, 6), st.sampled_from([0.0, 0.2, 0.5]))
@settings(max_examples=120, deadline=None)
def test_never_late_and_never_below_the_optimum(market, work_h, slack_h, overhead_h):
    asked = job(market, work_h, work_h + overhead_h + slack_h + 0.5, overhead_h)
    assert asked.feasible
    least = least_cost(asked, market, 0)
    assert least <= on_demand_only(asked, market)
    for name, policy in POLICIES.items():
        for sees_all in (False, True):
            run = run_job(asked, market, 0, policy, sees_all=sees_all)
            assert not run.late, (name, sees_all)
            assert run.cost >= least, (name, sees_all)


def recorded(*zones):
    found = [path for path in sorted(TRACES.glob("*.json")) if path.name.startswith(zones)]
    return market_of([read_trace(path.name, path.read_text()) for path in found], RATIO)


def test_costs_too_large_for_a_float_to_tell_apart_have_an_optimum():
    """Spot comes late and stays: two schedules are the only ones, and their bounds differ by a
    rounding error."""
    late, rest, dear, cheap = 17, 943, 30_600_000_000, 9_180_000_000
    market = Market(
        zones=("a",),
        interval=195,
        available=[(False,)] * late + [(True,)] * rest,
        prices=[(cheap,)] * (late + rest),
        shares=[(0.3,)] * (late + rest),
        on_demand=dear,
    )
    # 48 h and the start are 890 intervals (and the last one begun), all of them on spot.
    assert least_cost(job(market, 48, 52), market, 0) == 890 * cheap


@pytest.mark.skipif(not TRACES.exists(), reason="the recorded traces are not at hand")
@pytest.mark.parametrize("zones", [("us-east-1c",), ("us-west-2",)], ids=str)
@pytest.mark.parametrize("deadline_h", [52, 60, 72])
def test_recorded_traces_are_met_by_every_policy(zones, deadline_h):
    market = recorded(*zones)
    asked = job(market, 48, deadline_h)
    firsts = first_intervals(asked, market, 3)
    named = [*POLICIES.items(), ("optimum", None)]
    results = {one.policy: one for one in compare(asked, market, firsts, named)}
    assert results["on-demand"].mean_cost_ratio == 1
    best = results["optimum"].mean_cost_ratio
    for result in results.values():
        assert result.deadline_misses == 0, result.policy
        assert result.mean_cost_ratio >= best
        assert result.gap_to_optimum == result.mean_cost_ratio - best
    assert results["gpuctl"].mean_cost_ratio <= 1


@pytest.mark.skipif(not TRACES.exists(), reason="the recorded traces are not at hand")
@pytest.mark.parametrize(
    ("zones", "sees_all", "share"), [("us-east-1d", True, 0.8), ("us-east-2", False, 0.4)]
)
def test_it_leaves_much_less_on_the_table_than_the_published_rule(zones, sees_all, share):
    """Over all beginnings and deadlines it is half as far from the optimum (docs/deadlines.md)."""
    market = recorded(zones)
    above = dict.fromkeys(("uniform-progress", "gpuctl"), 0)
    for deadline_h in (56, 72):
        asked = job(market, 48, deadline_h)
        named = [(name, POLICIES[name]) for name in above]
        for one in compare(
            asked, market, first_intervals(asked, market, 12), named, sees_all=sees_all
        ):
            above[one.policy] += one.gap_to_optimum
    assert above["gpuctl"] < share * above["uniform-progress"]


def test_jobs_begin_evenly_spaced_and_another_seed_shifts_them():
    market = Market(("a",), 3600, [(True,)] * 100, [(1,)] * 100, [(0.5,)] * 100, 2)
    asked = job(market, 8, 10)
    assert first_intervals(asked, market, 4) == [0, 30, 60, 90]
    assert first_intervals(asked, market, 4, seed=1) != [0, 30, 60, 90]
    assert len(set(first_intervals(asked, market, 4, seed=2))) == 4
    with pytest.raises(ValueError, match="less than the deadline"):
        first_intervals(job(market, 8, 200), market, 4)


GOOD = {"metadata": {"gap_seconds": 900}, "data": [1, 0, 2]}


def text(**changed):
    return json.dumps({**GOOD, **changed})


def test_a_trace_is_read():
    trace = read_trace("us-east-1a_v100_1.json", text(prices=[0.5, 0.25, 1]))
    assert (trace.zone, trace.interval, trace.available) == ("us-east-1a", 900, (True, False, True))
    assert trace.prices == (Decimal("0.5"), Decimal("0.25"), Decimal(1))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        (text(metadata=None), "metadata"),
        (text(metadata={}), "gap_seconds"),
        (text(metadata={"gap_seconds": 0}), "gap_seconds"),
        (text(metadata={"gap_seconds": 900, "on_demand_price": -1}), "on_demand_price"),
        (text(data=[]), "data"),
        (text(data="x"), "data"),
        (text(data=[1, "x"]), "data"),
        (text(prices=[1]), "prices"),
        (text(prices=[1, 0, 1]), "prices"),
        (text(data=[float("nan"), 1, 1]), "NaN"),
    ],
)
def test_a_bad_trace_names_its_file_and_field(content, says):
    with pytest.raises(ConfigError) as caught:
        read_trace("us-east-1a_v100_1.json", content)
    assert says in str(caught.value)
    assert "us-east-1a_v100_1.json" in str(caught.value)


def test_traces_that_do_not_go_together():
    one = read_trace("us-east-1a_x.json", text())
    other = read_trace("us-east-1a_y.json", text(metadata={"gap_seconds": 60}))
    with pytest.raises(ConfigError, match="gap_seconds"):
        market_of([one, other], RATIO)
    again = read_trace("us-east-1a_y.json", text())
    with pytest.raises(ConfigError, match="us-east-1a"):
        market_of([one, again], RATIO)
