"""`client`: who is billed, and how."""

from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import command
from gpuctl.cli.completions import clients
from gpuctl.cli.flags import values_of
from gpuctl.cli.render import Column, emit
from gpuctl.cli.session import Session
from gpuctl.cli.sheet import emit_sheet, per_cent
from gpuctl.cli.text import dollars
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.config.model import ClientPolicy, Settings


@click.group()
def client() -> None:
    """Clients, and how they are billed."""


@client.command()
@click.argument("name")
@click.option("--name", "title", help="Its name for people, printed on reports.")
@click.option("--currency", metavar="CODE", help="What it is billed in: EUR. Costs stay in USD.")
@click.option("--markup", metavar="PERCENT", help="Added to the cost of all its projects: 15%.")
@click.option("--absorbed", is_flag=True, help="You bear its costs: shown, never billed.")
@click.option("--cap", metavar="USD", help="The most cost passed on a month; markup is on top.")
@click.option("--vat", metavar="ID", help="Its VAT number, printed as it stands.")
@click.option("--vat-rate", metavar="PERCENT", help="VAT that you add to its statements: 21%.")
@click.option("--contact", help="Whom reports are for.")
@click.option("--aws-profile", metavar="PROFILE", help="Its own AWS account: machines run there.")
@click.option("--aws-role", metavar="ARN", help="The role to assume in its own AWS account.")
@click.option("--gcp-project", metavar="ID", help="Its own Google project.")
@command
def add(session: Session, name: str, **flags: Any) -> int:
    """Add a client. NAME is the part of its projects before the slash: acme."""
    from gpuctl.config import edit
    from gpuctl.config.keys import CLIENT_POLICY

    checked_name(name)
    keys = (
        *("currency", "markup", "vat", "vat_rate", "contact"),
        *("aws_profile", "aws_role", "gcp_project"),
    )
    given = {key: (f"--{key.replace('_', '-')}", flags[key]) for key in keys}
    given["name"] = ("--name", flags["title"])
    given["cap.month"] = ("--cap", flags["cap"])
    given["absorbed"] = ("--absorbed", flags["absorbed"] or None)
    values = values_of(CLIENT_POLICY, given)
    if name in session.lenient_config.settings.clients:
        hint = f"gpuctl client show {name}, gpuctl client set {name} KEY VALUE"
        raise UsageProblem(f"there is a client {name} already", hint=hint)
    edit.add_client(session.paths.config, name, values)
    click.echo(f"added {name}. Next: gpuctl project add {name}/PROJECT", err=True)
    return 0


@client.command("list")
@command
def list_(session: Session) -> int:
    """All clients."""
    settings = session.lenient_config.settings
    records = [shape(settings, policy) for policy in settings.clients.values()]
    columns = [
        Column("CLIENT", lambda r: r["name"]),
        Column("NAME", lambda r: r["title"] or ""),
        Column("CURRENCY", lambda r: r["currency"]),
        Column("BILLED", _billed),
        Column("PROJECTS", lambda r: str(len(r["projects"])), right=True),
    ]
    empty = "no clients. Next: gpuctl client add NAME"
    emit(session, "client.list", "clients", records, columns, empty=empty)
    return 0


@client.command()
@click.argument("name", shell_complete=clients)
@command
def show(session: Session, name: str) -> int:
    """One client: how it is billed, and its projects."""
    settings = session.lenient_config.settings
    record = shape(settings, settings.client(name))
    retainer = record["retainer"]
    lines = {
        "client": name,
        "name": record["title"],
        "currency": record["currency"],
        "billed": _billed(record),
        "cap": record["cap"] and f"{dollars(record['cap'])} a month",
        "retainer": retainer
        and f"{retainer['month']} {record['currency']} a month, "
        f"{dollars(retainer['included'])} included",
        "overhead": record["overhead"],
        "contact": record["contact"],
        "address": ", ".join(record["address"]) or None,
        "vat": record["vat"],
        "VAT rate": record["vat_rate"],
        "account": _account(record),
        "projects": ", ".join(record["projects"]) or f"none: gpuctl project add {name}/PROJECT",
    }
    emit_sheet(session, "client.show", "client", record, lines)
    return 0


@client.command("set")
@click.argument("name", shell_complete=clients)
@click.argument("key")
@click.argument("value")
@command
def set_(session: Session, name: str, key: str, value: str) -> int:
    """Change one value: gpuctl client set acme markup 15%."""
    from gpuctl.config import edit

    session.lenient_config.settings.client(name)
    edit.set_key(session.paths.config, f"client.{name}.{key}", value)
    click.echo(f"{name}: {key} = {value}", err=True)
    return 0


def checked_name(name: str) -> str:
    """A client's short name; UsageProblem with the grammar."""
    from gpuctl.config.shapes import Wrong
    from gpuctl.config.words import NAME

    try:
        return NAME.read(name)
    except Wrong:
        hint = "gpuctl project add" if "/" in name else "gpuctl client add acme --name 'ACME Inc.'"
        raise UsageProblem(
            f"{name!r} is not a client's short name: 1 to 30 of a-z, 0-9 and -, "
            "not starting with -",
            hint=f"{hint} {name}" if "/" in name else hint,
        ) from None


def shape(settings: "Settings", policy: "ClientPolicy") -> dict[str, Any]:
    """One client for JSON."""
    retainer = policy.retainer
    return {
        "name": policy.name,
        "title": policy.title,
        "currency": policy.currency,
        "markup": per_cent(policy.markup),
        "absorbed": policy.absorbed,
        "cap": None if policy.cap_month is None else f"{policy.cap_month:f}",
        "retainer": None
        if retainer is None
        else {"month": f"{retainer.month:f}", "included": f"{retainer.included:f}"},
        "rounding": None if policy.rounding is None else f"{policy.rounding:f}",
        "overhead": policy.overhead.value,
        "contact": policy.contact,
        "vat": policy.vat,
        "vat_rate": None if policy.vat_rate is None else per_cent(policy.vat_rate),
        "address": list(policy.address),
        "aws_profile": policy.aws_profile,
        "aws_role": policy.aws_role,
        "gcp_project": policy.gcp_project,
        "projects": [name for name in settings.projects if name.startswith(f"{policy.name}/")],
    }


def _account(record: Any) -> str | None:
    named = (
        ("aws_profile", "AWS profile"),
        ("aws_role", "role"),
        ("gcp_project", "Google project"),
    )
    return ", ".join(f"{words} {record[key]}" for key, words in named if record[key]) or None


def _billed(record: Any) -> str:
    if _account(record):
        return "not: its own account"
    if record["absorbed"]:
        return "not: you bear it"
    return "at cost" if record["markup"] == "0%" else f"at cost + {record['markup']}"
