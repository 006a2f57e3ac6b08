"""What a quote says in words: to the client what was assumed, to us what to know besides."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from gpuctl.app.quote_prices import Sold
from gpuctl.config.model import ClientPolicy
from gpuctl.config.template import Template
from gpuctl.core.kinds import MarketPolicy
from gpuctl.core.quoting.reckon import Reckoned
from gpuctl.core.quoting.seen import Seen


class Asked(NamedTuple):
    """`hours` of computing on the template's type, the least and the most."""

    project: str
    template: Template
    hours: tuple[Decimal, Decimal]
    deadline: datetime | None = None
    cached: bool = False
    """Ask no cloud: the ledger's prices alone."""


def assumed(asked: Asked, found: Sold, past: Seen, overhead: int, made: Reckoned) -> Iterator[str]:
    """What the client may know of how the figures came about. No price, no markup."""
    least, most = asked.hours
    lost = f"{round(overhead / 60)} minutes"
    yield (
        f"The job takes {most:f} hours of computing on {found.type}."
        if least == most
        else f"The job takes {least:f} to {most:f} hours of computing on {found.type}; any length "
        "between them is as likely as another."
    )
    measured = (
        f"{_some(len(past.starts), 'start')} measured" if past.starts else "none measured yet"
    )
    yield (
        f"Every start of a machine takes {lost} before the job goes on, and is paid for "
        f"({measured})."
    )
    if made.on_demand:
        yield "It runs on demand from start to end: without interruptions."
        return
    yield (
        "It runs on spare capacity (spot), which the provider may take back, and goes on from its "
        "last checkpoint."
    )
    if past.attempts:
        yield (
            f"How often it can be had: as in {_some(past.attempts, 'request')} and "
            f"{_some(past.sessions, 'session')}, {past.interruptions} of them interrupted, in 90 "
            "days."
        )
    else:
        yield (
            "How often it can be had: nothing was seen of that yet, so any kind of market counts "
            "as likely."
        )
    yield f"Its prices go on changing as in the {found.days} days before."
    if asked.deadline is not None:
        yield "It moves to an on-demand machine as soon as the deadline asks for it."
    elif asked.template.market is MarketPolicy.SPOT:
        yield "It waits for as long as there is no spare capacity."
    else:
        yield "Where there is no spare capacity it runs on demand."


def notes(
    asked: Asked, policy: ClientPolicy, made: Reckoned, *, own: bool, billed: bool
) -> Iterator[str]:
    """What only we need to know."""
    if made.on_demand and asked.template.market is not MarketPolicy.ON_DEMAND:
        yield "spot is expected to save nothing here: quoted on demand (gpuctl up --on-demand)"
    if own:
        yield "it runs on the client's own cloud account: nothing of it is billed by you"
    elif not billed:
        yield f"{asked.project} is absorbed: nothing of it is billed"
    if policy.cap_month is not None or policy.retainer is not None:
        yield "the client's cap or retainer is not taken off"
    disk = asked.template.disk
    if disk.iops or disk.throughput:
        yield "IOPS and throughput that the disk has beyond the included ones are not counted"
    if made.finish_p90 is None:
        yield "in one of ten cases it is not done within 60 days: --deadline, or on demand"


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
