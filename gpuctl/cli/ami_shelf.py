"""`ami copy|promote|prune|share`: what is done with images once they were made."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.ami_list import region_shape
from gpuctl.cli.command import asks, command, confirmed
from gpuctl.cli.render import Column, emit
from gpuctl.cli.session import Session
from gpuctl.cli.text import dollars
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.app.locked import Locks
    from gpuctl.app.shelving import Copies
    from gpuctl.core.images.stored import StoredImage

_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-?\d+\Z")
_in_regions = click.option(
    "--region", "regions", metavar="R", multiple=True, help="There only; else wherever it is."
)


@click.command()
@click.argument("name", metavar="NAME[@VERSION]")
@click.option("--to", "regions", metavar="REGION", multiple=True, required=True, help="Where to.")
@click.option("--detach", is_flag=True, help="Return once the cloud has accepted.")
@click.option("--dry-run", is_flag=True, help="Show what it would cost, copy nothing.")
@asks
@command
def copy(session: Session, name: str, regions: tuple[str, ...], detach: bool, dry_run: bool) -> int:
    """Copy an image to other regions: --to us-west-2 --to eu-west-1. Each costs its snapshot.

    Without a version it is the image's stable one, else its newest. A channel does not come with
    it: promote it there. On Google an image is in every region already.
    """
    from gpuctl.app import shelving

    wanted = tuple(part for text in regions for part in text.split(",") if part)
    for region in wanted:
        check_region(region, "--to")
    asked = shelving.copies(session.app, name, wanted)
    _tell_copies(asked)
    if dry_run or not asked.regions:
        made: Sequence[StoredImage] = ()
    elif confirmed(session, "Copy it?"):
        made = shelving.copy(session.app, asked, _locks(session), wait=not detach)
    else:
        click.echo("Nothing was copied.", err=True)
        return 1
    extra = {"image": asked.source.key, "there": list(asked.there)}
    _print(session, "ami.copy", made, extra, empty=_NOTHING_COPIED[bool(asked.regions)])
    return 0


_NOTHING_COPIED = {True: "nothing was copied", False: "nothing to do"}


def check_region(region: str, flag: str) -> None:
    """UsageProblem for what cannot be a region: no cloud has to be asked for that."""
    if not _REGION.match(region):
        raise UsageProblem(f"{region!r} is not a region", hint=f"{flag} us-west-2")


def _tell_copies(asked: "Copies") -> None:
    source = asked.source
    for region in asked.there:
        click.echo(f"{source.key} is in {region} already", err=True)
    if asked.regions:
        size = sum(billable.quantity for billable in source.billed)
        where = ", ".join(asked.regions)
        click.echo(
            f"Plan: {source.key} ({source.id}) from {source.region} to {where}: "
            f"{size:.0f} GB in each, together {dollars(asked.monthly)} a month, and once what the "
            "cloud asks for moving it between regions",
            err=True,
        )


@click.command()
@click.argument("name", metavar="NAME@VERSION")
@click.option("--channel", default="stable", show_default=True, help="What leads to it from now.")
@_in_regions
@command
def promote(session: Session, name: str, channel: str, regions: tuple[str, ...]) -> int:
    """Make a version what NAME@stable (and a bare NAME) leads to; the one before stays.

    On AWS a channel is an SSM parameter of each region, /gpuctl/images/NAME/CHANNEL; on Google a
    label of the image. images.lock.toml says so too. To go back, promote the one before.
    """
    from gpuctl.app import shelving
    from gpuctl.wiring.shelf import shelf

    chosen = shelving.promote(session.app, name, channel, regions, _locks(session))
    known = [one for one in shelf(session.paths).built if one.key == chosen[0].key]
    if not any(one.tested for one in known):
        click.echo(f"{name} has not passed a test here: gpuctl ami test {name}", err=True)
    _print(session, "ami.promote", chosen, {"image": chosen[0].key, "channel": channel})
    return 0


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--keep",
    metavar="N",
    type=click.IntRange(1, 100),
    help="Newest versions that stay; else as the recipe says, 3 without one.",
)
@click.option("--dry-run", is_flag=True, help="Show what would go, remove nothing.")
@asks
@command
def prune(session: Session, name: str | None, keep: int | None, dry_run: bool) -> int:
    """Remove old versions with their snapshots, in every region; what it saves a month.

    Never what is promoted, used by a machine (running or stopped), or named by a template of yours.
    It cannot be undone, and GPUCTL_YES does not answer for it. Templates on other computers are not
    known here: promote what they use.
    """
    from gpuctl.app import prune as verb
    from gpuctl.wiring.shelf import shelf

    asked = verb.prunable(session.app, shelf(session.paths).recipes, keep, name)
    for kept in asked.found.stays:
        click.echo(f"stays: {kept.image.key} in {kept.image.region}, {kept.why}", err=True)
    gone: Sequence[StoredImage] = asked.found.goes
    count = len(gone)
    saves = dollars(asked.saves)
    if count and not dry_run:
        listed = ", ".join(f"{image.key} in {image.region}" for image in gone)
        if not confirmed(session, f"Remove {listed} ({saves} a month)?", destroys=True):
            click.echo("Nothing was removed.", err=True)
            return 1
        gone = verb.prune(session.app, asked, _locks(session))
    from gpuctl.app.stock import monthly_cost
    from gpuctl.cli.money_shapes import exact

    # Fewer than were asked for may have gone.
    costs = monthly_cost(session.app, gone)
    saved = None if costs is None else exact(costs)
    extra = {"dry_run": dry_run, "saves": saved, "currency": "USD"}
    _print(session, "ami.prune", gone, extra, empty="no version is old enough to go")
    if count:
        word = "would save" if dry_run else "saves"
        click.echo(f"{word} {dollars(costs)} a month", err=True)
    return 0


@click.command()
@click.argument("name", metavar="NAME@VERSION")
@click.option(
    "--with", "whom", metavar="ACCOUNT", required=True, help="Twelve digits; on Google see below."
)
@_in_regions
@asks
@command
def share(session: Session, name: str, whom: str, regions: tuple[str, ...]) -> int:
    """Let another account start machines from a version, and copy it: to hand work over.

    On AWS: launch permission, and permission on its snapshots. What is encrypted with AWS's own key
    cannot be shared. On Google: the e-mail of a person or service account, or the number of a
    project. It costs you nothing more, and lasts until you take it back in the console.
    """
    from gpuctl.app import shelving

    shared = shelving.shares(session.app, name, whom, regions)
    if not confirmed(session, f"Let {whom} use {shared[0].key}?"):
        click.echo("Nothing was shared.", err=True)
        return 1
    shelving.share(session.app, shared, whom)
    _print(session, "ami.share", shared, {"image": shared[0].key, "with": whom})
    return 0


def _locks(session: Session) -> "Locks":
    from gpuctl.wiring.shelf import update_locks

    # A mistake in a lock file is told before anything is done.
    update_locks(session.paths, lambda built: built)
    return lambda change: update_locks(session.paths, change)


def _print(
    session: Session,
    schema: str,
    images: "Sequence[StoredImage]",
    extra: dict[str, Any],
    *,
    empty: str = "nothing to do",
) -> None:
    records = [{"name": one.name, "version": one.version, **region_shape(one)} for one in images]
    emit(session, schema, "images", records, _COLUMNS, extra=extra, empty=empty)


_COLUMNS: Sequence[Column] = (
    Column("IMAGE", lambda r: f"{r['name']}@{r['version']}"),
    Column("WHERE", lambda r: r["region"]),
    Column("ID", lambda r: r["id"]),
    Column("", lambda r: "" if r["ready"] else "being written"),
)
