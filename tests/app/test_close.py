"""Closed months: what was billed never moves, and what is learnt later is billed once."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.app import money
from gpuctl.app.close import Asked, close, closings, exact
from gpuctl.app.statement import clients_to_bill, narrowed, open_books, statement_for
from gpuctl.config.model import (
    ClientPolicy,
    Me,
    Overhead,
    Ports,
    ProjectPolicy,
    Retainer,
    Settings,
)
from gpuctl.config.template import Template
from gpuctl.core import closing
from gpuctl.core.bill import bill, monthly
from gpuctl.core.errors import GpuctlError, LedgerError, NotFound, UsageProblem
from gpuctl.core.events import Adjust, Close, Ended, Leased, Price, Settle, Switch, Usage
from gpuctl.core.interchange import read_line, write_line
from gpuctl.core.kinds import EndedBy, Kind, Market, Unit
from gpuctl.core.model import Accelerator, DiskSpec
from gpuctl.core.names import client_of
from gpuctl.core.overhead import shared
from gpuctl.core.span import Month
from gpuctl.core.statements_facts import Rate
from gpuctl.ledger import reach
from tests.core.stories import PROJECTS, stories
from tests.ledger.memory import in_memory, put

D = Decimal
MARCH, APRIL, MAY = Month(2025, 3), Month(2025, 4), Month(2025, 5)
CLIENTS = ("acme", "borealis")


class Book:
    """A ledger in memory, every fact through its written form; it knows months as a file does."""

    def __init__(self, events=()):
        self._events = {}
        self._db = in_memory(())
        self.append(events)

    def events_about(self, span):
        return [read_line(body) for _, body in reach.about(self._db, span)]

    def touched(self, month, since):
        return reach.touched(self._db, month, list(self._events).index(since) + 1)

    @property
    def head(self):
        return f"{len(self._events):064x}"

    def events(self):
        return list(self._events.values())

    def append(self, events):
        for event in events:
            if event.id not in self._events:
                self._events[event.id] = read_line(write_line(event))
                put(self._db, len(self._events), event)


def settings_of(**clients):
    return Settings(
        templates={},
        clients={name: policy._replace(name=name) for name, policy in clients.items()},
        projects={},
        ports=Ports({}),
    )


NOBODY = settings_of()


def no_rate(currency, day):
    raise AssertionError(f"{currency} was asked for")


def at(month, day, hour=12):
    return datetime(month.year, month.month, day, hour, tzinfo=UTC)


def adjust(usd, when, project="acme/vision", note="by hand"):
    return Adjust(id=f"a/{project}/{when}/{usd}", project=project, at=when, usd=D(usd), note=note)


def closed(book, client="acme", month=MARCH, now=None, policy=NOBODY, **how):
    now = now or at(month.next(), 3)
    return close(book, policy, Asked(client, month, **how), now, no_rate)


def shown(book, month, now, policy=NOBODY):
    """What `report --month` prints of each project."""
    period = money.of_month(month)
    made = money.statement(money.Facts(book.events()), period, now, policy)
    assert money.statement(money.facts(book, period), period, now, policy) == made
    parts = sum((account.cost for account in made.report.accounts), D(0))
    assert parts + made.report.unattributed + made.report.idle == made.report.total
    for account in made.report.accounts:
        assert sum((line.cost for line in account.lines), D(0)) == account.cost
    return {account.project: account for account in made.report.accounts}


def sent(book, client, month, now, policy=NOBODY):
    books = open_books(money.Facts(book.events()), money.of_month(month), now, policy)
    return statement_for(books, client, policy, now, rates=no_rate, head=book.head)


# --- a month is closed ----------------------------------------------------------------------


def test_a_closed_month_stays_and_the_difference_is_billed_next():
    book = Book([adjust("10.00", at(MARCH, 5)), adjust("4", at(MARCH, 5), "borealis/nlp")])
    done = closed(book, invoice="2025-031")
    assert done.usd == 10
    book.append([adjust("2.345", at(MARCH, 6)), adjust("5", at(APRIL, 2))])
    now = at(APRIL, 20)
    march, april = shown(book, MARCH, now), shown(book, APRIL, now)
    assert march["acme/vision"].cost == D("10.00")
    assert march["borealis/nlp"].cost == D("4.00")
    assert april["acme/vision"].cost == D("7.35")
    assert [(line.kind, line.sku, line.cost, line.note) for line in april["acme/vision"].lines] == [
        ("adjust", None, D("5.00"), "by hand"),
        ("correction", "2025-03", D("2.35"), "corrects 2025-03"),
    ]
    statement = sent(book, "acme", MARCH, now)
    assert (statement.invoice, statement.total) == ("2025-031", 10)
    assert statement.closed_at == at(APRIL, 3)
    assert statement == done.statement
    running = sent(book, "acme", APRIL, now)
    [project] = running.projects
    assert (project.cost, project.other, running.closed_at) == (D("7.35"), D("7.35"), None)
    correction = project.lines[1]
    assert (correction.note, correction.sku, correction.rate) == ("corrects 2025-03", None, None)


def test_a_correction_is_in_the_closing_that_bills_it_and_never_again():
    book = Book([adjust("10", at(MARCH, 5))])
    closed(book)
    book.append([adjust("-3", at(MARCH, 7))])
    second = closed(book, month=APRIL)
    assert second.fact.corrects == {"2025-03": {"acme/vision": "-3/1"}}
    assert second.usd == -3
    now = at(MAY, 20)
    assert shown(book, MAY, now) == {}
    book.append([adjust("1", at(MARCH, 8)), adjust("1", at(APRIL, 8))])
    may = shown(book, MAY, now)["acme/vision"]
    assert [(line.sku, line.cost) for line in may.lines] == [("2025-03", 1), ("2025-04", 1)]
    assert shown(book, APRIL, now)["acme/vision"].cost == -3
    assert [fact.month for fact in closings(book)] == ["2025-03", "2025-04"]


def test_a_month_left_open_takes_the_corrections_of_the_one_before():
    book = Book([adjust("10", at(MARCH, 5)), adjust("20", at(MAY, 5))])
    june = Month(2025, 6)
    closed(book, month=MARCH, now=at(june, 3))
    closed(book, month=MAY, now=at(june, 3))
    book.append([adjust("1", at(MARCH, 6)), adjust("2", at(MAY, 6))])
    now = at(june, 9)
    assert shown(book, APRIL, now)["acme/vision"].cost == 1
    assert shown(book, june, now)["acme/vision"].cost == 2
    assert shown(book, MAY, now)["acme/vision"].cost == 20


def test_what_moves_between_clients_after_closing_moves_in_corrections():
    run = Usage(
        id="u", provider="aws", account="1", region="r", zone="z", resource="i-1",
        kind=Kind.COMPUTE, sku="x", market=Market.ON_DEMAND, quantity=D(1),
        start=at(MARCH, 3), end=at(MARCH, 3, 22), ended_by=EndedBy.USER, project="acme/vision",
    )  # fmt: skip
    price = Price("p", "aws", None, None, Kind.COMPUTE, "x", Market.ON_DEMAND, Unit.HOUR, D(1),
                  at(MARCH, 1))  # fmt: skip
    book = Book([run, price])
    closed(book)
    book.append([Switch(id="s", resource="i-1", project="borealis/nlp", at=at(MARCH, 3, 20))])
    now = at(APRIL, 9)
    assert shown(book, MARCH, now)["acme/vision"].cost == 10
    assert shown(book, MARCH, now)["borealis/nlp"].cost == 2
    assert shown(book, APRIL, now)["acme/vision"].cost == -2


def test_rounding_leaves_closed_cents_alone_and_shares_the_rest():
    book = Book(
        [
            adjust("1.004", at(MARCH, 5), "acme/a"),
            adjust("1.004", at(MARCH, 5), "acme/b"),
            adjust("1.004", at(MARCH, 5), "borealis/nlp"),
        ]
    )
    before = shown(book, MARCH, at(APRIL, 3))
    assert [account.cost for account in before.values()] == [D("1.01"), D("1.00"), D("1.00")]
    closed(book)
    after = shown(book, MARCH, at(APRIL, 3))
    assert {name: account.cost for name, account in after.items()} == {
        "acme/a": D("1.01"), "acme/b": D("1.00"), "borealis/nlp": D("1.00"),
    }  # fmt: skip
    assert shown(book, APRIL, at(APRIL, 4)) == {}


def test_settings_that_change_later_do_not_move_what_was_sent():
    book = Book([adjust("10", at(MARCH, 5))])
    closed(book, policy=settings_of(acme=ClientPolicy("acme", markup=D("0.1"))))
    now, later = at(APRIL, 9), settings_of(acme=ClientPolicy("acme", markup=D("0.5")))
    account = shown(book, MARCH, now, later)["acme/vision"]
    assert (account.markup, account.billable) == (1, 11)
    assert sent(book, "acme", MARCH, now, later).total == 11


def test_a_span_of_days_and_spend_show_the_facts_as_they_stand():
    book = Book([adjust("10", at(MARCH, 5))])
    closed(book)
    book.append([adjust("3", at(MARCH, 6))])
    events, now = book.events(), at(APRIL, 9)
    span = money.between(at(MARCH, 1), at(APRIL, 1))
    assert money.statement(money.Facts(events), span, now, NOBODY).report.total == 13
    assert money.spend(events, money.of_month(MARCH), now).total == 13
    assert money.spend(events, money.of_month(APRIL), now).total == 0


def test_a_closing_that_another_program_wrote_is_billed_as_it_says():
    book = Book([adjust("10", at(MARCH, 5))])
    fact = closed(book, dry_run=True).fact
    assert not closings(book)
    bare = fact._replace(accounts=None, corrects={"2025-02": {"acme/vision": "1/3"}}, statement={})
    book.append([bare])
    now = at(APRIL, 9)
    [account] = money.statement(
        money.Facts(book.events()), money.of_month(MARCH), now, NOBODY
    ).accounts
    assert (account.cost, account.billable, account.lines) == (D("10.33"), D("10.33"), ())
    with pytest.raises(LedgerError, match=r"the closing of acme's 2025-03 cannot be read"):
        sent(book, "acme", MARCH, now)


def test_a_closing_whose_figures_cannot_be_read_is_told():
    book = Book([adjust("10", at(MARCH, 5))])
    fact = closed(book, dry_run=True).fact
    book.append([fact._replace(accounts={"acme/vision": {"project": "acme/vision"}})])
    with pytest.raises(LedgerError, match="a closing of 2025-03 cannot be read"):
        shown(book, MARCH, at(APRIL, 9))


def test_a_report_says_which_clients_are_closed():
    book = Book([adjust("10", at(MARCH, 5)), adjust("1", at(MARCH, 5), "borealis/nlp")])
    closed(book, invoice="7")
    month, now = money.of_month(MARCH), at(APRIL, 9)
    made = money.statement(money.Facts(book.events()), month, now, NOBODY)
    assert made.problems == ("acme: closed on 2025-04-03, invoice 7, shown as it was billed",)
    assert (
        money.statement(money.Facts(book.events()), month, now, NOBODY, client="borealis").problems
        == ()
    )


def test_a_bill_that_reaches_over_a_months_end_is_shared_by_what_ran():
    """Its stretch is half a day on either side; the machine ran in April alone."""
    book = Book(two_hours())
    closed(book)
    run = two_hours()[0]
    run = run._replace(id="u9", resource="i-9", start=at(APRIL, 1, 3), end=at(APRIL, 1, 5))
    since = datetime(2025, 3, 31, 12, tzinfo=UTC)
    bill = Settle(id="x", provider="aws", account="1", resource="i-9", kind=Kind.COMPUTE,
                  since=since, until=since + timedelta(hours=24), billed=D(7), at=at(APRIL, 4),
                  source="bill")  # fmt: skip
    book.append([run, bill])
    lines = shown(book, APRIL, at(APRIL, 9))["acme/vision"].lines
    assert [(line.kind, line.cost) for line in lines] == [("compute", 2), ("settle", 5)]


def test_of_two_closings_of_one_month_the_first_holds():
    book = Book([adjust("10", at(MARCH, 5))])
    first = closed(book).fact
    late = first._replace(id="other", at=first.at + timedelta(hours=1), costs={"acme/x": "7/1"})
    for order in ([late, first], [first, late]):
        assert closing.closes(order) == {("acme", MARCH): first}


def idle_disk(resource="snap-1"):
    """9 USD a month that are nobody's."""
    run = Usage(
        id=resource, provider="aws", account="1", region="r", zone=None, resource=resource,
        kind=Kind.SNAPSHOT, sku="standard", market=Market.ON_DEMAND, quantity=D(1),
        start=datetime(2025, 1, 1, tzinfo=UTC), end=None, ended_by=None, project=None,
    )  # fmt: skip
    price = Price("p9", "aws", None, None, Kind.SNAPSHOT, "standard", Market.ON_DEMAND, Unit.MONTH,
                  D(9), run.start)  # fmt: skip
    return [run, price]


def two_hours(project="acme/vision", day=3):
    run = Usage(
        id=f"u-{project}-{day}", provider="aws", account="1", region="r", zone="z",
        resource=f"i-{project}-{day}", kind=Kind.COMPUTE, sku="x", market=Market.ON_DEMAND,
        quantity=D(1), start=at(MARCH, day), end=at(MARCH, day, 14), ended_by=EndedBy.USER,
        project=project,
    )  # fmt: skip
    price = Price("p1", "aws", None, None, Kind.COMPUTE, "x", Market.ON_DEMAND, Unit.HOUR, D(1),
                  at(MARCH, 1))  # fmt: skip
    return [run, price]


def test_overhead_is_shared_where_it_is_turned_on_and_not_where_a_client_bears_none():
    book = Book([*idle_disk(), *two_hours(), *two_hours("borealis/nlp")])
    now = at(APRIL, 3)
    off = shown(book, MARCH, now)
    assert off["acme/vision"].cost == 2
    policy = settings_of(borealis=ClientPolicy("borealis", overhead=Overhead.NONE))._replace(
        share_overhead=True
    )
    on = shown(book, MARCH, now, policy)
    assert (on["acme/vision"].cost, on["borealis/nlp"].cost) == (D("6.50"), 2)
    assert [(line.kind, line.cost) for line in on["acme/vision"].lines] == [
        ("compute", 2), ("overhead", D("4.50")),
    ]  # fmt: skip
    [project] = sent(book, "acme", MARCH, now, policy).projects
    assert (project.cost, project.other) == (D("6.50"), D("4.50"))
    # A span of days is the facts as they stand.
    span = money.between(at(MARCH, 1, 0), at(APRIL, 1, 0))
    made = money.statement(money.Facts(book.events()), span, now, policy)
    assert (made.report.unattributed, made.report.total) == (9, 13)


def test_turning_overhead_on_does_not_reach_back_into_closed_months():
    book = Book([*idle_disk(), *two_hours()])
    closed(book)
    on = NOBODY._replace(share_overhead=True)
    now = at(APRIL, 20)
    assert shown(book, MARCH, now, on)["acme/vision"].cost == 2
    assert "acme/vision" not in shown(book, APRIL, now, on)
    # Nor does turning it off give back what was billed.
    other = Book([*idle_disk(), *two_hours()])
    assert closed(other, policy=on).fact.overhead
    assert shown(other, MARCH, now)["acme/vision"].cost == 11
    assert "acme/vision" not in shown(other, APRIL, now)
    other.append(two_hours("borealis/nlp"))
    assert shown(other, APRIL, now)["acme/vision"].cost == D("-4.50")


# --- refusals -------------------------------------------------------------------------------


def test_a_month_that_goes_on_is_not_closed():
    book = Book([adjust("10", at(MARCH, 5))])
    midnight = datetime(2025, 4, 1, tzinfo=UTC)
    for now in (at(MARCH, 20), midnight, midnight + timedelta(hours=6, minutes=59)):
        with pytest.raises(UsageProblem, match="2025-03 is not over yet") as caught:
            closed(book, now=now)
        assert caught.value.hint == "gpuctl close acme --month 2025-02"
    assert closed(book, now=midnight + timedelta(hours=7)).fact.month == "2025-03"


def test_a_month_is_closed_once():
    book = Book([adjust("10", at(MARCH, 5))])
    closed(book)
    with pytest.raises(UsageProblem, match=r"acme's 2025-03 was closed at 2025-04-03T12:00:00Z"):
        closed(book)


def test_nobody_knows_the_client():
    with pytest.raises(NotFound, match='no client "acm"; known: acme'):
        closed(Book([adjust("10", at(MARCH, 5))]), client="acm")


def test_a_missing_price_keeps_a_month_open_unless_told():
    run = Usage(
        id="u", provider="aws", account="1", region="r", zone="z", resource="i-1",
        kind=Kind.COMPUTE, sku="x", market=Market.SPOT, quantity=D(1), start=at(MARCH, 3),
        end=at(MARCH, 3, 14), ended_by=EndedBy.USER, project="acme/vision",
    )  # fmt: skip
    book = Book([run, adjust("1", at(MARCH, 5))])
    with pytest.raises(GpuctlError, match="no price for compute x in z") as refused:
        closed(book)
    assert refused.value.exit_code == 1
    assert "--anyway" in refused.value.hint
    done = closed(book, anyway=True)
    assert (done.usd, done.problems) == (1, ("no price for compute x in z",))
    price = Price("p", "aws", None, None, Kind.COMPUTE, "x", Market.SPOT, Unit.HOUR, D("0.5"),
                  at(MARCH, 1))  # fmt: skip
    book.append([price])
    assert shown(book, APRIL, at(APRIL, 9))["acme/vision"].cost == 1


# --- whatever happens -----------------------------------------------------------------------

late_money = st.builds(
    lambda number, project, day, usd: Adjust(
        id=f"late{number}", project=project, at=day, usd=usd, note="late"
    ),
    st.integers(0, 10**6),
    st.sampled_from([*PROJECTS, "acme/new", None]),
    st.datetimes(datetime(2025, 2, 1), datetime(2025, 12, 31)).map(  # noqa: DTZ001
        lambda moment: moment.replace(tzinfo=UTC, microsecond=0)
    ),
    st.decimals(-9, 9, places=3),
)


def late_facts(draw, base, events):
    """What the ledger learns afterwards: bills, ends, other owners, corrections by hand."""
    runs = [event for event in events if isinstance(event, Usage)]
    found = list(draw(st.lists(late_money, max_size=3)))
    for number in range(draw(st.integers(0, 3))):
        run = draw(st.sampled_from(runs))
        day = datetime(run.start.year, run.start.month, run.start.day, tzinfo=UTC)
        since = day + timedelta(hours=draw(st.integers(0, 30)))
        kind = draw(st.sampled_from(["settle", "switch", "ended"]))
        if kind == "settle":
            found.append(
                Settle(
                    id=f"set{number}", provider=run.provider, account=run.account,
                    resource=run.resource, kind=run.kind, since=since,
                    until=since + timedelta(hours=24), billed=draw(st.decimals(0, 9, places=2)),
                    at=since, source="bill",
                )
            )  # fmt: skip
        elif kind == "switch":
            project = draw(st.sampled_from([*PROJECTS, None]))
            found.append(Switch(id=f"sw{number}", resource=run.resource, project=project, at=since))
        elif run.end is None:
            found.append(Ended(f"e{number}", run.id, max(since, run.start), EndedBy.USER))
    return found


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_nothing_is_billed_twice_or_lost_and_closed_cents_never_move(data):
    """Facts come in any order, months are closed in any order, between them."""
    draw = data.draw
    policy = NOBODY._replace(share_overhead=draw(st.booleans()))
    base, events = draw(stories())
    facts = draw(st.permutations([*events, *late_facts(draw, base, events)]))
    first = Month(base.year, base.month)
    months = [first.previous(), first, first.next(), first.next().next()]
    now = at(first.next().next().next(), 2)
    book, frozen = Book(), {}
    step = st.tuples(st.integers(0, 6), st.sampled_from(CLIENTS), st.sampled_from(months))
    for count, client, month in draw(st.lists(step, max_size=6)):
        book.append(facts[:count])
        facts = facts[count:]
        known = any(
            client_of(getattr(event, "project", None) or "") == client for event in book.events()
        )
        if known and (client, month) not in frozen:
            closed(book, client, month, now=now, anyway=True, policy=policy)
            frozen[client, month] = figures(book, client, month, now, policy)
        now += timedelta(hours=7)
    book.append(facts)
    for (client, month), before in frozen.items():
        assert figures(book, client, month, now, policy) == before
    every = [Month(2025, number) for number in range(1, 13)]
    every += [Month(2026, 1), Month(2026, 2), Month(2026, 3)]
    facts_now = {month: bill(book.events(), monthly(month), now).charges for month in every}
    if policy.share_overhead:
        facts_now = {
            month: shared(charges, lambda _: True, now) for month, charges in facts_now.items()
        }
    known = closing.closes(book.events())
    for client in CLIENTS:
        owed = sum((own(client, charges) for charges in facts_now.values()), Fraction(0))
        billed = sum((exact(fact) for fact in closings(book) if fact.client == client), Fraction(0))
        for month in every:
            if (client, month) not in known:
                due = closing.due(book.events(), known, month, now)
                billed += own(client, facts_now[month]) + own(client, due)
        assert billed == owed


def own(client, charges):
    costs = closing.costs(charges)
    return sum((usd for name, usd in costs.items() if client_of(name) == client), Fraction(0))


def figures(book, client, month, now, policy):
    """Everything that is printed of a client's month."""
    accounts = shown(book, month, now, policy)
    mine = {name: account for name, account in accounts.items() if client_of(name) == client}
    return mine, sent(book, client, month, now, policy)


# --- statements of the app ------------------------------------------------------------------


def test_a_statement_has_both_parties_the_rate_of_the_last_day_and_the_fee():
    asked = []

    def rates(currency, day):
        asked.append((currency, day))
        return Rate(currency, Fraction(1) / Fraction("1.0842"), day, "ECB", "1 EUR = 1.0842 USD")

    acme = ClientPolicy("acme", title="ACME", currency="EUR", vat_rate=D("0.21"), vat="DE1",
                        address=("A 1", "B"), retainer=Retainer(D(100), D(5)))  # fmt: skip
    policy = settings_of(acme=acme)._replace(
        me=Me("Me", ("Here",), "NL1", "me@example.net"),
        projects={"acme/vision": ProjectPolicy("acme/vision", title="Vision", tags={"po": "1"})},
    )
    book = Book([adjust("147.367", at(MARCH, 5))])
    month = money.of_month(MARCH)
    books = open_books(money.Facts(book.events()), month, at(APRIL, 3), policy)
    made = statement_for(books, "acme", policy, at(APRIL, 3), rates=rates, head="h")
    assert asked == [("EUR", date(2025, 3, 31))]
    assert made.receiver == ("ACME", ("A 1", "B"), "DE1", None)
    assert made.sender == ("Me", ("Here",), "NL1", "me@example.net")
    assert (made.fee, made.included_usd) == (100, 5)
    [project] = made.projects
    assert (project.title, project.tags, project.cost) == ("Vision", {"po": "1"}, D("135.92"))
    assert made.total == made.net + made.vat
    running = open_books(money.Facts(book.events()), month, at(MARCH, 20), policy)
    statement_for(running, "acme", policy, at(MARCH, 20), rates=rates, head="h")
    assert asked[1] == ("EUR", date(2025, 3, 20))
    span = money.between(at(MARCH, 1), at(MARCH, 10))
    days = open_books(money.Facts(book.events()), span, at(APRIL, 3), policy)
    week = statement_for(days, "acme", policy, at(APRIL, 3), rates=rates, head="h")
    assert (week.month, week.fee, asked[2]) == (None, 0, ("EUR", date(2025, 3, 10)))
    part = narrowed(made, "acme/vision")
    assert (part.fee, part.net) == (0, project.billable)
    assert part.notes[0].startswith("only acme/vision")


def test_a_gpu_that_the_template_attached_is_told():
    """Google's N1 machines have no GPU of their own, and an import no machine to look at."""
    run, price = two_hours()
    lease = Leased("l1", "vision-1", "acme/vision", "gcp", "1", "t4", at(MARCH, 3), at(MARCH, 4),
                   at(MARCH, 4))  # fmt: skip
    other = lease._replace(id="l2", template="gone")
    templates = {
        "t4": Template(name="t4", provider="gcp", type="n1-standard-4",
                       disk=DiskSpec(gb=50, type="pd-balanced"),
                       gpu=Accelerator(type="nvidia-tesla-t4", count=2)),
    }  # fmt: skip
    policy = NOBODY._replace(templates=templates)
    book = Book([run._replace(session="l1"), price, lease, other])
    [project] = sent(book, "acme", MARCH, at(APRIL, 3), policy).projects
    [session] = project.sessions
    assert (session.machine, session.gpu, session.gpus) == ("vision-1", "nvidia-tesla-t4", 2)


def test_who_is_billed_for_a_month():
    policy = settings_of(
        quiet=ClientPolicy("quiet"), kept=ClientPolicy("kept", retainer=Retainer(D(9)))
    )
    book = Book([adjust("1", at(MARCH, 5)), adjust("2", at(MARCH, 5), None)])
    month = open_books(money.Facts(book.events()), money.of_month(MARCH), at(APRIL, 3), policy)
    assert clients_to_bill(month, policy) == ["acme", "kept"]
    span = money.between(at(MARCH, 1), at(MARCH, 10))
    days = open_books(money.Facts(book.events()), span, at(APRIL, 3), policy)
    assert clients_to_bill(days, policy) == ["acme"]
    assert sent(book, "kept", MARCH, at(APRIL, 3), policy).total == 9


def test_a_closing_goes_out_and_comes_back_whole():
    book = Book([adjust("10.005", at(MARCH, 5))])
    fact = closed(book).fact
    again = read_line(write_line(fact))
    assert isinstance(again, Close)
    assert again == book.events()[-1]
    assert json.loads(write_line(again))["costs"] == {"acme/vision": "2001/200"}
