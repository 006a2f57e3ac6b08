"""`report --format`: statements and charges as files for clients, accountants and other tools."""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuctl.cli.command import confirmed
from gpuctl.cli.session import Session
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.app.money import Period
    from gpuctl.app.statement import Books, Rates
    from gpuctl.core.statement import Statement

_FOCUS = "focus"


def rates_of(session: Session, rate: str | None, file: Path | None) -> "Rates":
    """What --rate and --rates say; else the ECB, asked only where a client is not billed in USD."""
    from gpuctl.wiring.rates import rates

    file = None if file is None else session.cwd / file
    return rates(session.environ, session.paths, session.clock, given=rate, file=file)


def send(
    session: Session,
    form: str,
    period: "Period",
    rates: "Rates",
    *,
    client: str | None,
    project: str | None,
    out: Path | None,
    rated: str | None = None,
) -> int:
    """Draw what was asked for, to stdout or into files. `rated`: the flag that names a rate."""
    if out is not None and str(out) != "-":
        out = session.cwd / out
    made = (
        _focus(session, period, client=client, project=project)
        if form == _FOCUS
        else _documents(
            session, form, period, rates, client=client, project=project, out=out, rated=rated
        )
    )
    for name, data in made.items():
        path = _place(out, name, pdf=form == "pdf")
        if path is None:
            click.echo(data, nl=False)
        else:
            write(session, path, data)
    return 0


def keep_printed(
    session: Session, out: Path, period: "Period", ending: str, print_it: Callable[[], int]
) -> int:
    """Let a command print into a file instead of on stdout."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = print_it()
    data = printed.getvalue().encode()
    path = _place(out, f"report-{_named(period)}{ending}", pdf=False)
    if path is None:
        click.echo(data, nl=False)
    else:
        write(session, path, data)
    return code


def _documents(
    session: Session,
    form: str,
    period: "Period",
    rates: "Rates",
    *,
    client: str | None,
    project: str | None,
    out: Path | None,
    rated: str | None,
) -> Mapping[str, bytes]:
    """File name -> the document, one for each client that is meant."""
    from gpuctl import documents
    from gpuctl.app import money
    from gpuctl.app import statement as app
    from gpuctl.core.names import client_of

    settings = session.lenient_config.settings
    now = session.now()
    known, about = money.facts(session.ledger, period), session.ledger.events_about
    books = app.open_books(known, period, now, settings, about)
    if project is not None:
        client = client or client_of(project)
    names = (
        # Only who is not in the settings is looked for in all that was ever recorded.
        [
            client
            if client in settings.clients
            else app.known_client(session.ledger.events(), settings, client)
        ]
        if client is not None
        else app.clients_to_bill(books, settings)
    )
    if len(names) > 1 and (out is None or str(out) == "-" or not _is_directory(out)):
        raise UsageProblem(
            f"which client? There are {', '.join(names)}",
            hint=f"--client {names[0]}, or --out DIRECTORY for a file each",
        )
    if not names:
        click.echo("no client has a cost in that time", err=True)
    unmoved = _closed(books, names) if rated is not None else ()
    if unmoved and len(unmoved) == len(names):
        whose = " and ".join(f"{name}'s" for name in names)
        raise UsageProblem(
            f"{whose} {period.month} is closed and stays as it was sent: {rated} changes nothing",
            hint=f'leave out {rated}; gpuctl adjust PROJECT USD --note "…" corrects what was sent',
        )
    made = {}
    for name in names:
        sent = app.statement_for(books, name, settings, now, rates=rates, head=session.ledger.head)
        if project is not None:
            sent = _part(books, sent, project)
        if session.in_sandbox:
            sent = sent._replace(notes=("made in the sandbox: nothing of it is real", *sent.notes))
        xero = settings.xero if form == "xero" else None
        stem = (project or name).replace("/", "-")
        file = f"{stem}-{_named(period)}{documents.suffix(form)}"
        made[file] = documents.draw(sent, form, xero)
        for note in sent.notes:
            click.echo(f"{name}: {note}", err=True)
        if name in unmoved:
            click.echo(
                f"{name}: the month is closed and stays as it was sent: {rated} changes nothing",
                err=True,
            )
    return made


def _closed(books: "Books", names: Sequence[str]) -> Sequence[str]:
    """Those who have closed the month that is asked for."""
    month = books.period.month
    return [name for name in names if month is not None and (name, month) in books.closed]


def _part(books: "Books", sent: "Statement", project: str) -> "Statement":
    from gpuctl.app.statement import narrowed
    from gpuctl.core.errors import NotFound

    known = [item.project for item in sent.projects]
    if project not in known:
        raise NotFound(
            f"{project} has no cost in {books.period.month or 'that time'}",
            hint=f"there are: {', '.join(known) or 'none'}",
        )
    return narrowed(sent, project)


def _focus(
    session: Session, period: "Period", *, client: str | None, project: str | None
) -> Mapping[str, bytes]:
    """All charges as they stand, of one client or project where one is named."""
    from gpuctl.app import money
    from gpuctl.documents.focus import draw_focus

    events = session.ledger.events_about(period.shown)
    found = money.spend(events, period, session.now(), project=project, client=client)
    for problem in found.problems:
        click.echo(problem, err=True)
    stem = (project or client or "all").replace("/", "-")
    data = "".join(draw_focus(found.charges)).encode()
    return {f"{stem}-{_named(period)}.focus.csv": data}


def _named(period: "Period") -> str:
    """The period in a file's name: `2025-03`, or its first and last day."""
    if period.month is not None:
        return str(period.month)
    return f"{period.shown.start:%Y-%m-%d}-to-{period.shown.end:%Y-%m-%d}"


def _place(out: Path | None, name: str, *, pdf: bool) -> Path | None:
    """The file to write; None = stdout, where a PDF never goes unless told with `--out -`."""
    if out is None:
        return Path(name) if pdf else None
    if str(out) == "-":
        return None
    return out / name if _is_directory(out) else out


def _is_directory(out: Path) -> bool:
    """What is there says it; of what is not, a name without an ending is a directory's."""
    return out.is_dir() if out.exists() else not out.suffix


def write(session: Session, path: Path, data: bytes) -> None:
    """Into a file, never over another one unasked."""
    path = session.cwd / path
    if path.exists():
        if path.is_file() and path.read_bytes() == data:
            click.echo(f"{path} is as it was", err=True)
            return
        if not confirmed(session, f"{path} exists already. Replace it?", destroys=True):
            raise UsageProblem(f"{path} was left as it was", hint="--out another file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise UsageProblem(f"{path} cannot be written: {error.strerror}") from None
    click.echo(f"wrote {path}", err=True)
