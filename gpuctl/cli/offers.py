"""`offers`."""

import click

from gpuctl.cli.command import command
from gpuctl.cli.completions import projects, templates
from gpuctl.cli.render import Column, emit
from gpuctl.cli.session import Session
from gpuctl.cli.text import rate


@click.command()
@click.option(
    "-t",
    "--template",
    "names",
    multiple=True,
    shell_complete=templates,
    help="Those of a template; all without.",
)
@click.option("-p", "--project", shell_complete=projects, help="Those of a project's template.")
@click.option("-g", "--gpu", help="Only GPUs whose name holds this: L4.")
@click.option("--spot/--on-demand", "spot", default=None, help="Only this market.")
@click.option("--region", help="Only there.")
@command
def offers(
    session: Session,
    names: tuple[str, ...],
    project: str | None,
    gpu: str | None,
    spot: bool | None,
    region: str | None,
) -> int:
    """What can be had now, where, at what price, and why not."""
    from gpuctl.app import market
    from gpuctl.cli.shapes import incomplete, offer_shape
    from gpuctl.core.kinds import Market

    settings = session.settings
    if project is not None:
        names = (*names, session.config.template_name(session.project(project)))
    in_use = {ref.provider for ref in session.app.clouds.accounts()}
    templates = [settings.template(name) for name in names] or [
        template for template in settings.templates.values() if template.provider in in_use
    ]
    markets = () if spot is None else ((Market.SPOT,) if spot else (Market.ON_DEMAND,))
    found = market.offers(session.app, templates, markets)
    records = [
        offer_shape(offer)
        for offer in found.offers
        if (gpu is None or gpu.lower() in (offer.gpu or "").lower())
        and (region is None or offer.region == region)
    ]
    columns = [
        Column("TYPE", lambda r: r["type"]),
        Column("GPU", lambda r: f"{r['gpus']}x {r['gpu']}" if r["gpu"] else "-"),
        Column("WHERE", lambda r: r["zone"] or r["region"] or "-"),
        Column("MARKET", lambda r: r["market"]),
        Column("$/H", lambda r: rate(r["hourly"]) if r["hourly"] else "-", right=True),
        Column("ON DEMAND", lambda r: rate(r["on_demand"]) if r["on_demand"] else "-", right=True),
        Column("", lambda r: "" if r["available"] else (r["reason"] or "not available")),
    ]
    emit(
        session,
        "offers",
        "offers",
        records,
        columns,
        extra=incomplete(found.silent),
        empty="no offers",
    )
    for item in found.silent:
        click.echo(f"{item.provider} could not be asked: {item.reason}", err=True)
    return 1 if found.silent else 0
