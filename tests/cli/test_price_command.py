"""`price`: from the ledger alone, except for `update`."""

from datetime import timedelta

import pytest

from gpuctl.core.kinds import Kind, Market, Unit
from tests.cli.clouds import Account, Clouds
from tests.cli.desk import NOW


def days(count):
    return NOW - timedelta(days=count)


@pytest.fixture
def priced(desk):
    for usd, since in (("0.30", 40), ("0.20", 20), ("0.40", 10)):
        desk.price(usd, days(since))
    desk.price("0.25", days(5), zone="us-west-2a", region="us-west-2")
    desk.price(
        "0.08", days(60), sku="gp3", zone=None, kind=Kind.DISK, market=Market.ON_DEMAND,
        unit=Unit.MONTH, source="price-list",
    )  # fmt: skip
    return desk


def test_list_has_the_latest_of_each_thing_with_age_and_source(priced):
    shown = priced.json("price", "list")["prices"]

    assert [(each["sku"], each["zone"], each["usd"]) for each in shown] == [
        ("g6.xlarge", "us-east-2a", "0.4"),
        ("g6.xlarge", "us-west-2a", "0.25"),
        ("gp3", None, "0.08"),
    ]
    table = priced.ok("price", "list")
    assert "10d" in table
    assert "spot-history" in table
    assert shown[2]["market"] is None


def test_list_can_be_narrowed(priced):
    assert len(priced.json("price", "list", "--kind", "disk")["prices"]) == 1
    assert len(priced.json("price", "list", "--region", "us-west-2")["prices"]) == 1
    assert priced.json("price", "list", "--cloud", "gcp")["prices"] == []


def test_show_is_of_one_thing(priced):
    assert len(priced.json("price", "show", "g6.xlarge")["prices"]) == 2


def test_history_begins_with_what_held_then(priced):
    shown = priced.json("price", "history", "g6.xlarge", "--region", "us-east-2", "--days", "30")

    assert [each["usd"] for each in shown["prices"]] == ["0.3", "0.2", "0.4"]


@pytest.mark.parametrize(("charset", "line"), [("utf-8", "▄▁█"), ("ascii", "~_@")])
def test_a_chart_is_one_line_a_place(priced, charset, line):
    argv = ("price", "history", "g6.xlarge", "--chart", "--days", "30")

    shown = priced.ok(*argv, charset=charset).splitlines()

    assert len(shown) == 2
    assert shown[0].startswith("us-east-2a spot  ")
    assert "$0.2000 to $0.4000" in shown[0]
    marks = shown[0].split("  ")[1]
    assert len(marks) == 40
    assert list(dict.fromkeys(marks)) == list(line)
    assert shown[1].endswith("  $0.2500")


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("show", "g6.xlrge"), 3, "did you mean g6.xlarge?"),
        (("show", "g6.xlarge", "--region", "eu-west-1"), 3, "it has us-east-2, us-west-2"),
        (("history", "nothing"), 3, "gpuctl price update"),
        (("history", "g6.xlarge", "--days", "0"), 2, "0 is not in the range"),
        (("list", "--kind", "gpus"), 2, "compute"),
    ],
)
def test_wrong_words_about_prices(priced, argv, code, says):
    assert says in priced.refused("price", *argv, code=code)


def test_without_any_it_says_what_to_type_and_makes_no_ledger(desk):
    assert "gpuctl price update" in desk.ok("price", "list")
    assert not desk.ledger_path.exists()


def test_update_asks_for_what_a_template_needs(desk):
    desk.clouds = Clouds(Account())

    shown = desk.json("price", "update", "-t", "l4-spot", "--days", "3")["prices"]

    assert {(each["kind"], each["sku"], each["market"]) for each in shown} == {
        *(("compute", f"g{kind}.xlarge", on) for kind in ("6", "5", "4dn")
          for on in ("spot", "on-demand")),
        ("disk", "gp3", None),
        ("ipv4", "in-use", None),
    }  # fmt: skip
    assert {span.start for _, span in desk.clouds.only.asked} == {days(3)}
    assert desk.json("price", "update", "-t", "l4-spot", "--days", "3")["prices"] == []


def test_update_leaves_out_what_cannot_be_had(desk):
    desk.clouds = Clouds(Account())

    desk.ok("price", "update", "-t", "v100-spot")

    assert "p3.2xlarge" not in desk.ok("price", "list")
    assert "g5.xlarge" in desk.ok("price", "list")


def test_update_of_an_unknown_template(desk):
    desk.clouds = Clouds(Account())

    assert "did you mean l4-spot?" in desk.refused("price", "update", "-t", "l4spot", code=3)


def test_update_without_any_cloud_is_no_success(desk):
    desk.clouds = Clouds(Account())
    desk.clouds.accounts = list
    assert "no cloud is in use" in desk.refused("price", "update", code=4)
