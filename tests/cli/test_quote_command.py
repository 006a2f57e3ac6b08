"""`quote`: the real command line, on a ledger and an account in memory."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from gpuctl.core.errors import Denied
from gpuctl.core.events import Usage
from gpuctl.core.kinds import Kind
from gpuctl.core.model import Component
from gpuctl.core.ports import CloudRef
from gpuctl.core.quoting import reckon
from tests.cli.clouds import Account, Clouds
from tests.cli.desk import NOW, FixedSession

HOURS = ("--hours", "25..40")
FOR = ("-p", "acme/vision", *HOURS, "--rate", "0.92")
CONTRACT = {
    "schema", "project", "template", "hours", "deadline", "currency", "p50", "p90", "ceiling",
    "finish_p50", "finish_p90", "basis",
}  # fmt: skip
CLIENTS = """
    [me]
    name = "Ada Freelance"
    vat = "NL123456789B01"
    [client.acme]
    name = "ACME Robotics GmbH"
    markup = "15%"
    currency = "EUR"
    vat_rate = "21%"
    [client.acme.project.vision]
    title = "Shelf detection"
    [client.borealis.project.nlp]
    [client.own]
    absorbed = true
    [client.own.project.play]
    [client.cap]
    cap = { month = "10" }
    rounding = "5"
    [client.cap.project.one]
    [client.theirs]
    aws_profile = "theirs"
    [client.theirs.project.one]
    """


TEMPLATE = """
    [template.parts]
    provider = "gcp"
    type = "n1-standard-4"
    gpu = { type = "nvidia-tesla-t4", count = 1 }
    market = "spot"
    max_price = "20"
    zones = ["us-central1-a"]
    disk = { gb = 100, type = "pd-balanced" }
    """


class Silent(Account):
    """An account that cannot be asked."""

    def offers(self, want):
        raise Denied("the credentials have expired")


class Parts(Account):
    """Machines that are priced in parts, as Google's are."""

    name = "gcp"

    def offers(self, want):
        parts = [
            (Kind.VCPU, "n1-core", 4),
            (Kind.RAM, "n1-ram", 15),
            (Kind.GPU, "nvidia-tesla-t4", 1),
        ]
        return [
            replace(
                offer,
                provider="gcp",
                region="us-central1",
                zone="us-central1-a",
                components=tuple(
                    Component(
                        kind=kind, sku=sku, quantity=Decimal(size), market=offer.market,
                        hourly=Decimal(1),
                    )
                    for kind, sku, size in parts
                ),
            )
            for offer in super().offers(want)
        ]  # fmt: skip


@pytest.fixture
def quoting(desk, monkeypatch):
    monkeypatch.setattr(reckon, "SAMPLES", 40)
    desk.user(CLIENTS)
    desk.clouds = Clouds(Account())
    return desk


def later(monkeypatch, **time):
    monkeypatch.setattr(FixedSession, "moment", NOW + timedelta(**time))


def test_the_object_of_the_contract_in_the_clients_currency(quoting):
    made = quoting.json("quote", *FOR, "--deadline", "3d")

    assert made.keys() >= CONTRACT
    assert made["schema"] == "gpuctl.quote/1"
    assert (made["project"], made["template"], made["hours"]) == (
        "acme/vision", "l4-spot", ["25", "40"],
    )  # fmt: skip
    assert made["deadline"] == "2026-03-05T09:00:00Z"
    assert made["currency"] == "EUR"
    p50, p90, ceiling = (Decimal(made[name]) for name in ("p50", "p90", "ceiling"))
    assert 0 < p50 <= p90 <= ceiling
    # 40.2 h at 0.80 on demand, an address at 0.80, 100 GB at 0.80 a month of 744 h; 0.92; 15 %.
    exact = Decimal("40.2") * (Decimal("1.60") + 80 / Decimal(744)) * Decimal("1.058")
    assert ceiling == round(exact, 2)
    assert made["finish_p50"] <= made["finish_p90"] <= made["deadline"]
    assert made["basis"]["zones"] == ["us-east-2a"]
    assert made["basis"]["price_days"] == 90
    assert made["basis"]["overhead_seconds"] == 720


def test_the_same_facts_give_the_same_quote(quoting):
    first = quoting.json("quote", *FOR, "--deadline", "3d")
    assert quoting.json("quote", *FOR, "--deadline", "3d") == first
    assert len(quoting.json("quote", "ls")["quotes"]) == 1


def test_for_people_it_says_what_it_rests_on(quoting):
    said = quoting.ok("quote", *FOR, "--deadline", "Thu 23:30")

    assert "acme/vision: 25 to 40 h of computing on g6.xlarge, done by 2026-03-05T18:00:00Z" in said
    assert [line.split()[0] for line in said.splitlines()[1:4]] == ["P50", "P90", "ceiling"]
    assert "without VAT" in said
    assert "1 USD = 0.92 EUR (agreed, 2026-03-02)" in said
    assert "nothing was seen of that yet" in said
    assert "valid until 2026-03-16T09:00:00Z" in said
    assert "15" not in said.split("from 90 days")[1].split("valid")[0]


def test_as_a_row(quoting):
    rows = quoting.ok("quote", *FOR, "-o", "csv").splitlines()
    assert rows[0].startswith("id,project,template,hours")
    assert len(rows) == 2


def test_dollars_need_no_rate_and_hours_may_be_one_number(quoting):
    made = quoting.json("quote", "-p", "borealis/nlp", "--hours", "30")
    assert (made["currency"], made["hours"], made["vat_rate"]) == ("USD", ["30", "30"], None)


def test_a_long_job_with_little_time_to_spare(quoting):
    made = quoting.json("quote", "-p", "borealis/nlp", "--hours", "1000", "--deadline", "42d")
    assert made["finish_p90"] <= made["deadline"]


def test_without_a_deadline_it_is_run_as_the_template_says(quoting):
    assert quoting.json("quote", *FOR)["basis"]["way"] == "spot-then-on-demand"
    assert quoting.json("quote", *FOR, "-t", "t4-spot")["basis"]["type"] == "g4dn.xlarge"


def test_a_type_without_a_price_gives_way_to_the_next(quoting):
    made = quoting.json("quote", *FOR, "-t", "v100-spot")
    assert made["basis"]["type"] == "g5.xlarge"
    assert "p3.2xlarge has no price: quoted as g5.xlarge" in made["notes"]


def test_machines_that_are_priced_in_parts(quoting):
    quoting.clouds = Clouds(Parts())
    made = quoting.json("quote", "-p", "borealis/nlp", "--hours", "10", "-t", "gcp-t4")

    assert made["basis"]["way"] == "on-demand"
    assert made["p50"] == made["p90"] == made["ceiling"]
    # (4 cores + 15 GiB + 1 GPU) at 0.80, an address at 0.80, 100 GiB at 0.80 a month of 743 h.
    exact = Decimal("10.2") * (21 * Decimal("0.80") + 80 / Decimal(743))
    assert Decimal(made["ceiling"]) == round(exact, 2)


def test_their_sessions_are_known_by_their_gpu(quoting):
    quoting.clouds = Clouds(Parts())
    quoting.machine("nlp-1", "borealis/nlp", NOW - timedelta(hours=30))
    run = next(one for one in quoting.ledger.events() if isinstance(one, Usage))
    quoting.ledger.append(
        [
            run._replace(
                id="gpu", provider="gcp", kind=Kind.GPU, sku="nvidia-tesla-t4", resource="nlp-1",
                region="us-central1", zone="us-central1-a",
            )
        ]
    )  # fmt: skip
    quoting.user(CLIENTS + TEMPLATE)
    basis = quoting.json("quote", "-p", "borealis/nlp", "--hours", "10", "-t", "parts")["basis"]
    assert (basis["sessions"], basis["way"]) == (1, "spot")


def test_on_demand_above_the_highest_price_is_told(quoting):
    quoting.user(CLIENTS + TEMPLATE.replace("parts", "low").replace('"20"', '"0.50"'))
    quoting.clouds = Clouds(Parts())
    result = quoting("quote", "-p", "borealis/nlp", "--hours", "10", "-t", "low")
    assert "more than the template's max_price allows" in result.stderr
    assert "(on-demand)" in result.stdout


def test_a_cloud_that_cannot_be_asked_leaves_the_ledgers_prices(quoting):
    quoting.ok("quote", *FOR)
    quoting.clouds = Clouds(Silent())
    result = quoting("quote", *FOR, "--deadline", "3d")
    assert result.exit_code == 0
    assert "the prices are the ledger's: the credentials have expired" in result.stderr
    assert quoting("quote", *FOR, "--cached").exit_code == 0


def test_sessions_and_refusals_of_the_ledger_count(quoting):
    quoting.machine("vision-1", "acme/vision", NOW - timedelta(hours=30))
    basis = quoting.json("quote", *FOR)["basis"]
    assert (basis["sessions"], basis["attempts"], basis["interruptions"]) == (1, 1, 0)
    assert any("1 request and 1 session, 0" in one for one in basis["assumed"])


@pytest.mark.parametrize(
    ("project", "says"),
    [
        ("own/play", "own/play is absorbed: nothing of it is billed"),
        ("cap/one", "the client's cap or retainer is not taken off"),
    ],
)
def test_what_we_alone_need_to_know(quoting, project, says):
    result = quoting("quote", "-p", project, *HOURS)
    assert says in result.stderr
    assert says not in result.stdout


def test_on_the_clients_own_account_nothing_is_billed(quoting, monkeypatch):
    monkeypatch.setattr(quoting.clouds, "of", lambda provider, _: CloudRef(provider, "theirs"))
    result = quoting("quote", "-p", "theirs/one", *HOURS)
    assert "nothing of it is billed by you" in result.stderr
    assert "theirs/one" in quoting.refused("quote", "-p", "theirs/one", *HOURS, "--format", "pdf")


def test_steps_of_the_client(quoting):
    made = quoting.json("quote", "-p", "cap/one", *HOURS)
    assert {Decimal(made[name]) % 5 for name in ("p50", "p90", "ceiling")} == {0}


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("-p", "acme/vision"), 2, "--hours 25..40"),
        (("-p", "acme/vision", "--hours", "40..25"), 2, "--hours 25..40"),
        (("-p", "acme/vision", "--hours", "some"), 2, "is not hours"),
        (("-p", "acme/vision", "--hours", "0"), 2, "from above 0"),
        (("-p", "acme/visoin", *HOURS), 3, "did you mean acme/vision?"),
        ((*FOR, "-t", "l4spot"), 3, "did you mean l4-spot?"),
        ((*FOR, "--deadline", "2026-01-01"), 2, "has passed"),
        ((*FOR, "--deadline", "30h"), 2, "--deadline 2026-03-04T01:29:31Z or later"),
        ((*FOR, "--deadline", "2027-01-01"), 2, "or sooner"),
        ((*FOR, "--hours", "2000"), 2, "to 1000"),
        ((*FOR, "--deadline", "soon"), 2, '"Fri 18:00"'),
        ((*FOR, "--deadline", "Fri 25:00"), 2, "--deadline"),
        ((*FOR, "--cached"), 3, "gpuctl price update -t l4-spot --days 90"),
        (("-p", "own/play", *HOURS, "--format", "html"), 2, "is billed"),
    ],
)
def test_wrong_inputs_say_what_to_type_next(quoting, argv, code, says):
    assert says in quoting.refused("quote", *argv, code=code)


def test_ls_shows_what_each_has_come_to(quoting, monkeypatch):
    quoting.ok("quote", *FOR)
    quoting.machine("vision-1", "acme/vision", NOW)
    later(monkeypatch, hours=4)

    [one] = quoting.json("quote", "ls")["quotes"]
    # 4 h of spot at 0.25; 0.92; 15 %.
    assert (one["actual"], one["sessions"], one["open"]) == ("1.06", 1, True)
    assert "1.06" in quoting.ok("quote", "ls", "-p", "acme/vision")
    assert "no quotes" in quoting.ok("quote", "ls", "-p", "borealis/nlp")


def test_ls_without_a_ledger_makes_none(desk):
    assert "gpuctl quote -p" in desk.ok("quote", "ls")
    assert not desk.ledger_path.exists()


def test_what_has_no_price_is_said(quoting, monkeypatch):
    quoting.ok("quote", *FOR)
    quoting.machine("vision-1", "acme/vision", NOW, native="i-1")
    quoting.ledger.append(
        [
            next(e for e in quoting.ledger.events() if getattr(e, "kind", None) is Kind.COMPUTE
                 and hasattr(e, "resource"))._replace(id="run-2", resource="i-2", sku="g9.huge")
        ]
    )  # fmt: skip
    later(monkeypatch, hours=4)
    result = quoting("quote", "ls")
    assert "1.06+?" in result.stdout
    assert "has no price" in result.stderr


def test_report_has_it_only_where_there_is_one(quoting, monkeypatch):
    quoting.machine("vision-1", "acme/vision", NOW)
    quoting.price("0.25", NOW - timedelta(days=1))
    later(monkeypatch, hours=2)
    assert "quotes" not in quoting.json("report")
    assert "QUOTED" not in quoting.ok("report")
    assert "Quoted" not in quoting.ok("report", "--client", "acme", "--format", "md", "--rate", "1")

    quoting.ok("quote", *FOR)
    later(monkeypatch, hours=4)
    [one] = quoting.json("report")["quotes"]
    assert one["actual"] == "0.53"
    assert "QUOTED" in quoting.ok("report")
    assert "quotes" not in quoting.json("report", "-p", "borealis/nlp")
    for form in ("md", "html"):
        page = quoting.ok("report", "--client", "acme", "--format", form, "--rate", "0.92")
        assert "Quoted" in page
        assert "0.53" in page
    assert "Quoted" not in quoting.ok(
        "report", "--client", "acme", "--format", "md", "--rate", "1", "--month", "2026-02"
    )


def test_a_quote_nothing_came_of_leaves_the_report_with_the_next(quoting, monkeypatch):
    quoting.ok("quote", *FOR)
    later(monkeypatch, hours=1)
    quoting.ok("quote", *FOR)
    quoting.machine("vision-1", "acme/vision", NOW + timedelta(hours=1))
    later(monkeypatch, hours=4)
    assert len(quoting.json("report")["quotes"]) == 1
    assert len(quoting.json("quote", "ls")["quotes"]) == 2


def test_it_is_exported_and_imported_with_all(quoting, tmp_path):
    quoting.ok("quote", *FOR)
    lines = quoting.ok("ledger", "export", "--all").splitlines()
    assert "quoted" in {json.loads(line)["type"] for line in lines}
    assert "quoted" not in quoting.ok("ledger", "export")
    assert quoting.json("ledger", "verify")["ok"]


def test_into_files(quoting):
    assert "wrote" in quoting("quote", *FOR, "--format", "html", "--out", "q.html").stderr
    assert "EUR" in (quoting.cwd / "q.html").read_text("utf-8")
    quoting.ok("quote", *FOR, "--out", "q.txt")
    assert "ceiling" in (quoting.cwd / "q.txt").read_text("utf-8")
    quoting.ok("quote", *FOR, "--format", "json", "--out", "q.json")
    assert json.loads((quoting.cwd / "q.json").read_text("utf-8"))["schema"] == "gpuctl.quote/1"
    quoting.ok("quote", *FOR, "-o", "csv", "--out", "q.csv")
    assert (quoting.cwd / "q.csv").read_text("utf-8").startswith("id,")
    assert quoting.ok("quote", *FOR, "--format", "html").startswith("<!doctype html>")
