"""What things cost in the sandbox: on-demand prices, and spot prices that move.

Levels are those seen in 2025 and 2026 (public price lists and spot histories). A spot price is a
function of seed, type, zone and time alone, so that the past never changes.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

ON_DEMAND = {
    name: Decimal(usd)
    for name, usd in {
        "c5.large": "0.085", "c5.xlarge": "0.17", "c5.2xlarge": "0.34",
        "c6i.large": "0.085", "c6i.xlarge": "0.17", "c6i.2xlarge": "0.34",
        "c7i.large": "0.08925", "m7i.large": "0.1008",
        "g4dn.xlarge": "0.526", "g4dn.2xlarge": "0.752", "g4dn.4xlarge": "1.204",
        "g4dn.8xlarge": "2.176", "g4dn.12xlarge": "3.912", "g4dn.16xlarge": "4.352",
        "g4dn.metal": "7.824",
        "g5.xlarge": "1.006", "g5.2xlarge": "1.212", "g5.4xlarge": "1.624",
        "g5.8xlarge": "2.448", "g5.12xlarge": "5.672", "g5.16xlarge": "4.096",
        "g5.24xlarge": "8.144", "g5.48xlarge": "16.288",
        "g6.xlarge": "0.8048", "g6.2xlarge": "0.9776", "g6.4xlarge": "1.3232",
        "g6.8xlarge": "2.0144", "g6.12xlarge": "4.6016", "g6.16xlarge": "3.3968",
        "g6.24xlarge": "6.6752", "g6.48xlarge": "13.3504",
        "g6e.xlarge": "1.861", "g6e.2xlarge": "2.24208", "g6e.4xlarge": "3.00424",
        "g6e.8xlarge": "4.52856", "g6e.12xlarge": "10.49264", "g6e.16xlarge": "7.57719",
        "g6e.24xlarge": "15.06559", "g6e.48xlarge": "30.13118",
        "m5.large": "0.096", "m5.xlarge": "0.192", "m5.2xlarge": "0.384",
        "p3.2xlarge": "3.06", "p3dn.24xlarge": "31.212",
        "p4d.24xlarge": "21.957642", "p4de.24xlarge": "27.44705",
        "p5.4xlarge": "6.88", "p5.48xlarge": "55.04",
        "t2.micro": "0.0116", "t3.micro": "0.0104", "t3.small": "0.0208",
        "t3.medium": "0.0416", "t3.large": "0.0832", "t3a.medium": "0.0376",
    }.items()
}  # fmt: skip
"""USD per hour, Linux, us-east-1."""

_SPOT_LEVEL = {
    ("g6.xlarge", "us-east-1"): 0.45, ("g6.xlarge", "us-east-2"): 0.222,
    ("g6.xlarge", "us-west-2"): 0.39, ("g6.xlarge", "eu-west-1"): 0.40,
    ("g5.xlarge", "us-east-1"): 0.43, ("g5.xlarge", "us-west-2"): 0.44,
    ("g4dn.xlarge", "us-east-1"): 0.16, ("g4dn.xlarge", "us-west-2"): 0.17,
    ("p3.2xlarge", "us-east-1"): 0.37, ("p3.2xlarge", "us-west-2"): 0.375,
    ("p3.2xlarge", "us-east-2"): 0.91, ("p3.2xlarge", "eu-west-1"): 0.87,
}  # fmt: skip
"""Typical USD per hour where it was seen; elsewhere a share of on-demand."""

_SPOT_SHARE = 0.38
_AMERICAN = ("us-east-1", "us-east-2", "us-west-2")
_ABROAD = Decimal("1.116")
_P3_ABROAD = Decimal("1.08")
_STEP = timedelta(hours=7)
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
HISTORY = timedelta(days=90)
"""How far back DescribeSpotPriceHistory reaches."""


def on_demand(type_name: str, region: str) -> Decimal | None:
    """USD per hour for Linux; None where the sandbox knows no price."""
    price = ON_DEMAND.get(type_name)
    if price is None or region in _AMERICAN:
        return price
    factor = _P3_ABROAD if type_name.startswith("p3.") else _ABROAD
    return (price * factor).quantize(Decimal("0.0001"))


def _noise(*parts: object) -> float:
    """A number in [-1, 1) that depends on its parts alone."""
    digest = hashlib.sha256(":".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**63 - 1


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """A spot price from `at` on, USD per hour."""

    at: datetime
    usd: Decimal


class SpotPrices:
    """The spot market's prices, by type and zone."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._set: dict[tuple[str, str], list[Point]] = {}

    def set(self, type_name: str, zone: str, usd: Decimal, at: datetime) -> None:
        """From `at` on the price is this and stays."""
        self._set.setdefault((type_name, zone), []).append(Point(at.replace(microsecond=0), usd))

    def reset(self) -> None:
        """As the seed says."""
        self._set.clear()

    def at(self, type_name: str, zone: str, moment: datetime) -> Decimal | None:
        """The price in effect; None for a type without a price."""
        points = self.points(type_name, zone, moment, moment)
        return points[-1].usd if points else None

    def points(self, type_name: str, zone: str, start: datetime, end: datetime) -> Sequence[Point]:
        """Changes in [start, end] and the last one before, oldest first."""
        ceiling = on_demand(type_name, zone[:-1])
        if ceiling is None:
            return ()
        first, last = (start - _EPOCH) // _STEP - 1, (end - _EPOCH) // _STEP
        made = [self._seeded(type_name, zone, slot, ceiling) for slot in range(first, last + 1)]
        ours = sorted(self._set.get((type_name, zone), ()))
        if ours:
            made = [point for point in made if point.at < ours[0].at] + ours
        made = [point for point in made if point.at <= end]
        before = bisect_right([point.at for point in made], start)
        return made[max(0, before - 1) :]

    def _seeded(self, type_name: str, zone: str, slot: int, ceiling: Decimal) -> Point:
        share = 0.5 + 0.4 * _noise(self._seed, type_name, zone, slot, "when")
        moment = _EPOCH + slot * _STEP + timedelta(seconds=int(_STEP.total_seconds() * share))
        level = _SPOT_LEVEL.get((type_name, zone[:-1]), float(ceiling) * _SPOT_SHARE)
        level *= 1 + 0.12 * _noise(self._seed, type_name, zone)
        drift = sum(_noise(self._seed, type_name, zone, slot - back) for back in range(4)) / 4
        usd = Decimal(level * (1 + 0.2 * drift)).quantize(Decimal("0.0001"))
        return Point(moment, min(usd, (ceiling * Decimal("0.95")).quantize(Decimal("0.0001"))))
