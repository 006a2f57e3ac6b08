"""What is sold out where, on which market, and the words AWS has for it."""

from collections.abc import Sequence

from gpuctl.sandbox.aws.refusals import Refusal

MARKETS = ("spot", "on-demand")


class Capacity:
    """Types that cannot be had now, by zone and market. Everything else can."""

    def __init__(self) -> None:
        self._gone: set[tuple[str, str | None, str]] = set()

    def take(self, type_name: str, zone: str | None, market: str | None) -> None:
        """Sold out; zone or market None = in all of them."""
        for one in _markets(market):
            self._gone.add((type_name, zone, one))

    def restore(self, type_name: str, zone: str | None) -> None:
        """To be had again; zone None = in all zones."""
        self._gone = {
            (name, where, market)
            for name, where, market in self._gone
            if name != type_name or (zone is not None and where != zone)
        }

    def reset(self) -> None:
        """Everything can be had."""
        self._gone.clear()

    def has(self, type_name: str, zone: str, market: str) -> bool:
        """Whether one can be launched."""
        return not {(type_name, zone, market), (type_name, None, market)} & self._gone

    def choose(self, type_name: str, zones: Sequence[str], asked: str | None, market: str) -> str:
        """The zone to launch in. Refusal `InsufficientInstanceCapacity` naming other zones."""
        open_zones = [zone for zone in zones if self.has(type_name, zone, market)]
        if asked is None:
            if open_zones:
                return open_zones[0]
            raise Refusal(
                "InsufficientInstanceCapacity",
                f"We currently do not have sufficient {type_name} capacity in zones with support "
                "for 'gp3' volumes. Our system will be working on provisioning additional "
                "capacity.",
            )
        if asked in open_zones:
            return asked
        if market == "spot" and not open_zones:
            raise Refusal(
                "InsufficientInstanceCapacity",
                "There is no Spot capacity available that matches your request.",
            )
        instead = (
            f" You can currently get {type_name} capacity by not specifying an Availability Zone "
            f"in your request or choosing {', '.join(open_zones)}."
            if open_zones
            else ""
        )
        raise Refusal(
            "InsufficientInstanceCapacity",
            f"We currently do not have sufficient {type_name} capacity in the Availability Zone "
            f"you requested ({asked}). Our system will be working on provisioning additional "
            f"capacity.{instead}",
        )


def _markets(market: str | None) -> tuple[str, ...]:
    if market is None:
        return MARKETS
    if market not in MARKETS:
        raise ValueError(f"no such market: {market} (spot, on-demand)")
    return (market,)


def not_sold(type_name: str, zones: Sequence[str], asked: str | None) -> Refusal:
    """A type that the zone, or the whole region, does not sell."""
    if asked is None or not zones:
        return Refusal(
            "Unsupported",
            "The requested configuration is currently not supported. Please check the "
            "documentation for supported configurations.",
        )
    return Refusal(
        "Unsupported",
        f"Your requested instance type ({type_name}) is not supported in your requested "
        f"Availability Zone ({asked}). Please retry your request by not specifying an "
        f"Availability Zone or choosing {', '.join(zones)}.",
    )
