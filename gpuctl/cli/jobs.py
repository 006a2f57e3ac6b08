"""`jobs`: what was run, on which machines, what was lost and what was not charged."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import command
from gpuctl.cli.render import Column, emit
from gpuctl.cli.session import Session
from gpuctl.cli.text import dollars, rate

if TYPE_CHECKING:
    from gpuctl.core.jobs import Job

_JOBS = (
    Column("JOB", lambda r: r["job"]),
    Column("NAME", lambda r: r["name"]),
    Column("PROJECT", lambda r: r["project"]),
    Column("ASKED", lambda r: r["asked_at"]),
    Column("STATE", lambda r: r["state"]),
    Column("LEGS", lambda r: str(len(r["legs"])), right=True),
    Column("LOST", lambda r: f"{r['lost_seconds']} s", right=True),
    Column("COST", lambda r: dollars(r["cost"]), right=True),
    Column("COMMIT", lambda r: (r["commit"] or "-")[:10] + ("+" if r["dirty"] else "")),
)
_LEGS = (
    Column("LEG", lambda r: str(r["leg"]), right=True),
    Column("MACHINE", lambda r: r["machine"]),
    Column("ZONE", lambda r: r["zone"] or "-"),
    Column("MARKET", lambda r: r["market"] or "-"),
    Column("BEGAN", lambda r: r["began_at"] or "-"),
    Column("ENDED", lambda r: r["ended_at"] or "-"),
    Column("HOW", lambda r: r["how"] or "-"),
    Column("LOST", lambda r: "-" if r["lost_seconds"] is None else f"{r['lost_seconds']} s"),
    Column("COST", lambda r: dollars(r["cost"]), right=True),
    Column("NOT CHARGED", lambda r: rate(r["waived"]), right=True),
)
_OPEN, _LEFT = "open", "not followed"


@click.command()
@click.argument("job", required=False)
@click.option("-a", "--all", "everything", is_flag=True, help="Those that are over, too.")
@command
def jobs(session: Session, job: str | None, *, everything: bool) -> int:
    """Jobs of `run` that are open; with JOB its legs. From the ledger: no cloud is asked.

    NOT CHARGED is what a machine would have cost that AWS took back in its first hour.
    """
    from gpuctl.core import jobs as core

    known = core.jobs(session.ledger.events())
    if job is not None:
        from gpuctl.cli.watch import chosen

        one = known[chosen(session, job)]
        record = _record(session, one, _state(session, one))
        if session.output == "table":
            emit(session, "jobs", "legs", record["legs"], _LEGS, empty="no leg has begun")
        else:
            emit(session, "jobs", "jobs", [record], _JOBS)
        return 0
    states = {one.id: _state(session, one) for one in known.values()}
    some = [one for one in known.values() if everything or states[one.id] in (_OPEN, _LEFT)]
    records = [_record(session, one, states[one.id]) for one in some]
    emit(session, "jobs", "jobs", records, _JOBS, empty="no job is open; all: gpuctl jobs -a")
    return 0


def _state(session: Session, job: "Job") -> str:
    """One that nobody follows is over with its machine, though nobody saw how it ended."""
    from gpuctl.app.fates import run_of

    if job.over is not None:
        return f"ended {job.over.code}"
    if job.wanted.resume:
        return _OPEN
    begun = None if job.leg is None else job.leg.begun
    run = None if begun is None else run_of(session.app, begun)
    return "ended unseen" if run is not None and run.end is not None else _LEFT


def _record(session: Session, job: "Job", state: str) -> dict[str, Any]:
    from gpuctl.app.leg_costs import leg_costs
    from gpuctl.core.rounding import decimal_text
    from gpuctl.core.span import format_time

    wanted, costs = job.wanted, leg_costs(session.app, job)
    legs = [
        {
            "leg": one.leg.number,
            "machine": one.leg.claim.machine,
            "id": None if one.leg.begun is None else one.leg.begun.machine,
            "zone": None if one.leg.begun is None else one.leg.begun.zone,
            "market": None if one.leg.begun is None else one.leg.begun.market,
            "began_at": None if one.leg.begun is None else format_time(one.leg.begun.at),
            "ended_at": None if one.leg.ended is None else format_time(one.leg.ended.at),
            "how": None if one.leg.ended is None else one.leg.ended.how,
            "code": None if one.leg.ended is None else one.leg.ended.code,
            "lost_seconds": None if one.leg.ended is None else one.leg.ended.lost_s,
            "cost": decimal_text(one.cost, 20),
            "waived": decimal_text(one.waived, 20),
        }
        for one in costs
    ]
    return {
        "job": job.id,
        "name": wanted.name,
        "project": wanted.project,
        "template": wanted.template,
        "command": list(wanted.argv),
        "commit": wanted.commit,
        "dirty": wanted.dirty,
        "asked_at": format_time(job.at),
        "resume": "auto" if wanted.resume else "never",
        "deadline": None if wanted.deadline is None else format_time(wanted.deadline),
        "state": state,
        "code": None if job.over is None else job.over.code,
        "why": None if job.over is None else job.over.why,
        "lost_seconds": sum(leg["lost_seconds"] or 0 for leg in legs),
        "cost": decimal_text(sum((one.cost for one in costs), Fraction(0)), 20),
        "currency": "USD",
        "legs": legs,
    }
