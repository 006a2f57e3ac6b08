"""What the ledger holds: facts, each with an id, never totals, never changed afterwards.

Money facts are the records of the public interchange format (contract, section 5); the others
tell what gpuctl meant to do and what came of it, and are how a crash is recovered from.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, Unit

NOTHING: Mapping[str, "Json"] = MappingProxyType({})

Json = str | int | bool | None | list["Json"] | dict[str, "Json"]


class Usage(NamedTuple):
    """One uninterrupted run of one billable thing; `end` None = still running.

    `start` anchors AWS's spot hours: nothing ever moves it. `payer` is the client when the run
    is on the client's own account: shown, never billed.
    """

    id: str
    provider: str
    account: str | None
    region: str | None
    zone: str | None
    resource: str
    kind: Kind
    sku: str
    market: Market
    quantity: Decimal
    start: datetime
    end: datetime | None
    ended_by: EndedBy | None
    project: str | None
    session: str | None = None
    machine: str | None = None
    payer: str | None = None
    evidence: Evidence | None = None
    extra: Mapping[str, Json] = NOTHING


class Ended(NamedTuple):
    """A run that was open has ended. Of several, the one with the best evidence holds."""

    id: str
    usage: str
    end: datetime
    ended_by: EndedBy | None
    evidence: Evidence | None = None
    reason: str | None = None


class Price(NamedTuple):
    """USD per unit from `since` on, for a key that may leave region and zone open."""

    id: str
    provider: str
    region: str | None
    zone: str | None
    kind: Kind
    sku: str
    market: Market
    unit: Unit
    usd: Decimal
    since: datetime
    source: str | None = None
    extra: Mapping[str, Json] = NOTHING


class Switch(NamedTuple):
    """From `at` on, what runs on `resource` is for `project` (None = nobody's)."""

    id: str
    resource: str
    project: str | None
    at: datetime
    extra: Mapping[str, Json] = NOTHING


class Split(NamedTuple):
    """Over [since, until) the resource's cost is shared; `idle` is nobody's share."""

    id: str
    resource: str
    since: datetime
    until: datetime
    shares: Mapping[str, Decimal]
    idle: Decimal
    idle_absorbed: bool
    extra: Mapping[str, Json] = NOTHING


class Adjust(NamedTuple):
    """A correction in USD (negative = credit) for a project, with the reason in words."""

    id: str
    project: str | None
    at: datetime
    usd: Decimal
    note: str
    extra: Mapping[str, Json] = NOTHING


class Settle(NamedTuple):
    """What the real bill asks for a resource's kind over [since, until): no longer an estimate.

    Of several for the same stretch the one reconciled last holds. The stretch is a day of the
    provider's. `usd = billed / per_usd`.
    """

    id: str
    provider: str
    account: str | None
    resource: str
    kind: Kind
    since: datetime
    until: datetime
    billed: Decimal
    """In `currency`, as the bill has it, before tax and credits."""
    at: datetime
    """When it was reconciled."""
    source: str
    """The bill: format and file."""
    currency: str = "USD"
    per_usd: Decimal = Decimal(1)
    """Units of `currency` for one USD, as the bill says."""
    invoice: str | None = None
    extra: Mapping[str, Json] = NOTHING


class Close(NamedTuple):
    """A client's month is frozen: what was sent is kept, later facts become corrections."""

    id: str
    client: str
    month: str
    """`2025-03`: each provider's own billing month."""
    at: datetime
    invoice: str | None
    costs: Mapping[str, Json]
    """Project -> its exact USD in that month as reckoned at closing (`n/d`)."""
    corrects: Mapping[str, Json]
    """Earlier closed month -> project -> the exact USD of the correction billed in this one."""
    statement: Mapping[str, Json]
    """The statement as it was sent."""
    accounts: Mapping[str, Json] | None = None
    """Project -> its figures in `report`, in USD, as printed then."""
    overhead: bool = False
    """Whether its costs hold a share of the overhead."""
    extra: Mapping[str, Json] = NOTHING


class Leased(NamedTuple):
    """A machine was given the right to exist until `deadline`."""

    id: str
    """The lease's own id, also in the machine's tags."""
    name: str
    project: str
    provider: str
    account: str
    template: str
    at: datetime
    deadline: datetime
    ceiling: datetime
    idle_stop_s: int | None = None
    budget: Decimal | None = None
    payer: str | None = None


class Extended(NamedTuple):
    """A lease has a new deadline."""

    id: str
    lease: str
    at: datetime
    deadline: datetime


class Intent(NamedTuple):
    """About to do something that costs or ends cost. Written before it is sent."""

    id: str
    """The idempotency token of this very attempt."""
    lease: str
    verb: str
    """`start`, `stop`, `delete`, or `image` (of that machine)."""
    at: datetime
    machine: str | None = None
    """The cloud's own id where it is known already (stop, delete)."""
    order: Mapping[str, Json] = NOTHING
    """Everything needed to send the very same order again."""


class Outcome(NamedTuple):
    """What came of an intent: `done` or `failed`; none yet = nobody knows."""

    id: str
    intent: str
    at: datetime
    result: str
    machine: str | None = None
    code: str | None = None


class Armed(NamedTuple):
    """The machine itself reported that its dead-man's switch is set to `deadline`."""

    id: str
    lease: str
    at: datetime
    deadline: datetime


class Insured(NamedTuple):
    """A machine's cloud was asked to end it, should its guest hang past the deadline."""

    id: str
    lease: str
    at: datetime
    why: str | None = None
    """Why it would not; None = it will."""


class Seen(NamedTuple):
    """A machine as last reported, written when something about it changed; for `ps --cached`."""

    id: str
    machine: str
    at: datetime
    snapshot: Mapping[str, Json]


class Missed(NamedTuple):
    """A listing that should have shown a machine did not. Twice, apart, is the start of proof."""

    id: str
    machine: str
    at: datetime
    found: bool | None = None
    """True = storage of no machine that is shown again: misses before this count no more."""


class PricesKnown(NamedTuple):
    """All prices of a run that is over were asked for and answered: nothing is left to fetch."""

    id: str
    usage: str
    at: datetime


class JobNote(NamedTuple):
    """Something about a job of `run`; what, and what is said of it, is told in core/jobs.py."""

    id: str
    job: str
    what: str
    """`asked`, `claim`, `begun`, `ended`, `decided` or `over`."""
    at: datetime
    said: Mapping[str, Json]


class Quoted(NamedTuple):
    """What a client was told that a job would cost, and when it would be done. No money moves."""

    id: str
    project: str
    template: str
    at: datetime
    quote: Mapping[str, Json]
    """The quote itself: core/quoting/quote.py."""


MoneyEvent = Usage | Ended | Price | Switch | Split | Adjust | Settle | Close
"""What the bill is a function of."""

Event = (
    MoneyEvent
    | Leased
    | Extended
    | Intent
    | Outcome
    | Armed
    | Insured
    | Seen
    | Missed
    | PricesKnown
    | JobNote
    | Quoted
)
