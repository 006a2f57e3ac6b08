"""What somebody who is away is told: each thing once, with the command to type."""

from datetime import timedelta
from decimal import Decimal

from gpuctl.app.audit import audit
from gpuctl.app.notify import AGAIN, Notice, message, notices, remember, unseen
from tests.app.conftest import ACME, Desk, MakeDesk, budget


def told(desk: Desk) -> dict[str, str]:
    return {notice.event: notice.text for notice in notices(desk.app, audit(desk.app))}


def test_where_all_is_well_nothing_is_told(desk: Desk) -> None:
    desk.up()
    assert told(desk) == {}


def test_a_machine_past_its_deadline_is_told_with_price_and_fix(desk: Desk) -> None:
    desk.up()
    desk.clock.tick(hours=30)

    text = told(desk)["leftover"]

    assert text.startswith("machine i-000001 in us-east-1 ($")
    assert "past its deadline" in text
    assert text.endswith("gpuctl down i-000001")


def test_a_lease_about_to_end_is_told(desk: Desk) -> None:
    deadline = desk.machine(ttl=timedelta(hours=3)).deadline
    assert deadline is not None
    assert "ttl" not in told(desk)
    desk.clock.now = deadline - timedelta(minutes=45)
    assert told(desk) == {
        "ttl": f"vision-1 ({ACME}) ends itself in 45m. gpuctl extend vision-1",
    }
    desk.down("vision-1")
    assert told(desk) == {}


def test_an_interruption_is_told_for_a_day(desk: Desk) -> None:
    desk.up()
    desk.clock.tick(hours=2)
    desk.aws.interrupt("i-000001")
    desk.clock.tick(minutes=10)
    assert "vision-1 (acme/vision) was taken back by the cloud" in told(desk)["interrupted"]
    desk.clock.tick(hours=25)
    assert told(desk) == {}


def test_a_budgets_mark_is_told(make_desk: MakeDesk) -> None:
    desk = make_desk(**budget(ACME, month=Decimal(2), total=Decimal(100)))
    desk.up()
    desk.clock.tick(hours=1, minutes=50)
    desk.sync()
    assert told(desk)["budget"].startswith(f"{ACME} has used 80 % of this month's budget: $1.")


def test_a_cloud_that_does_not_answer_is_told(desk: Desk) -> None:
    desk.aws.broken_region = "us-east-1"
    assert "aws could not be looked at: us-east-1 did not answer" in told(desk)["leftover"]


NEWS = Notice(key="a", event="leftover", text="a disk")
ONCE = Notice(key="b", event="ttl", text="ends soon")


def test_each_thing_is_told_once_and_what_costs_each_day(desk: Desk) -> None:
    now = desk.clock()
    first = message([NEWS, ONCE], (), {}, now)
    assert first is not None
    assert (first.title, first.text) == ("gpuctl: 2 things to look at", "a disk\nends soon")

    known = remember({"old": now - timedelta(days=61)}, first, now)

    assert known == {"a": now, "b": now}
    later = now + AGAIN - timedelta(minutes=1)
    assert message([NEWS, ONCE], (), known, later) is None
    again = message([NEWS, ONCE], (), known, now + AGAIN)
    assert again is not None
    assert (again.title, again.notices) == ("gpuctl: a disk", (NEWS,))


def test_only_what_is_wanted_is_told(desk: Desk) -> None:
    now = desk.clock()
    assert message([NEWS], ["ttl"], {}, now) is None
    wanted = message([NEWS, ONCE], ["ttl"], {}, now)
    assert wanted is not None
    assert wanted.notices == (ONCE,)
    assert unseen("aws", "x").event == "leftover"
