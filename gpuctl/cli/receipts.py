"""The receipt that `down` prints."""

from collections.abc import Sequence
from typing import Any

import click

from gpuctl.app.down import Ended
from gpuctl.app.receipt import Receipt
from gpuctl.cli.money_shapes import charge_shape
from gpuctl.cli.render import Column, as_csv, as_table, emit_json, room, say
from gpuctl.cli.session import Session
from gpuctl.cli.text import dollars, project_text, rate
from gpuctl.core.rounding import decimal_text
from gpuctl.core.span import format_duration


def print_ended(session: Session, ended: Sequence[Ended]) -> None:
    """The machines and their receipts, in the form that was asked for."""
    if session.output == "json":
        from gpuctl.cli.shapes import ended_shape

        emit_json("down", {"machines": [ended_shape(item) for item in ended]})
        return
    if session.output == "csv":
        rows = [charge_shape(charge) for item in ended for charge in item.receipt.charges]
        click.echo(as_csv(rows), nl=False)
        return
    for item in ended:
        _print(session, item)


def _print(session: Session, ended: Ended) -> None:
    machine, receipt = ended.shown.machine, ended.receipt
    if ended.was_down:
        click.echo(f"{machine.name} was {machine.state} already", err=True)
    say(session, f"{machine.name}  {project_text(ended.shown.project)}  {machine.state}")
    rows = [charge_shape(charge) for charge in receipt.charges]
    if rows:
        say(session, _indented(as_table(_merged(rows), _COLUMNS, _narrow(session))))
    say(session, f"  total {dollars(receipt.total)}{_saving(receipt)}")
    for still in receipt.still:
        costs = f"{dollars(still.monthly)} a month"
        say(session, f"  still costs: {still.kind} {still.resource}, {costs}")
    for problem in receipt.problems:
        click.echo(f"  note: {problem}", err=True)


def _saving(receipt: Receipt) -> str:
    if receipt.on_demand is None or receipt.on_demand <= receipt.compute:
        return ""
    whole = receipt.on_demand
    per_cent = round(100 * (whole - receipt.compute) / whole)
    return f"   (on demand {dollars(whole)}: saved {per_cent} % of compute)"


def _merged(rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Neighbouring stretches at one rate, as one line; a shared stretch took its time once."""
    from fractions import Fraction

    merged: dict[tuple[str, ...], dict[str, Any]] = {}
    timed: set[tuple[str, ...]] = set()
    for row in rows:
        key = tuple(
            str(row[name]) for name in ("kind", "sku", "market", "zone", "rate", "resource")
        )
        known = merged.get(key)
        stretch = (*key, row["from"], row["to"])
        again = stretch in timed
        timed.add(stretch)
        if known is None:
            merged[key] = dict(row)
            continue
        if not again:
            known["seconds"] = known["seconds"] + row["seconds"]
        for name in ("amount", "cost"):
            if known[name] is not None and row[name] is not None:
                known[name] = decimal_text(Fraction(known[name]) + Fraction(row[name]))
    return list(merged.values())


_MARKETED = ("compute", "vcpu", "ram", "gpu")
_COLUMNS = [
    Column("WHAT", lambda r: f"{r['kind']} {r['sku']}"),
    Column("MARKET", lambda r: r["market"] if r["kind"] in _MARKETED else "-"),
    Column("ZONE", lambda r: r["zone"] or "-"),
    Column("TIME", lambda r: _time(int(r["seconds"])), right=True),
    Column("RATE", lambda r: f"{rate(r['rate'])}/{r['unit']}" if r["rate"] else "?", right=True),
    Column("COST", lambda r: dollars(r["cost"], 4), right=True),
]


def _time(seconds: int) -> str:
    from datetime import timedelta

    return format_duration(timedelta(seconds=seconds))


def _narrow(session: Session) -> int | None:
    """The room for what is indented."""
    width = room(session)
    return None if width is None else width - 2


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
