"""`ami list`: recipes, what was built of them, and what the clouds keep of it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import command, explain
from gpuctl.cli.render import Column, emit
from gpuctl.cli.session import Session

if TYPE_CHECKING:
    from gpuctl.app.images import Shelf
    from gpuctl.app.prune import Look
    from gpuctl.config.lockfile import Built
    from gpuctl.config.recipe import Recipe
    from gpuctl.core.images.stored import StoredImage

_CACHED = "gpuctl ami list --cached    (what this computer knows)"


@click.command("list")
@click.option("--cached", is_flag=True, help="What this computer knows; no cloud is asked.")
@command
def list_(session: Session, cached: bool) -> int:
    """Recipes, what was built of them, and what the clouds keep: where, since when, at what cost.

    Without a cloud account, and with --cached, it tells what recipes and images.lock.toml tell.
    A month is 730 hours; AWS bills changed blocks alone, so an image may cost less.
    """
    from gpuctl.core.errors import GpuctlError
    from gpuctl.wiring.shelf import shelf

    known = shelf(session.paths)
    records = _known(known)
    clouds = None if cached else session.app.clouds
    if clouds is None or not clouds.accounts():
        _print(session, records, _HERE, {})
        return 0
    from gpuctl.app.prune import survey
    from gpuctl.cli.shapes import incomplete

    try:
        seen = survey(session.app)
    except GpuctlError as error:
        explain(error, debug=session.debug)
        click.echo(f"  Try: {_CACHED}", err=True)
        return error.exit_code
    _print(session, _joined(session, records, seen), _EVERYWHERE, incomplete(seen.silent))
    for item in seen.silent:
        click.echo(f"{item.provider} could not be looked at: {item.reason}", err=True)
    return 1 if seen.silent else 0


def _known(known: "Shelf") -> list[dict[str, Any]]:
    made = {one.key for one in known.built}
    recipes = {one.name: one for one in reversed(known.recipes)}
    records = [built_shape(one, recipes.get(one.name)) for one in known.built]
    return records + [
        recipe_shape(one) for one in recipes.values() if f"{one.name}@{one.version}" not in made
    ]


def _print(
    session: Session,
    records: list[dict[str, Any]],
    columns: Sequence[Column],
    extra: Mapping[str, Any],
) -> None:
    from gpuctl.core.images.stored import version_order

    now = session.now()
    records.sort(key=lambda record: (record["name"], version_order(record["version"])))
    shown = [column if column.title != "AGE" else _age(now) for column in columns]
    emit(
        session,
        "ami.list",
        "images",
        records,
        shown,
        extra=extra,
        empty="no images and no recipes",
    )


def _age(now: Any) -> Column:
    from gpuctl.cli.text import ago
    from gpuctl.core.span import parse_time

    return Column("AGE", lambda r: ago(parse_time(r["built_at"]), now) if r["built_at"] else "-")


def _joined(
    session: Session, records: Sequence[dict[str, Any]], seen: "Look"
) -> list[dict[str, Any]]:
    """What is known here beside what the clouds keep; what only they know comes as well."""
    from gpuctl.app.stock import monthly_cost
    from gpuctl.cli.money_shapes import exact

    by_key = {f"{record['name']}@{record['version']}": dict(record) for record in records}
    kept: dict[str, list[StoredImage]] = {}
    for image in seen.images:
        kept.setdefault(image.key, []).append(image)
        by_key.setdefault(image.key, stored_shape(image))
    for key, record in by_key.items():
        images = kept.get(key, [])
        costs = monthly_cost(session.app, images)
        record["regions"] = [
            {**region_shape(image), "monthly": _exact(monthly_cost(session.app, [image]))}
            for image in images
        ]
        record["monthly"] = None if not images or costs is None else exact(costs)
        record["currency"] = "USD"
        record["channels"] = sorted({one for image in images for one in image.channels})
        record["used_by"] = list(seen.used.get(key, ()))
        if images and record["built_at"] is None:
            record.update(stored_shape(images[0]))
    return list(by_key.values())


def _exact(costs: Any) -> str | None:
    from gpuctl.cli.money_shapes import exact

    return None if costs is None else exact(costs)


def _where(record: Mapping[str, Any]) -> str:
    if "regions" in record:
        return ", ".join(region["region"] for region in record["regions"]) or "-"
    return ", ".join([*record["ids"], *(["gcp"] if record["gcp"] else [])]) or "-"


def _gb(record: Mapping[str, Any]) -> str:
    sizes = [region["gb"] for region in record.get("regions", ()) if region["gb"] is not None]
    return str(record["snapshot_gb"] or (f"{max(map(float, sizes)):.0f}" if sizes else "-"))


def _dollars(record: Mapping[str, Any]) -> str:
    from gpuctl.cli.text import dollars

    return dollars(record["monthly"]) if record["regions"] else "-"


def _state(record: Mapping[str, Any]) -> str:
    if any(not region["ready"] for region in record.get("regions", ())):
        return "being written"
    return "" if record["built_at"] else "not built"


_HERE = (
    Column("IMAGE", lambda r: f"{r['name']}@{r['version']}"),
    Column("RECIPE", lambda r: r["recipe"] or "-"),
    Column("AGE", str),
    Column("WHERE", _where),
    Column("DRIVER", lambda r: r["driver"] or "-"),
    Column("MODULE", lambda r: r["module"] or "-"),
    Column("TORCH", lambda r: f"{r['torch']}+{r['cuda']}" if r["torch"] else "-"),
    Column("GB", _gb, right=True),
    Column("", _state),
)
_EVERYWHERE = (
    Column("IMAGE", lambda r: f"{r['name']}@{r['version']}"),
    Column("CHANNEL", lambda r: ", ".join(r["channels"]) or "-"),
    Column("AGE", str),
    Column("WHERE", _where),
    Column("DRIVER", lambda r: r["driver"] or "-"),
    Column("TORCH", lambda r: f"{r['torch']}+{r['cuda']}" if r["torch"] else "-"),
    Column("GB", _gb, right=True),
    Column("$/MONTH", _dollars, right=True),
    Column("USED BY", lambda r: ", ".join(r["used_by"]) or "-"),
    Column("", _state),
)


def stored_shape(image: "StoredImage") -> dict[str, Any]:
    """A version that only a cloud knows of, by its tags or labels."""
    from gpuctl.core.span import format_time

    facts = image.facts
    return {
        "name": image.name,
        "version": image.version,
        "title": None,
        "recipe": None,
        "built_at": format_time(image.made_at),
        "ids": {image.region: image.id} if image.provider == "aws" else {},
        "gcp": image.id if image.provider == "gcp" else None,
        "base": None,
        "architecture": facts.architecture,
        "driver": None if facts.driver is None else str(facts.driver),
        "module": facts.module,
        "cuda": facts.cuda,
        "torch": facts.torch,
        "python": None,
        "snapshot_gb": None,
        "tested": [],
        "channels": list(image.channels),
    }


def region_shape(image: "StoredImage") -> dict[str, Any]:
    """One copy of a version."""
    from gpuctl.core.span import format_time

    sizes = [billable.quantity for billable in image.billed]
    return {
        "provider": image.provider,
        "account": image.account,
        "region": image.region,
        "id": image.id,
        "made_at": format_time(image.made_at),
        "ready": image.ready,
        "ours": image.ours,
        "gb": f"{sum(sizes):f}" if sizes else None,
        "channels": list(image.channels),
        "project": image.project,
        "recipe_sha256": image.recipe_sha256,
    }


def built_shape(one: "Built", recipe: "Recipe | None") -> dict[str, Any]:
    """A version that was built."""
    from gpuctl.core.span import format_time

    return {
        "name": one.name,
        "version": one.version,
        "title": recipe.title if recipe is not None else None,
        "recipe": one.recipe or (recipe.directory.name if recipe is not None else None),
        "built_at": format_time(one.built_at),
        "ids": dict(one.aws),
        "gcp": one.gcp,
        "base": one.base,
        "architecture": one.architecture,
        "driver": one.driver,
        "module": one.module,
        "cuda": one.cuda,
        "torch": one.torch,
        "python": one.python,
        "snapshot_gb": one.snapshot_gb,
        "tested": list(one.tested),
        "channels": list(one.channels),
    }


def recipe_shape(one: "Recipe") -> dict[str, Any]:
    """A recipe of which this version was not built."""
    return {
        "name": one.name,
        "version": one.version,
        "title": one.title,
        "recipe": one.directory.name,
        "built_at": None,
        "ids": {},
        "gcp": None,
        "base": one.aws_ssm or one.gcp_family,
        "architecture": None,
        "driver": one.driver or (f"{one.driver_least}+" if one.driver_least else None),
        "module": one.module,
        "cuda": one.cuda,
        "torch": one.torch,
        "python": one.python,
        "snapshot_gb": None,
        "tested": [],
        "channels": [],
    }
