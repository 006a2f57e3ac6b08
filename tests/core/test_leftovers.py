"""What stays behind a machine goes on costing for as long as it is there, and is counted once."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from gpuctl.core.bill import bill
from gpuctl.core.events import Ended, Missed, Price, Seen, Usage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, State, Unit
from gpuctl.core.model import Leftover
from gpuctl.core.report import Terms, report
from gpuctl.core.sync import removed
from tests.core.cloudstory import ACCOUNT, MINUTE, START, Notebook, billable, ended, lease, machine
from tests.core.docledger import EVER

VM = machine()
DISK = billable(Kind.DISK, "gp3", START, "100", "vol-9")
LEFT = Leftover(
    provider="aws", account=ACCOUNT[1], region="us-east-1", zone=None, resource="vol-9",
    what="disk", ours=True, reason="unattached", fix="gpuctl prune", billed=(DISK,),
    project="acme/vision", lease="l1",
)  # fmt: skip


def kinds(events):
    return [type(event) for event in events]


def stretches(book, resource):
    """(minutes from, minutes to, size) of a resource's runs."""
    return [
        (
            (run.start - START) / MINUTE,
            None if run.end is None else (run.end - START) / MINUTE,
            int(run.quantity),
        )
        for run in sorted(book.books.usages, key=lambda run: run.start)
        if run.resource == resource
    ]


def test_ours_are_on_the_clock_and_others_not():
    book = Notebook()
    theirs = replace(LEFT, ours=False, billed=(replace(DISK, resource="vol-x"),))
    assert kinds(book.look(5, leftovers=[LEFT, theirs])) == [Usage]
    assert [(run.resource, run.project) for run in book.books.usages] == [("vol-9", "acme/vision")]
    assert book.look(6, leftovers=[LEFT]) == []


def test_a_disk_that_was_its_machines_is_the_same_run():
    book = Notebook(lease())
    book.look(1, VM)
    mine = replace(LEFT, resource="vol-of-i-1", billed=(VM.billed[2],))
    assert book.look(2, VM, leftovers=[mine]) == []


def test_a_disk_that_survived_its_machine_goes_on_costing():
    book = Notebook(lease())
    book.look(1, VM)
    book.look(50, ended(VM, START + 40 * MINUTE))
    assert stretches(book, "vol-of-i-1") == [(0, 40, 100)]
    mine = replace(LEFT, resource="vol-of-i-1", billed=(VM.billed[2],))
    book.look(60, leftovers=[mine])
    assert stretches(book, "vol-of-i-1") == [(0, 40, 100), (40, None, 100)]


def test_storage_that_two_complete_listings_lack_has_ended_and_one_does_not_tell():
    book = Notebook(lease())
    book.look(5, leftovers=[LEFT])
    assert book.look(8) == []  # nobody asked for leftovers
    assert kinds(book.look(10, leftovers=[])) == [Missed]
    assert kinds(book.look(10.5, leftovers=[])) == [Missed]
    assert kinds(book.look(12, leftovers=[])) == [Missed, Ended]
    assert stretches(book, "vol-9") == [(0, 10, 100)]


def test_only_misses_of_storage_in_a_row_count():
    book = Notebook(lease())
    book.look(5, leftovers=[LEFT])
    for minutes in (10, 20, 30):
        assert kinds(book.look(minutes, leftovers=[])) == [Missed]
        (again,) = book.look(minutes + 5, leftovers=[LEFT])
        assert again.found
        assert book.look(minutes + 6, leftovers=[LEFT]) == []
    assert kinds(book.look(40, leftovers=[])) == [Missed]
    assert kinds(book.look(42, leftovers=[])) == [Missed, Ended]
    (run,) = book.books.usages
    assert run.end == START + 40 * MINUTE


def test_one_that_is_back_is_billed_without_a_gap_and_not_twice():
    book = Notebook(lease())
    book.look(5, leftovers=[LEFT])
    book.look(10, leftovers=[])
    book.look(12, leftovers=[])
    book.look(20, leftovers=[LEFT])
    assert stretches(book, "vol-9") == [(0, 10, 100), (10, None, 100)]
    assert book.look(21, leftovers=[LEFT]) == []


def test_an_account_that_was_not_listed_says_nothing_of_storage():
    book = Notebook(lease())
    book.look(5, leftovers=[LEFT])
    for minutes in (10, 20):
        assert book.look(minutes, accounts=[("aws", "999")], leftovers=[]) == []


def test_a_detached_disk_that_grew_is_not_counted_twice():
    book = Notebook(lease())
    book.look(5, leftovers=[LEFT])
    grown = replace(LEFT, billed=(replace(DISK, quantity=Decimal(200)),))
    assert kinds(book.look(30, leftovers=[grown])) == [Ended, Usage]
    assert stretches(book, "vol-9") == [(0, 30, 100), (30, None, 200)]


def test_what_was_removed_has_ended_then():
    book = Notebook(lease())
    book.look(5, leftovers=[LEFT])
    (end,) = removed(book.books, LEFT, START + 9 * MINUTE)
    book.events.append(end)
    assert stretches(book, "vol-9") == [(0, 9, 100)]
    assert removed(book.books, LEFT, START + 10 * MINUTE) == []


def test_gone_without_a_word_of_when_is_uncertain():
    book = Notebook(lease())
    book.look(1, VM)
    book.look(50, replace(VM, state=State.GONE, billed=()))
    assert {(run.end, run.evidence) for run in book.books.usages} == {
        (START + 50 * MINUTE, Evidence.DEADLINE)
    }


def test_the_disk_of_a_stopped_machine_ends_with_the_machine_not_with_its_last_run():
    stopped = ended(VM, START + 30 * MINUTE, state=State.STOPPED)
    for gone_at, end in ((90, 90), (None, 600)):
        book = Notebook(lease())
        book.look(1, VM)
        book.look(40, stopped)
        trace = replace(stopped.ending, gone_at=gone_at and START + gone_at * MINUTE)
        book.look(600, endings={str(VM.id): trace})
        (disk,) = [run for run in book.books.usages if run.kind is Kind.DISK]
        assert disk.end == START + end * MINUTE
        assert book.open() == []


def test_a_run_that_nobody_saw_is_accounted_for_once_it_is_over():
    book = Notebook()
    end = START + 5 * MINUTE
    gone = replace(ended(VM, end), ran=(replace(VM.billed[0], until=end),))
    found = [event for event in book.look(10, gone) if isinstance(event, Usage)]
    assert [(run.resource, run.start, run.end, run.ended_by) for run in found] == [
        ("i-1", START, end, EndedBy.USER)
    ]
    assert book.look(11, gone) == []


def test_a_run_that_was_seen_is_not_accounted_for_again():
    book = Notebook(lease())
    book.look(1, VM)
    end = START + 5 * MINUTE
    gone = replace(ended(VM, end), ran=(replace(VM.billed[0], until=end),))
    assert kinds(book.look(10, gone)) == [Seen, Ended, Ended, Ended]


def test_storage_that_became_another_type_is_priced_anew_from_when_it_was_seen_and_not_before():
    book = Notebook(lease())
    book.look(1, VM)
    slower = replace(VM, billed=(*VM.billed[:2], replace(VM.billed[2], sku="gp2")))
    assert sorted(kinds(book.look(60, slower)), key=str) == [Ended, Usage]
    runs = [(run.sku, run.start, run.end) for run in book.books.usages if run.kind is Kind.DISK]
    changed = START + 60 * MINUTE
    assert runs == [("gp3", START, changed), ("gp2", changed, None)]
    assert book.look(61, slower) == []


def test_iops_bought_later_are_paid_from_when_they_were_seen_until_they_are_gone():
    more = replace(VM.billed[2], kind=Kind.DISK_IOPS, quantity=Decimal(1000))
    book = Notebook(lease())
    book.look(1, VM)
    book.look(30, replace(VM, billed=(*VM.billed, more)))
    book.look(60, VM)
    book.look(90, VM)
    runs = [(run.start, run.end) for run in book.books.usages if run.kind is Kind.DISK_IOPS]
    assert runs == [(START + 30 * MINUTE, START + 60 * MINUTE)]
    assert stretches(book, "vol-of-i-1")[0] == (0, None, 100)


def test_a_disk_seen_for_the_first_time_has_had_its_iops_since_it_was_made():
    more = replace(VM.billed[2], kind=Kind.DISK_IOPS, quantity=Decimal(1000))
    book = Notebook(lease())
    book.look(30, replace(VM, billed=(*VM.billed, more)))
    assert {run.start for run in book.books.usages} == {START}


def test_the_tiers_of_one_disks_iops_end_each_for_itself():
    low = replace(VM.billed[2], kind=Kind.DISK_IOPS, sku="io2", quantity=Decimal(32_000))
    high = replace(low, sku="io2.tier2", quantity=Decimal(8_000))
    book = Notebook(lease())
    book.look(1, replace(VM, billed=(*VM.billed, low, high)))
    book.look(60, replace(VM, billed=(*VM.billed, low)))
    ends = {run.sku: run.end for run in book.books.usages if run.kind is Kind.DISK_IOPS}
    assert ends == {"io2": None, "io2.tier2": START + 60 * MINUTE}


def test_an_idle_address_of_which_no_cloud_tells_since_when_is_counted_once():
    book = Notebook()
    for minutes in (5, 10, 20):
        since = START + minutes * MINUTE
        idle = billable(Kind.IPV4, "idle", since, resource="eip-1")
        book.look(minutes, leftovers=[replace(LEFT, resource="eip-1", billed=(idle,))])
    assert stretches(book, "eip-1") == [(5, None, 1)]


def test_what_carries_our_tag_and_no_project_is_nobodys_and_never_dropped():
    book = Notebook()
    untagged = replace(LEFT, project=None, lease=None)
    book.look(5, leftovers=[untagged])
    price = Price(
        id="p", provider="aws", region=None, zone=None, kind=Kind.DISK, sku="gp3",
        market=Market.ON_DEMAND, unit=Unit.MONTH, usd=Decimal("0.08"), since=START,
    )  # fmt: skip
    day = START + 1440 * MINUTE
    found = bill([*book.events, price], EVER, day)
    assert [(charge.resource, charge.project) for charge in found.charges] == [("vol-9", None)]
    assert found.total == Fraction("0.08") * 100 / 31
    figures = report(found.charges, lambda project: Terms())
    assert (figures.unattributed, figures.total) == (Decimal("0.26"), Decimal("0.26"))
