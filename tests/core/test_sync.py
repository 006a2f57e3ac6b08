"""Ledger and cloud: what is new is noted once, and absence is not evidence."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from gpuctl.core.bill import bill, runs
from gpuctl.core.events import Armed, Ended, Missed, Seen, Usage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, State
from gpuctl.core.merge import merge
from gpuctl.core.model import Ending
from gpuctl.core.snapshot import read_machine, write_machine
from gpuctl.core.sync import switches
from tests.core.cloudstory import (
    ACCOUNT,
    MINUTE,
    START,
    Notebook,
    billable,
    ended,
    lease,
    machine,
)
from tests.core.docledger import EVER

VM = machine()
ALL = ["eni-of-i-1", "i-1", "vol-of-i-1"]


def kinds(events):
    return [type(event) for event in events]


def test_a_machine_opens_its_runs_once_at_the_clouds_own_time():
    book = Notebook(lease())
    news = book.look(7, VM)
    assert kinds(news) == [Seen, Usage, Usage, Usage]
    assert {run.start for run in news[1:]} == {START}
    assert {(run.project, run.session, run.machine) for run in news[1:]} == {
        ("acme/vision", "l1", str(VM.id))
    }
    assert book.look(8, VM) == []
    assert book.open() == ALL
    assert read_machine(news[0].snapshot) == replace(VM, billed=())


def test_two_laptops_that_see_the_same_write_the_same():
    first, second = Notebook(lease()), Notebook(lease())
    first.look(7, VM)
    second.look(9, VM)
    added = merge(first.events, second.events)
    assert kinds(added) == [Seen]
    assert len(runs([*first.events, *added])) == 3


def test_the_project_is_the_leases_else_the_tags_else_nobodys():
    for facts, tags, project in (
        ([lease(project="acme/audio")], {}, "acme/audio"),
        ([], {}, "acme/vision"),
        ([], {"project": None, "lease": None}, None),
    ):
        book = Notebook(*facts)
        book.look(1, machine(**tags))
        assert {run.project for run in book.books.usages} == {project}


def test_what_the_cloud_reports_as_ended_ends_then():
    book = Notebook(lease())
    book.look(1, VM)
    gone = ended(VM, START + 42 * MINUTE, by=EndedBy.PROVIDER)
    news = book.look(50, gone)
    assert kinds(news) == [Seen, Ended, Ended, Ended]
    assert {(run.end, run.ended_by) for run in book.books.usages} == {
        (START + 42 * MINUTE, EndedBy.PROVIDER)
    }
    assert book.look(60, gone) == []
    assert book.look(90) == []


def test_a_stopped_machine_keeps_its_disk_on_the_clock_and_starts_a_new_run():
    book = Notebook(lease())
    book.look(1, VM)
    stopped = ended(VM, START + 30 * MINUTE, state=State.STOPPED)
    book.look(40, stopped)
    assert book.open() == ["vol-of-i-1"]
    again = machine(since=START + 60 * MINUTE, ending=stopped.ending)
    again = replace(again, billed=(*again.billed[:2], VM.billed[2]))
    news = book.look(61, again)
    assert kinds(news) == [Seen, Usage, Usage]
    assert book.open() == ALL
    compute = [run for run in book.books.usages if run.kind is Kind.COMPUTE]
    assert [(run.start, run.end) for run in compute] == [
        (START, START + 30 * MINUTE),
        (START + 60 * MINUTE, None),
    ]


def test_a_restart_between_two_looks_is_two_runs():
    book = Notebook(lease())
    book.look(1, VM)
    ending = Ending(
        at=START + 30 * MINUTE, by=EndedBy.USER, evidence=Evidence.STATE_REASON, reason="stop"
    )
    again = machine(since=START + 60 * MINUTE, ending=ending)
    again = replace(again, billed=(*again.billed[:2], VM.billed[2]))
    book.look(61, again)
    closed = {run.resource: run.end for run in book.books.usages if run.end}
    assert closed == {"i-1": ending.at, "eni-of-i-1": ending.at}
    # Nothing told how it ended: then it is over when the next one begins.
    unknown = Notebook(lease())
    unknown.look(1, VM)
    unknown.look(61, replace(again, ending=None))
    closed = {run.resource: run.end for run in unknown.books.usages if run.end}
    assert set(closed.values()) == {START + 60 * MINUTE}


def test_one_absence_ends_nothing_and_neither_do_two_in_a_minute():
    book = Notebook(lease())
    book.look(1, VM)
    assert kinds(book.look(10)) == [Missed]
    assert kinds(book.look(10.5)) == [Missed]
    assert book.open() == ALL


def test_missed_twice_apart_with_no_trace_left_ends_it_uncertainly():
    book = Notebook(lease())
    book.look(1, VM)
    book.look(10)
    news = book.look(12)
    assert kinds(news) == [Missed, Ended, Ended, Ended, Seen]
    assert {(run.end, run.evidence) for run in book.books.usages} == {
        (START + 10 * MINUTE, Evidence.DEADLINE)
    }
    assert news[-1].snapshot["state"] == "gone"
    assert book.look(30) == []
    problems = bill(book.events, EVER, START + 90 * MINUTE).problems
    assert sum("is uncertain" in problem for problem in problems) == 3


def test_a_machine_that_was_heard_of_after_it_was_missed_ran_until_then():
    heard = Armed(id="r1", lease="l1", at=START + 11 * MINUTE, deadline=START + 480 * MINUTE)
    book = Notebook(lease(), heard)
    book.look(1, VM)
    book.look(10)
    book.look(12)
    assert {(run.end, run.evidence) for run in book.books.usages} == {
        (START + 11 * MINUTE, Evidence.HEARTBEAT)
    }
    problems = bill(book.events, EVER, START + 90 * MINUTE).problems
    assert sum("is uncertain" in problem for problem in problems) == 3


def test_what_was_just_launched_may_stay_hidden_for_five_minutes():
    book = Notebook(lease())
    book.look(1, VM)
    assert kinds(book.look(2)) == [Missed]
    assert kinds(book.look(4.5)) == [Missed]
    assert book.open() == ALL
    assert Ended in kinds(book.look(6))


def test_a_clock_that_is_ahead_takes_no_second_of_a_new_disk_away():
    book = Notebook(lease(at=START + 30 * MINUTE))
    book.look(1, replace(VM, launched_at=START))
    assert {run.start for run in book.books.usages} == {START}


def test_of_two_names_of_one_account_the_one_it_was_started_through_pays():
    book = Notebook(lease(payer="acme"))
    book.look(1, VM, machine("i-2", lease=None), payers={ACCOUNT: "borealis"})
    payers = {(run.resource, run.payer) for run in book.books.usages}
    assert ("i-1", "acme") in payers
    assert ("i-2", "borealis") in payers


def test_only_misses_in_a_row_count():
    book = Notebook(lease())
    book.look(1, VM)
    for minutes in range(10, 100, 10):
        assert kinds(book.look(minutes)) == [Missed]
        assert kinds(book.look(minutes + 5, VM)) == [Seen]
    assert book.open() == ALL


def test_one_that_is_back_after_a_guess_goes_on_costing():
    book = Notebook(lease())
    book.look(1, VM)
    book.look(10)
    book.look(12)
    assert book.open() == []
    book.look(20, VM)
    assert book.open() == ALL
    book.look(50, ended(VM, START + 40 * MINUTE))
    whole = bill(book.events, EVER, START + 90 * MINUTE).charges
    assert sum(c.seconds for c in whole if c.kind == "compute") == 40 * 60


def test_evidence_ends_at_once_what_no_listing_shows():
    book = Notebook(lease())
    book.look(1, VM)
    trace = Ending(
        at=START + 5 * MINUTE, by=EndedBy.USER, evidence=Evidence.AUDIT_LOG, reason="Terminate"
    )
    book.look(10, endings={str(VM.id): trace})
    assert {run.end for run in book.books.usages} == {START + 5 * MINUTE}
    assert bill(book.events, EVER, START + 90 * MINUTE).problems[-1].startswith("no price")


def test_what_was_not_listed_or_could_not_be_asked_is_left_alone():
    book = Notebook(lease())
    book.look(1, VM)
    for minutes in (10, 20, 600):
        assert book.look(minutes, accounts=[("gcp", "other")]) == []
        assert book.look(minutes, accounts=[("aws", "999")]) == []
        assert book.look(minutes, unsure=frozenset([str(VM.id)])) == []
    assert book.open() == ALL


def test_long_past_its_deadline_one_complete_listing_is_enough():
    book = Notebook(lease())
    book.look(1, VM)
    book.look(480 + 6)
    assert {run.end for run in book.books.usages} == {START + 480 * MINUTE}


def test_a_disk_that_grew_is_another_run_from_when_it_was_seen():
    book = Notebook(lease())
    book.look(1, VM)
    grown = replace(VM, billed=(*VM.billed[:2], replace(VM.billed[2], quantity=Decimal(200))))
    assert kinds(book.look(30, grown)) == [Ended, Usage]
    disks = [(r.quantity, r.start, r.end) for r in book.books.usages if r.kind is Kind.DISK]
    assert disks == [
        (100, START, START + 30 * MINUTE),
        (200, START + 30 * MINUTE, None),
    ]
    assert book.look(31, grown) == []


def test_cores_that_changed_while_it_was_stopped_lose_no_second():
    cores = billable(Kind.VCPU, "n1-core", START, "4")
    small = machine(billed=(cores,))
    book = Notebook(lease())
    book.look(1, small)
    since = START + 60 * MINUTE
    ending = Ending(
        at=START + 30 * MINUTE, by=EndedBy.USER, evidence=Evidence.STATE_REASON, reason="stop"
    )
    large = replace(
        small, billed=(replace(cores, quantity=Decimal(8), since=since),), ending=ending
    )
    book.look(90, large)
    found = [(r.quantity, r.start, r.end) for r in book.books.usages]
    assert found == [(4, START, START + 30 * MINUTE), (8, since, None)]


def test_an_adopted_disk_counts_from_its_first_lease():
    old = replace(VM.billed[2], since=START - timedelta(days=30))
    book = Notebook(lease())
    book.look(1, replace(VM, billed=(old,)))
    assert [run.start for run in book.books.usages] == [START]
    assert book.look(2, replace(VM, billed=(old,))) == []


def test_a_run_that_was_over_when_first_seen_comes_closed():
    over = replace(VM.billed[0], until=START + 5 * MINUTE)
    gone = replace(ended(VM, START + 5 * MINUTE), billed=(over,))
    book = Notebook(lease())
    book.look(9, gone)
    assert [(r.end, r.evidence) for r in book.books.usages] == [
        (START + 5 * MINUTE, Evidence.STATE_REASON)
    ]
    seen = Notebook(lease())
    seen.look(1, VM)
    seen.look(9, gone)
    assert {run.end for run in seen.books.usages} == {START + 5 * MINUTE}
    assert seen.look(10, gone) == []


def test_what_outlives_its_machine_is_not_ended_with_it():
    data = billable(Kind.DISK, "gp3", START, "500", "vol-data", keeps=True)
    book = Notebook(lease())
    book.look(1, replace(VM, billed=(*VM.billed, data)))
    book.look(50, ended(VM, START + 40 * MINUTE))
    assert book.open() == ["vol-data"]


def test_a_clients_own_account_is_marked():
    book = Notebook(lease())
    book.look(1, VM, payers={ACCOUNT: "acme"})
    assert {run.payer for run in book.books.usages} == {"acme"}


def test_a_switch_is_one_for_each_resource_that_runs_for_another():
    book = Notebook(lease())
    book.look(1, VM)
    at = START + 5 * MINUTE
    facts = switches(book.books, str(VM.id), "borealis/nlp", at)
    assert sorted(fact.resource for fact in facts) == ALL
    book.events += facts
    assert switches(book.books, str(VM.id), "borealis/nlp", at + MINUTE) == []
    back = switches(book.books, "nobody's", "acme/vision", at + MINUTE, ["vol-of-i-1"])
    assert [fact.resource for fact in back] == ["vol-of-i-1"]
    assert switches(book.books, str(VM.id), "acme/audio", START - MINUTE) == []


def test_a_snapshot_comes_back():
    for one in (VM, machine(launched_at=None, deadline=None, state=State.STOPPED)):
        assert read_machine(write_machine(one)) == replace(one, billed=())
