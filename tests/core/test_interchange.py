"""Records in and out: strict about what is known, keeping what is not, saying what is wrong."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.bill import bill, fixed
from gpuctl.core.events import Armed, Insured, Intent, Leased, Missed, Outcome, Seen
from gpuctl.core.interchange import (
    RecordError,
    canonical,
    is_public,
    read_line,
    type_of,
    write_line,
    write_record,
)
from gpuctl.core.kinds import Market
from tests.core.stories import now, stories, whole

USAGE = {
    "v": 1, "type": "usage", "id": "u1", "provider": "aws", "account": "111122223333",
    "region": "us-east-1", "zone": "us-east-1a", "resource": "i-0abc", "kind": "compute",
    "sku": "p3.2xlarge", "market": "spot", "quantity": "1", "start": "2025-03-10T14:05:30Z",
    "end": "2025-03-10T16:18:50Z", "ended_by": "user", "project": "acme/vision",
}  # fmt: skip
PRICE = {
    "v": 1, "type": "price", "id": "p1", "provider": "aws", "region": "us-east-1",
    "zone": "us-east-1a", "kind": "compute", "sku": "p3.2xlarge", "market": "spot",
    "unit": "hour", "usd": "0.9180", "from": "2025-03-10T09:00:00Z",
}  # fmt: skip
SWITCH = {
    "v": 1, "type": "switch", "id": "s1", "resource": "i-0abc", "project": "borealis/nlp",
    "at": "2025-03-10T15:00:00Z",
}  # fmt: skip
SPLIT = {
    "v": 1, "type": "split", "id": "x1", "resource": "i-0abc", "from": "2025-03-10T15:00:00Z",
    "to": "2025-03-10T16:00:00Z", "shares": {"acme/vision": "150", "borealis/nlp": "60"},
    "idle": "30", "idle_to": "absorbed",
}  # fmt: skip
ADJUST = {
    "v": 1, "type": "adjust", "id": "a1", "project": "acme/vision", "at": "2025-03-10T15:00:00Z",
    "usd": "-1.20", "note": "credit",
}  # fmt: skip
RECORDS = [USAGE, PRICE, SWITCH, SPLIT, ADJUST]
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def reading(record, **changes):
    record = record | changes
    return read_line(json.dumps({key: value for key, value in record.items() if value != "gone"}))


def refused(record, **changes):
    with pytest.raises(RecordError) as caught:
        reading(record, **changes)
    return str(caught.value)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["type"])
def test_the_records_of_the_contract_come_back_as_they_were(record):
    event = reading(record)
    assert write_record(event) == record
    assert list(write_record(event))[:3] == ["v", "type", "id"]
    assert is_public(event)
    assert type_of(event) == record["type"]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["type"])
def test_unknown_fields_are_kept(record):
    more = {"ticket": "T-7", "nested": {"a": [1, True, None, "x"]}, "count": 3}
    assert write_record(reading(record, **more)) == record | more


def test_a_run_without_an_end_and_without_a_project():
    event = reading(USAGE, end=None, ended_by=None, project=None)
    assert (event.end, event.ended_by, event.project) == (None, None, None)
    assert write_record(event)["end"] is None
    assert reading(USAGE, end="gone", ended_by="gone", project="gone") == event


def test_what_may_be_left_out():
    assert reading(PRICE, market="gone", zone="gone", region=None).market is Market.ON_DEMAND
    split = reading(SPLIT, idle="gone", idle_to="gone")
    assert (split.idle, split.idle_absorbed) == (Decimal(0), False)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2025-03-10T14:05:30Z", "2025-03-10T14:05:30Z"),
        ("2025-03-10t14:05:30z", "2025-03-10T14:05:30Z"),
        ("2025-03-10T14:05:30.999999Z", "2025-03-10T14:05:30Z"),
        ("2025-03-10T16:05:30+02:00", "2025-03-10T14:05:30Z"),
        ("2025-03-09T23:35:30.5-14:30", "2025-03-10T14:05:30Z"),
    ],
)
def test_times_carry_a_zone_and_lose_their_fractions(text, utc):
    assert write_record(reading(USAGE, start=text))["start"] == utc


@pytest.mark.parametrize(
    ("record", "changes", "says"),
    [
        (USAGE, {"start": "2025-03-10T14:05:30"}, "start: .*no time zone"),
        (USAGE, {"start": "2025-03-10"}, "start: .*not an RFC 3339 time"),
        (USAGE, {"start": "2025-02-29T00:00:00Z"}, "start: .*not a time"),
        (USAGE, {"start": "2025-03-10T24:00:00Z"}, "start: .*not a time"),
        (USAGE, {"start": "0001-01-01T00:00:00+01:00"}, "start: .*not a time"),
        (USAGE, {"start": "0999-01-01T00:00:00Z"}, "start: no machine ran in 999"),
        (USAGE, {"end": "9999-12-31T23:59:59Z"}, "end: no machine ran in 9999"),
        (USAGE, {"start": 1741615530}, "start: is a text"),
        (USAGE, {"start": None}, "start: is missing"),
        (USAGE, {"end": "2025-03-10T14:05:29Z"}, "end: is before start"),
        (USAGE, {"quantity": 1}, "quantity: is a decimal number in quotes"),
        (USAGE, {"quantity": True}, "quantity: is a decimal number in quotes"),
        (USAGE, {"quantity": "1e3"}, "quantity: is a decimal number"),
        (USAGE, {"quantity": "NaN"}, "quantity: is a decimal number"),
        (USAGE, {"quantity": "\u0661"}, "quantity: is a decimal number"),
        (USAGE, {"quantity": "-1"}, "quantity: is not negative"),
        (PRICE, {"usd": "1_000"}, "usd: is a decimal number"),
        (PRICE, {"usd": " 1"}, "usd: is a decimal number"),
        (PRICE, {"usd": ""}, "usd: is a decimal number"),
        (PRICE, {"unit": "month"}, "unit: compute is priced by the hour"),
        (PRICE, {"unit": "fortnight"}, "unit: is one of hour, month, gb"),
        (PRICE, {"kind": "tpu"}, "kind: is one of compute"),
        (USAGE, {"kind": ["compute"]}, "kind: is one of compute"),
        (USAGE, {"market": "reserved"}, "market: is one of spot, on-demand"),
        (USAGE, {"ended_by": "fire"}, "ended_by: is one of user, provider"),
        (USAGE, {"project": "acme"}, "project: .*not a project name"),
        (USAGE, {"project": ""}, "project: is a text that is not empty"),
        (USAGE, {"resource": "gone"}, "resource: is missing"),
        (USAGE, {"id": "gone"}, "id: is a text"),
        (USAGE, {"id": ""}, "id: is a text"),
        (SWITCH, {"project": "gone"}, "project: is missing"),
        (SPLIT, {"to": "2025-03-10T15:00:00Z"}, "to: is not after from"),
        (SPLIT, {"shares": {}}, "shares: .*at least one share above zero"),
        (SPLIT, {"shares": {"acme/vision": "0"}}, "shares: .*above zero"),
        (SPLIT, {"shares": {"acme/vision": 1}}, "shares: is a decimal number in quotes"),
        (SPLIT, {"shares": {"acme": "1"}}, "shares: .*not a project name"),
        (SPLIT, {"shares": ["acme/vision"]}, "shares: is an object"),
        (SPLIT, {"idle": "-1"}, "idle: is not negative"),
        (SPLIT, {"idle_to": "nobody"}, "idle_to: is absorbed or proportional"),
        (ADJUST, {"note": ""}, "note: is a text"),
        (ADJUST, {"v": 2}, "v: is 1"),
        (ADJUST, {"v": "1"}, "v: is 1"),
        (ADJUST, {"v": True}, "v: is 1"),
        (ADJUST, {"v": "gone"}, "v: is 1"),
        (ADJUST, {"type": "refund"}, "type: is one of usage, price, switch, split, adjust"),
        (ADJUST, {"type": None}, "type: is one of"),
        (ADJUST, {"type": ["adjust"]}, "type: is one of"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(record, changes, says):
    said = refused(record, **changes)
    assert re.match(says, said), said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ('{"v":1.0,"type":"adjust"}', "1.0 is a JSON float: write numbers in quotes"),
        (json.dumps(ADJUST).replace('"-1.20"', "-1.20"), "-1.20 is a JSON float"),
        (json.dumps(ADJUST).replace('"-1.20"', "1e2"), "1e2 is a JSON float"),
        (json.dumps(ADJUST).replace('"-1.20"', "NaN"), "NaN is a JSON float"),
        (json.dumps(ADJUST).replace('"-1.20"', "-Infinity"), "-Infinity is a JSON float"),
        (json.dumps(ADJUST).replace("credit", "\\ud83d"), "half of a surrogate pair"),
        (json.dumps(ADJUST | {"more": "\udc00"}), "half of a surrogate pair"),
        ("[]", "a record is a JSON object"),
        ("1", "a record is a JSON object"),
        ("9" * 5000, "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_record(text, says):
    with pytest.raises(RecordError, match=says):
        read_line(text)


def test_any_character_that_is_one_is_kept():
    note = 'Gutschrift für März 😀 "x" \\ud83d \x00 \u2028'
    event = reading(ADJUST, note=note)
    assert read_line(write_line(event)).note == note
    assert "\n" not in write_line(event)


@given(stories())
@settings(max_examples=50)
def test_every_fact_survives_its_line(story):
    base, events = story
    again = [read_line(write_line(event)) for event in events]
    assert again == events
    window = fixed(whole(base))
    assert bill(again, window, now(base)) == bill(events, window, now(base))


@given(st.permutations(list(SPLIT)))
@settings(max_examples=20)
def test_the_hashed_form_knows_no_order_of_fields(keys):
    assert canonical(reading({key: SPLIT[key] for key in keys})) == canonical(reading(SPLIT))


def test_the_siblings_that_are_not_public_come_back_and_take_no_unknown_field():
    facts = [
        Leased(
            id="l1", name="vision-1", project="acme/vision", provider="aws", account="1",
            template="t", at=AT, deadline=AT, ceiling=AT, idle_stop_s=1800, budget=Decimal("2.50"),
            payer="acme",
        ),
        Intent(id="i1", lease="l1", verb="start", at=AT, order={"disk": {"gb": 100}, "n": None}),
        Outcome(id="i1/outcome", intent="i1", at=AT, result="done", machine="aws:z:i-1"),
        Armed(id="r1", lease="l1", at=AT, deadline=AT),
        Insured(id="n1", lease="l1", at=AT, why="no role"),
        Seen(id="e1", machine="m", at=AT, snapshot={"gpus": 1, "gpu": None}),
        Missed(id="m1", machine="m", at=AT),
        Missed(id="m2", machine="m", at=AT, found=True),
    ]  # fmt: skip
    for fact in facts:
        assert read_line(write_line(fact)) == fact
        assert not is_public(fact)
        with pytest.raises(RecordError, match="surprise: no such field"):
            reading(write_record(fact), surprise="x")
    with pytest.raises(RecordError, match="idle_stop_s: is a whole number"):
        reading(write_record(facts[0]), idle_stop_s=True)
