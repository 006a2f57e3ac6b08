"""Whose a charge is: switches move it from a moment on, splits share it over a stretch."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from fractions import Fraction

from gpuctl.core.charges import Charge
from gpuctl.core.events import Split, Switch, Usage
from gpuctl.core.span import Span


class Attribution:
    """Switches and splits by resource. Their order in the ledger does not matter."""

    def __init__(self, switches: Iterable[Switch], splits: Iterable[Split]) -> None:
        self._switches: dict[str, list[Switch]] = {}
        for switch in sorted(switches, key=lambda switch: (switch.at, switch.id)):
            self._switches.setdefault(switch.resource, []).append(switch)
        self._splits: dict[str, list[Split]] = {}
        for split in sorted(splits, key=lambda split: (split.since, split.id)):
            self._splits.setdefault(split.resource, []).append(split)

    def owners(self, usage: Usage, whole: Span) -> Sequence[tuple[datetime, str | None]]:
        """(from, project) over a run: its own first, then each switch that found it running."""
        owners: list[tuple[datetime, str | None]] = [(whole.start, usage.project)]
        switches = self._switches.get(usage.resource, ())
        return owners + [(switch.at, switch.project) for switch in switches if switch.at in whole]

    def attribute(self, usage: Usage, whole: Span, charges: Iterable[Charge]) -> Iterator[Charge]:
        """The same charges, cut and handed to their projects; the total never changes."""
        owners = self.owners(usage, whole)
        splits = self._splits.get(usage.resource, ())
        for charge in charges:
            for piece in cut(charge, [at for at, _ in owners] + _edges(splits)):
                split = next((s for s in splits if s.since <= piece.start < s.until), None)
                if split is not None:
                    yield from _shared(piece, split)
                else:
                    project = next(p for at, p in reversed(owners) if at <= piece.start)
                    yield piece._replace(project=project)


def _edges(splits: Sequence[Split]) -> list[datetime]:
    return [edge for split in splits for edge in (split.since, split.until)]


def cut(charge: Charge, edges: Iterable[datetime]) -> Iterator[Charge]:
    """The charge in pieces that begin and end at those moments; together they are the whole."""
    inside = sorted({edge for edge in edges if charge.start < edge < charge.end})
    if not inside:
        yield charge
        return
    starts, ends = [charge.start, *inside], [*inside, charge.end]
    for start, end in zip(starts, ends, strict=True):
        span = Span(start, end)
        part = Fraction(span.seconds, charge.seconds)
        yield charge._replace(start=start, end=end, units=charge.units * part)


def _shared(charge: Charge, split: Split) -> Iterator[Charge]:
    shares = sum((Fraction(share) for share in split.shares.values()), Fraction(0))
    idle = Fraction(split.idle) if split.idle_absorbed else Fraction(0)
    whole = shares + idle
    for project, share in sorted(split.shares.items()):
        if share:
            yield charge._replace(project=project, units=charge.units * Fraction(share) / whole)
    if idle:
        yield charge._replace(project=None, absorbed=True, units=charge.units * idle / whole)


def overlapping(splits: Iterable[Split]) -> tuple[Split, Split] | None:
    """Two splits of one resource that claim the same time, or None."""
    last: dict[str, Split] = {}
    for split in sorted(splits, key=lambda split: (split.since, split.id)):
        before = last.get(split.resource)
        if before is not None and split.since < before.until:
            return before, split
        last[split.resource] = split
    return None
