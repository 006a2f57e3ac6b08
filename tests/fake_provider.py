"""A `Provider` that keeps the port's promises in memory, over the truth of a `FakeCloud`."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from gpuctl.core.errors import GpuctlError, ListingIncomplete, NotFound, UnknownOutcome
from gpuctl.core.images.making import ImageOrder, Making, Taken
from gpuctl.core.kinds import EndedBy, Kind, Market, Priced, State
from gpuctl.core.model import (
    Access,
    Billable,
    Check,
    Component,
    Down,
    Ending,
    Footprint,
    Leftover,
    Machine,
    MachineId,
    Offer,
    Order,
    PricePoint,
    Want,
)
from gpuctl.core.span import Span
from tests.changed import changed
from tests.fake_cloud import BEGINNING, LIST_PRICES, FakeCloud, Shot, Thing, Vm
from tests.fake_images import FakeImages

_TRIES = 3


class FakeProvider(FakeImages):
    """A `Provider` over a `FakeCloud`; several (laptops) may share one cloud."""

    def __init__(self, cloud: FakeCloud, *, account: str = "111122223333") -> None:
        self.cloud = cloud
        self.name = "gcp" if cloud.stops else "aws"
        self.account = account
        self.listed: set[tuple[int, int]] = set()
        """(number of a machine, of its run) that a listing of this provider showed running."""
        self.recounted: set[tuple[int, int]] = set()
        """The same of runs that it told of once they had ended."""

    def offers(self, want: Want) -> Sequence[Offer]:
        self.cloud.call("offers")
        standing = [v for v in self.cloud.vms if v.native == want.name and v.deleted is None]
        if self.cloud.stops and standing:
            kept = standing[0].order.offer
            return [changed(kept, available=True, reason=None)]
        found = []
        for rank, kind in enumerate(want.types):
            places = [zone for sold, zone in self.cloud.spot if sold == kind]
            why = self.cloud.not_sold.get(kind, f"{kind} is not sold")
            if kind in self.cloud.not_sold or not places:
                found.append(self._offer(kind, "", want.markets[0], rank, why))
                continue
            for zone in places:
                for market in want.markets:
                    hourly = self.cloud.hourly(kind, zone, market)
                    dear = want.max_hourly and hourly and hourly > want.max_hourly
                    why = f"{hourly} is over the maximum of {want.max_hourly}" if dear else None
                    found.append(self._offer(kind, zone, market, rank, why))
        return found

    def _offer(self, kind: str, zone: str, market: Market, rank: int, why: str | None) -> Offer:
        hourly = self.cloud.hourly(kind, zone, market)
        parts = ()
        if self.cloud.stops and hourly is not None:
            one = Decimal(1)
            parts = (
                Component(
                    kind=Kind.VCPU, sku="n1-core", quantity=one, market=market, hourly=hourly
                ),
            )
        return Offer(
            provider=self.name,
            account=self.account,
            region=zone.rstrip("abcdef").rstrip("-"),
            zone=zone,
            type=kind,
            gpu="V100",
            gpus=1,
            market=market,
            hourly=hourly,
            on_demand_hourly=self.cloud.hourly(kind, zone, Market.ON_DEMAND),
            available=why is None,
            reason=why,
            components=parts,
            rank=rank,
        )

    def start(self, order: Order) -> Machine:
        self.cloud.call(f"start {order.offer.type} {order.offer.zone} {order.offer.market}")
        if self.cloud.launch_error is not None:
            raise self.cloud.launch_error
        for _ in range(_TRIES):
            if self.cloud.lost_requests:
                self.cloud.lost_requests -= 1
                continue
            vm = self._launched(order)
            if self.cloud.lost_answers:
                self.cloud.lost_answers -= 1
                continue
            if self.cloud.crash_after_launch is not None:
                raise self.cloud.crash_after_launch
            return self._machine(vm)
        raise UnknownOutcome("the cloud did not answer", hint="gpuctl ps")

    def _launched(self, order: Order) -> Vm:
        same = [vm for vm in self.cloud.vms if vm.order.token == order.token]
        if same:
            return same[0]
        self.cloud.refuse(order)
        native = order.name if self.cloud.stops else f"i-{self.cloud.number:06x}"
        return self.cloud.begin(order, native)

    def find(self, order: Order) -> Machine | None:
        self.cloud.call("find")
        found = [vm for vm in self._shown() if vm.order.token == order.token]
        return self._machine(found[0]) if found else None

    def stop(self, machine: MachineId, how: Down) -> None:
        self.cloud.call(f"{how} {machine.native}")
        if self.cloud.stop_error is not None:
            raise self.cloud.stop_error
        for vm in [vm for vm in self.cloud.vms if vm.native == machine.native]:
            if self.cloud.stops and how is Down.DELETE:
                self.cloud.delete(vm)
            else:
                self.cloud.end(vm, EndedBy.USER, "Client.UserInitiatedShutdown")
        self.cloud.inbound.pop(machine.native, None)

    def get(self, machine: MachineId) -> Machine:
        self.cloud.call("get")
        found = [vm for vm in self._shown() if vm.native == machine.native]
        if not found:
            raise NotFound(f"there is no {machine.native}")
        return self._machine(found[-1])

    def machines(self) -> Sequence[Machine]:
        self.cloud.call("machines")
        if self.cloud.broken_region is not None:
            raise ListingIncomplete(
                f"{self.cloud.broken_region} did not answer",
                provider=self.name,
                region=self.cloud.broken_region,
            )
        shown = self._shown()
        self.listed |= {(vm.number, len(vm.runs)) for vm in shown if vm.alive}
        self.recounted |= {(vm.number, len(vm.runs)) for vm in shown if any(self._ran(vm))}
        return [self._machine(vm) for vm in shown]

    def _shown(self) -> list[Vm]:
        return [vm for vm in self.cloud.vms if self.cloud.shown(vm)]

    def _machine(self, vm: Vm) -> Machine:
        order, state, run = vm.order, self.cloud.state(vm), vm.run
        up = state in (State.STARTING, State.RUNNING)
        offer = order.offer
        return Machine(
            id=MachineId(self.name, self.account, offer.region, offer.zone, vm.native),
            name=order.name,
            type=offer.type,
            gpu=offer.gpu,
            gpus=offer.gpus,
            market=run.market,
            state=state,
            launched_at=run.start,
            billed=tuple(self._billed(vm, up=up)),
            ran=tuple(self._ran(vm)),
            ending=vm.ending if self.cloud.stops or not up else None,
            address=f"203.0.113.{vm.number}" if state is State.RUNNING else None,
            image=order.image,
            project=order.project,
            lease=order.lease,
            install=order.install,
            deadline=vm.deadline,
            user=order.access.user,
        )

    def _billed(self, vm: Vm, *, up: bool) -> Iterator[Billable]:
        disk, market = vm.order.disk, Market.ON_DEMAND
        if vm.deleted is None and (up or self.cloud.stops):
            named = f"disk-{vm.number}"
            yield _thing(named, Kind.DISK, disk.type, vm.created, market, disk.gb)
        if up:
            yield from self._computing(vm)
            yield _thing(f"eni-{vm.number}", Kind.IPV4, "in-use", vm.run.start, market)

    def _ran(self, vm: Vm) -> Iterator[Billable]:
        """The last run's computing, whole: EC2 tells of it at once, Google of a stopped VM."""
        stopping = self.cloud.stops and self.cloud.state(vm) is State.STOPPING
        if vm.run.end is not None and not stopping:
            for part in self._computing(vm):
                yield changed(part, until=vm.run.end)

    def _computing(self, vm: Vm) -> Iterator[Billable]:
        since, market = vm.run.start, vm.run.market
        if self.cloud.stops:
            resource = f"vm-{vm.number}"
            yield _thing(resource, Kind.VCPU, "n1-core", since, market, 8)
            yield _thing(resource, Kind.GPU, "nvidia-tesla-t4", since, market)
        else:
            yield _thing(vm.native, Kind.COMPUTE, vm.order.offer.type, since, market)

    def ending(self, machine: MachineId) -> Ending | None:
        self.cloud.call("ending")
        found = [vm for vm in self.cloud.vms if vm.native == machine.native]
        if not found or found[-1].alive or self.cloud.amnesia:
            return None
        return found[-1].ending

    def leftovers(self) -> Sequence[Leftover]:
        self.cloud.call("leftovers")
        things = [self._leftover(thing) for thing in self.cloud.things]
        return [*things, *(self._left_image(shot) for shot in self.cloud.shots)]

    def _left_image(self, shot: Shot) -> Leftover:
        size, market = Decimal(shot.gb), Market.ON_DEMAND
        billed = Billable(
            resource=f"snap-{shot.id}",
            kind=Kind.SNAPSHOT,
            sku="standard",
            quantity=size,
            market=market,
            since=shot.at,
        )
        return Leftover(
            provider=self.name,
            account=self.account,
            region=shot.order.machine.region,
            zone=None,
            resource=shot.id,
            what="image",
            ours=True,
            reason="its snapshots are billed",
            fix=f"gpuctl audit --fix ({shot.id})",
            billed=(billed,),
            lease=shot.order.lease,
            created_at=shot.at,
        )

    def make_image(self, order: ImageOrder) -> Taken:
        self.cloud.call(f"image {order.resource}")
        if self.cloud.image_error is not None:
            raise self.cloud.image_error
        shot = self.cloud.shoot(order)
        if self.cloud.crash_after_image is not None:
            raise self.cloud.crash_after_image
        return self._taken(shot)

    def taken_image(self, order: ImageOrder) -> Taken | None:
        self.cloud.call("taken image")
        found = [shot for shot in self.cloud.shots if shot.order.token == order.token]
        return self._taken(found[0]) if found else None

    def _taken(self, shot: Shot) -> Taken:
        making = self.cloud.making(shot)
        return Taken(
            id=shot.id,
            region="global" if self.cloud.stops else shot.order.machine.region,
            making=making,
            gb=shot.gb,
            architecture="x86_64",
            reason=self.cloud.image_fails if making is Making.FAILED else None,
        )

    def unmake_image(self, order: ImageOrder) -> None:
        self.cloud.call(f"unmake {order.resource}")
        self.cloud.shots = [s for s in self.cloud.shots if s.order.token != order.token]

    def _leftover(self, thing: Thing) -> Leftover:
        disk = "pd-balanced" if self.cloud.stops else "gp3"
        return Leftover(
            provider=self.name,
            account=self.account,
            region="us-east-1",
            zone="us-east-1a",
            resource=thing.resource,
            what="disk",
            ours=thing.ours,
            reason="attached to nothing",
            fix=f"gpuctl audit --fix ({thing.resource})",
            billed=(
                Billable(
                    resource=thing.resource,
                    kind=Kind.DISK,
                    sku=disk,
                    quantity=Decimal(thing.gb),
                    market=Market.ON_DEMAND,
                    since=thing.created,
                ),
            ),
            project=thing.project,
            created_at=thing.created,
            machine=thing.machine,
        )

    def remove(self, leftover: Leftover) -> None:
        self.cloud.call(f"remove {leftover.resource}")
        if not leftover.ours:
            raise ValueError(f"{leftover.resource} is not ours")
        self.cloud.things = [t for t in self.cloud.things if t.resource != leftover.resource]
        self.cloud.shots = [shot for shot in self.cloud.shots if shot.id != leftover.resource]

    def prices(self, thing: Priced, span: Span) -> Sequence[PricePoint]:
        self.cloud.call(f"prices {thing.kind} {thing.sku}")
        if self.cloud.prices_broken:
            raise GpuctlError("the price list did not answer")
        if thing.sku in self.cloud.free_of_price:
            return []
        listed = LIST_PRICES.get((thing.kind, thing.sku))
        points = [] if listed is None else [(BEGINNING, listed)]
        if thing.kind is Kind.COMPUTE and thing.market is Market.SPOT:
            key = (thing.sku, thing.zone or "")
            first = self.cloud.spot.get(key)
            points = [(BEGINNING, first), *self.cloud.changes.get(key, ())] if first else []
        elif thing.kind is Kind.COMPUTE and thing.sku in self.cloud.on_demand:
            points = [(BEGINNING, self.cloud.on_demand[thing.sku])]
        before = [point for point in points if point[0] <= span.start][-1:]
        after = [point for point in points if span.start < point[0] < span.end]
        return [PricePoint(at=at, usd=Decimal(usd), source="fake") for at, usd in before + after]

    def filling(self, region: str) -> PricePoint | None:
        if self.cloud.stops or region != "us-east-1":
            return None
        return PricePoint(at=BEGINNING, usd=Decimal("0.0036"), source="fake")

    def admit(self, machine: MachineId, access: Access) -> None:
        self.cloud.call(f"admit {machine.native}")
        self.cloud.admit(machine.native, access)

    def move_deadline(self, machine: MachineId, deadline: datetime) -> None:
        self.cloud.call(f"deadline {machine.native}")
        self.cloud.vm(machine.native).deadline = deadline

    def insure(self, machine: MachineId, deadline: datetime) -> str | None:
        self.cloud.call(f"insure {machine.native} {deadline:%dT%H:%M}")
        return self.cloud.uninsured

    def prepare(self) -> Sequence[str]:
        return ()

    def host_keys(self, machine: MachineId) -> Sequence[str]:
        return [f"ssh-ed25519 {machine.native}"]

    def checks(self, want: Want | None) -> Sequence[Check]:
        ok = not self.cloud.denied
        types = "nothing" if want is None else " ".join(want.types)
        fix = None if ok else "log in again"
        return [Check(name="access", ok=ok, says=f"asked for {types}", fix=fix)]

    def footprint(self) -> Sequence[Footprint]:
        return []

    def erase(self, footprint: Footprint) -> None:
        """Nothing was made."""


def _thing(
    resource: str, kind: Kind, sku: str, since: datetime, market: Market, quantity: int = 1
) -> Billable:
    return Billable(
        resource=resource,
        kind=kind,
        sku=sku,
        quantity=Decimal(quantity),
        market=market,
        since=since,
    )
