"""What the verbs may ask of the world. Each promise here is a contract test."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from gpuctl.core.model import (
    Access,
    Check,
    Down,
    Ending,
    Footprint,
    Leftover,
    Machine,
    MachineId,
    Offer,
    Order,
    Priced,
    PricePoint,
    Want,
)
from gpuctl.core.span import Span

Clock = Callable[[], datetime]
"""Now: aware UTC, whole seconds."""

Sleep = Callable[[float], None]
"""Wait that many seconds."""

NewId = Callable[[], str]
"""A fresh random id: 32 hex digits."""


class Provider(Protocol):
    """One cloud through one account. Every method may raise `Denied`, `Busy`, `GpuctlError`."""

    @property
    def name(self) -> str:
        """`aws`, `gcp`: the word used in templates, ledgers and JSON."""

    @property
    def account(self) -> str:
        """The account id or Google project that pays. May ask the cloud, once."""

    def offers(self, want: Want) -> Sequence[Offer]:
        """What can be had, each with this provider's name.

        Nothing available is (), not an error; a type that is not sold comes back as an
        unavailable offer with the reason. Filters may be ignored: the core applies them again.
        """

    def start(self, order: Order) -> Machine:
        """Launch or start; returns once the cloud has accepted, perhaps `starting`.

        Same token, same machine. Project, lease and deadline come back from `get`. Raises
        `NoZoneCapacity`, `TypeNotOffered`, `PriceTooLow`, `QuotaReached`, `InvalidRequest`,
        `NotFound` (image) when nothing was started, `UnknownOutcome` when that is not known.
        """

    def find(self, order: Order) -> Machine | None:
        """What became of an order whose answer was lost; launches nothing.

        None = no trace of it now, which right after the order proves nothing. Any request of
        the order that could still be filled later is cancelled.
        """

    def stop(self, machine: MachineId, how: Down) -> None:
        """End what costs. Idempotent: a machine that is already gone is no error."""

    def get(self, machine: MachineId) -> Machine:
        """The machine as it is; `NotFound` when the cloud no longer knows it."""

    def machines(self) -> Sequence[Machine]:
        """All machines with our tags: complete, or `ListingIncomplete`.

        Ended ones that the cloud still remembers are included, with their `ending`.
        """

    def ending(self, machine: MachineId) -> Ending | None:
        """The best evidence left of how a machine that cannot be listed any more ended."""

    def leftovers(self) -> Sequence[Leftover]:
        """Disks, addresses, snapshots, requests, rules, keys that remain, ours or not."""

    def remove(self, leftover: Leftover) -> None:
        """End one leftover. Idempotent; refuses (ValueError) what is not ours."""

    def prices(self, thing: Priced, span: Span) -> Sequence[PricePoint]:
        """Oldest first; the first point is at or before `span.start` where one is known.

        () = no price is known, which is never the same as free.
        """

    def admit(self, machine: MachineId, access: Access) -> None:
        """Let exactly `access.sources` in, until it expires; revoke what was let in before."""

    def move_deadline(self, machine: MachineId, deadline: datetime) -> None:
        """Record a new deadline where the machine and other laptops can read it."""

    def host_keys(self, machine: MachineId) -> Sequence[str]:
        """Public SSH host keys the cloud vouches for (`ssh-ed25519 AAAA…`); () = not known."""

    def checks(self, want: Want | None) -> Sequence[Check]:
        """What `doctor` says about this account."""

    def footprint(self) -> Sequence[Footprint]:
        """What gpuctl made in the account besides machines."""

    def erase(self, footprint: Footprint) -> None:
        """Remove one of those. Idempotent."""
