"""Values -> the JSON objects of the public contract, section 4."""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from gpuctl.app.audit import Finding
from gpuctl.app.down import Ended
from gpuctl.app.fleet import Shown
from gpuctl.app.gather import Silence
from gpuctl.app.plan import Attempt
from gpuctl.cli.money_shapes import charge_shape, exact
from gpuctl.core.model import Offer
from gpuctl.core.span import format_time


def time_or_none(moment: datetime | None) -> str | None:
    """RFC 3339, or null."""
    return None if moment is None else format_time(moment)


def machine_shape(shown: Shown) -> dict[str, Any]:
    """`machine` of the contract."""
    machine = shown.machine
    return {
        "name": machine.name,
        "id": machine.id.native,
        "provider": machine.id.provider,
        "region": machine.id.region,
        "zone": machine.id.zone,
        "type": machine.type,
        "gpu": machine.gpu,
        "gpus": machine.gpus,
        "market": machine.market.value,
        "state": machine.state.value,
        "project": shown.project,
        "launched_at": time_or_none(machine.launched_at),
        "deadline": time_or_none(machine.deadline),
        "address": machine.address,
        "hourly": None if shown.hourly is None else exact(shown.hourly),
        "cost": exact(shown.cost),
        "currency": shown.currency,
        "image": machine.image or (None if shown.image is None else shown.image.id),
        "image_name": None if shown.image is None else shown.image.name,
        "recipe_sha256": None if shown.image is None else shown.image.recipe_sha256,
    }


def attempt_shape(attempt: Attempt) -> dict[str, Any]:
    """One offer that `up` went through."""
    return {
        "type": attempt.type,
        "zone": attempt.zone,
        "market": None if attempt.market is None else attempt.market.value,
        "outcome": attempt.outcome,
        "code": attempt.code,
        "reason": attempt.reason,
    }


def ended_shape(ended: Ended) -> dict[str, Any]:
    """A machine of `down`: the machine, its charges, their total."""
    receipt = ended.receipt
    return {
        **machine_shape(ended.shown),
        "charges": [charge_shape(charge) for charge in receipt.charges],
        "total": exact(receipt.total),
        "on_demand": None if receipt.on_demand is None else exact(receipt.on_demand),
        "still": [
            {
                "resource": still.resource,
                "kind": still.kind,
                "monthly": None if still.monthly is None else exact(still.monthly),
            }
            for still in receipt.still
        ],
    }


def offer_shape(offer: Offer) -> dict[str, Any]:
    """`offers` of the contract, with the saving's base beside it."""
    return {
        "provider": offer.provider,
        "region": offer.region,
        "zone": offer.zone or None,
        "type": offer.type,
        "gpu": offer.gpu,
        "gpus": offer.gpus,
        "market": offer.market.value,
        "hourly": None if offer.hourly is None else exact(Fraction(offer.hourly)),
        "on_demand": None
        if offer.on_demand_hourly is None
        else exact(Fraction(offer.on_demand_hourly)),
        "currency": "USD",
        "available": offer.available,
        "reason": offer.reason,
        "source": offer.source,
    }


def finding_shape(finding: Finding) -> dict[str, Any]:
    """`findings` of the contract."""
    return {
        "provider": finding.provider,
        "region": finding.region,
        "resource": finding.resource,
        "kind": finding.kind,
        "project": finding.project,
        "reason": finding.reason,
        "monthly": None if finding.monthly is None else exact(finding.monthly),
        "currency": "USD",
        "fix": finding.fix,
        "ours": finding.ours,
    }


def incomplete(silent: Sequence[Silence]) -> dict[str, Any]:
    """`incomplete` where somebody could not be asked, nothing otherwise."""
    if not silent:
        return {}
    return {
        "incomplete": [
            {"provider": item.provider, "region": item.region, "reason": item.reason}
            for item in silent
        ]
    }
