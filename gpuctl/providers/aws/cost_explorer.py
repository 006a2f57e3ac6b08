"""Cost Explorer: what the account was billed by day, for who has no export of the bill.

Sources: AWS Cost Management API reference, `GetCostAndUsage` (two groups at most, amounts as
decimal strings, `Estimated` until the bill is final) and `GetCostAndUsageWithResources` (opt-in,
EC2 instances, the last 14 days); pricing page of AWS Cost Explorer: 0.01 USD for each paginated
request.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from gpuctl.core.billed import BilledDay, Category, KindOf, Total
from gpuctl.core.errors import Denied, InvalidRequest
from gpuctl.core.names import project_name
from gpuctl.core.rounding import EXACT
from gpuctl.core.span import Span
from gpuctl.providers.aws import tags
from gpuctl.providers.aws.calls import CostExplorer, Reply
from gpuctl.providers.aws.client import part
from gpuctl.providers.aws.errors import translated

RESOURCE_DAYS = 14
"""So far back single instances are told."""

_USAGE = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")
_EC2 = "Amazon Elastic Compute Cloud - Compute"
_METRIC, _AMOUNT = "UnblendedCost", "UsageQuantity"
_DOING = "asking Cost Explorer"
_NOBODY = "NoResourceId"
_ROUNDED = Decimal("0.000001")
"""Sums over instances and over projects may differ so much by rounding."""

_CATEGORIES = (
    ("tax", Category.TAX),
    ("refund", Category.REFUND),
    ("credit", Category.CREDIT),
    ("discount", Category.CREDIT),
    ("negation", Category.CREDIT),
    ("fee", Category.FEE),
    ("upfront", Category.FEE),
    ("recurring", Category.FEE),
    ("support", Category.FEE),
)
"""What is in a record type's name -> what it is; the first that is found."""


class Costs(NamedTuple):
    """A `core.billed.Bill` from answers of the API."""

    source: str
    rows: int
    totals: Sequence[Total]
    problems: Sequence[str]
    found: Sequence[BilledDay]

    def days(self) -> Iterable[BilledDay]:
        """In order of days."""
        return self.found


class _Group(NamedTuple):
    """One group of one day's answer."""

    day: date
    keys: tuple[str, ...]
    cost: Decimal
    currency: str
    quantity: Decimal | None
    unit: str | None


def costs(client: CostExplorer, account: str, span: Span, now: datetime, kind_of: KindOf) -> Costs:
    """The bill of one account by day. Three requests, and one more for each further page.

    Usage is told by usage type and the tag `gpuctl:project`; instances one by one where the
    account has opted in and the days are not over 14 days back. `Denied`, `Busy`.
    """
    first, last = span.start.date(), (span.end - timedelta(seconds=1)).date()
    mine = _either("LINKED_ACCOUNT", account)
    usage = {"And": [mine, _either("RECORD_TYPE", *_USAGE)]}
    others = {"And": [mine, {"Not": _either("RECORD_TYPE", *_USAGE)}]}
    estimated: set[date] = set()
    by_tag = list(
        _asked(
            client.get_cost_and_usage,
            (first, last),
            usage,
            [_by("DIMENSION", "USAGE_TYPE"), _by("TAG", tags.PROJECT)],
            estimated,
        )
    )
    beside = list(
        _asked(
            client.get_cost_and_usage,
            (first, last),
            others,
            [_by("DIMENSION", "RECORD_TYPE")],
            estimated,
        )
    )
    problems: list[str] = []
    by_resource = _instances(client, (first, last), mine, now, problems)
    found = [*_usage_days(by_tag, by_resource, account, kind_of), *_other_days(beside, account)]
    found.sort(key=lambda one: (one.day, one.resource or "", one.sku or "", one.project or ""))
    if estimated:
        problems.append(f"{len(estimated)} days are still estimated by AWS itself")
    return Costs(
        source=f"AWS Cost Explorer: {account} {first} to {last}",
        rows=len(by_tag) + len(beside),
        totals=tuple(_totals(found)),
        problems=tuple(problems),
        found=tuple(found),
    )


def _either(dimension: str, *values: str) -> Mapping[str, Any]:
    return {"Dimensions": {"Key": dimension, "Values": list(values)}}


def _by(kind: str, key: str) -> Mapping[str, str]:
    return {"Type": kind, "Key": key}


def _asked(
    call: Callable[..., Reply],
    days: tuple[date, date],
    where: Mapping[str, Any],
    groups: Sequence[Mapping[str, str]],
    estimated: set[date],
) -> Iterator[_Group]:
    """Every group of every day, over all pages; days that are not final go into `estimated`."""
    request = {
        "TimePeriod": {
            "Start": days[0].isoformat(),
            "End": (days[1] + timedelta(days=1)).isoformat(),
        },
        "Granularity": "DAILY",
        "Metrics": [_METRIC, _AMOUNT],
        "Filter": where,
        "GroupBy": list(groups),
    }
    token: str | None = None
    while True:
        with translated(_DOING):
            reply = call(**request, **({"NextPageToken": token} if token else {}))
        for result in part(reply, "ResultsByTime", _DOING):
            day = date.fromisoformat(result["TimePeriod"]["Start"][:10])
            if result.get("Estimated") and result.get("Groups"):
                estimated.add(day)
            yield from (_group(day, one) for one in result.get("Groups") or ())
        token = reply.get("NextPageToken")
        if not token:
            return


def _group(day: date, said: Mapping[str, Any]) -> _Group:
    cost, amount = said["Metrics"][_METRIC], said["Metrics"].get(_AMOUNT) or {}
    unit = amount.get("Unit")
    return _Group(
        day=day,
        keys=tuple(said["Keys"]),
        cost=Decimal(cost["Amount"]),
        currency=cost.get("Unit") or "USD",
        quantity=Decimal(amount["Amount"]) if amount.get("Amount") else None,
        unit=None if unit in (None, "", "N/A") else unit,
    )


def _instances(
    client: CostExplorer,
    days: tuple[date, date],
    mine: Mapping[str, Any],
    now: datetime,
    problems: list[str],
) -> Sequence[_Group]:
    """Instances by day and usage type; none, and why, where they are not told."""
    oldest = now.astimezone(UTC).date() - timedelta(days=RESOURCE_DAYS - 1)
    if days[1] < oldest:
        return ()
    where = {"And": [mine, _either("SERVICE", _EC2), _either("RECORD_TYPE", *_USAGE)]}
    groups = [_by("DIMENSION", "RESOURCE_ID"), _by("DIMENSION", "USAGE_TYPE")]
    call = client.get_cost_and_usage_with_resources
    try:
        return list(_asked(call, (max(days[0], oldest), days[1]), where, groups, set()))
    except (Denied, InvalidRequest) as error:
        problems.append(
            f"single instances are not told ({error.message}): matched by tag; Cost Explorer's "
            "settings have an opt-in for resource-level data"
        )
        return ()


def _usage_days(
    by_tag: Sequence[_Group], by_resource: Sequence[_Group], account: str, kind_of: KindOf
) -> Iterator[BilledDay]:
    """By tag, or by instance where the instances of a usage type make up the whole of it.

    Nothing is counted twice: a usage type is taken from one answer or from the other.
    """
    tagged: dict[tuple[date, str], list[_Group]] = {}
    for group in by_tag:
        tagged.setdefault((group.day, group.keys[0]), []).append(group)
    named: dict[tuple[date, str], list[_Group]] = {}
    for group in by_resource:
        named.setdefault((group.day, group.keys[1]), []).append(group)
    for (day, usage_type), groups in tagged.items():
        single = named.get((day, usage_type), [])
        whole, parts = _sum(groups), _sum(single)
        known = {_project(group.keys[1]) for group in groups if group.cost}
        if not single or abs(EXACT.subtract(whole, parts)) > _ROUNDED:
            for group in groups:
                yield _day(group, usage_type, account, kind_of, project=_project(group.keys[1]))
            continue
        project = known.pop() if len(known) == 1 else None
        for group in single:
            resource = None if group.keys[0] == _NOBODY else group.keys[0].rpartition("/")[2]
            yield _day(group, usage_type, account, kind_of, project=project, resource=resource)
        if whole != parts:
            rest = groups[0]._replace(cost=EXACT.subtract(whole, parts), quantity=None, unit=None)
            yield _day(rest, usage_type, account, lambda _: (None, None))


def _sum(groups: Iterable[_Group]) -> Decimal:
    whole = Decimal(0)
    for group in groups:
        whole = EXACT.add(whole, group.cost)
    return whole


def _project(key: str) -> str | None:
    """`gpuctl:project$acme/vision` -> the project; nothing after the `$` = no tag."""
    text = key.partition("$")[2]
    try:
        return project_name(text)
    except ValueError:
        return None


def _other_days(groups: Iterable[_Group], account: str) -> Iterator[BilledDay]:
    for group in groups:
        word = group.keys[0]
        found = (category for part_, category in _CATEGORIES if part_ in word.lower())
        category = next(found, Category.OTHER)
        plain = group._replace(quantity=None, unit=None)
        yield _day(plain, word, account, lambda _: (None, None), category=category)


def _day(
    group: _Group,
    sku: str,
    account: str,
    kind_of: KindOf,
    *,
    category: Category = Category.USAGE,
    project: str | None = None,
    resource: str | None = None,
) -> BilledDay:
    kind, market = kind_of(sku)
    start = datetime(group.day.year, group.day.month, group.day.day, tzinfo=UTC)
    return BilledDay(
        provider="aws",
        account=account,
        resource=resource,
        kind=kind,
        sku=sku,
        market=market,
        category=category,
        day=group.day,
        start=start,
        end=start + timedelta(days=1),
        quantity=group.quantity,
        unit=group.unit,
        cost=group.cost,
        currency=group.currency,
        per_usd=None,
        project=project,
        region=None,
        invoice=None,
        rows=1,
    )


def _totals(days: Iterable[BilledDay]) -> Iterator[Total]:
    sums: dict[tuple[Category, str], tuple[Decimal, int]] = {}
    for day in days:
        cost, rows = sums.get((day.category, day.currency), (Decimal(0), 0))
        sums[day.category, day.currency] = EXACT.add(cost, day.cost), rows + day.rows
    for (category, currency), (cost, rows) in sums.items():
        yield Total(category, currency, cost, rows)
