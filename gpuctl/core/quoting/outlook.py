"""What spot in a zone is likely to be like, from what was seen of it: a prior, and what changes it.

A zone is in one of a few regimes at a time. In each, a stretch of spot ends, and a stretch
without ends, at `FLAPPING / (hours + SETTLING)` an hour plus a rate of the regime's own: what has
lasted, lasts. Every two days or so the regime is drawn anew, from shares that are the zone's own.
The form is that of the policy (`core.deadline.regimes`); the numbers are kept apart, so that the
tuning of a policy moves no price.
"""

from collections.abc import Callable, Iterable, Sequence
from math import exp, log, sqrt
from typing import NamedTuple

Draw = Callable[[], float]
"""A number from [0, 1), each time another one."""

FLAPPING = 0.5
SETTLING = 0.35
"""Hours. Both read off p3.2xlarge in nine AWS zones, February and March 2023."""
REGIMES = (
    (1.0, 0.03),
    (1.0, 0.15),
    (1.0, 0.5),
    (0.4, 0.15),
    (0.4, 0.5),
    (0.15, 0.15),
    (0.15, 0.5),
    (0.05, 0.5),
    (0.02, 1.0),
)
"""(spot ends, spot comes) per hour, from tight markets over fickle ones to calm ones."""
BLOCK = 48.0
"""Hours: for about so long a market is of one kind."""
ENOUGH = 12.0
"""Hours of a block that were watched make it count whole; fewer, in part."""
LOOK = 1.0
"""Hours that a single look counts for."""
NEAR = 3.0
"""Hours between two looks after which they say nothing of the time between them."""
PRIOR = 2.0
"""What is believed without any history weighs as much as so many blocks that were seen."""
DOUBT = 0.1
"""Of what is believed of now, so much stays with the zone's shares: a market may have turned."""

Shares = tuple[float, ...]
"""One number a regime."""


class Stretch(NamedTuple):
    """Spot was there, or not, from `since` to `until`: hours from the moment of the quote, <= 0.

    `turned` = it ended at `until`; else it was only watched until then. Of no length: a single
    look. `age` are the hours it had lasted before `since`.
    """

    zone: str
    there: bool
    since: float
    until: float
    turned: bool = False
    age: float = 0.0


class Belief(NamedTuple):
    """Of one zone: the regimes' weights over time, in blocks; how likely each is now.

    `there` is what was seen at this very moment, for `age` hours; None = not looked.
    """

    blocks: Shares
    now: Shares | None
    there: bool | None
    age: float
    seen: float
    """Hours of it that were watched."""


UNKNOWN = Belief((PRIOR / len(REGIMES),) * len(REGIMES), None, None, 0.0, 0.0)
"""A zone that nobody has ever looked at."""


def outlook(stretches: Iterable[Stretch], zones: Iterable[str]) -> dict[str, Belief]:
    """What is believed of each zone."""
    by_zone: dict[str, list[Stretch]] = {zone: [] for zone in zones}
    for one in stretches:
        if one.zone in by_zone:
            by_zone[one.zone].append(one)
    return {zone: _belief(joined(found)) for zone, found in by_zone.items()}


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """One zone's, in order of time; looks in vain, soon after one another, as one stretch without.

    Each by itself would say the same thing once more. Such a stretch begins with the loss before
    it, and ends with the session after it, where these are near.
    """
    found: list[Stretch] = []
    for one in sorted(stretches, key=lambda one: (one.since, one.until)):
        last = found[-1] if found else None
        near = last is not None and one.since - last.until <= NEAR
        if last is not None and near and not last.there and one.there and not last.turned:
            found[-1] = last._replace(until=max(one.since, last.until), turned=True)
        if one.there or one.until > one.since or last is None or not near:
            found.append(one)
        elif last.there and last.turned:
            found.append(one._replace(since=min(last.until, one.since)))
        elif last.there:
            found.append(one)
        else:
            found[-1] = last._replace(until=max(one.until, last.until), turned=False)
    return found


def _belief(stretches: Sequence[Stretch]) -> Belief:
    if not stretches:
        return UNKNOWN
    logs: dict[int, Shares] = {}
    watched: dict[int, float] = {}
    for one in stretches:
        for part in _cut(one):
            block = int(-part.since / BLOCK - 1e-9)
            before = logs.get(block, (0.0,) * len(REGIMES))
            logs[block] = tuple([a + b for a, b in zip(before, _likely(part), strict=True)])
            watched[block] = watched.get(block, 0.0) + max(part.until - part.since, LOOK)
    counts = list(UNKNOWN.blocks)
    for block in sorted(logs):
        for regime, share in enumerate(_normal(logs[block])):
            counts[regime] += share * min(1.0, watched[block] / ENOUGH)
    last = max(stretches, key=lambda one: (one.until, one.since))
    looked = last.until > -1e-6  # noqa: PLR2004 - now
    recent = logs.get(0)
    return Belief(
        blocks=tuple(counts),
        now=None if recent is None else _normal(recent),
        there=last.there if looked and not last.turned else None,
        age=last.age + last.until - last.since,
        seen=sum(watched.values()),
    )


def _cut(one: Stretch) -> Iterable[Stretch]:
    """The stretch in pieces, each within one block."""
    since, age = one.since, one.age
    while True:
        # Blocks are counted back from now: the k-th is [-(k + 1) BLOCK, -k BLOCK).
        edge = -int(-since / BLOCK - 1e-9) * BLOCK
        if one.until <= edge + 1e-9:
            yield one._replace(since=since, age=age)
            return
        yield one._replace(since=since, until=edge, turned=False, age=age)
        age, since = age + edge - since, edge + 1e-9


def _likely(one: Stretch) -> Shares:
    """Log-likelihood of a stretch in each regime; what all have in common is left out."""
    hours = one.until - one.since
    if hours <= 0:
        return tuple([log(_share(regime, there=one.there)) for regime in range(len(REGIMES))])
    found = []
    for ends, comes in REGIMES:
        rate = ends if one.there else comes
        value = -rate * hours
        if one.turned:
            value += log(FLAPPING / (one.age + hours + SETTLING) + rate)
        found.append(value)
    return tuple(found)


def _normal(logs: Shares) -> Shares:
    top = max(logs)
    weights = [exp(one - top) for one in logs]
    total = sum(weights)
    return tuple([weight / total for weight in weights])


def _stay(rate: float) -> float:
    """Mean hours of a stretch that has just begun, a month at most."""
    step, longest = 0.05, 720.0
    left, total, age = 1.0, 0.0, 0.0
    while age < longest and left > 1e-6:  # noqa: PLR2004 - nothing worth counting
        total += left * step
        left *= exp(-(FLAPPING / (age + SETTLING) + rate) * step)
        age += step
    return total


THERE = tuple(
    on / (on + off) for on, off in ((_stay(ends), _stay(comes)) for ends, comes in REGIMES)
)
"""Share of the time that spot is there, by regime."""


def _share(regime: int, *, there: bool) -> float:
    return THERE[regime] if there else 1 - THERE[regime]


def share_there(belief: Belief) -> float:
    """How much of the time spot is expected to be there in the long run, from 0 to 1."""
    total = sum(belief.blocks)
    return sum(count / total * there for count, there in zip(belief.blocks, THERE, strict=True))


class Course:
    """One possible future of one zone: whether spot is there, hour by hour.

    `regimes` and `states` draw apart, so that zones may share the one and not the other.
    """

    def __init__(self, belief: Belief, regimes: Draw, states: Draw) -> None:
        self._shares = _dirichlet(belief.blocks, states)
        self._regimes, self._states = regimes, states
        first = self._shares
        if belief.now is not None:
            first = tuple(
                [DOUBT * a + (1 - DOUBT) * b for a, b in zip(self._shares, belief.now, strict=True)]
            )
        self._regime = _pick(first, regimes())
        self._turn = -BLOCK * log(1 - regimes())
        if belief.there is None:
            self.there = states() < THERE[self._regime]
            self._age = -log(1 - states())
        else:
            self.there, self._age = belief.there, belief.age
        self._at = 0.0
        self._end = self._next()

    def at(self, hours: float) -> bool:
        """Whether spot is there then; asked in order of time."""
        while min(self._turn, self._end) <= hours:
            if self._end <= self._turn:
                self._at, self._age, self.there = self._end, 0.0, not self.there
            else:
                self._age += self._turn - self._at
                self._at = self._turn
                self._regime = _pick(self._shares, self._regimes())
                self._turn -= BLOCK * log(1 - self._regimes())
            self._end = self._next()
        return self.there

    def _next(self) -> float:
        """When the stretch ends: the earlier of two clocks, drawn exactly."""
        rate = REGIMES[self._regime][0 if self.there else 1]
        flaps = (self._age + SETTLING) * exp(-log(1 - self._states()) / FLAPPING) - SETTLING
        ends = self._age - log(1 - self._states()) / rate
        return self._at + min(flaps, ends) - self._age


def _pick(shares: Shares, at: float) -> int:
    total = sum(shares)
    left = at * total
    for regime, share in enumerate(shares):
        left -= share
        if left < 0:
            return regime
    return len(shares) - 1


def _dirichlet(weights: Shares, draw: Draw) -> Shares:
    """Shares that could be behind such weights: the wider, the fewer blocks were seen."""
    return tuple([_gamma(weight, draw) for weight in weights])


def _gamma(shape: float, draw: Draw) -> float:
    """A gamma variate (Marsaglia and Tsang, 2000), for a shape below one too."""
    boost = exp(log(1 - draw()) / shape)
    third = shape + 1 - 1 / 3
    scale = 1 / sqrt(9 * third)
    while True:
        normal = _normal_variate(draw)
        base = (1 + scale * normal) ** 3
        if base > 0 and log(1 - draw()) < 0.5 * normal**2 + third - third * base + third * log(
            base
        ):
            return max(third * base * boost, 1e-12)


def _normal_variate(draw: Draw) -> float:
    """Box and Muller (1958), by the polar way: no trigonometry."""
    while True:
        x, y = 2 * draw() - 1, 2 * draw() - 1
        square = x * x + y * y
        if 0 < square < 1:
            return x * sqrt(-2 * log(square) / square)
