"""One account in memory, for commands that ask a cloud little."""

from decimal import Decimal

from gpuctl.core.errors import Busy, NotFound
from gpuctl.core.kinds import Market
from gpuctl.core.model import Footprint, Offer, PricePoint
from gpuctl.core.ports import CloudRef


class Account:
    """AWS with what a test puts into it: machines, a footprint, offers of one type."""

    name = "aws"
    account = "111122223333"

    def __init__(self, machines=(), made=(), stuck=()):
        self.listed = list(machines)
        self.made = [self.thing(resource) for resource in made]
        self.stuck = set(stuck)
        self.asked = []

    def thing(self, resource):
        return Footprint(
            provider="aws",
            account=self.account,
            region="us-east-2",
            resource=resource,
            what="security-group",
        )

    def machines(self):
        return self.listed

    def get(self, machine):
        raise NotFound(f"{machine} is gone")

    def ending(self, machine):
        return None

    def footprint(self):
        return list(self.made)

    def erase(self, footprint):
        if footprint.resource in self.stuck:
            raise Busy(f"{footprint.resource} is in use")
        self.made.remove(footprint)

    def offers(self, want):
        return [
            Offer(
                provider="aws",
                account=self.account,
                region="us-east-2",
                zone="us-east-2a",
                type=name,
                gpu="L4",
                gpus=1,
                market=market,
                hourly=Decimal("0.25"),
                on_demand_hourly=Decimal("0.80"),
                available=name != "p3.2xlarge",
            )
            for name in want.types
            for market in want.markets
        ]

    def prices(self, thing, span):
        self.asked.append((thing, span))
        usd = Decimal("0.25") if thing.market is Market.SPOT else Decimal("0.80")
        return [PricePoint(at=span.start, usd=usd, source="price-list")]


class Clouds:
    """That account alone."""

    def __init__(self, account):
        self.only = account

    def accounts(self):
        return [CloudRef("aws")]

    def of(self, provider, project):
        return CloudRef(provider)

    def connect(self, ref):
        return self.only
