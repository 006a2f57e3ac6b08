"""What every provider promises: one test per promise of gpuctl/core/ports.py, to be inherited.

A cloud's own file gives the fixtures `provider`, `order` and `world`, and inherits
`ProviderContract`. Nothing here knows which cloud it is.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

import pytest

from gpuctl.core.errors import (
    Denied,
    GpuctlError,
    InvalidRequest,
    ListingIncomplete,
    NotFound,
    NoZoneCapacity,
    QuotaReached,
    UnknownOutcome,
)
from gpuctl.core.kinds import EndedBy, Kind, Market, Priced, State, Unit
from gpuctl.core.model import Access, Billable, Down, Leftover, Machine, MachineId, Order, Want
from gpuctl.core.ports import Provider
from gpuctl.core.span import Span

COMPUTE = {Kind.COMPUTE, Kind.VCPU, Kind.RAM, Kind.GPU}
ENDED = {State.STOPPING, State.STOPPED, State.GONE}
ALICE = "203.0.113.7/32"
BOB = "198.51.100.9/32"
PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFGsmHWTGRDaG/tjWrN8VRPP2ri1rTJzqk1yp8p4U9pD gpuctl"
)


class World(Protocol):
    """What a test may do to the cloud behind the provider's back, and see of it."""

    unsold: str
    """A machine type that the cloud does not sell."""

    def now(self) -> datetime:
        """The cloud's time, whole seconds."""

    def settle(self) -> None:
        """Let every passing state (starting, stopping) pass."""

    def advance(self, by: timedelta) -> None:
        """Let time go by."""

    def running(self) -> int:
        """How many machines really run or are starting, over all regions."""

    def no_capacity(self, order: Order) -> None:
        """The order's type cannot be had in its zone any more."""

    def no_quota(self, order: Order) -> None:
        """The order's type goes over a quota."""

    def lose_answers(self, count: int) -> None:
        """The cloud does the next `count` launches, but their answers are lost."""

    def lose_requests(self, count: int) -> None:
        """The next `count` launches never arrive."""

    def deny(self) -> None:
        """From now on the credentials are refused."""

    def break_listing(self) -> None:
        """From now on one region or zone cannot be listed."""

    def interrupt(self, machine: MachineId) -> None:
        """The cloud takes a spot machine back; returns when that is done."""

    def power_off(self, machine: MachineId) -> None:
        """The machine shuts itself down; returns when that is done."""

    def strange_leftover(self) -> str:
        """Make something that costs and is not gpuctl's; its resource id."""

    def inbound(self) -> Sequence[str]:
        """Addresses (CIDR) that may really reach port 22 of gpuctl's machines now."""


class ProviderContract:
    """Inherit it and give the three fixtures."""

    # -- who it is

    def test_it_has_a_name_and_an_account(self, provider: Provider) -> None:
        assert provider.name in {"aws", "gcp"}
        assert provider.account
        assert provider.account == provider.account

    # -- offers

    def test_an_offer_tells_what_is_sold_where_and_for_how_much(
        self, provider: Provider, order: Order
    ) -> None:
        found = [one for one in provider.offers(want(order)) if one.available]
        here = [one for one in found if one.zone == order.offer.zone]
        assert here
        for offer in here:
            assert offer.provider == provider.name
            assert offer.account == provider.account
            assert (offer.type, offer.market) == (order.offer.type, order.offer.market)
            assert offer.hourly is not None
            assert offer.hourly > 0
            assert offer.reason is None

    def test_a_type_that_is_not_sold_comes_back_with_the_reason(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        found = provider.offers(replace(want(order), types=(world.unsold,)))
        assert [(one.type, one.available) for one in found] == [(world.unsold, False)]
        assert found[0].reason

    def test_what_is_too_dear_says_so(self, provider: Provider, order: Order) -> None:
        ceiling = Decimal("0.0001")
        found = provider.offers(replace(want(order), max_hourly=ceiling))
        dear = [one for one in found if one.hourly is not None and one.hourly > ceiling]
        assert dear
        assert all(one.reason for one in dear if not one.available)

    def test_no_credentials_no_offers(self, provider: Provider, order: Order, world: World) -> None:
        world.deny()
        with pytest.raises(Denied):
            provider.offers(want(order))

    # -- start

    def test_a_started_machine_is_the_one_that_was_ordered(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = provider.start(order)
        assert machine.id.provider == provider.name
        assert machine.id.account == provider.account
        assert machine.id.zone == order.offer.zone
        assert machine.state in {State.STARTING, State.RUNNING}
        assert (machine.name, machine.type) == (order.name, order.offer.type)
        assert machine.market == order.offer.market
        assert world.running() == 1

    def test_what_a_machine_is_for_comes_back(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        assert machine.state is State.RUNNING
        assert machine.project == order.project
        assert machine.lease == order.lease
        assert machine.install == order.install
        assert machine.deadline == order.deadline
        assert machine.user == order.access.user
        assert machine.address
        assert machine.ending is None

    def test_the_same_token_is_the_same_machine(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        assert provider.start(order).id == provider.start(order).id
        assert world.running() == 1

    def test_a_lost_answer_costs_no_second_machine(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        world.lose_answers(1)
        machine = provider.start(order)
        assert machine.name == order.name
        assert world.running() == 1

    def test_when_no_answer_ever_comes_the_outcome_is_unknown_or_found(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        world.lose_answers(50)
        try:
            machine = provider.start(order)
        except UnknownOutcome:
            world.settle()
            found = provider.find(order)
            assert found is not None
            machine = found
        assert machine.name == order.name
        assert world.running() == 1

    def test_a_launch_that_never_arrives_is_not_a_machine(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        world.lose_requests(50)
        with pytest.raises(GpuctlError):
            provider.start(order)
        assert world.running() == 0

    def test_no_capacity_is_told_as_such(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        world.no_capacity(order)
        with pytest.raises(NoZoneCapacity) as caught:
            provider.start(order)
        assert caught.value.code
        assert world.running() == 0

    def test_no_quota_is_told_as_such(self, provider: Provider, order: Order, world: World) -> None:
        world.no_quota(order)
        with pytest.raises(QuotaReached) as caught:
            provider.start(order)
        assert caught.value.code
        assert world.running() == 0

    def test_an_unknown_image_is_not_found(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        with pytest.raises(NotFound):
            provider.start(replace(order, image="no-such-image@1"))
        assert world.running() == 0

    @pytest.mark.parametrize("source", ["0.0.0.0/0", "::/0", "203.0.0.0/8"])
    def test_nobody_is_ever_let_in_from_everywhere(
        self, provider: Provider, order: Order, world: World, source: str
    ) -> None:
        with pytest.raises(InvalidRequest):
            provider.start(replace(order, access=replace(order.access, sources=(source,))))
        assert world.running() == 0

    def test_only_the_named_addresses_are_let_in(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        provider.start(order)
        assert set(world.inbound()) == set(order.access.sources)

    def test_a_tunnel_lets_nobody_in_directly(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        provider.start(replace(order, access=replace(order.access, tunnel=tunnel_of(provider))))
        assert not set(world.inbound()) & {ALICE, BOB}

    def test_no_permission_to_launch(self, provider: Provider, order: Order, world: World) -> None:
        world.deny()
        with pytest.raises(Denied):
            provider.start(order)
        assert world.running() == 0

    # -- find

    def test_an_order_that_was_never_sent_is_not_found_and_not_launched(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        assert provider.find(order) is None
        assert world.running() == 0

    def test_a_sent_order_is_found(self, provider: Provider, order: Order, world: World) -> None:
        machine = started(provider, order, world)
        found = provider.find(order)
        assert found is not None
        assert found.id == machine.id
        assert found.lease == order.lease

    # -- get and machines

    def test_an_unknown_machine_is_not_found(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        with pytest.raises(NotFound):
            provider.get(replace(machine.id, native=f"{machine.id.native[:-1]}0"))

    def test_everything_on_the_clock_is_told(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        before = world.now()
        machine = started(provider, order, world)
        kinds = {thing.kind for thing in machine.billed}
        assert kinds & COMPUTE
        assert {Kind.DISK, Kind.IPV4} <= kinds
        disk = next(thing for thing in machine.billed if thing.kind is Kind.DISK)
        assert (disk.quantity, disk.sku) == (Decimal(order.disk.gb), order.disk.type)
        for thing in machine.billed:
            assert thing.quantity > 0
            assert thing.until is None
            check_time(thing.since)
            assert before - timedelta(seconds=2) <= thing.since <= world.now()
        assert {thing.since for thing in compute(machine.billed)} == {machine.launched_at}

    def test_the_list_is_what_get_says(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        assert list(provider.machines()) == [machine]

    def test_an_empty_account_has_no_machines(self, provider: Provider) -> None:
        assert list(provider.machines()) == []

    def test_a_listing_is_complete_or_an_error(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        started(provider, order, world)
        world.break_listing()
        with pytest.raises(ListingIncomplete) as caught:
            provider.machines()
        assert caught.value.provider == provider.name

    def test_no_credentials_no_list(self, provider: Provider, world: World) -> None:
        world.deny()
        with pytest.raises((Denied, ListingIncomplete)):
            provider.machines()

    # -- stop, and how runs end

    @pytest.mark.parametrize("how", list(Down))
    def test_what_is_stopped_costs_no_compute(
        self, provider: Provider, order: Order, world: World, how: Down
    ) -> None:
        machine = started(provider, order, world)
        world.advance(timedelta(minutes=10))
        provider.stop(machine.id, how)
        world.settle()
        assert world.running() == 0
        over = after(provider, machine)
        if over is None:
            return
        assert over.state in ENDED
        assert not compute(over.billed)
        assert over.ending is not None
        assert over.ending.by is EndedBy.USER
        check_time(over.ending.at)
        assert timedelta(minutes=9) < over.ending.at - launch_time(machine) < timedelta(minutes=12)

    def test_what_is_deleted_costs_nothing(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        provider.stop(machine.id, Down.DELETE)
        world.settle()
        over = after(provider, machine)
        assert over is None or over.billed == ()
        disks = [left for left in provider.leftovers() if left.what == "disk"]
        assert disks == []

    @pytest.mark.parametrize("how", list(Down))
    def test_stopping_twice_is_no_error(
        self, provider: Provider, order: Order, world: World, how: Down
    ) -> None:
        machine = started(provider, order, world)
        provider.stop(machine.id, how)
        provider.stop(machine.id, how)
        world.settle()
        provider.stop(machine.id, how)
        assert world.running() == 0

    def test_stopping_what_is_long_gone_is_no_error(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        provider.stop(machine.id, Down.DELETE)
        world.advance(timedelta(days=2))
        provider.stop(machine.id, Down.DELETE)

    def test_a_spot_interruption_is_the_providers_doing(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        world.advance(timedelta(minutes=30))
        world.interrupt(machine.id)
        over = after(provider, machine)
        ending = over.ending if over is not None else provider.ending(machine.id)
        assert ending is not None
        assert ending.by is EndedBy.PROVIDER
        assert ending.evidence.certain
        assert ending.reason
        assert ending.at > launch_time(machine) + timedelta(minutes=29)

    def test_a_guest_that_shuts_itself_down_is_the_users_doing(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        world.advance(timedelta(minutes=30))
        world.power_off(machine.id)
        over = after(provider, machine)
        ending = over.ending if over is not None else provider.ending(machine.id)
        assert ending is not None
        assert ending.by is EndedBy.USER
        assert over is None or not compute(over.billed)

    def test_an_ending_can_be_told_long_after(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        world.advance(timedelta(minutes=30))
        provider.stop(machine.id, Down.DELETE)
        ended = world.now()
        world.advance(timedelta(days=20))
        ending = provider.ending(machine.id)
        if ending is not None:  # a cloud may have forgotten; it may not invent
            assert ending.by is EndedBy.USER
            assert abs(ending.at - ended) < timedelta(minutes=2)

    def test_what_runs_has_not_ended(self, provider: Provider, order: Order, world: World) -> None:
        assert provider.ending(started(provider, order, world).id) is None

    # -- prices

    def test_prices_begin_at_or_before_the_span(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        world.advance(timedelta(days=2))
        span = Span(launch_time(machine), world.now())
        for thing in machine.billed:
            points = provider.prices(priced(machine, thing), span)
            assert points, thing
            assert points[0].at <= span.start, thing
            assert [point.at for point in points] == sorted(point.at for point in points)
            assert all(point.usd > 0 and point.source for point in points)
            assert all(point.at < span.end for point in points)

    def test_an_unknown_thing_has_no_price_and_is_not_free(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        thing = Priced(
            provider=provider.name,
            region=order.offer.region,
            zone=order.offer.zone,
            kind=Kind.COMPUTE,
            sku="no-such-thing",
            market=Market.SPOT,
            unit=Unit.HOUR,
        )
        assert list(provider.prices(thing, Span(world.now(), world.now()))) == []

    # -- access, deadline, host keys

    def test_admitting_replaces_who_was_let_in(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        provider.admit(machine.id, access(order, BOB))
        assert BOB in world.inbound()
        assert ALICE not in world.inbound()
        provider.admit(machine.id, access(order, BOB))
        assert list(world.inbound()).count(BOB) == 1

    def test_nobody_is_admitted_from_everywhere(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        with pytest.raises(InvalidRequest):
            provider.admit(machine.id, access(order, "0.0.0.0/0"))
        assert "0.0.0.0/0" not in world.inbound()

    def test_a_moved_deadline_can_be_read_by_all(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        later = order.deadline + timedelta(hours=3)
        provider.move_deadline(machine.id, later)
        assert provider.get(machine.id).deadline == later
        assert provider.get(machine.id).project == order.project

    def test_host_keys_are_public_keys_or_nothing(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        keys = provider.host_keys(started(provider, order, world).id)
        assert all(key.startswith(("ssh-", "ecdsa-")) for key in keys)

    # -- the end that the cloud itself arranges

    def test_a_machine_is_insured_as_often_as_it_is_asked_for(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        provider.prepare()
        assert provider.prepare() == ()
        machine = provider.start(order)
        world.settle()
        assert provider.insure(machine.id, order.deadline) is None
        assert provider.insure(machine.id, order.deadline) is None
        provider.stop(machine.id, Down.DELETE)
        world.settle()
        assert world.running() == 0

    # -- leftovers, checks, footprint

    def test_what_others_left_is_seen_and_never_removed(
        self, provider: Provider, world: World
    ) -> None:
        resource = world.strange_leftover()
        left = next(one for one in provider.leftovers() if one.resource == resource)
        assert not left.ours
        assert left.billed
        assert left.reason
        assert left.fix
        with pytest.raises(ValueError, match=resource):
            provider.remove(left)
        assert resource in {one.resource for one in provider.leftovers()}

    def test_a_machine_in_use_is_no_leftover(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        used = {machine.id.native, *(thing.resource for thing in machine.billed)}
        assert used & {one.resource for one in costing(provider.leftovers())} == set()

    def test_checks_tell_and_never_raise(self, provider: Provider, order: Order) -> None:
        found = provider.checks(want(order))
        assert found
        assert all(check.name and check.says for check in found)
        assert [check for check in found if check.ok is False] == []

    def test_checks_without_credentials_say_so(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        world.deny()
        found = provider.checks(want(order))
        bad = [check for check in found if check.ok is False]
        assert bad
        assert all(check.fix for check in bad)

    def test_what_was_made_can_be_listed_and_erased(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        provider.stop(machine.id, Down.DELETE)
        world.settle()
        made = provider.footprint()
        for thing in (*made, *made):
            provider.erase(thing)
        assert list(provider.footprint()) == []


def want(order: Order) -> Want:
    """What the order's own template would ask for."""
    return Want(
        types=(order.offer.type,), markets=(order.offer.market,), regions=(order.offer.region,)
    )


def started(provider: Provider, order: Order, world: World) -> Machine:
    """The order's machine, running."""
    machine = provider.start(order)
    world.settle()
    return provider.get(machine.id)


def after(provider: Provider, machine: Machine) -> Machine | None:
    """The machine as it is, None when the cloud has forgotten it."""
    try:
        return provider.get(machine.id)
    except NotFound:
        return None


def compute(billed: Sequence[Billable]) -> list[Billable]:
    return [thing for thing in billed if thing.kind in COMPUTE]


def costing(leftovers: Sequence[Leftover]) -> list[Leftover]:
    return [left for left in leftovers if left.billed]


def launch_time(machine: Machine) -> datetime:
    assert machine.launched_at is not None
    return machine.launched_at


def check_time(moment: datetime) -> None:
    assert moment.tzinfo is UTC
    assert moment.microsecond == 0


def access(order: Order, *sources: str) -> Access:
    return replace(order.access, sources=sources)


def tunnel_of(provider: Provider) -> str:
    return {"aws": "ssm", "gcp": "iap"}[provider.name]


def priced(machine: Machine, thing: Billable) -> Priced:
    """How the ledger asks for the price of something on the clock."""
    monthly = {Kind.DISK, Kind.DISK_IOPS, Kind.DISK_THROUGHPUT, Kind.SNAPSHOT}
    return Priced(
        provider=machine.id.provider,
        region=machine.id.region,
        zone=machine.id.zone,
        kind=thing.kind,
        sku=thing.sku,
        market=thing.market,
        unit=Unit.MONTH if thing.kind in monthly else Unit.HOUR,
    )
