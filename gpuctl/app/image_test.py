"""`ami test`: whether an image computes, on the smallest GPU it is for; the machine always ends."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from gpuctl.app import App
from gpuctl.app.builder import end_builder
from gpuctl.app.images import Shelf
from gpuctl.app.plan import Plan
from gpuctl.app.settle import TESTER
from gpuctl.app.up import Asked, up
from gpuctl.config.lockfile import Built, read_lock, write_lock
from gpuctl.config.recipe import Recipe
from gpuctl.config.template import Template
from gpuctl.core.boots import smoke
from gpuctl.core.errors import GpuctlError, NotFound, UsageProblem
from gpuctl.core.kinds import MarketPolicy
from gpuctl.core.model import Accelerator, DiskSpec, Machine
from gpuctl.core.overhead import IMAGES

LEASE = timedelta(hours=1)
_DISKS = {"aws": "gp3", "gcp": "pd-balanced"}
_RUN = 'exec "${GPUCTL_ROOT:-}/opt/gpuctl/venv/bin/python" -c "$1"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Which image, on which types in order, for whom. `image` is what a template would say."""

    image: str
    provider: str
    types: tuple[str, ...]
    recipe: Recipe
    built: Built | None
    region: str | None = None
    project: str = IMAGES
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What `smoke.py` reported, on which type; `boot_s` is from the order to SSH."""

    type: str
    zone: str
    ok: bool
    boot_s: int
    report: dict[str, Any]


def chosen(shelf: Shelf, named: str, types: Sequence[str], provider: str | None) -> Trial:
    """What `NAME`, `NAME@VERSION` or `NAME@CHANNEL` means: the newest version, unless it says.

    NotFound without a recipe or an image of that name, UsageProblem without a type to test on.
    """
    name, _, at = named.partition("@")
    recipe = next((one for one in shelf.recipes if name in (one.name, one.directory.name)), None)
    if recipe is None:
        raise NotFound(f"there is no recipe of {name} here", hint="gpuctl ami list")
    made = [one for one in shelf.built if one.name == recipe.name]
    built = next((one for one in reversed(made) if at in ("", one.version)), None)
    channel = bool(at) and not at.isdecimal()
    if built is None and not channel:
        raise NotFound(f"{named} was not built", hint=f"gpuctl ami build {recipe.directory.name}")
    cloud = provider or ("gcp" if built is not None and not built.aws else "aws")
    region, image = (None, named) if channel or built is None else _place(built, cloud, named)
    fitting = tuple(types) or _smallest(recipe, cloud)
    if not fitting:
        raise UsageProblem(
            f"{named} names no type on {cloud} to test on", hint="--type g4dn.xlarge"
        )
    return Trial(
        image=image,
        provider=cloud,
        types=fitting,
        recipe=recipe,
        built=built,
        region=region,
    )


def _place(built: Built, provider: str, named: str) -> tuple[str | None, str]:
    if provider == "gcp":
        if built.gcp is None:
            raise NotFound(f"{named} was not built on gcp", hint="gpuctl ami build --on gcp")
        return None, built.gcp
    if not built.aws:
        raise NotFound(f"{named} was not built on aws", hint="gpuctl ami build --on aws")
    return next(iter(sorted(built.aws.items())))


def _smallest(recipe: Recipe, provider: str) -> tuple[str, ...]:
    """The types of its test, else its targets: the recipe has them from small to large."""
    targets = recipe.aws_targets if provider == "aws" else recipe.gcp_targets
    here = [type_ for type_ in recipe.test_on if type_ in targets]
    return tuple(here or targets)


def run_test(app: App, asked: Trial, lock: Path, confirm: Callable[[Plan], bool]) -> Proof | None:
    """Start it on spot, run the smoke test, end it, write a pass into the lock file.

    None after --dry-run or a refusal. The machine is ended whatever happens; its lease is an hour.
    """
    ref = app.clouds.of(asked.provider, asked.project)
    name = f"test-{asked.recipe.name}"[:40].rstrip("-")
    began = app.clock()
    wanted = Asked(
        project=asked.project,
        template=_template(app, asked),
        name=name,
        dry_run=asked.dry_run,
    )
    started = False
    try:
        started = not asked.dry_run
        done = up(app, wanted, confirm)
        if done.machine is None:
            started = False
            return None
        machine = done.machine.machine
        boot = int((app.clock() - began).total_seconds())
        tested = _measured(app, asked, machine, boot)
        app.ledger.append(smoke(app.new_id(), machine.lease or "", app.clock(), ok=tested.ok))
    finally:
        if started:
            end_builder(app, ref, name)
    if tested.ok and asked.built is not None:
        _note(lock, asked.built, tested.type)
    return tested


def _template(app: App, asked: Trial) -> Template:
    recipe = asked.recipe
    first, _, gpu = asked.types[0].partition("+")
    own = app.settings.limits.max_lifetime
    return Template(
        name=TESTER,
        provider=asked.provider,
        type=first,
        fallbacks=tuple(t for t in asked.types[1:] if "+" not in t) if not gpu else (),
        market=MarketPolicy.SPOT,
        regions=(asked.region,) if asked.region else (),
        image=asked.image,
        user=recipe.user,
        disk=DiskSpec(gb=recipe.disk_gb, type=_DISKS[asked.provider]),
        gpu=Accelerator(type=gpu) if gpu else None,
        ttl=min(LEASE, own),
        idle_stop=None,
        budget=recipe.test_max_cost,
    )


def _measured(app: App, asked: Trial, machine: Machine, boot_s: int) -> Proof:
    program = asked.recipe.smoke.read_text(encoding="utf-8")
    with app.progress.step(f"testing {asked.image} on {machine.type}"):
        code, said = app.reach.run(machine, ["sh", "-c", _RUN, "smoke", program])
    report = _report(said)
    if report is None:
        last = "\n".join(said.strip().splitlines()[-8:])
        raise GpuctlError(f"the smoke test said nothing that can be read (exit {code})\n{last}")
    return Proof(
        type=machine.type,
        zone=machine.id.zone,
        ok=code == 0 and bool(report.get("ok")),
        boot_s=boot_s,
        report=report,
    )


def _report(said: str) -> dict[str, Any] | None:
    """The JSON object in what it said: libraries may warn before and after it."""
    start = said.find("{")
    if start < 0:
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(said[start:])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _note(lock: Path, built: Built, type_: str) -> None:
    images = read_lock(lock)
    noted = [
        one._replace(tested=tuple(sorted({*one.tested, type_}))) if one.key == built.key else one
        for one in images
    ]
    if noted != list(images):
        write_lock(lock, noted)
