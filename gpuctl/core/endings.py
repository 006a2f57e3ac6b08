"""How a run ends: when, by whom, and how well that is known. Pure."""

from datetime import datetime

from gpuctl.core.books import Books
from gpuctl.core.events import Ended, Usage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, Unit
from gpuctl.core.model import Ending
from gpuctl.core.rules import rule_for
from gpuctl.core.span import format_time


def ended(usage: Usage, at: datetime, ending: Ending | None) -> Ended:
    """That a run ended at `at`, not before it began. No `ending` = gpuctl did it or saw it."""
    by = ending.by if ending else EndedBy.USER
    evidence = ending.evidence if ending else Evidence.STATE_REASON
    end = max(at, usage.start)
    return Ended(
        id=f"{usage.id}/ended/{evidence}/{format_time(end)}",
        usage=usage.id,
        end=end,
        ended_by=by,
        evidence=evidence,
        reason=ending.reason if ending else None,
    )


def end_of(usage: Usage, ending: Ending) -> datetime:
    """Storage ends with the machine, which may be long after the machine's last run."""
    lasting = is_storage(usage.provider, usage.kind)
    return ending.gone_at if lasting and ending.gone_at is not None else ending.at


def uncertain(books: Books, usage: Usage, missed: datetime, *, stopped: bool = False) -> Ending:
    """No evidence is left: the lease's deadline, or the first look that missed it if sooner.

    The disk of a stopped machine outlives the lease. A machine that was heard of after that
    moment (another laptop had extended it) ran until then at least.
    """
    lease = books.leases.get(usage.session or "")
    at = missed if lease is None or stopped else min(lease.deadline, missed)
    if lease is not None and lease.heard is not None and at < lease.heard:
        by, beat = EndedBy.USER, Evidence.HEARTBEAT
        return Ending(at=lease.heard, by=by, evidence=beat, reason="last heard of then")
    return Ending(at=at, by=EndedBy.USER, evidence=Evidence.DEADLINE, reason="not listed any more")


def is_storage(provider: str, kind: Kind) -> bool:
    """Whether it is one run for as long as it exists: paid by the month."""
    return rule_for(provider, kind).unit is Unit.MONTH
