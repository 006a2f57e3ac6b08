"""`project`: whom the money is for."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import command
from gpuctl.cli.completions import clients, has_ledger, projects, templates
from gpuctl.cli.flags import client_and_project, values_of
from gpuctl.cli.render import Column, emit
from gpuctl.cli.session import Session
from gpuctl.cli.sheet import emit_sheet, per_cent
from gpuctl.cli.text import dollars
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.config.model import ProjectPolicy, Settings


@click.group()
def project() -> None:
    """Projects: whom the money is for. A project belongs to a client: acme/vision."""


@project.command()
@click.argument("name", metavar="CLIENT/PROJECT")
@click.option("--title", help="Its name for people, printed on reports.")
@click.option("-t", "--template", shell_complete=templates, help="Used when none is named.")
@click.option("--budget", metavar="USD", help="What it may spend a calendar month: 120.00.")
@click.option("--total", metavar="USD", help="What it may spend in all.")
@click.option("--session", "per_session", metavar="USD", help="What one session may spend.")
@click.option("--hard", is_flag=True, help="Refuse new machines when the budget is used up.")
@click.option("--markup", metavar="PERCENT", help="Instead of the client's: 15%.")
@click.option("--absorbed/--billed", default=None, help="You bear its cost, or the client does.")
@click.option("--since", metavar="DATE", help="Its first day: 2026-09-01.")
@command
def add(session: Session, name: str, **flags: Any) -> int:
    """Add a project, and its client where there is none yet."""
    from gpuctl.config import edit
    from gpuctl.config.keys import PROJECT_POLICY

    client, _ = client_and_project(name)
    values = values_of(
        PROJECT_POLICY,
        {
            "title": ("--title", flags["title"]),
            "template": ("--template", flags["template"]),
            "budget.month": ("--budget", flags["budget"]),
            "budget.total": ("--total", flags["total"]),
            "budget.session": ("--session", flags["per_session"]),
            "budget.hard": ("--hard", flags["hard"] or None),
            "markup": ("--markup", flags["markup"]),
            "absorbed": ("--absorbed", flags["absorbed"]),
            "since": ("--since", flags["since"]),
        },
    )
    settings = session.lenient_config.settings
    if name in settings.projects:
        hint = f"gpuctl project show {name}, gpuctl project set {name} KEY VALUE"
        raise UsageProblem(f"there is a project {name} already", hint=hint)
    if flags["template"]:
        settings.template(flags["template"])
    if flags["hard"] and not any(flags[limit] for limit in ("budget", "total", "per_session")):
        raise UsageProblem("--hard needs a budget to be hard about", hint="--budget 120.00 --hard")
    edit.add_project(session.paths.config, name, values)
    if client not in settings.clients:
        told = f"{client} is a new client, billed in USD at cost"
        click.echo(f"{told}: gpuctl client set {client} KEY VALUE", err=True)
    click.echo(f"added {name}. Next: gpuctl project use {name}, gpuctl up -p {name}", err=True)
    return 0


@project.command("list")
@click.option("--client", shell_complete=clients, help="Only this client's.")
@click.option("-a", "--all", "everything", is_flag=True, help="Archived ones, too.")
@command
def list_(session: Session, client: str | None, everything: bool) -> int:
    """All projects. * marks the one that is meant here when none is named."""
    settings = session.lenient_config.settings
    if client is not None:
        settings.client(client)
    here = settings.defaults.project
    records = [
        shape(settings, policy)
        for policy in settings.projects.values()
        if (client is None or policy.name.startswith(f"{client}/"))
        and (everything or not policy.archived)
    ]
    columns = [
        Column("", lambda r: "*" if r["name"] == here else ""),
        Column("PROJECT", lambda r: r["name"]),
        Column("TITLE", lambda r: r["title"] or ""),
        Column("TEMPLATE", lambda r: r["template"] or "-"),
        Column("BUDGET", _budget),
        Column("BILLED", _billed),
        Column("", lambda r: "archived" if r["archived"] else ""),
    ]
    empty = "no projects. Next: gpuctl project add CLIENT/PROJECT"
    emit(session, "project.list", "projects", records, columns, empty=empty)
    return 0


@project.command()
@click.argument("name", metavar="[CLIENT/PROJECT]", required=False, shell_complete=projects)
@command
def show(session: Session, name: str | None) -> int:
    """One project; the one that is meant here without a name."""
    settings = session.lenient_config.settings
    policy = settings.project(session.project(name) if name is None else name)
    record = shape(settings, policy)
    lines = {
        "project": policy.name,
        "title": policy.title,
        "template": policy.template or f"{settings.defaults.template} (the default)",
        "budget": _budget(record),
        "billed": _billed(record),
        "since": record["since"],
        "tags": ", ".join(f"{key} = {text}" for key, text in policy.tags.items()),
        "state": "archived" if policy.archived else None,
    }
    emit_sheet(session, "project.show", "project", record, lines)
    return 0


@project.command("set")
@click.argument("name", metavar="CLIENT/PROJECT", shell_complete=projects)
@click.argument("key")
@click.argument("value")
@command
def set_(session: Session, name: str, key: str, value: str) -> int:
    """Change one value.

    gpuctl project set acme/vision budget.month 150.00
    """
    from gpuctl.config import edit

    session.lenient_config.settings.project(name)
    if key == "template":
        session.lenient_config.settings.template(value)
    edit.set_key(session.paths.config, f"{key_of(name)}.{key}", value)
    click.echo(f"{name}: {key} = {value}", err=True)
    return 0


@project.command()
@click.argument("name", metavar="CLIENT/PROJECT", shell_complete=projects)
@click.option("--undo", is_flag=True, help="Open it again.")
@command
def archive(session: Session, name: str, undo: bool) -> int:
    """Close a project and hide it. Its costs stay in the ledger."""
    from gpuctl.config import edit

    session.lenient_config.settings.project(name)
    running = [] if undo else _running(session, name)
    if running:
        raise UsageProblem(
            f"{', '.join(running)} still costs money for {name}",
            hint=f"gpuctl down -p {name} --all",
        )
    edit.set_key(session.paths.config, f"{key_of(name)}.archived", "false" if undo else "true")
    click.echo(f"{name} is {'open again' if undo else 'archived'}", err=True)
    return 0


@project.command()
@click.argument("name", metavar="CLIENT/PROJECT", shell_complete=projects)
@command
def use(session: Session, name: str) -> int:
    """Name the project of this directory. Writes ./gpuctl.toml."""
    from gpuctl.config import edit

    if session.lenient_config.settings.project(name).archived:
        raise UsageProblem(f"{name} is archived", hint=f"gpuctl project archive {name} --undo")
    file = session.cwd / "gpuctl.toml"
    edit.set_key(file, "project", name, which="project")
    click.echo(f"here and below, work is for {name}: {file}", err=True)
    return 0


def key_of(name: str) -> str:
    """Where a project stands in the user's file."""
    return f"client.{name.replace('/', '.project.')}"


def shape(settings: "Settings", policy: "ProjectPolicy") -> dict[str, Any]:
    """One project for JSON, with what holds for it: the client's markup where it has none."""
    budget = policy.budget
    return {
        "name": policy.name,
        "client": policy.name.partition("/")[0],
        "title": policy.title,
        "template": policy.template,
        "budget": None
        if budget is None
        else {
            "month": _amount(budget.month),
            "session": _amount(budget.session),
            "total": _amount(budget.total),
            "warn": list(budget.warn),
            "hard": budget.hard,
            "currency": "USD",
        },
        "markup": per_cent(settings.markup(policy.name)),
        "absorbed": settings.absorbed(policy.name),
        "since": None if policy.since is None else policy.since.isoformat(),
        "tags": dict(policy.tags),
        "archived": policy.archived,
    }


def _running(session: Session, name: str) -> list[str]:
    """Machines that, as last seen, still cost money for it."""
    if not has_ledger(session):
        return []
    from gpuctl.app.fleet import cached, owner
    from gpuctl.core.books import books

    known = books(session.ledger.events())
    billed = {usage.machine for usage in known.open}
    now = session.now()
    return [
        machine.name
        for machine in cached(known)
        if str(machine.id) in billed and owner(known, machine, now) == name
    ]


def _amount(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _budget(record: Any) -> str:
    budget = record["budget"]
    if budget is None:
        return "-"
    named = (("month", "a month"), ("session", "a session"), ("total", "in all"))
    parts = [f"{dollars(budget[key])} {words}" for key, words in named if budget[key] is not None]
    return (", ".join(parts) or "-") + (" (hard)" if budget["hard"] else "")


def _billed(record: Any) -> str:
    if record["absorbed"]:
        return "not: you bear it"
    return "at cost" if record["markup"] == "0%" else f"at cost + {record['markup']}"
