"""The plan that `up` shows before anything costs."""

import click

from gpuctl.app.plan import Plan, told_of
from gpuctl.cli.session import Session
from gpuctl.cli.text import dollars, rate
from gpuctl.core.span import format_duration, format_time


def print_plan(session: Session, plan: Plan) -> None:
    """What would be started, what is left out and why, the price, the worst case, the budget."""
    first = plan.offers[0]
    lines = [f"Plan for {plan.project}: {plan.name} from template {plan.template.name}"]
    lines += [f"  {type_:<14} {why}" for type_, why in told_of(plan.skipped)]
    gpu = f"{first.gpus}x {first.gpu}, " if first.gpu else ""
    lines.append(f"> {first.type:<14} {gpu}{first.market} {rate(first.hourly)}/h in {first.zone}")
    others = len(plan.offers) - 1
    if others:
        lines.append(f"  {'':<14} {others} more to try where that is refused")
    if first.source:
        lines.append(f"  {'price':<14} {first.source}")
    image = plan.images.get(first.region)
    if image is not None:
        lines.append(f"  {'image':<14} {image.key} ({image.id})")
    disk = plan.template.disk
    lines.append(f"  {'disk':<14} {disk.gb} GB {disk.type} {rate(plan.disk_hourly)}/h")
    if disk.init_rate is not None and plan.adopted is None:
        lines.append(f"  {'filling':<14} {_filling(plan, disk.gb, disk.init_rate)}")
    lines.append(f"  {'address':<14} IPv4 {rate(plan.address_hourly)}/h")
    most = plan.ceiling - plan.made_at
    if plan.template.ttl > most:
        asked, allowed = format_duration(plan.template.ttl), format_duration(most)
        lines.append(f"  {'ttl':<14} {asked} is more than limits.max_lifetime allows: {allowed}")
    left = format_duration(plan.deadline - plan.made_at)
    lines.append(
        f"  {'total':<14} {rate(plan.hourly)}/h, "
        f"ends itself in {left} at the latest ({format_time(plan.deadline)}): "
        f"at most {dollars(plan.worst)}"
    )
    lines.append(f"  {'budget':<14} {_budget(plan)}")
    if plan.ref.payer is not None:
        lines.append(f"  {'account':<14} {plan.ref.payer}'s own: shown, never billed")
    prefix = "[sandbox] " if session.in_sandbox else ""
    for line in lines:
        click.echo(f"{prefix}{line}", err=True)


def _filling(plan: Plan, gb: int, rate_mib: int) -> str:
    """What a bought rate of initialization costs, and how long it takes: of a disk that is full.

    It is not in the total, nor in the ledger, which knows no such kind: the bill has it.
    """
    minutes = -(-gb * 1_000_000_000 // (rate_mib * 1024 * 1024 * 60))
    at = f"from the image at {rate_mib} MiB/s, whole in {minutes} min at the latest"
    if plan.filling is None:
        return f"{at}; its price here is not known, and comes on top"
    most = dollars(plan.filling.usd * gb)
    return f"{at}; at most {most} once, on top ({plan.filling.source})"


def _budget(plan: Plan) -> str:
    budget = plan.budget
    parts = []
    if budget.limit is not None:
        parts.append(f"{dollars(budget.left)} left of {dollars(budget.limit)} this month")
    if budget.total_limit is not None:
        parts.append(f"{dollars(budget.total_left)} left of {dollars(budget.total_limit)} in all")
    if not parts:
        return f"none set; {dollars(budget.spent)} spent this month"
    warning = f"  (over {budget.passed} % is used)" if budget.passed else ""
    return ", ".join(parts) + warning
