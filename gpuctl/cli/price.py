"""`price`: what the ledger knows of prices. Only `update` asks a cloud."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import command
from gpuctl.cli.completions import has_ledger, skus, templates
from gpuctl.cli.render import Column, emit
from gpuctl.cli.session import Session
from gpuctl.cli.text import ago
from gpuctl.core.errors import NotFound

if TYPE_CHECKING:
    from gpuctl.core.events import Price

_CHART_WIDTH = 40
_EMPTY = "no prices. Next: gpuctl price update"


@click.group()
def price() -> None:
    """Prices the ledger knows, with their age and source."""


@price.command("list")
@click.option("--cloud", type=click.Choice(["aws", "gcp"]), help="Only this cloud's.")
@click.option("--region", help="Only there.")
@click.option("--kind", help="Only this kind: compute, gpu, disk, ipv4.")
@command
def list_(session: Session, cloud: str | None, region: str | None, kind: str | None) -> int:
    """The latest price of each thing."""
    from gpuctl.core.kinds import Kind

    if kind is not None and kind not in set(Kind):
        from gpuctl.core.errors import UsageProblem

        raise UsageProblem(f"{kind!r} is not a kind", hint=f"one of {', '.join(Kind)}")
    found = [
        one
        for one in latest(known(session))
        if (cloud is None or one.provider == cloud)
        and (region is None or one.region == region)
        and (kind is None or one.kind == kind)
    ]
    _print(session, "price.list", found)
    return 0


@price.command()
@click.argument("sku", shell_complete=skus)
@click.option("--region", help="Only there.")
@command
def show(session: Session, sku: str, region: str | None) -> int:
    """The latest prices of one thing, everywhere.

    gpuctl price show g6.xlarge
    """
    _print(session, "price.show", latest(_of(known(session), sku, region)))
    return 0


@price.command()
@click.argument("sku", shell_complete=skus)
@click.option("--region", help="Only there.")
@click.option(
    "--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="So far back."
)
@click.option("--chart", is_flag=True, help="One line a place, instead of every change.")
@command
def history(session: Session, sku: str, region: str | None, days: int, chart: bool) -> int:
    """How prices of one thing changed.

    gpuctl price history g6.xlarge --chart
    """
    now = session.now()
    since = now - timedelta(days=days)
    prices = _of(known(session), sku, region)
    changes = [one for key in _by_key(prices).values() for one in _since(key, since)]
    if chart and session.output == "table":
        for line in _chart(prices, since, now):
            click.echo(line)
    else:
        _print(session, "price.history", changes)
    return 0


@price.command()
@click.option(
    "-t",
    "--template",
    "names",
    multiple=True,
    shell_complete=templates,
    help="What this one needs; all without.",
)
@click.option(
    "--days", type=click.IntRange(0, 90), default=0, help="Also how they were, so far back."
)
@command
def update(session: Session, names: tuple[str, ...], days: int) -> int:
    """Ask the clouds in use for the prices of what the templates need."""
    from gpuctl.cli.price_update import update as ask

    added, silent = ask(session, names, timedelta(days=days))
    if session.output == "table":
        click.echo(f"{len(added)} new prices", err=True)
    if added or session.output != "table":
        _print(session, "price.update", latest(added))
    for item in silent:
        click.echo(f"{item.provider} could not be asked: {item.reason}", err=True)
    return 1 if silent else 0


def known(session: Session) -> Sequence["Price"]:
    """Every price of the ledger; looking makes none."""
    from gpuctl.core.events import Price

    if not has_ledger(session):
        return []
    return [event for event in session.ledger.events() if isinstance(event, Price)]


def latest(prices: Sequence["Price"]) -> Sequence["Price"]:
    """The youngest of each key, by name and place."""
    youngest = [points[-1] for points in _by_key(prices).values()]
    return sorted(youngest, key=lambda one: (one.kind, one.sku, _place(one), one.market))


def _by_key(prices: Sequence["Price"]) -> dict[object, list["Price"]]:
    from gpuctl.core.pricebook import price_key

    keyed: dict[object, list[Price]] = {}
    for one in sorted(prices, key=lambda one: one.since):
        keyed.setdefault(price_key(one), []).append(one)
    return keyed


def _of(prices: Sequence["Price"], sku: str, region: str | None) -> Sequence["Price"]:
    found = [one for one in prices if one.sku == sku]
    if not found:
        from difflib import get_close_matches

        names = sorted({one.sku for one in prices})
        near = get_close_matches(sku, names, n=1)
        hint = f"did you mean {near[0]}?" if near else "gpuctl price update"
        raise NotFound(f"the ledger knows no price of {sku!r}", hint=hint)
    there = [one for one in found if region is None or one.region == region]
    if not there:
        regions = ", ".join(sorted({one.region for one in found if one.region}))
        raise NotFound(f"the ledger knows no price of {sku} in {region}", hint=f"it has {regions}")
    return there


def _since(points: Sequence["Price"], since: datetime) -> Sequence["Price"]:
    """Those from `since` on, and the one that held then."""
    before = [one for one in points if one.since <= since]
    return [*before[-1:], *(one for one in points if one.since > since)]


def _print(session: Session, name: str, prices: Sequence["Price"]) -> None:
    now = session.now()
    by_id = {one.id: one for one in prices}
    columns = [
        Column("WHAT", lambda r: f"{r['kind']} {r['sku']}"),
        Column("WHERE", lambda r: r["zone"] or r["region"] or r["provider"]),
        Column("MARKET", lambda r: r["market"] or "-"),
        Column("USD", lambda r: r["usd"], right=True),
        Column("PER", lambda r: r["unit"]),
        Column("SINCE", lambda r: r["from"][:16].replace("T", " ")),
        Column("AGE", lambda r: ago(by_id[r["id"]].since, now), right=True),
        Column("SOURCE", lambda r: r["source"] or "-"),
    ]
    emit(session, name, "prices", [_shape(one) for one in prices], columns, empty=_EMPTY)


def _shape(one: "Price") -> dict[str, Any]:
    from gpuctl.core.rounding import decimal_text
    from gpuctl.core.rules import MARKET_KINDS
    from gpuctl.core.span import format_time

    return {
        "id": one.id,
        "provider": one.provider,
        "region": one.region,
        "zone": one.zone,
        "kind": one.kind.value,
        "sku": one.sku,
        "market": one.market.value if one.kind in MARKET_KINDS else None,
        "unit": one.unit.value,
        "usd": decimal_text(one.usd),
        "currency": "USD",
        "from": format_time(one.since),
        "source": one.source,
    }


def _chart(prices: Sequence["Price"], since: datetime, now: datetime) -> Sequence[str]:
    from gpuctl.cli.marks import sparkline
    from gpuctl.cli.text import rate

    step = (now - since) / _CHART_WIDTH
    moments = [since + step * (place + 1) for place in range(_CHART_WIDTH)]
    rows = []
    for points in _by_key(prices).values():
        values = [_at(points, moment) for moment in moments]
        seen = [value for value in values if value is not None]
        if seen:
            first = points[0]
            head = f"{_place(first)} {first.market}"
            low, high = rate(min(seen)), rate(max(seen))
            rows.append((head, sparkline(values), low if low == high else f"{low} to {high}"))
    width = max((len(head) for head, _, _ in rows), default=0)
    return [f"{head:<{width}}  {line}  {spread}" for head, line, spread in sorted(rows)]


def _at(points: Sequence["Price"], moment: datetime) -> Any:
    return next((one.usd for one in reversed(points) if one.since <= moment), None)


def _place(one: "Price") -> str:
    return one.zone or one.region or one.provider
