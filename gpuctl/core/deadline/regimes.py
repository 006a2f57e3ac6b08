"""How spot comes and goes: a small model with few numbers, each with its reason.

A stretch of spot ends, and a stretch without spot ends, the less likely the longer it has lasted:
the rate per hour at an age of x hours is `FLAPPING / (x + SETTLING)`, plus a rate of its own that
depends on how tight the market is, which changes over days. All were read off the availability of
p3.2xlarge in nine AWS zones in February and March 2023; results hardly move when one is halved or
doubled (docs/deadlines.md).
"""

from math import exp, log

FLAPPING = 0.5
"""What the young have in common in every market: half of them end before they are an hour old."""
SETTLING = 0.35
"""Hours after which a stretch begins to settle; spot was probed every ten minutes."""
REGIMES = ((1.0, 0.03), (0.3, 0.12), (0.05, 0.4))
"""(spot ends, spot comes) per hour in a tight, a middling and a calm market: where spot lasts, it
also comes back soon."""
FORGETTING = 0.03
"""Share of what was learnt that an hour takes away: markets change within two days."""
DOUBT = 0.3
"""Weight that the even prior keeps whatever was learnt, as a market may turn."""

Logs = tuple[float, ...]
"""Log-likelihood of each regime."""

NOTHING: Logs = (0.0,) * len(REGIMES)


def searched(zones: int) -> float:
    """How many times sooner spot is found in one of several zones than in one.

    Less than their number: zones of a provider run out together.
    """
    return float(zones**0.5)


def another(regime: tuple[float, float], zones: int) -> float:
    """The chance that one of the other zones has spot when one zone's is taken back.

    For the same reason they count half.
    """
    ends, comes = regime
    return 1 - float((ends / (ends + comes)) ** ((zones - 1) / 2))


def after_on(logs: Logs, hours: float) -> Logs:
    """Spot was held (or seen) for that long. What all regimes have in common is left out."""
    return tuple([log - rate[0] * hours for log, rate in zip(logs, REGIMES, strict=True)])


def after_off(logs: Logs, hours: float) -> Logs:
    """There was no spot for that long."""
    return tuple([log - rate[1] * hours for log, rate in zip(logs, REGIMES, strict=True)])


def after_loss(logs: Logs, age: float) -> Logs:
    """Spot that had been there for `age` hours was taken back."""
    young = FLAPPING / (age + SETTLING)
    return tuple([old + log(young + rate[0]) for old, rate in zip(logs, REGIMES, strict=True)])


def after_find(logs: Logs, age: float) -> Logs:
    """Spot came after `age` hours without."""
    young = FLAPPING / (age + SETTLING)
    return tuple([old + log(young + rate[1]) for old, rate in zip(logs, REGIMES, strict=True)])


def forgotten(logs: Logs, hours: float) -> Logs:
    """What is left of it that much later."""
    keep = exp(-FORGETTING * hours)
    return tuple([log * keep for log in logs])


def weights(logs: Logs) -> tuple[float, ...]:
    """How likely each regime is, the doubt included; they sum to 1."""
    top = max(logs)
    likely = [exp(log - top) for log in logs]
    total = sum(likely)
    even = DOUBT / len(likely)
    return tuple([(1 - DOUBT) * each / total + even for each in likely])


def mean_stay(likely: tuple[float, ...]) -> float:
    """Hours for which spot that was just found is expected to last."""
    return sum(weight * stay for weight, stay in zip(likely, _STAYS, strict=True))


def _stay(rate: float) -> float:
    step, longest = 0.05, 60.0
    left, total, age = 1.0, 0.0, 0.0
    while age < longest:
        total += left * step
        left *= exp(-(FLAPPING / (age + SETTLING) + rate) * step)
        age += step
    return total


_STAYS = tuple(_stay(ends) for ends, _ in REGIMES)
