"""`ledger rebuild`: a lost ledger made again from what the clouds still tell.

The runs come in as they do at any command (app/sync.py). What is added here are the leases, which
only a launch writes otherwise, and the installation's id, without which nothing is ours to end.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gpuctl.app import App
from gpuctl.app.gather import Silence, ask
from gpuctl.app.pricing import KEPT
from gpuctl.app.sync import Synced, sync
from gpuctl.core.bill import bill, fixed
from gpuctl.core.errors import ListingIncomplete, UsageProblem
from gpuctl.core.events import Event, Intent, Leased, Usage
from gpuctl.core.model import Machine
from gpuctl.core.ports import Ledger
from gpuctl.core.span import Span

UNKNOWN = "unknown"
"""The template of a lease whose machine does not name one."""
_UNREADABLE = timedelta(hours=1)
"""The deadline of a machine that tells none, after its start: the machine's own rule."""
_ID = r"[0-9a-f]{32}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The installations whose machines the clouds show, and which accounts did not answer."""

    machines: Mapping[str, Sequence[Machine]]
    """By the id in their tags."""
    silent: tuple[Silence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What comes back. `added` are all new facts, in the order they are to be written."""

    install: str
    leases: tuple[tuple[Leased, Machine], ...]
    runs: tuple[Usage, ...]
    added: tuple[Event, ...]
    lost: tuple[str, ...]
    """What no cloud tells, in words for people."""
    silent: tuple[Silence, ...]


def installations(app: App) -> Found:
    """Whose machines there are. Raises the first error when no account answered at all."""
    with app.progress.step("looking for machines of gpuctl"):
        answers = ask(app.clouds.accounts(), app.clouds.connect, lambda cloud: cloud.machines())
    machines: dict[str, dict[str, Machine]] = {}
    for listed in answers.by_cloud.values():
        for machine in listed:
            if machine.install is not None:
                machines.setdefault(machine.install, {})[str(machine.id)] = machine
    by_install = {install: list(found.values()) for install, found in sorted(machines.items())}
    return Found(machines=by_install, silent=answers.silent)


def choose(ledger: Ledger, found: Found, asked: str | None) -> str:
    """The id to go on under: this ledger's own, or the one that the machines carry.

    UsageProblem where several could be meant, where `asked` is no id or not among them, and where
    this ledger has made machines under its own id, which would be nobody's then.
    ListingIncomplete where an account that did not answer may hold another's machines.
    """
    own = ledger.install
    others = [install for install in found.machines if install != own]
    if asked is not None and not re.fullmatch(_ID, asked):
        raise UsageProblem(f"{asked!r} is no installation's id", hint="32 digits of 0-9 and a-f")
    if asked == own or (asked is None and (not others or _in_use(ledger, found))):
        return own
    if _in_use(ledger, found):
        raise UsageProblem(
            f"this ledger has made machines as installation {own}: they would be nobody's",
            hint="gpuctl ledger rebuild without --install, or with an empty GPUCTL_LEDGER",
        )
    if asked is not None and found.machines and asked not in found.machines:
        raise UsageProblem(f"no machine is of installation {asked}\n{told(found)}", hint=_CHOOSE)
    if asked is not None:
        return asked
    if len(others) > 1:
        raise UsageProblem(
            f"the machines are of several installations:\n{told(found)}", hint=_CHOOSE
        )
    if found.silent:
        silent = found.silent[0]
        raise ListingIncomplete(
            f"{silent.provider} could not be listed, and may show another installation's machines: "
            f"{silent.reason}",
            provider=silent.provider,
            region=silent.region,
            hint=f"gpuctl ledger rebuild --install {others[0]}",
        )
    return others[0]


_CHOOSE = "gpuctl ledger rebuild --install ID"


def told(found: Found) -> str:
    """The installations, one a line, with the names of their machines."""
    return "\n".join(
        f"  {install}  {', '.join(sorted({machine.name for machine in machines}))}"
        for install, machines in found.machines.items()
    )


def _in_use(ledger: Ledger, found: Found) -> bool:
    own = ledger.install
    return own in found.machines or any(
        isinstance(event, Intent) and event.verb == "start" and event.order.get("install") == own
        for event in ledger.events()
    )


def rebuild(app: App) -> Rebuilt:
    """Learn everything that the clouds tell; the ledger of `app` may be a draft.

    Done again it adds nothing: the ids of leases and runs follow from what is told.
    """
    before = {event.id for event in app.ledger.events()}
    with app.progress.step("asking the clouds what runs and what ran"):
        synced = sync(app, leftovers=True, insure=False)
    leases = tuple(_leases(app, synced))
    app.ledger.append(lease for lease, _ in leases)
    added = tuple(event for event in app.ledger.events() if event.id not in before)
    return Rebuilt(
        install=app.ledger.install,
        leases=leases,
        runs=tuple(event for event in added if isinstance(event, Usage)),
        added=added,
        lost=tuple(_lost(app, synced, leases, fresh=not before)),
        silent=synced.silent,
    )


def _leases(app: App, synced: Synced) -> Sequence[tuple[Leased, Machine]]:
    """One for each machine of this installation whose lease the ledger does not know."""
    made = {}
    for machine in synced.machines:
        known = machine.lease in synced.books.leases
        if machine.lease is None or machine.project is None or known:
            continue
        if machine.install == app.ledger.install:
            made[machine.lease] = (_lease(app, synced, machine), machine)
    return list(made.values())


def _lease(app: App, synced: Synced, machine: Machine) -> Leased:
    began = machine.launched_at or synced.at
    deadline = machine.deadline or began + _UNREADABLE
    return Leased(
        id=machine.lease or "",
        name=machine.name,
        project=machine.project or "",
        provider=machine.id.provider,
        account=machine.id.account,
        template=machine.template or UNKNOWN,
        at=began,
        deadline=deadline,
        # The machine keeps to the ceiling that it was started with, whatever stands here.
        ceiling=max(deadline, began + app.settings.limits.max_lifetime),
        payer=synced.ref_of(machine).payer,
    )


def _lost(
    app: App, synced: Synced, leases: Sequence[tuple[Leased, Machine]], *, fresh: bool
) -> Sequence[str]:
    lost = []
    if fresh:
        lost.append(
            "sessions that ended before what the clouds still list (AWS: about an hour; Google: "
            "the last run of a VM that is still there): import a backup, or read the bill with "
            "gpuctl reconcile"
        )
        lost.append(
            "what was said by hand: switches, splits, adjustments, closed months. A machine counts "
            "for the project it was started for"
        )
    if any(lease.template == UNKNOWN for lease, _ in leases):
        names = ", ".join(lease.name for lease, _ in leases if lease.template == UNKNOWN)
        lost.append(f"the template of {names}, which its tags do not name")
    if any(machine.deadline is None for _, machine in leases):
        names = ", ".join(machine.name for _, machine in leases if machine.deadline is None)
        lost.append(f"the deadline of {names}: an hour after its start is assumed")
    lost += [
        f"the lease of {machine.name}, whose tags were changed"
        for machine in synced.machines
        if machine.install == app.ledger.install and not (machine.lease and machine.project)
    ]
    return [*lost, *_unpriced(app)]


def _unpriced(app: App) -> Sequence[str]:
    events, now = app.ledger.events(), app.clock()
    starts = [event.start for event in events if isinstance(event, Usage)]
    if not starts:
        return []
    problems = list(bill(events, fixed(Span(min(starts), now)), now).problems)
    if problems and min(starts) < now - KEPT:
        problems.append(f"spot prices older than {KEPT.days} days are told by nobody any more")
    return problems
