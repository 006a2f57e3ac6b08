"""`switch`, `split` and `adjust`, typed wrongly too: what is written can always be read again."""

from datetime import timedelta

import pytest

from gpuctl.cli.receipts import _merged
from gpuctl.core.span import format_time, parse_moment
from tests.cli.desk import NOW

PROJECTS = "[client.acme.project.vision]\n[client.borealis.project.nlp]\n"
SPAN = ("--from", "2026-03-02T08:00:00Z", "--to", "2026-03-02T09:00:00Z")


@pytest.fixture
def rented(desk):
    """One machine of acme's, an hour old."""
    desk.user(PROJECTS)
    desk.machine("vision-1", "acme/vision", NOW - timedelta(hours=1))
    return desk


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("split", "vision-1", "acme/vision=1", "--idle", "-4", *SPAN), "--idle -4"),
        (("split", "vision-1", "acme/vision=1e40", *SPAN), "'1e40' is not a number"),
        (("adjust", "acme/vision", "1e400", "--note", "x"), "'1e400' is not a number"),
        (("adjust", "acme/vision", "1" * 31, "--note", "x"), "is not a number"),
        (("adjust", "acme/vision", "0." + "3" * 31, "--note", "x"), "at most 9 before it, 20"),
        (("adjust", "acme/vision", "1_0", "--note", "x"), "'1_0' is not a number"),
        (("adjust", "acme/vision", "٣", "--note", "x"), "is not a number"),
        (("adjust", "acme/vision", "-0.00", "--note", "x"), "a correction of nothing"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_what_the_ledger_could_not_read_again_is_never_written(rented, argv, says):
    head = rented.ledger.head
    assert says in rented.refused(*argv)
    assert rented.ledger.head == head
    rented.ok("ledger", "verify")


def test_amounts_as_people_write_them(rented):
    for amount in ("$1.20", "+1.2", "-$0.3", "-.5"):
        done = rented("adjust", "acme/vision", amount, "--note", "x")
        assert done.exit_code == (2 if amount == "-.5" else 0), done.output
    assert rented.json("spend", "--month", "2026-03", "--by", "kind")["total"] == "2.1"


def test_switch_says_from_when_on_and_when_nothing_changes(rented):
    said = rented("switch", "vision-1", "borealis/nlp", "--at", "2026-03-02T08:30:00Z").stderr
    assert said == "1 resources of vision-1 run for borealis/nlp from 2026-03-02T08:30:00Z on\n"
    again = rented("switch", "vision-1", "borealis/nlp")
    assert (again.exit_code, again.stderr) == (
        0,
        "vision-1 runs for borealis/nlp already: nothing is written\n",
    )


@pytest.mark.parametrize(
    "later", ["2026-03-02T09:00:01Z", "2026-03-02T10:30:00+01:00", "2062-03-02"]
)
def test_nothing_changes_hands_at_a_moment_that_is_still_to_come(rented, later):
    head = rented.ledger.head
    for argv in (
        ("switch", "vision-1", "borealis/nlp", "--at", later),
        ("assign", "i-vision-1", "borealis/nlp", "--from", later),
    ):
        said = " ".join(rented.refused(*argv).split())
        moment = parse_moment(later)
        assert f"{argv[3]} {later} is {format_time(moment)}, which is still to come" in said
        assert f"Try: gpuctl {argv[0]} {argv[1]} borealis/nlp" in said
    assert rented.ledger.head == head


def test_what_changes_hands_now_may_say_so(rented):
    now = "2026-03-02T10:00:00+01:00"
    assert rented("switch", "vision-1", "borealis/nlp", "--at", now).exit_code == 0
    (resource,) = {c["resource"] for c in rented.json("spend", "--month", "2026-03")["charges"]}
    assert rented("assign", resource, "acme/vision", "--from", now).exit_code == 0


def test_a_receipt_counts_the_time_of_a_shared_stretch_once():
    half = {
        "kind": "compute", "sku": "g6.xlarge", "market": "spot", "zone": "us-east-2a",
        "resource": "i-0abc", "rate": "0.30", "seconds": 3600, "amount": "0.5", "cost": "0.15",
        "from": "2026-03-02T08:00:00Z", "to": "2026-03-02T09:00:00Z",
    }  # fmt: skip
    alone = half | {"from": "2026-03-02T09:00:00Z", "to": "2026-03-02T10:00:00Z", "cost": "0.30"}
    (line,) = _merged([half, half, alone])
    assert (line["seconds"], line["amount"], line["cost"]) == (7200, "1.5", "0.6")


def test_an_export_says_what_it_wrote_or_why_not(rented):
    assert rented("ledger", "export", str(rented.root / "new/folder/out.jsonl")).stderr.endswith(
        "new/folder/out.jsonl: 1 record\n"
    )
    (rented.root / "file").write_text("")
    said = rented.refused("ledger", "export", str(rented.root / "file/out.jsonl"))
    assert "cannot be written" in said
    assert "Try: name another file" in said
