"""What was gathered from the clouds at one moment, and the note that a machine was shown so."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gpuctl.core.books import Books
from gpuctl.core.events import Event, Seen
from gpuctl.core.model import Ending, Leftover, Machine
from gpuctl.core.snapshot import write_machine
from gpuctl.core.span import format_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What was gathered: complete listings only. `accounts` are those listed (provider, id)."""

    at: datetime
    accounts: frozenset[tuple[str, str]]
    machines: Sequence[Machine] = ()
    leftovers: Sequence[Leftover] | None = None
    """None = not asked for."""
    endings: Mapping[str, Ending | None] = field(default_factory=dict)
    """By machine id: what the cloud still knows of machines that were not listed."""
    payers: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(provider, account) -> the client that owns and pays that account."""
    unsure: frozenset[str] = frozenset()
    """Machines that were not listed and could not be asked for either: nothing is concluded."""


def seen(books: Books, machine: Machine, at: datetime) -> Iterator[Event]:
    """That it was shown so, where that is news."""
    snapshot = write_machine(machine)
    machine_id = str(machine.id)
    last = books.seen.get(machine_id)
    # Shown again after it was missed: what was missed before counts no more.
    if last is None or dict(last.snapshot) != snapshot or machine_id in books.missed:
        digest = hashlib.sha256(json.dumps(snapshot, sort_keys=True).encode()).hexdigest()[:12]
        yield Seen(
            id=f"seen/{machine_id}/{format_time(at)}/{digest}",
            machine=machine_id,
            at=at,
            snapshot=snapshot,
        )
