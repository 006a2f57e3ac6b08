"""Checkpoints from the laptop's side: what a job is told, what lies in the bucket, getting it."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gpuctl.app import App
from gpuctl.config.template import Template
from gpuctl.core.books import books
from gpuctl.core.checkpoints import (
    Damaged,
    Manifest,
    Store,
    contents,
    damage,
    found,
    job_name,
)
from gpuctl.core.errors import GpuctlError, NotFound, UsageProblem
from gpuctl.core.keeping import Keep, base_of, name_of, root_of
from gpuctl.core.model import Machine

_ROOT = re.compile(r"([^/]+/[^/]+)/([^/]+)/\d{8}/")


class Kept(NamedTuple):
    """One checkpoint of a job as it lies in a store. `problem` None = complete by its sizes."""

    project: str
    job: str
    root: str
    sequence: int
    manifest: Manifest | None
    problem: str | None

    @property
    def begun_only(self) -> bool:
        """It has no manifest: an upload that goes on, or that was cut off. No harm is in it."""
        return self.manifest is None and self.problem == "not finished"


class Checked(NamedTuple):
    """One checkpoint, read to its last byte; no problems = it is as it was saved."""

    kept: Kept
    problems: tuple[str, ...]


def keep_of(
    app: App, machine: Machine, job: str | None, argv: Sequence[str], *, restore: bool
) -> Keep | None:
    """What the machine's keeper is told, by the machine's template; None without a table."""
    template = _template_of(app, machine)
    if template is None or template.checkpoint is None:
        return None
    table = template.checkpoint
    name = _named(job or name_of(argv))
    if table.bucket is None:
        app.progress.note(
            f"template {template.name} names no bucket: checkpoints stay on {machine.name} and end "
            "with it, unless `gpuctl checkpoint pull` gets them in time"
        )
    return Keep(
        job=name,
        root=root_of(table.bucket, machine.project or "nobody/nothing", name),
        dir=table.dir,
        bucket=table.bucket,
        command=table.command,
        signal=table.signal,
        interval_s=int(table.interval.total_seconds()),
        restore=restore,
    )


def listing(
    store: Store, bucket: str | None, project: str | None = None, job: str | None = None
) -> list[Kept]:
    """All checkpoints below a bucket's address, by project and job, the newest first."""
    base = base_of(bucket)
    roots = set()
    for entry in store.entries(base if project is None else f"{base}{project}/"):
        match = _ROOT.match(entry.key[len(base) :])
        if match and (job is None or match[2] == job):
            roots.add((match[1], match[2]))
    return [
        Kept(whose, name, root, one.sequence, one.manifest, one.problem)
        for whose, name in sorted(roots)
        for root in (f"{base}{whose}/{name}",)
        for one in found(store, root)
    ]


def store_of(app: App, template: Template, project: str | None, machine: Machine | None) -> Store:
    """The template's bucket; without one the machine's own disk, copied here first."""
    table = template.checkpoint
    if table is None:
        raise UsageProblem(
            f"template {template.name} has no checkpoint table",
            hint=f'add [template.{template.name}.checkpoint] with dir = "…" to the config',
        )
    if table.bucket is not None:
        payer = app.clouds.of(template.provider, project).payer
        return app.clouds.bucket(table.bucket, payer)
    if machine is None:
        raise UsageProblem(
            f"template {template.name} names no bucket: name the machine that has the checkpoints",
            hint="gpuctl checkpoint ls --machine NAME",
        )
    return app.reach.kept(machine)


def one_job(some: Sequence[Kept], job: str | None) -> list[Kept]:
    """Those of the one job that is meant. NotFound when there is none, or more than one."""
    jobs = list(dict.fromkeys((one.project, one.job) for one in some))
    if not jobs:
        named = "" if job is None else f" of {job}"
        raise NotFound(f"there are no checkpoints{named}", hint="gpuctl checkpoint ls")
    if len(jobs) > 1:
        listed = ", ".join(f"{project} {name}" for project, name in jobs)
        raise NotFound(
            f"which job? There are: {listed}", hint="gpuctl checkpoint pull JOB -p CLIENT/PROJECT"
        )
    return list(some)


def verify(store: Store, some: Sequence[Kept]) -> list[Checked]:
    """Read every byte of them; what is not finished is left out, for nothing was promised."""
    checked = []
    for one in some:
        if one.begun_only:
            continue
        problems = [] if one.problem is None else [one.problem]
        if one.manifest is not None and not problems:
            problems = damage(store, one.root, one.manifest)
        checked.append(Checked(one, tuple(problems)))
    return checked


def pull(
    app: App, store: Store, some: Sequence[Kept], into: Path, sequence: int | None
) -> tuple[Kept, Path]:
    """The newest one that verifies (or just that one) as a directory below `into`.

    GpuctlError when none does, UsageProblem when its directory is there already.
    """
    wanted = [one for one in some if sequence in (None, one.sequence) and not one.begun_only]
    if not wanted:
        raise NotFound("there is no such checkpoint", hint="gpuctl checkpoint ls")
    for one in wanted:
        if one.manifest is None or one.problem is not None:
            app.progress.note(f"checkpoint {one.sequence} is passed over: {one.problem}")
            continue
        try:
            with app.progress.step(f"pulling {one.job} {one.sequence}, {one.manifest.name}"):
                return one, _write(store, one.root, one.manifest, into)
        except Damaged as problem:
            app.progress.note(f"checkpoint {one.sequence} is passed over: {problem}")
    raise GpuctlError(
        "none of these checkpoints is as it was saved", hint="gpuctl checkpoint verify"
    )


def _write(store: Store, root: str, manifest: Manifest, into: Path) -> Path:
    """Beside, then renamed: a directory of that name is whole."""
    path = into / manifest.name
    if path.exists():
        raise UsageProblem(f"{path} exists already", hint="--to DIR, or move it away")
    part = into / f".{manifest.name}.gpuctl-part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageProblem(f"{into} cannot be written: {why}", hint="--to DIR") from None
    try:
        for name in manifest.directories:
            (part / name).mkdir(parents=True, exist_ok=True)
        for file in manifest.files:
            target = part / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as made:
                for block in contents(store, root, file):
                    made.write(block)
            target.chmod(file.mode | 0o600)
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return path


def _template_of(app: App, machine: Machine) -> Template | None:
    """As the machine's own tag says, else its lease."""
    name = machine.template
    if name is None:
        lease = books(app.ledger.events()).leases.get(machine.lease or "")
        name = lease.template if lease is not None else None
    return app.settings.templates.get(name) if name else None


def _named(job: str) -> str:
    try:
        return job_name(job)
    except ValueError as error:
        raise UsageProblem(str(error), hint="gpuctl run --name NAME -- CMD") from None
