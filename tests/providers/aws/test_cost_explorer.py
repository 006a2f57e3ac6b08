"""Cost Explorer's answers as days of a bill: whole, counted once, paged, honest about gaps."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from moto.moto_api._internal import moto_api_backend

from gpuctl.bills.meaning import meaning
from gpuctl.core.billed import Category
from gpuctl.core.errors import Busy, Denied
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.span import Span
from gpuctl.providers.aws import AwsSettings
from gpuctl.providers.aws.client import Clients, make_with_boto3
from gpuctl.providers.aws.cost_explorer import costs
from tests.providers.aws.cost_world import ACCOUNT, Explorer, Fact, explorer
from tests.providers.aws.rig import Rig

TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
MONTH = Span(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
A, B = "acme/vision", "borealis/nlp"


def kind_of(word: str) -> tuple[Kind | None, Market | None]:
    found = meaning("aws", word, None, None, None, None)
    return (None, None) if found is None else (found.kind, found.market)


def client_at(url: str) -> Any:
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    settings = AwsSettings(account_alias="t", install="i", regions=("us-east-1",))
    return Clients(make_with_boto3(settings, {"AWS_ENDPOINT_URL": url} | keys)).cost_explorer()


@pytest.fixture
def served() -> Iterator[tuple[Explorer, str]]:
    with explorer(TODAY) as found:
        yield found


@pytest.fixture
def world(served: tuple[Explorer, str]) -> Explorer:
    return served[0]


@pytest.fixture
def ask(served: tuple[Explorer, str]) -> Any:
    client = client_at(served[1])
    return lambda span=MONTH: costs(client, ACCOUNT, span, NOW, kind_of)


def day(number: int) -> date:
    return date(2026, 11, number)


def test_instances_are_told_one_by_one_and_all_else_by_tag(world: Explorer, ask: Any) -> None:
    world.facts = [
        Fact(day(18), "0.75", resource="i-1", project=A, quantity="3"),
        Fact(day(18), "0.5", resource="i-2", project=B, quantity="2"),
        Fact(day(18), "0.25", "EBS:VolumeUsage.gp3", "vol-1", A, service="Other", unit="GB-Mo"),
        Fact(day(18), "0.1", "CW:AlarmMonitorUsage", service="CloudWatch", unit="Alarms"),
    ]  # fmt: skip
    found = ask()
    rows = [(one.resource, one.kind, one.project, one.cost, one.unit) for one in found.days()]
    assert rows == [
        (None, None, None, Decimal("0.1"), "Alarms"),
        (None, Kind.DISK, A, Decimal("0.25"), "GB-Mo"),
        ("i-1", Kind.COMPUTE, None, Decimal("0.75"), "Hrs"),
        ("i-2", Kind.COMPUTE, None, Decimal("0.5"), "Hrs"),
    ]
    one = found.found[-1]
    assert (one.provider, one.account, one.market, one.currency) == (
        "aws", ACCOUNT, Market.ON_DEMAND, "USD",
    )  # fmt: skip
    assert (one.start, one.end) == (
        datetime(2026, 11, 18, tzinfo=UTC),
        datetime(2026, 11, 19, tzinfo=UTC),
    )
    assert sum(total.cost for total in found.totals) == Decimal("1.6")


def test_a_tag_that_is_all_of_a_usage_type_goes_with_its_instances(
    world: Explorer, ask: Any
) -> None:
    world.facts = [Fact(day(18), "1", resource=f"i-{n}", project=A) for n in range(2)]
    assert {one.project for one in ask().days()} == {A}


def test_before_fourteen_days_it_is_by_tag(world: Explorer, ask: Any) -> None:
    world.facts = [Fact(day(n), "1", resource="i-1", project=A) for n in (6, 7)]
    assert [(one.day.day, one.resource) for one in ask().days()] == [(6, None), (7, "i-1")]
    world.facts = [Fact(date(2026, 9, 6), "1", resource="i-1", project=A)]
    world.asked.clear()
    september = Span(datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))
    assert [one.resource for one in ask(september).days()] == [None]
    assert {action for action, _ in world.asked} == {"GetCostAndUsage"}


def test_without_the_opt_in_it_is_by_tag_and_says_so(world: Explorer, ask: Any) -> None:
    world.opted_in = False
    world.facts = [Fact(day(18), "1", resource="i-1", project=A)]
    found = ask()
    assert [(one.resource, one.project) for one in found.days()] == [(None, A)]
    assert "resource level data is not enabled" in found.problems[0]
    assert "opt-in" in found.problems[0]


def test_a_usage_type_is_never_counted_from_both_answers(world: Explorer, ask: Any) -> None:
    # The same usage type in a service whose resources are not told.
    world.facts = [
        Fact(day(18), "1", resource="i-1", project=A),
        Fact(day(18), "2", resource="i-2", project=A, service="EC2 - Other"),
    ]
    assert [(one.resource, one.cost) for one in ask().days()] == [(None, Decimal(3))]


def test_what_rounding_leaves_between_the_answers_stays_in_the_sum(
    world: Explorer, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.facts = [Fact(day(18), "1.0000000001", resource="i-1", project=A)]
    whole = world.answer

    def rounded(action: str, request: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(whole(action, request))
        return json.loads(
            text.replace("1.0000000001", "1") if action.endswith("WithResources") else text
        )

    monkeypatch.setattr(world, "answer", rounded)
    found = ask()
    assert [(one.resource, one.kind, one.cost) for one in found.days()] == [
        (None, None, Decimal("1E-10")),
        ("i-1", Kind.COMPUTE, Decimal(1)),
    ]


def test_taxes_credits_and_fees_are_told_apart(world: Explorer, ask: Any) -> None:
    records = {
        "Tax": Category.TAX,
        "Credit": Category.CREDIT,
        "Refund": Category.REFUND,
        "Recurring reservation fee": Category.FEE,
        "Support fee": Category.FEE,
        "SavingsPlanNegation": Category.CREDIT,
        "Enterprise Discount Program Discount": Category.CREDIT,
        "Rounding": Category.OTHER,
    }
    world.facts = [Fact(day(1), "-1.5", record=record) for record in records]
    assert {one.sku: one.category for one in ask().days()} == records


def test_only_the_account_that_is_asked_for(world: Explorer, ask: Any) -> None:
    world.facts = [Fact(day(18), "9", resource="i-9", account="999999999999", project=A)]
    assert list(ask().days()) == []


def test_every_page_is_read(world: Explorer, ask: Any) -> None:
    world.facts = [Fact(day(n), "1", project=A, resource="i-1") for n in range(1, 21)]
    world.page = 1
    found = ask()
    assert sum(one.cost for one in found.days()) == 20
    assert len(world.asked) == 20 + 20 + 14
    world.page = 99
    world.asked.clear()
    assert list(ask().days()) == list(found.days())
    assert len(world.asked) == 3


def test_days_that_are_not_final_are_told(world: Explorer, ask: Any) -> None:
    world.facts = [Fact(day(n), "1", project=A) for n in (3, 18, 19)]
    world.final = day(10)
    assert "2 days are still estimated by AWS itself" in ask().problems


def test_a_tag_that_is_no_project_is_none(world: Explorer, ask: Any) -> None:
    world.opted_in = False
    world.facts = [Fact(day(18), "1", project="somebody else's")]
    assert [one.project for one in ask().days()] == [None]


def test_an_account_without_cost_explorer_is_denied(world: Explorer, ask: Any) -> None:
    world.enabled = False
    with pytest.raises(Denied, match="User not enabled for cost explorer access"):
        ask()


def test_what_is_no_answer_of_aws_is_no_bill(
    world: Explorer, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "answer", lambda *_: {})
    with pytest.raises(Busy, match="not one of AWS's"):
        ask()


def test_the_emulated_aws_answers_too(rig: Rig) -> None:
    """moto takes answers from a queue, and reads nothing of the request."""
    start = rig.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=40)
    metrics = {
        "UnblendedCost": {"Amount": "1.25", "Unit": "USD"},
        "UsageQuantity": {"Amount": "2", "Unit": "Hrs"},
    }
    group = {"Keys": ["SpotUsage:g5.xlarge", f"gpuctl:project${A}"], "Metrics": metrics}
    period = {"Start": f"{start:%Y-%m-%d}", "End": f"{start + timedelta(1):%Y-%m-%d}"}
    result = {"TimePeriod": period, "Groups": [group], "Estimated": False}
    moto_api_backend.set_ce_cost_usage({"ResultsByTime": [result]}, "123456789012")
    moto_api_backend.set_ce_cost_usage({"ResultsByTime": []}, "123456789012")
    client = rig.clients().cost_explorer()
    found = costs(client, ACCOUNT, Span(start, start + timedelta(1)), rig.now(), kind_of)
    assert [(one.kind, one.market, one.project, one.cost) for one in found.days()] == [
        (Kind.COMPUTE, Market.SPOT, A, Decimal("1.25"))
    ]
    assert rig.sent["GetCostAndUsage"] == 2
