"""What can be had: an existing VM where it stands, else types in zones, priced by their parts."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from gpuctl.core.errors import InvalidRequest
from gpuctl.core.kinds import Market
from gpuctl.core.model import Accelerator, Component, Offer, Want
from gpuctl.providers.gcp.calls import Call
from gpuctl.providers.gcp.client import Compute
from gpuctl.providers.gcp.errors import Json
from gpuctl.providers.gcp.prices import PriceBook
from gpuctl.providers.gcp.shapes import (
    GPU_MEMORY_GIB,
    Shape,
    family_of,
    full_gpu,
    known_shape,
    shape_of,
    short_gpu,
)
from gpuctl.providers.gcp.translate import gpus_of, last, market_of, region_of

T = TypeVar("T")
AT_ONCE = 8
"""Calls in flight together."""


@dataclass(frozen=True, slots=True)
class Place:
    """A type in a zone, with its position in the template's list."""

    zone: str
    type: str
    rank: int


class Offers:
    """Asks the zones what they have."""

    def __init__(
        self, compute: Compute, book: PriceBook, account: str, zones: Sequence[str]
    ) -> None:
        self._compute = compute
        self._book = book
        self._account = account
        self._zones = tuple(zones)
        self._shapes: dict[tuple[str, str], Shape] = {}

    def shape(self, zone: str, machine_type: str) -> Shape:
        """What a type is made of; only types of other families are asked for, and once."""
        key = (zone, machine_type)
        if key not in self._shapes:
            known = known_shape(machine_type)
            if known is None:
                known = shape_of(
                    self._compute.read(
                        Call.GET_MACHINE_TYPE,
                        doing=f"reading machine type {machine_type}",
                        zone=zone,
                        machine_type=machine_type,
                    )
                )
            self._shapes[key] = known
        return self._shapes[key]

    def __call__(self, want: Want) -> Sequence[Offer]:
        """The offers of one template."""
        if want.name and (vm := self._standing(want.name)) is not None:
            return (self._existing(vm),)
        zones = self._places(want)
        places = [Place(z, t, rank) for rank, t in enumerate(want.types) for z in zones]
        offered = together(self._look, places)
        accelerators = self._accelerators(want.accelerator, zones)
        found: list[Offer] = []
        for place, machine_type in zip(places, offered, strict=True):
            extra = want.accelerator if family_of(place.type) == "n1" else None
            reason = self._why_not(place, machine_type, extra, accelerators)
            found += (self._offer(place, machine_type, extra, m, reason) for m in want.markets)
        return tuple(found)

    def _standing(self, name: str) -> Json | None:
        found = self._compute.everywhere(
            Call.LIST_VMS, "instances", doing=f"looking for {name}", filter=f'name = "{name}"'
        )
        return next(iter(found), None)

    def _places(self, want: Want) -> tuple[str, ...]:
        zones = want.zones or tuple(
            z for z in self._zones if not want.regions or region_of(z) in want.regions
        )
        if not zones:
            raise InvalidRequest(
                "No Google zone is named: neither in the template nor under [gcp]",
                hint='zones = ["us-central1-a", "us-central1-b"]',
            )
        return zones

    def _look(self, place: Place) -> Json | None:
        doing = f"asking {place.zone} for {place.type}"
        return self._compute.look(
            Call.GET_MACHINE_TYPE, doing=doing, zone=place.zone, machine_type=place.type
        )

    def _accelerators(
        self, wanted: Accelerator | None, zones: Sequence[str]
    ) -> dict[str, Json | None]:
        if wanted is None:
            return {}
        name = full_gpu(wanted.type)

        def ask(zone: str) -> Json | None:
            doing = f"asking {zone} for {name}"
            return self._compute.look(
                Call.GET_ACCELERATOR_TYPE, doing=doing, zone=zone, accelerator_type=name
            )

        return dict(zip(zones, together(ask, zones), strict=True))

    def _why_not(
        self,
        place: Place,
        machine_type: Json | None,
        extra: Accelerator | None,
        accelerators: dict[str, Json | None],
    ) -> str | None:
        if machine_type is None:
            return f"{place.type} is not offered in {place.zone}"
        if state := (machine_type.get("deprecated") or {}).get("state"):
            return f"{place.type} is {str(state).lower()} in {place.zone}"
        if extra is None:
            return None
        card = accelerators.get(place.zone)
        if card is None:
            return f"{full_gpu(extra.type)} is not offered in {place.zone}"
        most = int(card.get("maximumCardsPerInstance") or extra.count)
        return f"at most {most} {full_gpu(extra.type)} a VM" if extra.count > most else None

    def _offer(
        self,
        place: Place,
        machine_type: Json | None,
        extra: Accelerator | None,
        market: Market,
        reason: str | None,
    ) -> Offer:
        shape = shape_of(machine_type) if machine_type else known_shape(place.type)
        gpu, count = (full_gpu(extra.type), extra.count) if extra else (None, 0)
        if shape is not None and extra is None:
            gpu, count = shape.gpu, shape.gpus
        return self._priced(place, shape, gpu, count, market, reason)

    def _existing(self, vm: Json) -> Offer:
        zone, kind = last(vm["zone"]), last(vm["machineType"])
        shape = self.shape(zone, kind)
        gpu, count = gpus_of(vm, shape)
        return self._priced(Place(zone, kind, 0), shape, gpu, count, market_of(vm), None)

    def _priced(
        self,
        place: Place,
        shape: Shape | None,
        gpu: str | None,
        gpus: int,
        market: Market,
        reason: str | None,
    ) -> Offer:
        region = region_of(place.zone)

        def parts(of: Market) -> tuple[Component, ...] | None:
            return self._book.components(region, shape, gpu, gpus, of) if shape else None

        components = parts(market)
        hourly = _total(components)
        memory = GPU_MEMORY_GIB.get(gpu or "")
        return Offer(
            provider="gcp",
            account=self._account,
            region=region,
            zone=place.zone,
            type=place.type,
            gpu=short_gpu(gpu) if gpu else None,
            gpus=gpus,
            market=market,
            hourly=hourly,
            on_demand_hourly=_total(parts(Market.ON_DEMAND)),
            available=reason is None,
            reason=reason,
            source=self._book.source if hourly is not None else None,
            components=components or (),
            vcpus=int(shape.vcpus) if shape else None,
            memory_gib=shape.memory_gib if shape else None,
            gpu_memory_gib=Decimal(memory) if memory else None,
            rank=place.rank,
        )


def together(ask: Callable[[T], Json | None], about: Sequence[T]) -> list[Json | None]:
    """Ask the same about several at the same time; answers in order, the first error raised."""
    if len(about) <= 1:
        return [ask(one) for one in about]
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(about))) as pool:
        return list(pool.map(ask, about))


def _total(parts: Sequence[Component] | None) -> Decimal | None:
    return None if parts is None else sum((part.hourly for part in parts), Decimal())
