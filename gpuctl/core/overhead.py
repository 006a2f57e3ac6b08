"""Overhead: what is no project's own (images, idle disks and addresses), shared by machine-hours.

Only where the user turned it on, and only over whole billing months. Exact: what is shared and
what stays unattributed add up to what was there.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from gpuctl.core.charges import Charge
from gpuctl.core.kinds import Kind
from gpuctl.core.names import client_of

KIND = "overhead"
"""The kind of the charges made here: one for each project."""

IMAGES = "overhead/images"
"""The project of builders and tests of images that no project was named for."""

_SHARED = frozenset(
    kind.value
    for kind in (
        Kind.SNAPSHOT,
        Kind.DISK,
        Kind.DISK_IOPS,
        Kind.DISK_THROUGHPUT,
        Kind.IPV4,
        Kind.OBJECT_STORAGE,
    )
)
_MACHINES = ("compute", "vcpu")


def shared(
    charges: Sequence[Charge], bears: Callable[[str], bool], at: datetime
) -> Sequence[Charge]:
    """A month's charges with the overhead among their projects, dated `at`.

    Every project's part is that of its machine-hours among all projects'. Of a client that does
    not bear any (`bears`), it stays unattributed.
    """
    hours = _hours(charges)
    whole = sum(hours.values(), Fraction(0))
    taken = {project: part / whole for project, part in hours.items() if bears(client_of(project))}
    pool = sum((charge.cost or 0 for charge in charges if _is_overhead(charge)), Fraction(0))
    if not taken or not pool:
        return charges
    left = 1 - sum(taken.values(), Fraction(0))
    kept = [
        charge._replace(units=charge.units * left) if _is_overhead(charge) else charge
        for charge in charges
        if left or not _is_overhead(charge)
    ]
    return [*kept, *(_part(project, pool * part, at) for project, part in sorted(taken.items()))]


def _is_overhead(charge: Charge) -> bool:
    """Nobody's, paid by us, and of no machine that somebody may still be named for.

    Builders of images run for a project of their own, which is everybody's.
    """
    if charge.project == IMAGES and not charge.absorbed and charge.payer is None:
        return charge.cost is not None
    kind = charge.sku if charge.kind == "settle" else charge.kind
    nobodys = charge.project is None and not charge.absorbed and charge.payer is None
    loose = charge.machine is None and charge.session is None
    return nobodys and loose and kind in _SHARED and charge.cost is not None


def _hours(charges: Iterable[Charge]) -> dict[str, Fraction]:
    """Project -> machine-hours on our own accounts: Google's machines are known by their cores."""
    found: dict[str, Fraction] = {}
    for charge in charges:
        ours = charge.project not in (None, IMAGES) and charge.payer is None
        if ours and charge.kind in _MACHINES and charge.quantity:
            project = charge.project or ""
            ran = charge.amount / Fraction(charge.quantity)
            found[project] = found.get(project, Fraction(0)) + ran
    return {project: ran for project, ran in found.items() if ran > 0}


def _part(project: str, usd: Fraction, at: datetime) -> Charge:
    return Charge(
        provider=None,
        account=None,
        region=None,
        zone=None,
        resource=None,
        kind=KIND,
        sku=None,
        market=None,
        start=at,
        end=at,
        quantity=Decimal(1),
        unit=None,
        units=usd,
        per=1,
        rate=Decimal(1),
        project=project,
        session=None,
        ended_by=None,
        note="images, idle disks and addresses, by machine-hours",
    )
