"""Jobs of `run` as the ledger knows them: asked for, each leg on a machine, how it all ended.

    asked                      once
    claim     leg n, turn k    who may act for that leg, until when; one holder for each number
    begun     leg n            the command runs on that machine
    ended     leg n            exit, interrupted, lease, moved, lost, stopped, refused
    decided   leg n            where a job with a deadline is to be, and why
    over                       once

A fact's id holds its numbers: of two writers one is first, and the other learns of it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from gpuctl.core.events import NOTHING, Event, JobNote, Json
from gpuctl.core.span import format_time, parse_time

CLAIMED = timedelta(minutes=25)
"""How long a claim holds without being renewed: a machine may take 20 minutes to be ready."""
ATTEMPTS = 20
"""Legs of a job where nothing else is said."""


class Wanted(NamedTuple):
    """What was asked for. `environ` are names alone; `tree` is a directory of `host`.

    `work_s` and `deadline` belong together: hours of computing on the template's type, and by
    when they are to be done.
    """

    name: str
    project: str
    template: str
    argv: tuple[str, ...]
    directory: str
    host: str
    tree: str | None = None
    exclude: tuple[str, ...] = ()
    environ: tuple[str, ...] = ()
    commit: str | None = None
    dirty: bool = False
    resume: bool = False
    attempts: int = ATTEMPTS
    budget: Decimal | None = None
    """USD for all legs together."""
    keep: str | None = None
    """The name its checkpoints are kept under; None = they are not."""
    restore: bool = True
    down: bool = False
    """End the machine when the job is over."""
    deadline: datetime | None = None
    work_s: int | None = None
    interval_s: int = 300


class Claim(NamedTuple):
    """Who acts for a leg. `machine` is the name its machine has or gets: at most one ever."""

    leg: int
    turn: int
    by: str
    at: datetime
    until: datetime
    machine: str
    existing: bool = False
    """The machine ran before the job was asked for: it is not ours to start again."""
    market: str | None = None
    """`spot` or `on-demand` where a deadline decided; None = as the template has it."""
    zones: tuple[str, ...] = ()
    """The zones to try, in order, where a deadline decided."""
    type: str | None = None
    """The type that its hours are counted on."""


class Begun(NamedTuple):
    """The command was started. `machine` is the cloud's id, `remote` the job's name there."""

    leg: int
    at: datetime
    machine: str
    name: str
    lease: str
    zone: str
    region: str
    type: str
    market: str
    remote: str


class Ended(NamedTuple):
    """A leg is over. `how`: `exit`, `interrupted`, `lease`, `moved`, `lost`, `stopped`, `refused`.

    `lost_s` is what was computed since the newest checkpoint, None = not known; `kept_s` is the
    job's work that is safe after it, all legs together, None = not known.
    """

    leg: int
    at: datetime
    how: str
    code: int | None = None
    lost_s: int | None = None
    kept_s: int | None = None


class Decided(NamedTuple):
    """Where a job with a deadline is to be from then on, and what was seen.

    Places are zones, `on-demand`, or `idle`. `prices` are shares of the on-demand price.
    """

    number: int
    at: datetime
    place: str
    why: str
    then: tuple[str, ...] = ()
    held: str = "idle"
    lost: str | None = None
    refused: tuple[str, ...] = ()
    prices: Mapping[str, Json] = NOTHING
    type: str | None = None
    """The type that they are of."""
    work_left_s: int = 0


class Over(NamedTuple):
    """The job is over: `code` is what `run` ends with."""

    at: datetime
    code: int
    why: str


class Leg(NamedTuple):
    """One stretch of a job on one machine."""

    number: int
    claims: tuple[Claim, ...]
    begun: Begun | None
    ended: Ended | None

    @property
    def claim(self) -> Claim:
        """The newest: whose turn it is."""
        return self.claims[-1]

    @property
    def had_machine(self) -> bool:
        """Whether it ever got one, as far as is known."""
        return self.begun is not None or (self.ended is not None and self.ended.how != "refused")


class Job(NamedTuple):
    """A job with all that came of it."""

    id: str
    at: datetime
    wanted: Wanted
    legs: tuple[Leg, ...]
    decided: tuple[Decided, ...]
    over: Over | None

    @property
    def leg(self) -> Leg | None:
        """The one that is on: the last that has not ended, else the last to end.

        While a job moves there are two, the one that it leaves and the next.
        """
        going = [leg for leg in self.legs if leg.ended is None]
        if going:
            return going[-1]
        return max(self.legs, key=lambda leg: (_end_of(leg), leg.number), default=None)

    @property
    def leaving(self) -> Leg | None:
        """The leg that the next one was claimed to take over from."""
        going = [leg for leg in self.legs if leg.ended is None]
        return going[-2] if len(going) > 1 else None

    @property
    def open(self) -> bool:
        """Whether somebody is to see it through."""
        return self.over is None and self.wanted.resume

    @property
    def attempts(self) -> int:
        """Legs that had a machine."""
        return sum(1 for leg in self.legs if leg.had_machine)

    @property
    def lost_zone(self) -> str | None:
        """The zone that took the last machine back."""
        leg = self.leg
        if leg is None or leg.begun is None or leg.ended is None:
            return None
        return leg.begun.zone if leg.ended.how == "interrupted" else None


def _end_of(leg: Leg) -> datetime:
    assert leg.ended is not None  # noqa: S101 - none is going on
    return leg.ended.at


def remote_name(name: str, leg: int) -> str:
    """Another name on each machine: a VM that is started again remembers the last one."""
    return name if leg == 1 else f"{name[:58]}-{leg}"


# --- facts ----------------------------------------------------------------------------------

_KINDS: dict[str, Any] = {
    "asked": Wanted,
    "claim": Claim,
    "begun": Begun,
    "ended": Ended,
    "decided": Decided,
    "over": Over,
}
_WORDS = {kind: word for word, kind in _KINDS.items()}

Fact = Wanted | Claim | Begun | Ended | Decided | Over


def note(job: str, fact: Fact, at: datetime) -> JobNote:
    """A fact as an event of the ledger."""
    what = _WORDS[type(fact)]
    said = {name: _write(value) for name, value in fact._asdict().items() if value is not None}
    said.pop("at", None)
    return JobNote(id=f"job/{job}/{_numbers(what, fact)}", job=job, what=what, at=at, said=said)


def _numbers(what: str, fact: Fact) -> str:
    match fact:
        case Claim():
            return f"{fact.leg}/claim/{fact.turn}"
        case Begun() | Ended():
            return f"{fact.leg}/{what}"
        case Decided():
            return f"{what}/{fact.number}"
        case _:
            return what


def jobs(events: Iterable[Event]) -> Mapping[str, Job]:
    """All jobs, the oldest first."""
    notes: dict[str, dict[str, JobNote]] = {}
    for event in events:
        if isinstance(event, JobNote):
            notes.setdefault(event.job, {})[event.id] = event
    found = [_job(name, list(some.values())) for name, some in notes.items()]
    whole = [job for job in found if job is not None]
    return {job.id: job for job in sorted(whole, key=lambda job: (job.at, job.id))}


def _job(name: str, notes: list[JobNote]) -> Job | None:
    asked = next((one for one in notes if one.what == "asked"), None)
    if asked is None:
        return None
    facts = [_read(one) for one in notes]
    claims = sorted((f for f in facts if isinstance(f, Claim)), key=lambda f: (f.leg, f.turn))
    begun = {f.leg: f for f in facts if isinstance(f, Begun)}
    ended = {f.leg: f for f in facts if isinstance(f, Ended)}
    legs = [
        Leg(
            number,
            tuple(claim for claim in claims if claim.leg == number),
            begun.get(number),
            ended.get(number),
        )
        for number in dict.fromkeys(claim.leg for claim in claims)
    ]
    return Job(
        id=name,
        at=asked.at,
        wanted=next(f for f in facts if isinstance(f, Wanted)),
        legs=tuple(legs),
        decided=tuple(sorted((f for f in facts if isinstance(f, Decided)), key=lambda f: f.number)),
        over=next((f for f in facts if isinstance(f, Over)), None),
    )


def _read(one: JobNote) -> Fact:
    kind = _KINDS[one.what]
    values = {name: _value(name, one.said[name]) for name in kind._fields if name in one.said}
    if "at" in kind._fields:
        values["at"] = one.at
    fact: Fact = kind(**values)
    return fact


_TIMES = ("until", "deadline")


def _value(name: str, value: Json) -> Any:
    if name in _TIMES and isinstance(value, str):
        return parse_time(value)
    if name == "budget" and isinstance(value, str):
        return Decimal(value)
    return tuple(value) if isinstance(value, list) else value


def _write(value: Any) -> Json:
    match value:
        case datetime():
            return format_time(value)
        case Decimal():
            return f"{value:f}"
        case tuple():
            return list(value)
        case Mapping():
            return dict(value)
        case _:
            told: Json = value
            return told
