"""A project's charges -> its sessions: which machine ran when, at which prices, with what beside.

Exact USD; nothing here is rounded. A session is one run of one machine for the project; its
disk, address and traffic belong to it while it runs, and a quarter of an hour around it, in
which clouds make and remove them. What no session has stays `other`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from gpuctl.core.attribution import cut
from gpuctl.core.charges import Charge
from gpuctl.core.events import Event, Intent, Leased, Seen
from gpuctl.core.kinds import EndedBy, Kind, Market, Priced, Unit
from gpuctl.core.names import client_of
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.rules import MARKET_KINDS
from gpuctl.core.span import Span
from gpuctl.core.statement import PriceStep
from gpuctl.core.tally import total

AROUND = timedelta(minutes=15)
"""Disks and addresses are made before and removed after the machine that they belong to."""

_OF_MACHINE = frozenset(kind.value for kind in MARKET_KINDS)


class Look(NamedTuple):
    """What is known of a machine: its name where it may be told, its type and its GPUs."""

    name: str | None = None
    type: str | None = None
    gpu: str | None = None
    gpus: int = 0
    image: str | None = None
    """`NAME@VERSION` of an image of one's own, and the hash of the recipe that it was made of."""
    recipe_sha256: str | None = None


class Looks:
    """Machines as the ledger saw them, or as they were ordered, or as their template has them."""

    def __init__(
        self, events: Iterable[Event], client: str, templates: Mapping[str, tuple[str, int]]
    ) -> None:
        """`templates`: name -> (GPU, how many) of those that attach one."""
        self._client = client
        self._templates = templates
        self._leases: dict[str, Leased] = {}
        self._seen: dict[str, Seen] = {}
        self._orders: dict[str, Mapping[str, Any]] = {}
        for event in events:
            match event:
                case Leased():
                    self._leases[event.id] = event
                case Seen():
                    known = self._seen.get(event.machine)
                    if known is None or (known.at, known.id) < (event.at, event.id):
                        self._seen[event.machine] = event
                case Intent(verb="start"):
                    self._orders[event.lease] = event.order
                case _:
                    pass

    def of(self, session: str | None, machine: str | None) -> Look:
        """A machine of this client. A name that another client's project gave is not told."""
        lease = self._leases.get(session or "")
        seen = self._seen.get(machine or "")
        facts = seen.snapshot if seen is not None else self._orders.get(session or "", {})
        gpu, gpus = facts.get("gpu"), facts.get("gpus")
        if not gpu and lease is not None and lease.template in self._templates:
            gpu, gpus = self._templates[lease.template]
        kind = facts.get("type")
        order = self._orders.get(session or "", {})
        image, recipe = order.get("image_name"), order.get("recipe_sha256")
        return Look(
            name=self._name(lease, seen),
            type=str(kind) if kind else None,
            gpu=str(gpu) if gpu else None,
            gpus=gpus if isinstance(gpus, int) and gpu else 0,
            image=str(image) if image else None,
            recipe_sha256=str(recipe) if recipe else None,
        )

    def _name(self, lease: Leased | None, seen: Seen | None) -> str | None:
        if lease is not None:
            return lease.name if client_of(lease.project) == self._client else None
        project = seen.snapshot.get("project") if seen is not None else None
        if seen is not None and isinstance(project, str) and client_of(project) == self._client:
            return str(seen.snapshot.get("name"))
        return None


class Run(NamedTuple):
    """One session, exact. `machine` are the charges of the machine itself."""

    machine: tuple[Charge, ...]
    beside: tuple[Charge, ...]

    @property
    def first(self) -> Charge:
        """The first charge of the machine."""
        return self.machine[0]

    @property
    def cost(self) -> Fraction:
        """USD, all of it."""
        return total((*self.machine, *self.beside))

    @property
    def compute(self) -> Fraction:
        """USD, the machine itself, with what is taken off it."""
        return total(self.machine)

    @property
    def timed(self) -> tuple[Charge, ...]:
        """The machine's charges that have a price an hour."""
        return tuple(charge for charge in self.machine if charge.kind in _OF_MACHINE)

    @property
    def seconds(self) -> Fraction:
        """Seconds billed to the project: its share of a shared machine's, none of a free one's."""
        by_kind: dict[str, Fraction] = {}
        for charge in self.timed:
            key = f"{charge.kind} {charge.sku}"
            share = charge.units / Fraction(charge.quantity) if charge.quantity else Fraction(0)
            by_kind[key] = by_kind.get(key, Fraction(0)) + share
        return max(by_kind.values(), default=Fraction(0))

    def end(self, now: datetime, closed: Mapping[str, datetime]) -> datetime | None:
        """When it ended in this period; None when it still runs. `closed`: run -> its end."""
        last = max(self.timed, key=lambda charge: charge.end)
        runs_on = last.usage not in closed and last.end >= now
        return None if runs_on else last.end

    def ended_by(self, closed: Mapping[str, datetime]) -> EndedBy | None:
        """Who ended it, where it ended in this period."""
        last = max(self.timed, key=lambda charge: charge.end)
        end = closed.get(last.usage or "")
        return last.ended_by if end is not None and last.end >= end else None


def runs_of(charges: Iterable[Charge]) -> tuple[Sequence[Run], Sequence[Charge]]:
    """A project's charges -> its sessions by their start, and what belongs to none."""
    machines: dict[tuple[str, str, datetime], list[Charge]] = {}
    others: list[Charge] = []
    for charge in charges:
        kind = charge.sku if charge.kind == "settle" else charge.kind
        machine = kind in _OF_MACHINE or kind == "discount"
        if machine and charge.resource is not None and charge.launched is not None:
            key = (charge.session or "", charge.resource, charge.launched)
            machines.setdefault(key, []).append(charge)
        else:
            others.append(charge)
    found = [sorted(parts, key=_place) for parts in machines.values()]
    stray = [parts for parts in found if not any(c.kind in _OF_MACHINE for c in parts)]
    others += [charge for parts in stray for charge in parts]
    found = sorted((parts for parts in found if parts not in stray), key=lambda p: _place(p[0]))
    placed: list[tuple[int | None, Charge]] = []
    for charge in sorted(others, key=lambda charge: charge.kind == "settle"):
        placed += _beside_its_run(charge, placed) or _placed(charge, found)
    beside: list[list[Charge]] = [[] for _ in found]
    rest: list[Charge] = []
    for number, piece in placed:
        (rest if number is None else beside[number]).append(piece)
    runs = [
        Run(machine=tuple(parts), beside=tuple(extra))
        for parts, extra in zip(found, beside, strict=True)
    ]
    return runs, rest


def _place(charge: Charge) -> tuple[bool, datetime, str, str, datetime]:
    timed = charge.kind not in _OF_MACHINE
    return (timed, charge.start, charge.resource or "", charge.kind, charge.end)


def _beside_its_run(
    charge: Charge, placed: Sequence[tuple[int | None, Charge]]
) -> list[tuple[int | None, Charge]]:
    """What a bill asks more for a day goes where that day's estimates of the same run went."""
    if charge.kind != "settle":
        return []
    span = Span(charge.start, charge.end)
    seconds: dict[int | None, int] = {}
    for number, piece in placed:
        if (piece.usage, piece.kind) == (charge.usage, charge.sku) and piece.start < piece.end:
            common = Span(piece.start, piece.end).meet(span)
            if common is not None:
                seconds[number] = seconds.get(number, 0) + common.seconds
    whole = sum(seconds.values())
    return [
        (number, charge._replace(units=charge.units * Fraction(part, whole)))
        for number, part in seconds.items()
    ]


def _placed(
    charge: Charge, found: Sequence[Sequence[Charge]]
) -> Iterator[tuple[int | None, Charge]]:
    """A charge cut to the runs of its machine: (number of the run or None, piece)."""
    mine = [number for number, parts in enumerate(found) if _together(charge, parts[0])]
    if not mine:
        yield None, charge
        return
    windows: list[tuple[datetime, datetime, int]] = []
    for number in mine:
        timed = [part for part in found[number] if part.kind in _OF_MACHINE]
        since = min(part.start for part in timed) - AROUND
        until = max(part.end for part in timed) + AROUND
        if windows and windows[-1][1] > since:
            since = max(since, windows[-1][1] - AROUND)
            windows[-1] = (windows[-1][0], since, windows[-1][2])
        windows.append((since, until, number))
    edges = [edge for since, until, _ in windows for edge in (since, until)]
    for piece in cut(charge, edges) if charge.start < charge.end else (charge,):
        inside = (number for since, until, number in windows if since <= piece.start < until)
        yield next(inside, None), piece


def _together(charge: Charge, machine: Charge) -> bool:
    if charge.session is not None and charge.session == machine.session:
        return True
    return charge.machine is not None and charge.machine == machine.machine


def price_steps(run: Run) -> Sequence[tuple[datetime, Decimal | None]]:
    """(from, USD an hour of the machine itself), equal neighbours merged; None = not known."""
    changes: dict[datetime, tuple[Fraction, int, int]] = {}
    for charge in run.timed:
        usd = Fraction(charge.rate or 0) * Fraction(charge.quantity)
        unknown = int(charge.rate is None)
        for at, sign in ((charge.start, 1), (charge.end, -1)):
            price, missing, parts = changes.get(at, (Fraction(0), 0, 0))
            changes[at] = (price + sign * usd, missing + sign * unknown, parts + sign)
    price, missing, parts = Fraction(0), 0, 0
    steps: list[tuple[datetime, Decimal | None]] = []
    for at in sorted(changes):
        price, missing, parts = (
            price + changes[at][0],
            missing + changes[at][1],
            parts + changes[at][2],
        )
        if not parts:
            continue
        hourly = None if missing else Decimal(price.numerator) / Decimal(price.denominator)
        if not steps or steps[-1][1] != hourly:
            steps.append((at, hourly))
    return steps


def spot_prices(run: Run) -> tuple[PriceStep, ...]:
    """The steps of a spot price while it ran; nothing for what has no market."""
    if run.first.market is not Market.SPOT:
        return ()
    return tuple(PriceStep(at, usd) for at, usd in price_steps(run) if usd is not None)


def on_demand(run: Run, book: PriceBook) -> Fraction | None:
    """What the machine itself would have cost on demand; None where a price is not known."""
    if run.first.market is not Market.SPOT:
        return run.compute
    whole = Fraction(0)
    for charge in run.timed:
        cost = _on_demand(charge, book)
        if cost is None:
            return None
        whole += cost
    return whole


def _on_demand(charge: Charge, book: PriceBook) -> Fraction | None:
    thing = Priced(
        provider=charge.provider or "",
        region=charge.region,
        zone=charge.zone,
        kind=Kind(charge.kind),
        sku=charge.sku or "",
        market=Market.ON_DEMAND,
        unit=charge.unit or Unit.HOUR,
    )
    # What was waived has no billed units; on demand it would have been billed whole.
    units = Fraction(charge.quantity) * charge.seconds if charge.free else charge.units
    steps = book.changes(thing, charge.start, charge.end)
    ends = [*(at for at, _ in steps[1:]), charge.end]
    whole = Fraction(0)
    for (start, usd), end in zip(steps, ends, strict=True):
        if usd is None:
            return None
        part = Fraction(int((end - start).total_seconds()), charge.seconds)
        whole += units * part * Fraction(usd) / charge.per
    return whole
