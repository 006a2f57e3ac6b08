"""A cloud in few lines: machines that run, stop and vanish, and what a look at them gives."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gpuctl.core import sync
from gpuctl.core.books import books
from gpuctl.core.events import Leased
from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, State
from gpuctl.core.merge import merge
from gpuctl.core.model import Billable, Ending, Machine, MachineId

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
ACCOUNT = ("aws", "111122223333")
MINUTE = timedelta(minutes=1)


def billable(kind, sku, since, quantity="1", resource="i-1", **more):
    market = more.pop("market", Market.ON_DEMAND)
    return Billable(
        resource=resource, kind=kind, sku=sku, quantity=Decimal(quantity), market=market,
        since=since, **more,
    )  # fmt: skip


def machine(native="i-1", since=START, state=State.RUNNING, **changes):
    """One AWS machine with disk and address, as its cloud reports it."""
    alive = state not in (State.STOPPED, State.GONE)
    disk = billable(Kind.DISK, "gp3", since, "100", f"vol-of-{native}")
    running = [
        billable(Kind.COMPUTE, "g5.xlarge", since, resource=native, market=Market.SPOT),
        billable(Kind.IPV4, "in-use", since, resource=f"eni-of-{native}"),
    ]
    billed = [*(running if alive else []), *([] if state is State.GONE else [disk])]
    fields = {
        "id": MachineId("aws", ACCOUNT[1], "us-east-1", "us-east-1a", native),
        "name": "vision-1", "type": "g5.xlarge", "gpu": "a10g", "gpus": 1, "market": Market.SPOT,
        "state": state, "launched_at": since, "billed": tuple(billed), "project": "acme/vision",
        "lease": "l1", "install": "0" * 32, "deadline": since + 480 * MINUTE,
    }  # fmt: skip
    return Machine(**fields | changes)


def ended(one, at, by=EndedBy.USER, evidence=Evidence.STATE_REASON, state=State.GONE):
    """The same machine after its end, as long as the cloud still lists it."""
    ending = Ending(at=at, by=by, evidence=evidence, reason="Client.UserInitiatedShutdown")
    kept = tuple(b for b in one.billed if b.kind is Kind.DISK) if state is State.STOPPED else ()
    return replace(one, state=state, ending=ending, billed=kept)


def lease(**changes):
    fields = {
        "id": "l1", "name": "vision-1", "project": "acme/vision", "provider": "aws",
        "account": ACCOUNT[1], "template": "t", "at": START, "deadline": START + 480 * MINUTE,
        "ceiling": START + 1440 * MINUTE,
    }  # fmt: skip
    return Leased(**fields | changes)


class Notebook:
    """A ledger in memory that syncs like the program does: plan, then append what is new."""

    def __init__(self, *events):
        self.events = list(events)

    @property
    def books(self):
        return books(self.events)

    def look(self, minutes, *machines, accounts=(ACCOUNT,), **more):
        """A complete listing so many minutes after the start; gives the events that were new."""
        sighting = sync.Sighting(
            at=START + minutes * MINUTE,
            accounts=frozenset(accounts),
            machines=machines,
            **more,
        )
        news = merge(self.events, sync.plan(self.books, sighting))
        self.events += news
        assert merge(self.events, sync.plan(self.books, sighting)) == [], "not idempotent"
        return news

    def open(self):
        return sorted(usage.resource for usage in self.books.open)
