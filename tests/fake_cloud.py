"""A cloud in memory, from its own side: what exists, what may go wrong, what was done to it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gpuctl.core.errors import (
    Denied,
    GpuctlError,
    InvalidRequest,
    NotFound,
    NoZoneCapacity,
    QuotaReached,
    TypeNotOffered,
)
from gpuctl.core.images.making import ImageOrder, Making
from gpuctl.core.images.stored import StoredImage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, State
from gpuctl.core.model import Access, Ending, Order
from gpuctl.core.ports import Clock

BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)
"""Since when all prices hold that nobody changed."""

LIST_PRICES = {
    (Kind.DISK, "gp3"): "0.08",
    (Kind.DISK, "pd-balanced"): "0.10",
    (Kind.IPV4, "in-use"): "0.005",
    (Kind.SNAPSHOT, "standard"): "0.05",
    (Kind.VCPU, "n1-core"): "0.03",
    (Kind.GPU, "nvidia-tesla-t4"): "0.35",
}


@dataclass
class Run:
    """One uninterrupted run of a machine."""

    start: datetime
    market: Market
    end: datetime | None = None
    by: EndedBy = EndedBy.USER
    reason: str = ""


@dataclass
class Vm:
    """A machine with everything that its tags would say."""

    native: str
    number: int
    order: Order
    deadline: datetime
    created: datetime
    visible: datetime
    """Nobody is shown it before."""
    runs: list[Run] = field(default_factory=list)
    deleted: datetime | None = None

    @property
    def run(self) -> Run:
        return self.runs[-1]

    @property
    def alive(self) -> bool:
        return self.deleted is None and self.run.end is None

    @property
    def ending(self) -> Ending | None:
        """Of the last run that ended."""
        over = [run for run in self.runs if run.end is not None]
        if not over:
            return None
        last = over[-1]
        assert last.end is not None
        gone = self.deleted if self.deleted != last.end else None
        return Ending(
            at=last.end,
            by=last.by,
            evidence=Evidence.STATE_REASON,
            reason=last.reason,
            gone_at=gone,
        )


@dataclass
class Thing:
    """A disk or address that exists without a machine."""

    resource: str
    ours: bool
    created: datetime
    project: str | None = None
    gb: int = 100
    machine: str | None = None


@dataclass
class Shot:
    """An image of a builder's disk."""

    id: str
    order: ImageOrder
    at: datetime
    gb: int


@dataclass
class Kept:
    """Images beside those of builders, the channels that lead to any, and who may use them."""

    images: list[StoredImage] = field(default_factory=list)
    channels: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """(region, name, channel) -> id."""
    shares: set[tuple[str, str]] = field(default_factory=set)
    """(id, account)."""


@dataclass
class FakeCloud:
    """The truth. `stops` = a machine that is ended stays, stopped, with its disk (Google)."""

    clock: Clock
    stops: bool = False
    first: int = 1
    """Ids count from here on: two clouds of one provider must not share any."""
    booting: timedelta = timedelta(seconds=20)
    stopping: timedelta = timedelta(seconds=30)
    remembered: timedelta = timedelta(hours=1)
    """How long a machine that is gone is still listed."""
    hidden: timedelta = timedelta()
    """How long a new machine is not shown to anybody."""
    spot: dict[tuple[str, str], str] = field(default_factory=dict)
    """(type, zone) -> USD an hour; what is absent is not sold there."""
    on_demand: dict[str, str] = field(default_factory=dict)
    changes: dict[tuple[str, str], list[tuple[datetime, str]]] = field(default_factory=dict)
    """(type, zone) -> later spot prices."""
    not_sold: dict[str, str] = field(default_factory=dict)
    """Type -> why it cannot be had anywhere."""
    sold_out: set[tuple[str, str, Market | None]] = field(default_factory=set)
    """(type, zone, market): zone `*` = everywhere, market None = both."""
    hints: tuple[str, ...] = ()
    """Zones that refusals name."""
    quotas: dict[str, str] = field(default_factory=dict)
    """Type -> code of the quota that is used up."""
    denied: bool = False
    launch_error: BaseException | None = None
    uninsured: str | None = None
    """Why the cloud would not end a machine that hangs; None = it would."""
    crash_after_launch: BaseException | None = None
    stop_error: GpuctlError | None = None
    lost_answers: int = 0
    lost_requests: int = 0
    broken_region: str | None = None
    prices_broken: bool = False
    free_of_price: set[str] = field(default_factory=set)
    """SKUs of which no price is known."""
    amnesia: bool = False
    """Machines that are gone are not listed, and nobody knows how they ended."""
    vms: list[Vm] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)
    shots: list[Shot] = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)
    imaging: timedelta = timedelta(minutes=2)
    """How long an image is pending."""
    image_fails: str | None = None
    """Why images fail; None = they do not."""
    image_error: BaseException | None = None
    crash_after_image: BaseException | None = None
    inbound: dict[str, tuple[str, ...]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    # -- what a test does to it

    def interrupt(self, native: str) -> None:
        """The cloud takes a spot machine back."""
        self.end(self.vm(native), EndedBy.PROVIDER, "Server.SpotInstanceTermination")

    def terminate(self, native: str) -> None:
        """Somebody ends it in the console."""
        self.end(self.vm(native), EndedBy.USER, "Client.UserInitiatedShutdown")

    def end(self, vm: Vm, by: EndedBy, reason: str) -> None:
        if vm.alive:
            vm.run.end, vm.run.by, vm.run.reason = self.clock(), by, reason

    def delete(self, vm: Vm) -> None:
        self.end(vm, EndedBy.USER, "delete")
        vm.deleted = vm.deleted or self.clock()

    @property
    def number(self) -> int:
        """Of the next machine."""
        return self.first + len(self.vms)

    def running(self) -> list[Vm]:
        return [vm for vm in self.vms if vm.alive]

    def vm(self, native: str) -> Vm:
        return [vm for vm in self.vms if vm.native == native][-1]

    # -- what the provider asks of it

    def call(self, what: str) -> None:
        self.calls.append(what)
        if self.denied:
            raise Denied("the credentials were refused", hint="log in again")

    def shown(self, vm: Vm) -> bool:
        """Whether the cloud tells of a machine at all, now."""
        over = vm.deleted or (None if self.stops else vm.run.end)
        forgotten = over is not None and self.clock() - over > (
            timedelta() if self.stops or self.amnesia else self.remembered
        )
        if over is not None and (self.stops or self.amnesia):
            return False
        return not forgotten and self.clock() >= vm.visible

    def state(self, vm: Vm) -> State:
        now, run = self.clock(), vm.run
        if run.end is None:
            return State.STARTING if now < run.start + self.booting else State.RUNNING
        if now < run.end + self.stopping:
            return State.STOPPING
        return State.STOPPED if self.stops and vm.deleted is None else State.GONE

    def is_sold_out(self, kind: str, zone: str, market: Market) -> bool:
        return any(
            (kind, place, which) in self.sold_out
            for place in (zone, "*")
            for which in (market, None)
        )

    def begin(self, order: Order, native: str) -> Vm:
        """A machine, new or (where it was stopped) again."""
        now = self.clock()
        known = [vm for vm in self.vms if vm.native == native and vm.deleted is None]
        if known and self.stops:
            vm = known[0]
            vm.order, vm.deadline = order, order.deadline
        else:
            vm = Vm(
                native=native,
                number=self.number,
                order=order,
                deadline=order.deadline,
                created=now,
                visible=now + self.hidden,
            )
            self.vms.append(vm)
        vm.runs.append(Run(start=now, market=order.offer.market))
        self.admit(native, order.access)
        return vm

    def admit(self, native: str, access: Access) -> None:
        check_sources(access)
        self.inbound[native] = () if access.tunnel else access.sources

    def refuse(self, order: Order) -> None:
        """Raise why an order cannot be filled now, if it cannot."""
        kind, zone = order.offer.type, order.offer.zone
        check_sources(order.access)
        if "no-such" in order.image:
            raise NotFound(f"there is no image {order.image}")
        if kind in self.quotas:
            raise QuotaReached(f"no quota for {kind}", code=self.quotas[kind])
        if kind in self.not_sold:
            raise TypeNotOffered(self.not_sold[kind], code="Unsupported")
        if self.is_sold_out(kind, zone, order.offer.market):
            raise NoZoneCapacity(f"{zone} has no {kind} now", code="Insufficient", zones=self.hints)
        if order.adopt and not any(
            vm.native == order.name and vm.deleted is None and vm.order.offer.zone == zone
            for vm in self.vms
        ):
            raise NotFound(f"there is no VM {order.name} in {zone}")

    def shoot(self, order: ImageOrder) -> Shot:
        """An image of a builder, once for an order. Where machines stop, it is stopped by it."""
        for shot in self.shots:
            if shot.order.token == order.token:
                return shot
        found = [vm for vm in self.vms if vm.native == order.machine.native and not vm.deleted]
        if not found or (not self.stops and not found[-1].alive):
            raise NotFound(f"there is no builder {order.machine.native}")
        if self.stops:
            self.end(found[-1], EndedBy.USER, "stopped for its image")
        made = f"ami-{len(self.shots) + 1:08x}"
        link = f"projects/my-project/global/images/{order.resource}"
        shot = Shot(link if self.stops else made, order, self.clock(), found[-1].order.disk.gb)
        self.shots.append(shot)
        return shot

    def making(self, shot: Shot) -> Making:
        if self.clock() - shot.at < self.imaging:
            return Making.PENDING
        return Making.READY if self.image_fails is None else Making.FAILED

    def hourly(self, kind: str, zone: str, market: Market) -> Decimal | None:
        """The price now."""
        if market is Market.ON_DEMAND:
            usd = self.on_demand.get(kind)
            return None if usd is None or (kind, zone) not in self.spot else Decimal(usd)
        points = [usd for at, usd in self.changes.get((kind, zone), ()) if at <= self.clock()]
        last = points[-1] if points else self.spot.get((kind, zone))
        return None if last is None else Decimal(last)


def check_sources(access: Access) -> None:
    """Nobody is let in from more than one address."""
    for source in access.sources:
        if not source.endswith(("/32", "/128")):
            raise InvalidRequest(f"{source} is more than one address")
