"""`ami build` and `ami test`: make an image of a recipe, and see it compute."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import INTERRUPTED, asks, command, confirmed
from gpuctl.cli.session import Session

if TYPE_CHECKING:
    from gpuctl.app.build_image import Made
    from gpuctl.app.builder import Building, BuildPlan
    from gpuctl.app.image_test import Proof, Trial
    from gpuctl.config.recipe import Recipe

_GOOGLE_REGION = re.compile(r"[a-z]+-[a-z]+\d+\Z")


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option("--on", "cloud", type=click.Choice(["aws", "gcp"]), help="On which cloud.")
@click.option("--region", metavar="R", help="Only there.")
@click.option("-p", "--project", help="Who pays for the builder; else nobody alone (overhead).")
@click.option("--keep", is_flag=True, help="Leave a builder whose step failed, to look at it.")
@click.option("--dry-run", is_flag=True, help="Show the plan, start nothing.")
@asks
@command
def build(session: Session, recipe: str, **flags: Any) -> int:
    """Make an image: a spot builder, the recipe's steps over SSH, the image, images.lock.toml.

    RECIPE is a recipe of `ami list`, or a directory with an image.toml. The builder is a machine
    under a lease like any other, and ends with the build, however that ends. Broken off by a lost
    connection (exit 7), the same command goes on where it was; a step that fails (exit 1) is named
    with file and line, and its builder is ended. Nothing is done where images.lock.toml has that
    version of the very same steps already.
    """
    from gpuctl.app.build import build as make
    from gpuctl.app.builder import builder_name
    from gpuctl.wiring.builds import at_work, log_file
    from gpuctl.wiring.shelf import lock_file

    asked = _building(session, recipe, flags)
    name = builder_name(asked.recipe)
    path = log_file(session.paths, name, session.now())
    with at_work(session.paths, name), _log(path, unused=asked.dry_run) as write:
        try:
            lock = lock_file(session.paths)
            made = make(session.app, asked, lock, lambda plan: _agree(session, plan, asked), write)
        except KeyboardInterrupt:
            said = "Interrupted. Nothing of the build goes on, or its lease ends it: gpuctl ps"
            click.echo(said, err=True)
            return INTERRUPTED
        finally:
            if path.exists():
                click.echo(f"Log: {path}", err=True)
    return _made(session, made, asked)


class _log:  # noqa: N801 - a context, used as one
    """The log's file, made when the first byte comes."""

    def __init__(self, path: Path, *, unused: bool) -> None:
        self._path = path
        self._unused = unused
        self._file: Any = None

    def __enter__(self) -> Any:
        return self._write

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, piece: bytes) -> None:
        if self._file is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)
        self._file.write(piece)


def _building(session: Session, named: str, flags: dict[str, Any]) -> "Building":
    from gpuctl.app.builder import Building
    from gpuctl.config.recipe_files import recipe_files, recipe_sha256, step_names
    from gpuctl.core.overhead import IMAGES
    from gpuctl.wiring.builds import pip_configuration

    recipe = _recipe(session, named)
    files = recipe_files(recipe)
    project = flags["project"]
    region = flags["region"] or session.settings.defaults.region
    return Building(
        recipe=recipe,
        files=files,
        key=recipe_sha256(files),
        steps=step_names(recipe),
        provider=_cloud(session, recipe, flags["cloud"], region),
        project=session.project(project) if project else IMAGES,
        region=region,
        pip=pip_configuration(session.environ),
        keep=flags["keep"],
        dry_run=flags["dry_run"],
    )


def _recipe(session: Session, named: str) -> "Recipe":
    from gpuctl.config.recipe import read_recipe
    from gpuctl.core.errors import NotFound
    from gpuctl.wiring.shelf import shelf

    path = session.cwd / named
    if (path / "image.toml").is_file():
        return read_recipe(path)
    for recipe in shelf(session.paths).recipes:
        if named in (recipe.directory.name, recipe.name):
            return recipe
    raise NotFound(f"there is no recipe {named} here", hint="gpuctl ami list")


def _cloud(session: Session, recipe: "Recipe", named: str | None, region: str | None) -> str:
    """The one that is named, or that the region is of, or the first in use that it is for."""
    from gpuctl.core.errors import UsageProblem

    fits = [cloud for cloud, types in _types(recipe).items() if types]
    if region is not None and named is None:
        named = "gcp" if _GOOGLE_REGION.match(region) else "aws"
    if named is not None:
        if named not in fits:
            raise UsageProblem(f"{recipe.directory.name} is not for {named}")
        return named
    in_use = [ref.provider for ref in session.app.clouds.accounts()]
    return next((cloud for cloud in fits if cloud in in_use), fits[0])


def _types(recipe: "Recipe") -> dict[str, tuple[str, ...]]:
    return {"aws": recipe.aws_types, "gcp": recipe.gcp_types}


def _agree(session: Session, plan: "BuildPlan", asked: "Building") -> bool:
    from gpuctl.cli.plans import print_plan
    from gpuctl.cli.text import dollars
    from gpuctl.core.span import format_duration

    print_plan(session, plan.plan)
    recipe = asked.recipe
    most = format_duration(plan.longest)
    work = f"{len(plan.steps)} steps, about {plan.minutes} min (at most {most})"
    kept = f"at most {dollars(plan.monthly)} a month for its {recipe.disk_gb} GB, in each region"
    told = {
        "build": f"{recipe.name}@{recipe.version}: {work}, {dollars(plan.cost)}",
        "image": kept,
    }
    prefix = "[sandbox] " if session.in_sandbox else ""
    for word, text in told.items():
        click.echo(f"{prefix}  {word:<14} {text}", err=True)
    return asked.dry_run or confirmed(session, "Build it?")


def _made(session: Session, made: "Made", asked: "Building") -> int:
    from gpuctl.cli.ami_list import built_shape
    from gpuctl.cli.render import emit_json, say

    if session.output == "json":
        image = None if made.built is None else built_shape(made.built, asked.recipe)
        emit_json("ami.build", {"image": image, "existed": made.existed})
    elif made.built is not None:
        where = [*made.built.aws.values(), *([made.built.gcp] if made.built.gcp else [])]
        word = "is built already" if made.existed else "is built"
        say(session, f"{made.built.key} {word}: {', '.join(where)}")
        click.echo(f"Next: gpuctl ami test {made.built.key}", err=True)
    if made.built is None and not asked.dry_run:
        click.echo("Nothing was started.", err=True)
        return 1
    return 0


@click.command()
@click.argument("name", metavar="NAME[@VERSION|@CHANNEL]")
@click.option(
    "--type", "types", metavar="T", multiple=True, help="On this type; else its recipe's."
)
@click.option("--on", "cloud", type=click.Choice(["aws", "gcp"]), help="On which cloud.")
@click.option("-p", "--project", help="Who pays for it; else nobody alone (overhead).")
@click.option("--dry-run", is_flag=True, help="Show the plan, start nothing.")
@asks
@command
def test(session: Session, name: str, types: tuple[str, ...], **flags: Any) -> int:
    """Start an image on a small GPU type on spot, run its smoke test, and end the machine.

    The result is JSON on standard output: nvidia-smi, torch and the architectures it has code for,
    products in float16 and bfloat16, VRAM, disk, and the seconds from the order to SSH. A pass is
    written into images.lock.toml. Exit 8 where a check fails. The machine is ended in every case.
    """
    from dataclasses import replace

    from gpuctl.app.image_test import chosen, run_test
    from gpuctl.core.errors import ChecksFailed
    from gpuctl.wiring.shelf import lock_file, shelf

    asked = chosen(shelf(session.paths), name, types, flags["cloud"])
    project = flags["project"]
    if project:
        asked = replace(asked, project=session.project(project))
    asked = replace(asked, dry_run=flags["dry_run"])
    tested = run_test(
        session.app, asked, lock_file(session.paths), lambda plan: _start(session, plan, asked)
    )
    if tested is None:
        if not asked.dry_run:
            click.echo("Nothing was started.", err=True)
        return 0 if asked.dry_run else 1
    _report(asked, tested)
    return 0 if tested.ok else ChecksFailed.exit_code


def _start(session: Session, plan: Any, asked: "Trial") -> bool:
    from gpuctl.cli.plans import print_plan

    print_plan(session, plan)
    return asked.dry_run or confirmed(session, "Test it there?")


def _report(asked: "Trial", tested: "Proof") -> None:
    from gpuctl.cli.render import emit_json

    head = {
        "image": asked.built.key if asked.built is not None else asked.image,
        "provider": asked.provider,
        "type": tested.type,
        "zone": tested.zone,
        "ok": tested.ok,
        "boot_seconds": tested.boot_s,
    }
    report = {key: value for key, value in tested.report.items() if key not in ("schema", "ok")}
    emit_json("ami.test", {**head, "says": report.pop("image", None), **report})
