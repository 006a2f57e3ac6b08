"""`ledger export|import|verify|backup|rebuild`."""

from pathlib import Path

import click

from gpuctl.cli.command import command
from gpuctl.cli.rebuild import rebuild
from gpuctl.cli.render import emit_json
from gpuctl.cli.session import Session


@click.group()
def ledger() -> None:
    """Export, import, verify, back up and rebuild the ledger."""


@ledger.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="What gpuctl did, too, not money alone.")
@command
def export(session: Session, file: Path | None, everything: bool) -> int:
    """Write JSON Lines to FILE, or to stdout."""
    from gpuctl.ledger.jsonl import export as lines_of

    lines = lines_of(session.ledger.events(), everything=everything)
    if file is None:
        for line in lines:
            click.echo(line)
        return 0
    from gpuctl.core.errors import UsageProblem

    if file.exists():
        raise UsageProblem(f"{file} exists already", hint="name another file")
    text = "".join(f"{line}\n" for line in lines)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageProblem(
            f"{file} cannot be written: {error.strerror}", hint="name another file"
        ) from None
    records = text.count("\n")
    click.echo(f"wrote {file}: {records} record{'' if records == 1 else 's'}", err=True)
    return 0


@ledger.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@command
def import_(session: Session, file: Path) -> int:
    """Bring the records of FILE (JSON Lines) in: wholly, or not at all."""
    from gpuctl.ledger.jsonl import news_of

    added = session.ledger.append(news_of(file, session.ledger.events()))
    if session.output == "json":
        emit_json("ledger.import", {"file": str(file), "added": added})
    click.echo(f"{added} new records", err=True)
    return 0


@ledger.command()
@command
def verify(session: Session) -> int:
    """Walk the hash chain and check the file."""
    from gpuctl.core.errors import ChecksFailed

    verdict = session.ledger.verify()
    if session.output == "json":
        emit_json(
            "ledger.verify",
            {
                "events": verdict.events,
                "head": verdict.head,
                "ok": verdict.ok,
                "problems": list(verdict.problems),
            },
        )
    else:
        says = "ok" if verdict.ok else f"{len(verdict.problems)} problems"
        click.echo(f"{verdict.events} events, head {verdict.head}: {says}")
        for problem in verdict.problems:
            click.echo(f"  {problem}", err=True)
    return 0 if verdict.ok else ChecksFailed.exit_code


@ledger.command()
@click.argument("file", type=click.Path(path_type=Path))
@command
def backup(session: Session, file: Path) -> int:
    """Copy the whole ledger to FILE in one consistent state."""
    session.ledger.backup(file)
    click.echo(f"{session.ledger.location} -> {file}", err=True)
    return 0


ledger.add_command(rebuild)
