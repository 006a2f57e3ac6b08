"""What only one side knows, each thing once over all its days, with the likeliest reason."""

from collections.abc import Callable, Iterable

from gpuctl.core.bill_days import Asked, Foreign
from gpuctl.core.ledger_days import Known, LedgerDay
from gpuctl.core.reasons import Why, why_foreign, why_only_billed
from gpuctl.core.reconciliation import Unmatched

_BEYOND = Why("outside the days that the bill has", expected=True)

Because = Callable[[LedgerDay], Why]


def billed_alone(lines: Iterable[Asked], known: Known) -> Iterable[Unmatched]:
    """Ours by its id or its tag, and the ledger has nothing for it."""
    merged: dict[tuple[str | None, ...], Unmatched] = {}
    for one in lines:
        why, key = why_only_billed(one, known), one.key
        projects = known.projects.get((key.provider, key.resource or ""), frozenset())
        item = Unmatched(
            side="bill",
            provider=key.provider,
            account=one.account,
            resource=key.resource,
            kind=key.kind,
            sku=one.sku,
            projects=tuple(sorted(projects if one.project is None else {one.project})),
            first=key.day,
            last=key.day,
            days=1,
            cost=one.usd,
            ours=True,
            expected=why.expected,
            counted=True,
            reason=why.text,
        )
        place = (key.provider, key.resource, key.kind, key.project, one.sku, why.text)
        merged[place] = _over(merged.get(place), item)
    return merged.values()


def reckoned_alone(
    days: Iterable[LedgerDay], because: Because | None = None
) -> Iterable[Unmatched]:
    """What the bill lacks; without `because` it lies outside its days, and in no sum."""
    merged: dict[tuple[str, ...], Unmatched] = {}
    for day in days:
        why = _BEYOND if because is None else because(day)
        item = Unmatched(
            side="ledger",
            provider=day.provider,
            account=day.account,
            resource=day.resource,
            kind=day.kind,
            sku=day.sku,
            projects=tuple(sorted(filter(None, day.projects))),
            first=day.day,
            last=day.day,
            days=1,
            cost=None if day.missing else day.cost,
            ours=True,
            expected=why.expected,
            counted=because is not None,
            reason=why.text,
        )
        place = (day.provider, day.resource, day.kind, why.text)
        merged[place] = _over(merged.get(place), item)
    return merged.values()


def _over(known: Unmatched | None, item: Unmatched) -> Unmatched:
    """The same thing on one more day."""
    if known is None:
        return item
    return known._replace(
        projects=tuple(sorted({*known.projects, *item.projects})),
        first=min(known.first, item.first),
        last=max(known.last, item.last),
        days=known.days + 1,
        cost=None if known.cost is None or item.cost is None else known.cost + item.cost,
    )


def not_ours(one: Foreign) -> Unmatched:
    """Usage of others, and why it is taken for that."""
    return Unmatched(
        side="bill",
        provider=one.provider,
        account=None,
        resource=None,
        kind=one.kind,
        sku=one.sku,
        projects=(),
        first=one.first,
        last=one.last,
        days=(one.last - one.first).days + 1,
        cost=one.usd,
        ours=False,
        expected=True,
        counted=True,
        reason=why_foreign(nameless=one.nameless),
    )
