"""What the verbs may ask of the world. Each promise here is a contract test."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from gpuctl.core.billed import Bill
from gpuctl.core.checkpoints import Store
from gpuctl.core.events import Event, Leased
from gpuctl.core.images.facts import ImageFacts
from gpuctl.core.images.ports import KeepsImages, MakesImages
from gpuctl.core.keeping import Keep
from gpuctl.core.kinds import Priced
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
    PricePoint,
    Want,
)
from gpuctl.core.span import Month, Span

Clock = Callable[[], datetime]
"""Now: aware UTC, whole seconds."""

Sleep = Callable[[float], None]
"""Wait that many seconds."""

NewId = Callable[[], str]
"""A fresh random id: 32 hex digits."""


@dataclass(frozen=True, slots=True, order=True)
class CloudRef:
    """An account to work through: a provider, and the client whose account it is (None = ours)."""

    provider: str
    payer: str | None = None

    def __str__(self) -> str:
        return self.provider if self.payer is None else f"{self.provider} ({self.payer}'s account)"


class Provider(KeepsImages, MakesImages, Protocol):
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

    def filling(self, region: str) -> PricePoint | None:
        """USD per GB of its snapshot that a disk with an `init_rate` costs at most, once.

        None = not known, which is not free.
        """

    def admit(self, machine: MachineId, access: Access) -> None:
        """Let exactly `access.sources` in, until it expires; revoke what was let in before."""

    def move_deadline(self, machine: MachineId, deadline: datetime) -> None:
        """Record a new deadline where the machine and other laptops can read it."""

    def insure(self, machine: MachineId, deadline: datetime) -> str | None:
        """Have the cloud itself end the machine soon after its deadline, though its guest hangs.

        None = it will; else why it will not, in words. `move_deadline` moves that too, `stop`
        takes it back. Done again it holds once, for the latest deadline.
        """

    def prepare(self) -> Sequence[str]:
        """Make in the account, once, what `insure` needs; what was made, in words."""

    def host_keys(self, machine: MachineId) -> Sequence[str]:
        """Public SSH host keys the cloud vouches for (`ssh-ed25519 AAAA…`); () = not known."""

    def checks(self, want: Want | None) -> Sequence[Check]:
        """What `doctor` says about this account."""

    def footprint(self) -> Sequence[Footprint]:
        """What gpuctl made in the account besides machines."""

    def erase(self, footprint: Footprint) -> None:
        """Remove one of those. Idempotent."""


class Ledger(Protocol):
    """Facts on disk. Every method may raise `LedgerError`."""

    @property
    def location(self) -> str:
        """Where it is, for messages."""

    @property
    def install(self) -> str:
        """This installation's id: 32 hex digits, in the tags of all that it makes."""

    @property
    def head(self) -> str:
        """The hash that all events lead to."""

    def events(self) -> Sequence[Event]:
        """Everything, oldest first."""

    def events_about(self, span: Span) -> Sequence[Event]:
        """All that charges within `span` can depend on, oldest first; perhaps more."""

    def touched(self, month: Month, since: str) -> bool:
        """Whether anything that can matter to a month was appended after the event `since`."""

    def append(self, events: Iterable[Event]) -> int:
        """Durably add what is new, all or nothing; how many were."""


class Progress(Protocol):
    """How long work is told to whoever watches; never data."""

    def step(self, text: str) -> AbstractContextManager[None]:
        """A named step that takes a while."""

    def note(self, text: str) -> None:
        """Something worth knowing, said once."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy moved: files and bytes; `skipped` are links that led outside."""

    files: int
    bytes: int
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step ended: its exit code, and `FILE:LINE: exit CODE: COMMAND` where it failed."""

    code: int
    where: str | None = None


class Workbench(Protocol):
    """The steps of one recipe on one builder, run as root. Every method may raise `RemoteFailed`.

    A step goes on when the connection does not. Nothing of it is on the builder's disk.
    """

    def lay(self, recipe: Mapping[str, bytes], pip: bytes | None) -> None:
        """Put the recipe's files (by their path) and the user's pip configuration there, once.

        `OtherRecipe` when another one lies there.
        """

    def begun(self) -> Mapping[str, int | None]:
        """The steps that were begun: their exit codes, None while one runs.

        What was cut off with the builder itself is left out: it was not begun.
        """

    def begin(self, step: str, environ: Mapping[str, str]) -> None:
        """Begin a step, or begin one that failed again; nothing where it runs or has ended well."""

    def follow(self, step: str, offset: int, write: Callable[[bytes], None]) -> StepEnd | None:
        """Pass on what it says from a byte on, until it ends; None = cut off with the builder.

        Its end comes over the same connection, for the last step may take all logins away.
        """


class Reach(Protocol):
    """The user's end of SSH: keys, known hosts, commands on machines."""

    def public_key(self) -> str:
        """The installation's public key; made at first use."""

    def addresses(self) -> Sequence[str]:
        """This computer's public addresses as `/32` or `/128`; never empty.

        `GpuctlError` when they cannot be learnt, with the flag that names one.
        """

    def introduce(self, machine: Machine, host_keys: Sequence[str]) -> None:
        """Make `ssh NAME` work for it, trusting these host keys alone where there are any."""

    def forget(self, machine: MachineId, name: str) -> None:
        """The reverse."""

    def answers(self, machine: Machine) -> bool:
        """Whether a command can be run there now."""

    def shell(self, machine: Machine, argv: Sequence[str]) -> int:
        """A shell (or argv) on the user's terminal; the remote exit code. `RemoteFailed`."""

    def run(self, machine: Machine, argv: Sequence[str]) -> tuple[int, str]:
        """A command without a terminal: its exit code and what it said. `RemoteFailed`."""

    def push(
        self, machine: Machine, source: Path, directory: str, exclude: Sequence[str]
    ) -> Copied:
        """Copy a tree (what git would add) into a directory below the remote home."""

    def pull(
        self, machine: Machine, source: str, directory: Path, exclude: Sequence[str]
    ) -> Copied:
        """Copy a remote directory or file; nothing is ever written outside `directory`."""

    def start_job(
        self,
        machine: Machine,
        name: str,
        argv: Sequence[str],
        directory: str,
        environ: Mapping[str, str],
    ) -> None:
        """Start a command that outlives the connection. GpuctlError when the name is taken."""

    def follow_job(self, machine: Machine, name: str, offset: int) -> Iterator[bytes]:
        """Its log from a byte on, until it ends. `RemoteFailed` when the connection is lost."""

    def job_code(self, machine: Machine, name: str) -> int | None:
        """Its exit code; None while it runs or when it left none."""

    def job_phase(self, machine: Machine, name: str) -> str:
        """`starting`, `running`, `ended`, or `lost`: it left no exit code. `NotFound`."""

    def signal_job(self, machine: Machine, name: str, what: str) -> None:
        """Send it and its children a signal (`TERM`); nothing when it has ended."""

    def jobs(self, machine: Machine) -> Sequence[str]:
        """The names of the jobs that the machine remembers."""

    def workbench(self, machine: Machine, key: str) -> Workbench:
        """Where the steps of the recipe with that hash are run on a builder."""

    def keep(self, machine: Machine, keep: Keep, argv: Sequence[str]) -> tuple[str, ...]:
        """Put the keeper of checkpoints on the machine; the command that runs argv under it."""

    def kept(self, machine: Machine) -> Store:
        """What the keeper keeps on the machine itself, copied here. `NotFound` when nothing."""

    def armed(self, machine: Machine) -> datetime | None:
        """The deadline the machine itself reports; None = it does not answer (yet)."""

    def extend(self, machine: Machine, deadline: datetime) -> datetime:
        """Move the machine's own deadline; the one it now has. `RemoteFailed`."""


class Clouds(Protocol):
    """The accounts in use, connected at need."""

    def accounts(self) -> Sequence[CloudRef]:
        """Those that are configured or have something in the ledger."""

    def of(self, provider: str, project: str | None) -> CloudRef:
        """Where a project's machines run: its client's own account, else the user's."""

    def connect(self, ref: CloudRef) -> Provider:
        """The provider, the same object each time. `Denied` without credentials."""

    def bucket(self, address: str, payer: str | None) -> Store:
        """The bucket of an address, with the user's (or that client's) own rights.

        UsageProblem for an address of no cloud that is known.
        """

    def image(self, ref: CloudRef, region: str | None, named: str) -> ImageFacts:
        """What a cloud tells of an image, free of charge; in its first region without one.

        NotFound where it has none; UsageProblem where the cloud does not tell.
        """

    def export(self, provider: str, table: str, span: Span) -> Iterator[str]:
        """The rows of a billing export where it lies, JSON, one a line; reading may cost money.

        UsageProblem where the cloud keeps none, or for a name that is none.
        """

    def costs(self, ref: CloudRef, span: Span) -> Bill:
        """What the account was billed, asked of the cloud itself; each request may cost money.

        UsageProblem where the cloud does not tell.
        """


BootScript = Callable[[Leased, str, int], bytes]
"""(lease, login user, number of GPUs) -> the first script of a machine, as its cloud wants it."""
