"""Ledger <-> clouds: at the start of every command that talks to a cloud."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gpuctl.app import App
from gpuctl.app.gather import Silence, ask
from gpuctl.app.insure import insure_the_rest
from gpuctl.app.pricing import record_prices
from gpuctl.app.settle import settle
from gpuctl.core import sync as core
from gpuctl.core.books import Books, books
from gpuctl.core.errors import GpuctlError, LedgerError, NotFound
from gpuctl.core.images import costs
from gpuctl.core.kinds import State
from gpuctl.core.model import Down, Ending, Leftover, Machine
from gpuctl.core.ports import CloudRef, Provider
from gpuctl.core.snapshot import read_machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What the clouds show now, and the ledger after it learnt of it."""

    at: datetime
    machines: tuple[Machine, ...]
    leftovers: tuple[Leftover, ...]
    books: Books
    silent: tuple[Silence, ...]
    refs: Mapping[tuple[str, str], CloudRef]
    """(provider, account id) -> the account to act through."""

    def ref_of(self, machine: Machine) -> CloudRef:
        """The account a machine runs in."""
        return self.refs.get((machine.id.provider, machine.id.account)) or CloudRef(
            machine.id.provider
        )


def sync(
    app: App,
    *,
    refs: Sequence[CloudRef] | None = None,
    leftovers: bool = False,
    insure: bool = True,
) -> Synced:
    """List the clouds first, then read the ledger; append what is new, settle what was open.

    `insure` False: no cloud is asked to end machines whose `up` did not come to ask for it.
    """
    wanted = list(refs if refs is not None else app.clouds.accounts())

    def question(provider: Provider) -> tuple[str, Sequence[Machine], Sequence[Leftover]]:
        listed = provider.machines()
        remaining = provider.leftovers() if leftovers else ()
        return provider.account, listed, remaining

    answers = ask(wanted, app.clouds.connect, question)
    found: dict[tuple[str, str], CloudRef] = {}
    for ref, (account, _, _) in answers.by_cloud.items():
        # Two references may lead to one account: the user's own is named first, and it pays.
        found.setdefault((ref.provider, account), ref)
    machines = _distinct(m for _, listed, _ in answers.by_cloud.values() for m in listed)
    _tell_strange(app, machines)
    remaining = [item for _, _, items in answers.by_cloud.values() for item in items]
    before, unlisted = settle(app, books(app.ledger.events()), machines, found)
    machines = _distinct([*machines, *unlisted])
    accounts = frozenset(found)
    missing = core.unlisted(before, accounts, {str(machine.id) for machine in machines})
    after_them = _ask_after(app, before, missing, found)
    machines += after_them.shown
    sighting = core.Sighting(
        at=app.clock(),
        accounts=accounts,
        machines=machines,
        leftovers=remaining if leftovers else None,
        endings=after_them.endings,
        unsure=frozenset(after_them.unsure),
        payers={key: ref.payer for key, ref in found.items() if ref.payer is not None},
    )
    _append_news(app, before, sighting)
    after = books(app.ledger.events())
    _look_at_images(app, after, found)
    record_prices(app, after, found)
    _tidy(app, before, machines, found)
    if insure:
        insure_the_rest(app, after, machines, found)
    return Synced(
        at=sighting.at,
        machines=tuple(machines),
        leftovers=tuple(remaining),
        books=after,
        silent=answers.silent,
        refs=found,
    )


def _tell_strange(app: App, machines: Sequence[Machine]) -> None:
    for machine in machines:
        if machine.strange is not None:
            word = f"{machine.id.provider} calls its state {machine.strange!r}"
            app.progress.note(f"{machine.name}: {word}, which is not known: it counts as running")


def _look_at_images(app: App, known: Books, refs: Mapping[tuple[str, str], CloudRef]) -> None:
    if costs.due(known, app.clock()) & refs.keys():
        from gpuctl.app.stock import look_again  # noqa: PLC0415 - once a day at most

        look_again(app, known, refs)


def _tidy(
    app: App,
    before: Books,
    machines: Sequence[Machine],
    refs: Mapping[tuple[str, str], CloudRef],
) -> None:
    """A machine that ended without us leaves its door open: close it, as `down` would have.

    Only what is gone for good: one that is stopped may be started by somebody else between the
    listing and this call, and must not be stopped again.
    """
    for machine in machines:
        last = before.seen.get(str(machine.id))
        if machine.state is not State.GONE or last is None:
            continue
        if last.snapshot.get("state") == State.GONE:
            continue
        try:
            ref = refs[machine.id.provider, machine.id.account]
            app.clouds.connect(ref).stop(machine.id, Down.END)
        except GpuctlError as error:
            app.progress.note(f"{machine.name}: what it left could not be tidied: {error.message}")


def note_machine(app: App, machine: Machine, payer: str | None) -> Books:
    """Put one machine, as just reported, into the ledger; says nothing about others."""
    known = books(app.ledger.events())
    key = (machine.id.provider, machine.id.account)
    sighting = core.Sighting(
        at=app.clock(),
        accounts=frozenset(),
        machines=[machine],
        payers={} if payer is None else {key: payer},
    )
    _append_news(app, known, sighting)
    return books(app.ledger.events())


def _append_news(app: App, known: Books, sighting: core.Sighting) -> None:
    """Append what is new; decided anew where another command has written in the meantime."""
    while True:
        try:
            app.ledger.append(core.plan(known, sighting))
        except LedgerError:
            fresh = books(app.ledger.events())
            if fresh == known:
                raise
            known = fresh
        else:
            return


def _distinct(machines: Iterable[Machine]) -> list[Machine]:
    # Two references may lead to one account (a profile that is the default's): list it once.
    return list({machine.id: machine for machine in machines}.values())


@dataclass(frozen=True, slots=True)
class _Unlisted:
    """Machines that no listing showed, each asked for by itself."""

    shown: list[Machine] = field(default_factory=list)
    """They exist: the listing looked elsewhere (a region was taken out of the settings)."""
    endings: dict[str, Ending | None] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)


def _ask_after(
    app: App,
    known: Books,
    missing: Sequence[str],
    refs: Mapping[tuple[str, str], CloudRef],
) -> _Unlisted:
    found = _Unlisted()
    for machine_id in missing:
        seen = known.seen.get(machine_id)
        if seen is None:
            found.endings[machine_id] = None
            continue
        machine = read_machine(seen.snapshot)
        provider = app.clouds.connect(refs[machine.id.provider, machine.id.account])
        try:
            found.shown.append(provider.get(machine.id))
        except NotFound:
            found.endings[machine_id] = _ending(app, provider, machine)
        except GpuctlError as error:
            app.progress.note(f"{machine.name} could not be asked for: {error.message}")
            found.unsure.append(machine_id)
    return found


def _ending(app: App, provider: Provider, machine: Machine) -> Ending | None:
    try:
        return provider.ending(machine.id)
    except GpuctlError as error:
        app.progress.note(f"{machine.name}: how it ended could not be asked: {error.message}")
        return None
