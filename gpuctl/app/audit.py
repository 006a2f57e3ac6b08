"""`audit`: what still costs money and is not in use, everywhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from gpuctl.app import App
from gpuctl.app.gather import Silence
from gpuctl.app.pricing import fetch_prices
from gpuctl.app.settle import BUILDER, IMAGE, TESTER
from gpuctl.app.sync import Synced, sync
from gpuctl.core.books import Books, books
from gpuctl.core.events import Price
from gpuctl.core.kinds import State
from gpuctl.core.meter import monthly, priced
from gpuctl.core.model import Down, Leftover, Machine
from gpuctl.core.ports import CloudRef
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.span import Span, format_time
from gpuctl.core.sync import leftover_run, removed


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that should not be there, with USD a month and the command that ends it."""

    provider: str
    region: str
    resource: str
    kind: str
    reason: str
    monthly: Fraction | None
    fix: str
    ours: bool
    project: str | None
    machine: Machine | None = None
    how: Down = Down.END
    """How a machine is ended; of a builder nothing may remain."""
    leftover: Leftover | None = None
    ref: CloudRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The findings, dearest first, and what could not be looked at."""

    findings: tuple[Finding, ...]
    silent: tuple[Silence, ...]


def audit(app: App) -> Audit:
    """Look at every account, region and zone."""
    with app.progress.step("looking everywhere"):
        synced = sync(app, leftovers=True)
    _price(app, synced)
    book = PriceBook(event for event in app.ledger.events() if isinstance(event, Price))
    now = app.clock()
    findings = [*_machines(app, synced, book, now), *_leftovers(app, synced, book, now)]
    findings.sort(key=lambda finding: (-(finding.monthly or 0), finding.resource))
    return Audit(findings=tuple(findings), silent=synced.silent)


def fix(app: App, findings: Sequence[Finding]) -> Sequence[Finding]:
    """End what is ours; what is somebody else's is left alone. What was ended."""
    ended = []
    for finding in findings:
        if not finding.ours:
            continue
        provider = app.clouds.connect(finding.ref)
        with app.progress.step(f"ending {finding.resource}"):
            if finding.machine is not None:
                provider.stop(finding.machine.id, finding.how)
            elif finding.leftover is not None:
                provider.remove(finding.leftover)
                known = books(app.ledger.events())
                app.ledger.append(removed(known, finding.leftover, app.clock()))
        ended.append(finding)
    sync(app)
    return ended


def _price(app: App, synced: Synced) -> None:
    now = app.clock()
    for (provider, account), ref in synced.refs.items():
        asked = {
            priced(leftover_run(leftover, billable)): Span(now, now)
            for leftover in synced.leftovers
            if (leftover.provider, leftover.account) == (provider, account)
            for billable in leftover.billed
        }
        fetch_prices(app, app.clouds.connect(ref), asked)


def _machines(app: App, synced: Synced, book: PriceBook, now: datetime) -> Iterator[Finding]:
    install = app.ledger.install
    for machine in synced.machines:
        lease = synced.books.leases.get(machine.lease or "")
        builder = lease is not None and lease.template in (BUILDER, TESTER)
        if machine.state is State.GONE or (machine.state is State.STOPPED and not builder):
            continue
        if lease is None:
            reason = "running without a lease in this ledger"
        elif builder and not app.at_work(lease.name):
            reason = f"of a `{lease.template}` that is not going on here"
        elif lease.deadline <= now:
            reason = f"past its deadline {format_time(lease.deadline)}"
        else:
            continue
        runs = [usage for usage in synced.books.open if usage.machine == str(machine.id)]
        yield Finding(
            provider=machine.id.provider,
            region=machine.id.region,
            resource=machine.id.native,
            kind="machine",
            reason=reason,
            monthly=monthly(runs, book, now),
            fix=f"gpuctl down {machine.id.native}",
            ours=lease is not None or machine.install == install,
            project=machine.project,
            machine=machine,
            how=Down.DELETE if builder else Down.END,
            ref=synced.ref_of(machine),
        )


def _leftovers(app: App, synced: Synced, book: PriceBook, now: datetime) -> Iterator[Finding]:
    for leftover in synced.leftovers:
        if _in_use(app, leftover, synced):
            continue
        runs = [leftover_run(leftover, billable) for billable in leftover.billed]
        yield Finding(
            provider=leftover.provider,
            region=leftover.region,
            resource=leftover.resource,
            kind=leftover.what,
            reason=leftover.reason,
            monthly=monthly(runs, book, now),
            fix=leftover.fix,
            ours=leftover.ours and (leftover.what != "image" or _half_made(leftover, synced)),
            project=leftover.project,
            leftover=leftover,
            ref=synced.refs[leftover.provider, leftover.account],
        )


def _in_use(app: App, leftover: Leftover, synced: Synced) -> bool:
    """The installation's own key, images that are done, a data volume on a machine that runs.

    The key opens the next machine too; `init --undo` is what removes it.
    """
    if leftover.what == "image" and leftover.lease is not None:
        lease = synced.books.leases.get(leftover.lease)
        going_on = lease is not None and app.at_work(lease.name)
        return going_on or _outcome(synced.books, leftover.lease) == "done"
    if leftover.what == "stopped-machine":
        # Of a stopped builder the finding is the machine itself.
        lease = synced.books.leases.get(leftover.lease or "")
        return lease is not None and lease.template in (BUILDER, TESTER)
    if leftover.what == "data-volume":
        running = {m.id.native for m in synced.machines if m.state is State.RUNNING}
        return leftover.machine in running
    return leftover.ours and leftover.what == "key-pair"


def _half_made(leftover: Leftover, synced: Synced) -> bool:
    """Whether this ledger knows that the image was ordered and never came to a lock file.

    Any other may be what a template or another computer's lock file names: it is only shown.
    """
    lease = leftover.lease or ""
    ordered = any(i.verb == IMAGE and i.lease == lease for i in synced.books.intents.values())
    return ordered and _outcome(synced.books, lease) != "done"


def _outcome(known: Books, lease: str) -> str | None:
    """What became of the image of a builder's lease."""
    orders = [i for i in known.intents.values() if i.verb == IMAGE and i.lease == lease]
    found = {known.outcomes[order.id].result for order in orders if order.id in known.outcomes}
    return "done" if "done" in found else next(iter(found), None)
