"""`checkpoint ls|pull|verify`: what jobs have saved, and getting it back."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import command
from gpuctl.cli.render import Column, emit, emit_json
from gpuctl.cli.session import Session
from gpuctl.core.errors import ChecksFailed, NotFound

if TYPE_CHECKING:
    from gpuctl.app.checkpoints import Kept
    from gpuctl.core.checkpoints import Store

_COLUMNS = (
    Column("PROJECT", lambda r: r["project"]),
    Column("JOB", lambda r: r["job"]),
    Column("NR", lambda r: str(r["sequence"]), right=True),
    Column("NAME", lambda r: r["name"] or "-"),
    Column("STEP", lambda r: "-" if r["step"] is None else str(r["step"]), right=True),
    Column("SIZE", lambda r: "-" if r["size"] is None else _size(r["size"]), right=True),
    Column("SAVED", lambda r: r["saved_at"] or "-"),
    Column("STATE", lambda r: r["state"] + ("" if not r["problem"] else f": {r['problem']}")),
)


def _which(function: Callable[..., Any]) -> Callable[..., Any]:
    """Whose checkpoints, and where they lie."""
    for option in (
        click.option("--machine", metavar="NAME", help="Where the template names no bucket."),
        click.option("-p", "--project", metavar="C/P", help="Of this project alone."),
        click.option("-t", "--template", metavar="T", help="The template that names the bucket."),
        click.argument("job", required=False),
    ):
        function = option(function)
    return function


@click.group()
def checkpoint() -> None:
    """Checkpoints of jobs, in the bucket that the template names."""


@checkpoint.command()
@_which
@command
def ls(
    session: Session,
    job: str | None,
    template: str | None,
    project: str | None,
    machine: str | None,
) -> int:
    """List them, the newest of each job first.

    `complete`: all that its manifest names is there, in the right size. Only `verify` reads it.
    """
    _, some, bucket = _look(session, job, template, project, machine)
    records = [_record(one) for one in some]
    emit(
        session,
        "checkpoint.ls",
        "checkpoints",
        records,
        _COLUMNS,
        extra={"bucket": bucket},
        empty="no checkpoints",
    )
    return 0


@checkpoint.command()
@_which
@click.option("--to", "directory", type=click.Path(path_type=Path), help="Into this directory.")
@click.option("--number", type=int, metavar="NR", help="This one, instead of the newest.")
@command
def pull(
    session: Session,
    job: str | None,
    template: str | None,
    project: str | None,
    machine: str | None,
    directory: Path | None,
    number: int | None,
) -> int:
    """Get the newest one that is as it was saved, whole or not at all."""
    from gpuctl.app import checkpoints as verb

    store, some, _ = _look(session, job, template, project, machine)
    into = session.cwd / (directory or Path())
    kept, path = verb.pull(session.app, store, verb.one_job(some, job), into, number)
    if session.output == "json":
        emit_json("checkpoint.pull", {"checkpoint": _record(kept), "path": str(path)})
    click.echo(f"checkpoint {kept.sequence} of {kept.job} is in {path}", err=True)
    return 0


@checkpoint.command()
@_which
@command
def verify(
    session: Session,
    job: str | None,
    template: str | None,
    project: str | None,
    machine: str | None,
) -> int:
    """Read every byte of them and compare the hashes; exit 8 when one is damaged.

    All of it is downloaded, which a cloud bills as egress.
    """
    from gpuctl.app import checkpoints as verb

    store, some, bucket = _look(session, job, template, project, machine)
    reading = sum(one.manifest.size for one in some if one.manifest is not None)
    with session.app.progress.step(f"reading {_size(reading)}"):
        checked = verb.verify(store, some)
    records = [
        {
            **_record(one.kept),
            "state": "damaged" if one.problems else "complete",
            "problem": "; ".join(one.problems) or None,
        }
        for one in checked
    ]
    ok = not any(one.problems for one in checked)
    extra = {"bucket": bucket, "ok": ok}
    emit(
        session, "checkpoint.verify", "checkpoints", records, _COLUMNS, extra=extra, empty="nothing"
    )
    return 0 if ok else ChecksFailed.exit_code


def _look(
    session: Session,
    job: str | None,
    template: str | None,
    project: str | None,
    machine: str | None,
) -> "tuple[Store, list[Kept], str | None]":
    from gpuctl.app import checkpoints as verb

    chosen = session.settings.template(template or session.settings.defaults.template)
    there = None
    if machine is not None:
        from gpuctl.app.door import open_door
        from gpuctl.app.fleet import pick
        from gpuctl.app.sync import sync

        synced = sync(session.app)
        there = pick(synced.machines, machine)
        open_door(session.app, synced, there)
    store = verb.store_of(session.app, chosen, project, there)
    bucket = chosen.checkpoint.bucket if chosen.checkpoint is not None else None
    some = verb.listing(store, bucket, project, job)
    if job is not None and not some:
        # A check of nothing would pass: whoever mistypes a name would believe it is safe.
        raise NotFound(f"there are no checkpoints of {job}", hint="gpuctl checkpoint ls")
    return store, some, bucket


def _record(one: "Kept") -> dict[str, Any]:
    manifest = one.manifest
    state = "unfinished" if one.begun_only else "damaged" if one.problem else "complete"
    return {
        "project": one.project,
        "job": one.job,
        "sequence": one.sequence,
        "name": None if manifest is None else manifest.name,
        "step": None if manifest is None else manifest.step,
        "size": None if manifest is None else manifest.size,
        "files": None if manifest is None else len(manifest.files),
        "saved_at": None if manifest is None else manifest.saved_at,
        "lease": None if manifest is None else manifest.lease or None,
        "state": state,
        "problem": None if one.begun_only else one.problem,
    }


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004 - metric
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
