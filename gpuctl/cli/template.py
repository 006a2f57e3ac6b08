"""`template`: recipes for machines."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gpuctl.cli.command import command
from gpuctl.cli.completions import templates
from gpuctl.cli.render import Column, emit, emit_json, plain
from gpuctl.cli.session import Session
from gpuctl.cli.text import dollars
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.config.load import Config, ConfigRow
    from gpuctl.config.template import Template


@click.group()
def template() -> None:
    """Recipes for machines: type, image, disk, limits."""


@template.command("list")
@click.option("--cloud", type=click.Choice(["aws", "gcp"]), help="Only this cloud's.")
@command
def list_(session: Session, cloud: str | None) -> int:
    """All templates, built-in ones included. * marks the one that is used without a name."""
    config = session.lenient_config
    default = config.settings.defaults.template
    records = [
        _shape(config, one)
        for one in config.settings.templates.values()
        if cloud is None or one.provider == cloud
    ]
    columns = [
        Column("", lambda r: "*" if r["name"] == default else ""),
        Column("TEMPLATE", lambda r: r["name"]),
        Column("CLOUD", lambda r: r["provider"]),
        Column("TYPES", lambda r: ", ".join(r["types"])),
        Column("MARKET", lambda r: r["market"]),
        Column("MAX $/H", lambda r: dollars(r["max_price"]) if r["max_price"] else "-", right=True),
        Column("TTL", lambda r: r["ttl"], right=True),
        Column("FROM", lambda r: r["origin"]),
    ]
    emit(session, "template.list", "templates", records, columns)
    return 0


@template.command()
@click.argument("name", shell_complete=templates)
@command
def show(session: Session, name: str) -> int:
    """One template as TOML, with the place where each value was set, and how long starts took.

    p50 is the middle of the starts in the ledger, in seconds from the order until SSH answered and
    the dead-man's switch was armed; one for each image of your own.
    """
    from gpuctl.cli.config import value_of

    session.lenient_config.settings.template(name)
    rows = rows_of(session.lenient_config, name)
    records = [
        {
            "key": key,
            "value": value_of(row.value),
            "origin": row.origin.kind.value,
            "file": row.origin.file,
            "line": row.origin.line,
        }
        for key, row in rows.items()
    ]
    match session.output:
        case "json":
            starts = [one._asdict() for one in _starts(session, name)]
            emit_json("template.show", {"name": name, "settings": records, "starts": starts})
        case "csv":
            emit(session, "template.show", "settings", records, [])
        case _:
            lines = [plain(f"# {_words(one)}") for one in _starts(session, name)]
            click.echo("\n".join([*_toml(name, rows), *lines]))
    return 0


@template.command()
@click.argument("name")
@click.option(
    "--from",
    "source",
    metavar="TEMPLATE|TYPE",
    required=True,
    shell_complete=templates,
    help="A template to copy, or a machine type such as g6e.xlarge or g2-standard-8.",
)
@click.option("--set", "changes", metavar="KEY=VALUE", multiple=True, help="Change this in it.")
@command
def add(session: Session, name: str, source: str, changes: tuple[str, ...]) -> int:
    """Add a template of your own to the user's config file.

    gpuctl template add big --from l4-spot --set type=g6.4xlarge --set max_price=1.50
    """
    from gpuctl.config import edit

    config = session.lenient_config
    _free(config, name)
    values = _copied(config, source) | _changes(changes)
    edit.add_template(session.paths.config, name, values)
    click.echo(f"added {name}. Next: gpuctl template show {name}, gpuctl up -t {name}", err=True)
    return 0


@template.command()
@command
def schema(session: Session) -> int:  # noqa: ARG001 - as all commands
    """The JSON Schema of a template's keys."""
    import json

    from gpuctl.config.keys import TEMPLATE

    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "gpuctl: a template"}
    click.echo(json.dumps({**head, **TEMPLATE.schema()}, indent=2, ensure_ascii=False))
    return 0


def rows_of(config: "Config", name: str) -> dict[str, "ConfigRow"]:
    """What is set in a template, by key under it."""
    prefix = f"template.{name}."
    return {
        row.key.removeprefix(prefix): row for row in config.rows() if row.key.startswith(prefix)
    }


class _Starts(NamedTuple):
    image: str | None
    starts: int
    p50_s: int
    smoke_p50_s: int | None = None


def _starts(session: Session, name: str) -> Sequence[_Starts]:
    """By image; () without a ledger, which is not made for this."""
    file = session.paths.ledger.path
    if file is not None and not file.exists():
        return ()
    from gpuctl.core.boots import boots, times

    every = boots(session.ledger.events())
    mine = [boot for boot in every if boot.template == name]
    found = []
    for image in dict.fromkeys(boot.image for boot in mine):
        middle = times(boot.seconds for boot in mine if boot.image == image)
        # `ami test` starts the image too, under a template of its own.
        smoked = times(b.smoke for b in every if b.image == image and b.smoke is not None)
        if middle is not None:
            p50 = None if smoked is None or image is None else smoked.p50
            found.append(_Starts(image, middle.starts, middle.p50, p50))
    return found


def _words(one: _Starts) -> str:
    starts = "1 start" if one.starts == 1 else f"{one.starts} starts"
    image = f" from {one.image}" if one.image else ""
    smoked = one.smoke_p50_s
    tested = "" if smoked is None else f", {smoked} s until its test had passed"
    return f"{starts}{image}: p50 {one.p50_s} s until SSH answered{tested}"


def _free(config: "Config", name: str) -> None:
    if name not in config.settings.templates:
        return
    origin = config.origin(f"template.{name}.type")
    what = "built-in template" if origin.kind.value == "built-in" else "template"
    raise UsageProblem(
        f"there is a {what} {name} already",
        hint=f"gpuctl config set template.{name}.KEY VALUE (changes only that key), "
        "or add it under another name",
    )


def _copied(config: "Config", source: str) -> dict[str, str]:
    """The keys that a template writes, or those of its cloud's first one with another type."""
    from gpuctl.cli.config import as_text, value_of

    known = config.settings.templates
    written = {
        key: as_text(value_of(row.value))
        for key, row in rows_of(
            config, source if source in known else _like(config, source)
        ).items()
        if row.origin.file is not None
    }
    if source in known:
        return written
    for other in ("fallbacks", "max_price", "gpu.type", "gpu.count", "vm"):
        written.pop(other, None)
    return written | {"type": source}


def _like(config: "Config", source: str) -> str:
    """A template of the cloud that the type is of: the default one where it is of that cloud.

    `g6.xlarge` is AWS's, `g2-standard-4` Google's.

    NotFound names the nearest template where it is neither.
    """
    import re

    known = config.settings.templates
    default = known.get(config.settings.defaults.template)
    forms = {"aws": r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "gcp": r"[a-z][a-z0-9]*-[a-z]+-[0-9a-z]+"}
    for cloud, form in forms.items():
        if re.fullmatch(form, source):
            if default is not None and default.provider == cloud:
                return default.name
            return next(one.name for one in known.values() if one.provider == cloud)
    from difflib import get_close_matches

    from gpuctl.core.errors import NotFound

    near = get_close_matches(source, list(known), n=1)
    raise NotFound(
        f'"{source}" is neither a template nor a machine type; templates: {", ".join(known)}',
        hint=f"did you mean {near[0]}?" if near else "--from g6.xlarge",
    )


def _changes(pairs: Sequence[str]) -> dict[str, str]:
    changes = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageProblem(f"--set {pair!r} is not KEY=VALUE", hint="--set max_price=1.50")
        changes[key.strip()] = value.strip()
    return changes


def _shape(config: "Config", one: "Template") -> dict[str, Any]:
    from gpuctl.core.span import format_duration

    origin = config.origin(f"template.{one.name}.type")
    return {
        "name": one.name,
        "provider": one.provider,
        "types": list(one.types),
        "gpu": None if one.gpu is None else one.gpu.type,
        "market": one.market.value,
        "max_price": None if one.max_price is None else f"{one.max_price:f}",
        "currency": "USD",
        "ttl": format_duration(one.ttl),
        "idle_stop": None if one.idle_stop is None else format_duration(one.idle_stop),
        "origin": origin.kind.value,
    }


def _toml(name: str, rows: dict[str, "ConfigRow"]) -> list[str]:
    width = max(len(f"{key} = {row.value}") for key, row in rows.items())
    lines = [f"[template.{name}]"]
    for key, row in rows.items():
        line = plain(f"{key} = {row.value}")
        origin = row.origin.kind if row.origin.kind.value == "built-in" else row.origin
        lines.append(f"{line:<{min(width, 60)}}  # {origin}")
    return lines
