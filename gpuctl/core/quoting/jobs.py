"""A job run through possible futures: what it costs and how long it takes, as a sample."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar, overload

from gpuctl.core.deadline.policy import decide
from gpuctl.core.deadline.simulate import Market, run_job
from gpuctl.core.deadline.view import IDLE, ON_DEMAND, Decision, Job, Observation, Policy, Why
from gpuctl.core.quoting.outlook import Belief, Course, Draw

T = TypeVar("T")

HOUR = 3600
TOGETHER = 0.85
"""The chance that a zone shares its regimes with the others: zones run out together. Measured: with
a half, jobs that may use several zones cost more than their P90 too often."""
LONGEST = 60 * 24
"""Hours: a job without a deadline that takes longer has no finish that is worth naming."""

WINDOW = 48
"""Hours of past prices that a future is given at least, where there are so many."""


class ZonePrices(NamedTuple):
    """Spot in a zone, in whole units an hour: `now`, and hourly before it, oldest first."""

    zone: str
    now: int
    before: Sequence[int] = ()


class Terms(NamedTuple):
    """What the job is run with, prices in whole units an hour.

    `highest` is the most that is paid for spot. `deadline` in hours from now; None = as soon as
    it gets done, `fallback` telling whether on-demand is taken where no spot can be had.
    """

    on_demand: int
    zones: Sequence[ZonePrices]
    overhead: int
    """Seconds."""
    interval: int
    """Seconds between decisions."""
    deadline: float | None = None
    fallback: bool = False
    highest: int | None = None


class Outcome(NamedTuple):
    """One way in which it could go."""

    cost: int
    """In units: machine alone."""
    held: int
    """Seconds for which a machine is held."""
    seconds: int | None
    """From now until it is done; None = not within `LONGEST`."""
    starts: int


def patient(view: Observation) -> Decision:
    """Spot wherever there is any, the cheapest first; else wait, for as long as it takes."""
    if view.held >= 0:
        return Decision(view.held, Why.HOLD)
    zones = sorted((z for z, p in enumerate(view.prices) if p <= 1), key=view.prices.__getitem__)
    if not zones:
        return Decision(IDLE, Why.WAIT)
    return Decision(zones[0], Why.TAKE, None, tuple(zones[1:]))


def falling_back(view: Observation) -> Decision:
    """Spot wherever there is any; else on-demand at once, and kept until the end."""
    if view.held != IDLE:
        return Decision(view.held, Why.HOLD)
    if view.refused:
        return Decision(ON_DEMAND, Why.BEHIND)
    return patient(view)


def policy_of(terms: Terms) -> Policy:
    """How the job will be run: as `gpuctl run --deadline` does, or as `gpuctl up` does."""
    if terms.deadline is not None:
        return decide
    return falling_back if terms.fallback else patient


def futures(
    terms: Terms,
    hours: tuple[float, float],
    beliefs: Mapping[str, Belief],
    draw: Draw,
    samples: int,
) -> Iterator[Outcome]:
    """So many outcomes; the hours of computing are spread evenly over what may be needed."""
    policy = policy_of(terms)
    for number in range(samples):
        needed = hours[0] + (hours[1] - hours[0]) * (number + 0.5) / samples
        yield run_once(terms, needed, _Future(terms, beliefs, draw).market, policy)


def run_once(terms: Terms, hours: float, market: Market, policy: Policy, first: int = 0) -> Outcome:
    """The job on one market from interval `first` on."""
    limit = LONGEST if terms.deadline is None else terms.deadline
    job = Job(round(hours * HOUR), round(limit * HOUR), terms.overhead, market.interval)
    run = run_job(job, market, first, policy)
    held = sum(1 for place in run.places if place != IDLE) * market.interval
    done = None if run.late else len(run.places) * market.interval
    return Outcome(run.cost * market.interval // HOUR, held, done, run.starts)


def on_demand_only(terms: Terms, hours: float) -> Outcome:
    """The job on one on-demand machine from the first moment on; by the second."""
    seconds = round(hours * HOUR) + terms.overhead
    return Outcome(terms.on_demand * seconds // HOUR, seconds, seconds, 1)


class _Future:
    """A market that is made as it is looked at."""

    def __init__(self, terms: Terms, beliefs: Mapping[str, Belief], draw: Draw) -> None:
        shared: list[float] = []
        self._courses = [
            Course(beliefs[one.zone], _shared(shared, draw) if draw() < TOGETHER else draw, draw)
            for one in terms.zones
        ]
        self._prices = [_course_of(one, at) for one, at in _windows(terms.zones, draw())]
        self._terms = terms
        self._step = terms.interval / HOUR
        self.available: list[tuple[bool, ...]] = []
        self.prices: list[tuple[int, ...]] = []
        self.shares: list[tuple[float, ...]] = []
        self._known: dict[tuple[int, ...], tuple[float, ...]] = {}
        length = int((LONGEST if terms.deadline is None else terms.deadline) / self._step) + 1
        self.market = Market(
            zones=tuple(one.zone for one in terms.zones),
            interval=terms.interval,
            available=_Rows(self.available, self.grow, length),
            prices=_Rows(self.prices, self.grow, length),
            shares=_Rows(self.shares, self.grow, length),
            on_demand=terms.on_demand,
        )

    def grow(self) -> None:
        """One more interval."""
        hours = len(self.available) * self._step
        terms, most = self._terms, self._terms.on_demand
        prices = tuple([min(price(int(hours)), most) for price in self._prices])
        highest = most if terms.highest is None else terms.highest
        self.available.append(
            tuple(
                [
                    course.at(hours) and price <= highest
                    for course, price in zip(self._courses, prices, strict=True)
                ]
            )
        )
        self.prices.append(prices)
        if prices not in self._known:
            self._known[prices] = tuple([price / most for price in prices])
        self.shares.append(self._known[prices])


class _Rows(Sequence[T]):
    """Rows of a future, made up to the one that is asked for."""

    def __init__(self, made: list[T], grow: Callable[[], None], length: int) -> None:
        self._made, self._grow, self._length = made, grow, length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[T]: ...
    def __getitem__(self, at: int | slice) -> T | Sequence[T]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(self._length))]
        while len(self._made) <= at:
            self._grow()
        return self._made[at]


def _shared(drawn: list[float], draw: Draw) -> Draw:
    """Draws that are the same for all zones that share them."""
    at = -1

    def next_one() -> float:
        nonlocal at
        at += 1
        while len(drawn) <= at:
            drawn.append(draw())
        return drawn[at]

    return next_one


def _windows(zones: Sequence[ZonePrices], at: float) -> Iterator[tuple[ZonePrices, int]]:
    """Where in the past each zone's prices are taken up: at the same hour, they move together."""
    for one in zones:
        yield one, int(at * max(1, len(one.before) - WINDOW))


def _course_of(one: ZonePrices, first: int) -> Callable[[int], int]:
    """Prices to come: today's, changing as they did from that hour of the past on."""
    before, now = one.before, one.now
    if not before or not before[first]:
        return lambda _hour: now
    base, last = before[first], len(before) - 1
    return lambda hour: now * before[min(first + hour, last)] // base
