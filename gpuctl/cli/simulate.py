"""`simulate`: what policies would have cost on recorded spot markets. Pure arithmetic, no cloud."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import command
from gpuctl.cli.progress import progress_for
from gpuctl.cli.render import Column, emit
from gpuctl.cli.session import Session
from gpuctl.cli.timeline import draw, drawn, timeline_record
from gpuctl.core.errors import NotFound, UsageProblem

if TYPE_CHECKING:
    from gpuctl.core.deadline.simulate import Market
    from gpuctl.core.deadline.view import Job, Policy

_NAMES = ("on-demand", "greedy", "uniform-progress", "gpuctl", "optimum")


@click.command()
@click.option(
    "--traces",
    "paths",
    metavar="DIR|FILE",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Recorded markets, one file a zone; several = the job may move between them.",
)
@click.argument("more", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option("--job-hours", required=True, metavar="H", help="Hours of computing.")
@click.option("--deadline-hours", required=True, metavar="H", help="Hours until it must be done.")
@click.option("--overhead-hours", required=True, metavar="H", help="Lost at every start and move.")
@click.option("--spot-ratio", metavar="K", default="0.3", show_default=True, help="Without prices.")
@click.option("--starts", type=click.IntRange(1), default=60, show_default=True, help="Jobs.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Other beginnings.")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    type=click.Choice(_NAMES),
    help="Only these; all without.",
)
@click.option(
    "--visibility",
    type=click.Choice(["tried", "all"]),
    default="tried",
    show_default=True,
    help="What a policy sees of zones it does not hold.",
)
@click.option("--draw", type=click.IntRange(1), metavar="N", help="Draw the N-th of the jobs, too.")
@command
def simulate(
    session: Session, paths: tuple[Path, ...], more: tuple[Path, ...], starts: int, **how: Any
) -> int:
    """Compare policies on recorded spot markets.

    gpuctl simulate --traces traces/ --job-hours 48 --deadline-hours 60 --overhead-hours 0.2
    """
    from gpuctl.core.deadline.compare import compare, first_intervals

    market = _market(session, (*paths, *more), how["spot_ratio"])
    job = _job(market, how["job_hours"], how["deadline_hours"], how["overhead_hours"])
    try:
        firsts = first_intervals(job, market, starts, how["seed"])
    except ValueError as error:
        raise UsageProblem(f"--deadline-hours: {error}", hint="a shorter deadline") from None
    chosen = [(name, _policy(name)) for name in how["policies"] or _NAMES]
    number, sees_all = how["draw"], how["visibility"] == "all"
    if number is not None and number > len(firsts):
        raise UsageProblem(f"--draw {number}: there are {len(firsts)} jobs", hint="--starts more")
    progress = progress_for(session.environ, terminal=session.stderr_is_terminal)
    with progress.step(f"{len(firsts)} jobs under {len(chosen)} policies"):
        found = list(compare(job, market, firsts, chosen, sees_all=sees_all))
    records = [
        {
            "policy": one.policy,
            "jobs": one.jobs,
            "mean_cost_ratio": round(float(one.mean_cost_ratio), 6),
            "deadline_misses": one.deadline_misses,
            "gap_to_optimum": round(float(one.gap_to_optimum), 6),
            "preemptions": one.preemptions,
        }
        for one in found
    ]
    columns = [
        Column("POLICY", lambda r: r["policy"]),
        Column("JOBS", lambda r: str(r["jobs"]), right=True),
        Column("COST", lambda r: _percent(r["mean_cost_ratio"]), right=True),
        Column("ABOVE BEST", lambda r: _percent(r["gap_to_optimum"]), right=True),
        Column("LATE", lambda r: str(r["deadline_misses"]), right=True),
        Column("PREEMPTED", lambda r: str(r["preemptions"]), right=True),
    ]
    picture = extra = None
    if number is not None:
        first = firsts[number - 1]
        picture = drawn(number, job, market, first, chosen, sees_all=sees_all)
        extra = {"timeline": timeline_record(picture)}
    emit(session, "simulate", "policies", records, columns, extra=extra)
    if picture is not None and session.output == "table":
        draw(session, picture)
    if session.output == "table":
        click.echo("cost is of on-demand alone", err=True)
    return 0


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.1f} %"


def _policy(name: str) -> "Policy | None":
    from gpuctl.core.deadline import baselines
    from gpuctl.core.deadline.policy import decide

    known: dict[str, Policy | None] = {
        "on-demand": baselines.on_demand,
        "greedy": baselines.greedy,
        "uniform-progress": baselines.uniform_progress,
        "gpuctl": decide,
        "optimum": None,
    }
    return known[name]


def _market(session: Session, paths: tuple[Path, ...], ratio: str) -> "Market":
    from gpuctl.core.deadline.traces import market_of, read_trace

    files: list[Path] = []
    for given in paths:
        path = session.cwd / given
        if path.is_dir():
            files += sorted(path.glob("*.json"))
        elif path.exists():
            files.append(path)
        else:
            raise NotFound(f"{given}: there is no such file or directory")
    if not files:
        raise NotFound(f"{paths[0]}: no trace there", hint="files are called ZONE_….json")
    share = _number("--spot-ratio", ratio)
    traces = []
    for file in files:
        try:
            traces.append(read_trace(str(file), file.read_text("utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageProblem(f"{file} cannot be read: {error}") from None
    return market_of(traces, share)


def _job(market: "Market", work: str, deadline: str, overhead: str) -> "Job":
    from gpuctl.core.deadline.view import Job

    job = Job(
        work=_seconds("--job-hours", work),
        deadline=_seconds("--deadline-hours", deadline),
        overhead=_seconds("--overhead-hours", overhead, least=0),
        interval=market.interval,
    )
    if not job.feasible:
        raise UsageProblem(
            "not even an on-demand machine from the first moment on would be in time",
            hint="--deadline-hours more",
        )
    return job


def _seconds(flag: str, text: str, least: int = 1) -> int:
    seconds = int(Fraction(_number(flag, text)) * 3600)
    if seconds < least:
        raise UsageProblem(f"{flag}: {text} is no time at all")
    return seconds


def _number(flag: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0 or number > 100_000:  # noqa: PLR2004 - eleven years
        raise UsageProblem(f"{flag}: {text!r} is not a number such as 48 or 0.2")
    return number
