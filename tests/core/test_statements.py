"""Statements: each column adds up, cents are the report's, and nothing is anybody else's."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.bill import bill, fixed, problems_of, runs
from gpuctl.core.events import Adjust, Intent, Leased, Price, Seen, Settle, Split, Switch, Usage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, Unit
from gpuctl.core.names import client_of
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.report import Terms, report
from gpuctl.core.rounding import minor_units, round_half_up
from gpuctl.core.rules import rule_for
from gpuctl.core.span import Span
from gpuctl.core.statement import Party, PriceStep, Statement
from gpuctl.core.statements import statement_of
from gpuctl.core.statements_facts import Customer, Described, Known, Period, Rate
from gpuctl.core.statements_record import (
    UnreadableStatement,
    account_record,
    read_account,
    read_statement,
    statement_record,
)
from gpuctl.core.statements_sessions import Look, Looks
from gpuctl.core.tally import total
from tests.core import docledger
from tests.core.stories import now as now_of
from tests.core.stories import stories, whole

D = Decimal
EUR = Rate("EUR", Fraction(1) / Fraction("1.0842"), date(2025, 3, 31), "ECB", "1 EUR = 1.0842 USD")
MARCH = Span(datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))


def at_cost(project):
    return Terms()


def made(
    events,
    client="acme",
    *,
    rate=None,
    terms=at_cost,
    span=MARCH,
    now=docledger.NOW,
    templates=None,
    **how,
):
    """The statement that the app would make of these events."""
    window = fixed(span)
    charges = bill(events, window, now).charges
    mine = [c for c in charges if c.project and client_of(c.project) == client]
    usages = runs(events)
    known = Known(
        charges=mine,
        accounts=[a for a in report(charges, terms).accounts if a.client == client],
        terms=terms,
        usages=usages,
        book=PriceBook(event for event in events if isinstance(event, Price)),
        look=Looks(events, client, templates or {}).of,
        problems=tuple(problems_of(mine, usages)),
    )
    currency = how.pop("currency", rate.currency if rate else "USD")
    customer = Customer(client, Party(client.title()), currency=currency, **how)
    period = Period("2025-03", {"aws": span, "gcp": span})
    return statement_of(customer, period, known, rate, now, "f" * 64)


def rated(currency):
    """A rate with no end of decimals."""
    return Rate(currency, Fraction(1000, 1087), date(2025, 3, 31), "ECB", "1 EUR = 1.087 USD")


def adds_up(statement: Statement):
    """Every column of a statement, in whole coins."""
    places = minor_units(statement.currency)
    coin = D(1).scaleb(-places)
    for project in statement.projects:
        assert sum((line.cost for line in project.lines), D(0)) == project.cost
        sessions = sum((session.cost for session in project.sessions), D(0))
        assert sessions + project.other == project.cost
        assert sum((day.cost for day in project.days), D(0)) == project.cost
        assert sum((day.hours for day in project.days), D(0)) == project.hours
        assert project.billable == project.cost - project.absorbed + project.markup
        for amount in (project.cost, project.absorbed, project.markup, project.other):
            assert amount == amount.quantize(coin)
        for session in project.sessions:
            assert abs(session.compute) <= abs(session.cost) + 2 * coin
    billables = sum((project.billable for project in statement.projects), D(0))
    assert billables + statement.fee + statement.rounding == statement.net
    assert statement.net + statement.vat == statement.total


anybodys_terms = st.builds(
    Terms,
    absorbed=st.booleans(),
    markup=st.decimals(0, 1, places=2),
    cap=st.none() | st.decimals(0, 20, places=2),
    included=st.decimals(0, 20, places=2),
)


@given(
    stories(),
    st.sampled_from(["USD", "EUR", "JPY", "KWD"]),
    anybodys_terms,
    st.none() | st.sampled_from([D("0.21"), D(0)]),
    st.none() | st.sampled_from([D("0.05"), D(1), D(5)]),
    st.decimals(0, 900, places=3),
)
@settings(max_examples=80, deadline=None)
def test_every_printed_column_adds_up_in_any_currency(story, currency, terms, vat, step, fee):
    base, events = story
    for client in ("acme", "borealis"):
        statement = made(
            events,
            client,
            rate=None if currency == "USD" else rated(currency),
            terms=lambda _: terms,
            span=whole(base),
            now=now_of(base),
            vat_rate=vat,
            step=step,
            fee=fee,
        )
        adds_up(statement)
        assert read_statement(json.loads(json.dumps(statement_record(statement)))) == statement


@given(stories(), anybodys_terms)
@settings(max_examples=60, deadline=None)
def test_in_dollars_the_cents_are_those_of_the_report(story, terms):
    base, events = story
    charges = bill(events, fixed(whole(base)), now_of(base)).charges
    figures = report(charges, lambda _: terms)
    for account in figures.accounts:
        statement = made(
            events, account.client, terms=lambda _: terms, span=whole(base), now=now_of(base)
        )
        [project] = [p for p in statement.projects if p.project == account.project]
        assert (project.cost, project.cost_usd) == (account.cost, account.cost)
        assert (project.absorbed, project.markup) == (account.absorbed, account.markup)
        assert project.billable == account.billable
        assert [line.cost for line in project.lines] == [line.cost for line in account.lines]
        assert read_account(json.loads(json.dumps(account_record(account)))) == account


@given(stories())
@settings(max_examples=40, deadline=None)
def test_another_currency_is_within_a_coin_of_the_exact(story):
    base, events = story
    rate = rated("EUR")
    statement = made(events, "acme", rate=rate, span=whole(base), now=now_of(base))
    charges = bill(events, fixed(whole(base)), now_of(base)).charges
    for project in statement.projects:
        exact = total(c for c in charges if c.project == project.project and c.payer is None)
        assert abs(Fraction(project.cost) - exact * rate.per_usd) < Fraction(1, 100)
    exact = total(c for c in charges if c.payer is None and (c.project or "").startswith("acme/"))
    assert sum(p.cost for p in statement.projects) == round_half_up(exact * rate.per_usd, 2)


def test_euros_with_markup_and_vat():
    """The worked case: 142.367 USD at 1.0842 USD for a euro, 10 % and 21 %."""
    day = MARCH.start + timedelta(days=4)
    event = Adjust(id="a", project="acme/vision", at=day, usd=D("142.367"), note="imported")
    statement = made([event], rate=EUR, terms=lambda _: Terms(markup=D("0.1")), vat_rate=D("0.21"))
    [project] = statement.projects
    assert (project.cost, project.markup, project.billable) == (
        D("131.31"), D("13.13"), D("144.44"),
    )  # fmt: skip
    assert (statement.net, statement.vat, statement.total) == (
        D("144.44"), D("30.33"), D("174.77"),
    )  # fmt: skip
    assert project.cost_usd == D("142.37")
    assert statement.exchange.per_usd == D("0.9223390518")
    assert (statement.exchange.day, statement.exchange.quoted) == (EUR.day, EUR.quoted)
    assert [(line.kind, line.amount, line.rate, line.note) for line in project.lines] == [
        ("adjust", 1, None, "imported")
    ]


def test_a_shared_machine_adds_up_to_what_it_cost():
    """The worked case: four hours, A 150 minutes, B 60, idle 30; naive rounding gives 12.31."""
    text = """
        03-01 00:00   price aws/us-east-1 compute p3.2xlarge on-demand 3.06
        03-01 00:00   price aws/us-east-1 disk gp3 on-demand 0.08
        03-01 00:00   price aws/us-east-1 ipv4 in-use on-demand 0.005
    """
    for what in ("i-1 aws/us-east-1 compute p3.2xlarge on-demand x1",
                 "vol-1 aws/us-east-1 disk gp3 on-demand x100",
                 "eip-1 aws/us-east-1 ipv4 in-use on-demand x1"):  # fmt: skip
        name = what.split()[0]
        text += f"""
        03-10 10:00   open {what} acme/a
        03-10 14:00   close {name} user
        03-10 10:00   split {name} 03-10 14:00 acme/a=150 borealis/b=60 idle=30 WHO
        """
    for who, a, b in (("proportional", "8.79", "3.51"), ("absorbed", "7.69", "3.07")):
        events, _ = docledger.read(text.replace("WHO", who))
        [acme] = made(events, "acme").projects
        [borealis] = made(events, "borealis").projects
        assert (acme.cost, borealis.cost) == (D(a), D(b))
        shares = {"proportional": (150, 60, 210), "absorbed": (150, 60, 240)}
        mine, theirs, whole = shares[who]
        assert acme.sessions[0].seconds == round(Fraction(4 * 3_600 * mine, whole))
        assert borealis.sessions[0].seconds == round(Fraction(4 * 3_600 * theirs, whole))
        assert abs(acme.hours * 3_600 - acme.sessions[0].seconds) < 1
        adds_up(made(events, "acme", rate=EUR))


def test_what_is_recharged_under_a_cap_is_converted():
    def terms(project):
        return Terms(cap=D(100))

    day = MARCH.start
    event = Adjust(id="a", project="acme/vision", at=day, usd=D("142.367"), note="imported")
    statement = made([event], rate=EUR, terms=terms, cap_usd=D(100))
    [project] = statement.projects
    assert project.billable == D("92.23")
    assert project.absorbed == D("39.08")
    assert statement.notes == ("the cap of 100 USD was reached: what is above is not charged",)


def test_a_retainer_is_a_line_and_what_it_includes_is_not_charged():
    event = Adjust(id="a", project="acme/vision", at=MARCH.start, usd=D("30"), note="x")
    statement = made(
        [event],
        terms=lambda _: Terms(included=D(25)),
        fee=D("500"),
        included_usd=D(25),
        step=D(10),
        vat_rate=D("0.2"),
    )
    [project] = statement.projects
    assert (project.absorbed, project.billable) == (D(25), D(5))
    assert (statement.fee, statement.rounding, statement.net) == (500, 5, 510)
    assert (statement.vat, statement.total, statement.included_usd) == (102, 612, 25)


def test_a_client_without_work_still_gets_a_statement():
    statement = made([], fee=D("99.5"))
    assert (statement.projects, statement.net, statement.basis) == ((), D("99.5"), "estimated")
    assert [span.provider for span in statement.spans] == ["aws", "gcp"]


def test_a_currency_needs_its_rate():
    with pytest.raises(ValueError, match="EUR needs its rate"):
        made([], currency="EUR")


def test_the_statement_says_what_the_client_should_know():
    events, _ = docledger.read(
        """
        03-10 14:00   open i-1 aws/us-east-1/us-east-1a compute g6.xlarge spot x1 acme/vision
        03-10 15:30   close i-1 user
        03-10 14:00   open i-2 aws/us-east-1/us-east-1a compute p3.2xlarge spot x1 borealis/nlp
        03-10 15:30   close i-2 user
        """
    )
    events = [e._replace(evidence=Evidence.DEADLINE) if isinstance(e, Usage) else e for e in events]
    rate = EUR._replace(notes=("the rate is old",))
    statement = made(events, rate=rate)
    missing, uncertain, old = statement.notes
    assert missing.startswith("no price for compute g6.xlarge spot")
    assert uncertain.startswith("the end of i-1 (compute)")
    assert old == "the rate is old"


# --- sessions -------------------------------------------------------------------------------

SPOT = """
    03-01 00:00      price aws/us-east-1 compute p3.2xlarge on-demand 3.06
    03-01 00:00      price aws/us-east-1 disk gp3 on-demand 0.08
    03-10 09:00      price aws/us-east-1/us-east-1a compute p3.2xlarge spot 0.9180
    03-10 14:40      price aws/us-east-1/us-east-1a compute p3.2xlarge spot 0.9420
    03-10 15:50      price aws/us-east-1/us-east-1a compute p3.2xlarge spot 0.9615
    03-10 14:05:30   open i-1 aws/us-east-1/us-east-1a compute p3.2xlarge spot x1 acme/vision
    03-10 14:05:12   open vol-1 aws/us-east-1/us-east-1a disk gp3 on-demand x100 acme/vision
    03-10 16:18:50   close i-1 user
    03-10 16:19:05   close vol-1 user
"""


def with_sessions(events, **sessions):
    """Runs of these resources belong to a lease and a machine."""
    return [
        event._replace(session=sessions[event.resource][0], machine=sessions[event.resource][1])
        if isinstance(event, Usage) and event.resource in sessions
        else event
        for event in events
    ]


def test_a_session_with_its_disk_its_prices_and_what_it_saved():
    events, _ = docledger.read(SPOT)
    events = with_sessions(events, **{"i-1": ("lease-1", "m-1"), "vol-1": ("lease-1", "m-1")})
    [project] = made(events).projects
    [session] = project.sessions
    assert (session.session, session.machine, session.type) == ("lease-1", "i-1", "p3.2xlarge")
    assert (session.seconds, session.low, session.high) == (8_000, D("0.918"), D("0.9615"))
    assert session.start == docledger.at("03-10", "14:05:30")
    assert session.end == docledger.at("03-10", "16:18:50")
    assert session.ended_by is EndedBy.USER
    assert (session.compute, session.cost, project.other) == (D("2.07"), D("2.10"), 0)
    assert session.on_demand == round_half_up(Fraction("3.06") * 8_000 / 3_600, 2) == D("6.80")
    assert project.saved == D("4.73")
    assert session.prices == (
        PriceStep(docledger.at("03-10", "14:05:30"), D("0.918")),
        PriceStep(docledger.at("03-10", "15:05:30"), D("0.942")),
        PriceStep(docledger.at("03-10", "16:05:30"), D("0.9615")),
    )
    assert (session.settled, session.free) == (False, False)


def test_what_has_no_session_is_beside_them():
    events, _ = docledger.read(SPOT)
    [project] = made(events).projects
    [session] = project.sessions
    assert (session.session, session.cost, session.compute) == ("u6", D("2.07"), D("2.07"))
    assert project.other == D("0.03")


def test_without_an_on_demand_price_nothing_is_said_to_be_saved():
    events, _ = docledger.read(SPOT)
    events = [e for e in events if not (isinstance(e, Price) and e.market is Market.ON_DEMAND)]
    [project] = made(events).projects
    assert (project.sessions[0].on_demand, project.saved) == (None, None)


def test_a_free_first_hour_is_told_with_what_it_would_have_cost():
    events, _ = docledger.read(
        """
        03-01 00:00   price aws/us-east-1 compute g6.xlarge on-demand 0.80
        03-10 09:00   price aws/us-east-1/us-east-1a compute g6.xlarge spot 0.36
        03-10 14:00   open i-1 aws/us-east-1/us-east-1a compute g6.xlarge spot x1 acme/vision
        03-10 14:30   close i-1 provider
        """
    )
    [project] = made(events).projects
    [session] = project.sessions
    assert (session.free, session.cost, session.on_demand) == (True, 0, D("0.40"))
    assert session.ended_by is EndedBy.PROVIDER
    assert (session.low, project.saved) == (D("0.36"), D("0.40"))


def test_a_stopped_machines_disk_is_no_sessions_but_around_it():
    events, _ = docledger.read(
        """
        03-01 00:00   price gcp/us-central1 vcpu g2-core on-demand 0.025
        03-01 00:00   price gcp/us-central1 ram g2-ram on-demand 0.003
        03-01 00:00   price gcp/us-central1 disk pd-ssd on-demand 744
        03-10 10:00   open 42 gcp/us-central1/us-central1-a vcpu g2-core on-demand x4 acme/vision
        03-10 12:00   close 42 user
        03-10 10:00   open 42r gcp/us-central1/us-central1-a ram g2-ram on-demand x16 acme/vision
        03-10 12:00   close 42r user
        03-10 10:00   open 43 gcp/us-central1/us-central1-a disk pd-ssd on-demand x1 acme/vision
        03-11 10:00   close 43 user
        """
    )
    events = [
        event._replace(resource="42") if getattr(event, "resource", "") == "42r" else event
        for event in events
    ]
    events = with_sessions(events, **{"42": ("lease-1", "m-1"), "43": ("lease-1", "m-1")})
    month = Span(datetime(2025, 3, 1, 8, tzinfo=UTC), datetime(2025, 4, 1, 7, tzinfo=UTC))
    [project] = made(events, span=month).projects
    [session] = project.sessions
    assert (session.low, session.high) == (D("0.148"), D("0.148"))
    assert session.compute == D("0.30")
    # 2 hours and a quarter of an hour after: the disk costs a dollar an hour (of 743).
    assert session.cost == D("2.55")
    assert project.other == D("21.78")
    assert (session.seconds, session.market, session.prices) == (7_200, Market.ON_DEMAND, ())
    assert session.on_demand == session.compute
    assert [(day.day, day.hours) for day in project.days] == [
        (date(2025, 3, 10), 2), (date(2025, 3, 11), 0),
    ]  # fmt: skip


def test_two_runs_of_one_lease_are_two_sessions():
    events, _ = docledger.read(
        """
        03-01 00:00   price aws/us-east-1 compute g6.xlarge on-demand 0.80
        03-01 00:00   price aws/us-east-1 disk gp3 on-demand 74.4
        03-10 10:00   open i-1 aws/us-east-1/us-east-1a compute g6.xlarge on-demand x1 acme/vision
        03-10 11:00   close i-1 user
        03-10 11:10   open i-1 aws/us-east-1/us-east-1a compute g6.xlarge on-demand x1 acme/vision
        03-10 10:00   open vol-1 aws/us-east-1/us-east-1a disk gp3 on-demand x10 acme/vision
        03-10 12:10   close vol-1 user
        """
    )
    events = with_sessions(events, **{"i-1": ("lease-1", "m-1"), "vol-1": ("lease-1", "m-1")})
    [project] = made(events, now=docledger.at("03-10", "12:10")).projects
    first, second = project.sessions
    assert (first.seconds, second.seconds, second.end) == (3_600, 3_600, None)
    assert (first.cost, second.cost, project.other) == (D("1.80"), D("1.97"), D("0.00"))
    assert second.ended_by is None


def test_machines_are_told_as_they_were_seen_ordered_or_meant():
    seen = Seen("s", "m-1", MARCH.start, {"name": "vision-1", "type": "g6.xlarge", "gpu": "L4",
                "gpus": 1, "project": "acme/vision"})  # fmt: skip
    newer = seen._replace(id="t", at=MARCH.end, snapshot={**seen.snapshot, "gpus": 2})
    order = Intent("i", "lease-2", "start", MARCH.start, order={"type": "g5.xlarge", "gpu": "A10G",
                   "gpus": 1, "image_name": "torch@7", "recipe_sha256": "9f"})  # fmt: skip
    lease = Leased("lease-2", "vision-2", "acme/vision", "aws", "1", "a10g", MARCH.start,
                   MARCH.end, MARCH.end)  # fmt: skip
    theirs = lease._replace(id="lease-3", name="secret-1", project="borealis/nlp", template="t4")
    looks = Looks([newer, seen, order, lease, theirs], "acme", {"t4": ("nvidia-tesla-t4", 2)})
    assert looks.of(None, "m-1") == Look("vision-1", "g6.xlarge", "L4", 2)
    assert looks.of("lease-2", "m-2") == Look("vision-2", "g5.xlarge", "A10G", 1, "torch@7", "9f")
    assert looks.of("lease-3", None) == Look(None, None, "nvidia-tesla-t4", 2)
    assert looks.of(None, None) == Look()
    other = Looks([seen], "borealis", {})
    assert other.of(None, "m-1").name is None


def test_settled_or_not_is_said():
    events, _ = docledger.read(SPOT)
    statement = made(events)
    assert statement.basis == "estimated"
    assert made([*events, *settles(events)]).basis == "settled"
    assert made([*events, *settles(events)[:1]]).basis == "mixed"


def settles(events):
    return [
        Settle(id=f"x{usage.resource}", provider="aws", account="1", resource=usage.resource,
               kind=usage.kind, since=docledger.at("03-10", "00:00"),
               until=docledger.at("03-11", "00:00"), billed=D("1.00"),
               at=docledger.at("04-03", "00:00"), source="bill.csv")
        for usage in events if isinstance(usage, Usage)
    ]  # fmt: skip


def test_a_bills_difference_belongs_to_its_session():
    events, _ = docledger.read(SPOT)
    events = with_sessions(events, **{"i-1": ("lease-1", "m-1"), "vol-1": ("lease-1", "m-1")})
    [project] = made([*events, *settles(events)]).projects
    [session] = project.sessions
    assert (session.compute, session.cost, session.settled) == (D(1), D(2), True)
    assert (session.low, session.seconds) == (D("0.918"), 8_000)


# --- nobody else's --------------------------------------------------------------------------


@st.composite
def worlds(draw):
    """Machines, leases, notes and prices of acme and borealis; some change hands."""
    start = MARCH.start + timedelta(days=draw(st.integers(0, 20)))
    events = [
        Price(id=f"p{market}{kind}", provider="aws", region=None, zone=None, kind=kind,
              sku="shared", market=market, unit=rule_for("aws", kind).unit,
              usd=D("0.9"), since=MARCH.start)
        for market in Market for kind in (Kind.COMPUTE, Kind.DISK)
    ]  # fmt: skip
    for client, mark in (("acme", "AAA"), ("borealis", "BBB")):
        for number in range(draw(st.integers(1, 3))):
            name = f"{mark}{number}".lower()
            project = f"{client}/{name}"
            session = draw(st.none() | st.just(f"lease-{name}"))
            begin = start + timedelta(minutes=draw(st.integers(0, 3_000)))
            handed = draw(st.booleans())
            # What changes hands is the other client's too from then on: its id bears no mark.
            resource = f"i-{'shared' if handed else name}-{client[0]}{number}"
            kinds = [Kind.COMPUTE, Kind.DISK][: draw(st.integers(1, 2))]
            events += [
                Usage(
                    id=f"u-{kind}-{client[0]}{number}",
                    provider="aws",
                    account="1",
                    region="r",
                    zone="z",
                    resource=resource if kind is Kind.COMPUTE else f"{resource}-disk",
                    kind=kind,
                    sku="shared",
                    market=draw(st.sampled_from(Market)),
                    quantity=D(1),
                    start=begin,
                    end=begin + timedelta(hours=5),
                    ended_by=None,
                    project=project,
                    session=session,
                    machine=f"m-{resource}",
                    evidence=draw(st.sampled_from([None, Evidence.DEADLINE])),
                )
                for kind in kinds
            ]
            events.append(
                Seen(
                    id=f"seen-{name}",
                    machine=f"m-{resource}",
                    at=begin,
                    snapshot={
                        "name": f"{name}-box",
                        "type": "x",
                        "gpu": "L4",
                        "gpus": 1,
                        "project": project,
                    },
                )
            )
            if session is not None:
                events.append(
                    Leased(
                        session, f"{name}-machine", project, "aws", "1", "t", begin, begin, begin
                    )
                )
            other = "borealis/common" if client == "acme" else "acme/common"
            if handed and draw(st.booleans()):
                at = begin + timedelta(hours=1)
                events.append(Switch(id=f"s{name}", resource=resource, project=other, at=at))
            elif handed:
                events.append(
                    Split(
                        id=f"x{name}",
                        resource=resource,
                        since=begin,
                        until=begin + timedelta(hours=2),
                        shares={project: D(1), other: D(2)},
                        idle=D(1),
                        idle_absorbed=True,
                    )
                )
            events.append(
                Adjust(id=f"a{name}", project=project, at=begin, usd=D("1.5"), note=f"{mark} note")
            )
    return events


@given(worlds(), st.sampled_from([None, EUR]))
@settings(max_examples=80, deadline=None)
def test_nothing_of_another_client_is_in_a_statement(events, rate):
    described = {"acme/aaa0": Described("A title", {"po": "1"})}
    for client, theirs in (("acme", ("bbb", "borealis")), ("borealis", ("aaa", "acme"))):
        own = described if client == "acme" else {}
        statement = made(events, client, rate=rate, projects=own)
        adds_up(statement)
        assert all(client_of(project.project) == client for project in statement.projects)
        text = json.dumps(statement_record(statement)).lower() + repr(statement).lower()
        for mark in theirs:
            # A lease bears its own name, which is random in real life.
            assert mark not in text.replace(f"lease-{mark}", "")


# --- the record -----------------------------------------------------------------------------


def test_a_record_is_read_strictly_and_what_is_later_is_passed_over():
    events, _ = docledger.read(SPOT)
    statement = made(events, rate=EUR, vat_rate=D("0.21"), projects={"acme/vision": Described("T")})
    record = statement_record(statement)
    assert read_statement(json.loads(json.dumps({**record, "new": 1}))) == statement
    for change, reason in (
        ({"total": 3}, r"statement\.total: 3 is no str"),
        ({"total": "a"}, r"statement\.total: "),
        ({"spans": {}}, r"statement\.spans: \{\} is no list"),
        ({"as_of": "2025-03-10"}, r"statement\.as_of: "),
        ({"closed_at": True}, r"statement\.closed_at: True is no str"),
        ({"projects": [{}]}, r"statement\.projects\[0\]\.project: is missing"),
    ):
        with pytest.raises(UnreadableStatement, match=reason):
            read_statement({**record, **change})
    with pytest.raises(UnreadableStatement, match=r"account: \[\] is no dict"):
        read_account([])


def test_a_run_of_several_months_is_shown_as_far_as_it_goes_here():
    events, _ = docledger.read(
        """
        03-01 00:00   price aws/us-east-1 compute g6.xlarge on-demand 0.80
        02-27 00:00   open i-1 aws/us-east-1/us-east-1a compute g6.xlarge on-demand x1 acme/vision
        """
    )
    [project] = made(events, now=docledger.NOW).projects
    [session] = project.sessions
    assert (session.start, session.end) == (MARCH.start, MARCH.end)
    assert session.ended_by is None
    assert project.hours == 31 * 24
    assert len(project.days) == 31
    assert Unit.HOUR is project.lines[0].unit
