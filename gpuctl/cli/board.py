"""`gpuctl` alone: the board of today, from ledger and settings. No cloud is asked."""

import shutil
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import command
from gpuctl.cli.session import Session
from gpuctl.cli.text import ago, dollars, project_text, rate

if TYPE_CHECKING:
    from gpuctl.app.fleet import Shown
    from gpuctl.cli.today import Spent, Today

_BAR = 20
_LEAST = 8
_NAMES = 3


@click.command(hidden=True)
@command
def board(session: Session) -> int:
    """The board of today: machines, $/h, spend against budget."""
    from gpuctl.cli.completions import has_ledger
    from gpuctl.cli.today import today

    settings = session.lenient_config.settings
    events = session.ledger.events() if has_ledger(session) else []
    now = session.now()
    found = today(settings, events, now)
    if session.output == "json":
        from gpuctl.cli.render import emit_json

        emit_json("board", _shape(found, now))
    elif session.output == "csv":
        from gpuctl.cli.render import as_csv

        click.echo(as_csv(_shape(found, now)["machines"]), nl=False)
    else:
        if session.in_sandbox:
            click.echo("[sandbox] nothing here is real, and nothing is billed", err=True)
        _print(found, now, new=not events and not settings.projects)
    for problem in found.problems:
        click.echo(problem, err=True)
    return 0


def _shape(found: "Today", now: datetime) -> dict[str, Any]:
    from gpuctl.cli.money_shapes import exact
    from gpuctl.cli.shapes import machine_shape
    from gpuctl.core.span import format_time

    return {
        "at": format_time(now),
        "machines": [machine_shape(shown) for shown in found.machines],
        "projects": [
            {
                "project": item.project,
                "spent": exact(item.spent),
                "limit": None if item.limit is None else f"{item.limit:f}",
                "warned": item.passed,
                "currency": "USD",
            }
            for item in found.projects
        ],
        "today": exact(found.today),
        "month": exact(found.month),
        "limit": None if found.limit is None else f"{found.limit:f}",
        "currency": "USD",
    }


def _print(found: "Today", now: datetime, *, new: bool) -> None:
    if new:
        click.echo("Nothing is set up yet.")
        click.echo("Next: gpuctl init, or gpuctl sandbox demo", err=True)
        return
    width = max(60, shutil.get_terminal_size((80, 24)).columns)
    click.echo(_head(found, now))
    click.echo()
    for line in _machines(found.machines, now, width):
        click.echo(line)
    if found.projects:
        click.echo()
    for line in _projects(found.projects, width):
        click.echo(line)
    if not found.machines:
        click.echo("Next: gpuctl up -p CLIENT/PROJECT", err=True)


def _head(found: "Today", now: datetime) -> str:
    month = f"{now:%B} so far {dollars(found.month)}"
    if found.limit:
        share = int(found.month * 100 / Fraction(found.limit))
        month += f" of {dollars(found.limit)} ({share} %)"
    return f"{now:%a} {now.day} {now:%b} UTC   {month}   today {dollars(found.today)}"


def _machines(machines: "Sequence[Shown]", now: datetime, width: int) -> Sequence[str]:
    from gpuctl.cli.render import fit

    if not machines:
        return ["no machines"]
    titles = ["MACHINE", "PROJECT", "WHAT", "STATE", "UP", "$/H", "SO FAR"]
    rows = [titles, *(_cells(shown, now) for shown in machines)]
    widths = fit([max(map(len, cells)) for cells in zip(*rows, strict=True)], range(_NAMES), width)
    return [_line(cells, widths) for cells in rows]


def _cells(shown: "Shown", now: datetime) -> list[str]:
    from gpuctl.cli.render import plain
    from gpuctl.core.kinds import State

    machine = shown.machine
    runs = machine.state in (State.STARTING, State.RUNNING)
    cells = [
        machine.name,
        project_text(shown.project),
        f"{machine.type} {machine.market} {machine.id.zone}",
        machine.state.value,
        ago(machine.launched_at, now) if runs else "-",
        rate(shown.hourly),
        dollars(shown.cost),
    ]
    return [plain(cell) for cell in cells]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    from gpuctl.cli.marks import cut

    texts = [
        cell.rjust(size) if place > _NAMES else cut(cell, size).ljust(size)
        for place, (cell, size) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(texts).rstrip()


def _projects(projects: "Sequence[Spent]", width: int) -> Sequence[str]:
    from gpuctl.cli.marks import bar, cut

    names = [project_text(item.project) for item in projects]
    figures = [_figures(item) for item in projects]
    room = width - _BAR - 4 - max(map(len, figures), default=0)
    column = min(max(map(len, names), default=0), max(_LEAST, room))
    lines = []
    for item, name, figure in zip(projects, names, figures, strict=True):
        drawn = bar(item.spent / Fraction(item.limit), _BAR) if item.limit else " " * _BAR
        lines.append(f"{cut(name, column):<{column}}  {drawn}  {figure}")
    return lines


def _figures(item: "Spent") -> str:
    if item.limit is None:
        return dollars(item.spent)
    text = f"{dollars(item.spent)} of {dollars(item.limit)}"
    if item.spent > item.limit:
        return f"{text} over"
    if item.passed is not None:
        return f"{text}, {int(item.spent * 100 / Fraction(item.limit))} % used"
    return text
