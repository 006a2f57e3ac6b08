"""Ledger and clouds: what is concluded from what is shown, and from what is not."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest

from gpuctl.app.gather import Silence
from gpuctl.core.errors import (
    Busy,
    Denied,
    GpuctlError,
    ListingIncomplete,
    NotFound,
    UnknownOutcome,
)
from gpuctl.core.events import Ended, Intent, Missed, PricesKnown, Seen, Usage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, State
from gpuctl.core.ports import CloudRef
from tests.app.conftest import Desk


def test_nothing_new_adds_nothing(desk: Desk) -> None:
    desk.up()
    desk.clock.tick(minutes=10)
    desk.sync()
    head = desk.app.ledger.head
    desk.clock.tick(minutes=10)
    desk.sync()
    assert desk.app.ledger.head == head


def test_an_interruption_is_the_providers_and_the_first_hour_is_free(desk: Desk) -> None:
    desk.up()
    desk.clock.tick(minutes=30)
    desk.aws.interrupt("i-000001")
    at = desk.clock()
    desk.clock.tick(hours=2)
    desk.sync()
    compute = next(u for u in desk.books.usages if u.kind is Kind.COMPUTE)
    assert (compute.end, compute.ended_by, compute.evidence) == (
        at,
        EndedBy.PROVIDER,
        Evidence.STATE_REASON,
    )
    costs = {charge.kind: charge.cost for charge in desk.bill().charges}
    assert costs["compute"] == 0
    assert costs["disk"]


def test_an_interruption_after_an_hour_is_billed(desk: Desk) -> None:
    launched = desk.clock()
    desk.up()
    desk.clock.now = launched + timedelta(minutes=90)
    desk.aws.interrupt("i-000001")
    desk.sync()
    compute = sum((c.cost or 0 for c in desk.bill().charges if c.kind == "compute"), Fraction(0))
    assert compute == Fraction("0.918") * 3 / 2


def test_somebody_ending_it_in_the_console_ends_it_here(desk: Desk) -> None:
    desk.up()
    desk.clock.tick(minutes=30)
    desk.aws.terminate("i-000001")
    desk.sync()
    assert {end.ended_by for end in desk.events(Ended)} == {EndedBy.USER}
    assert desk.books.open == ()


def forget(desk: Desk, ago: timedelta = timedelta(minutes=5)) -> None:
    desk.aws.terminate("i-000001")
    desk.clock.tick(seconds=ago.total_seconds())
    desk.aws.amnesia = True


def test_missed_once_is_not_gone(desk: Desk) -> None:
    desk.up()
    forget(desk)
    desk.sync()
    assert len(desk.books.open) == 3
    assert len(desk.events(Missed)) == 1


def test_missed_twice_within_a_minute_is_not_gone(desk: Desk) -> None:
    desk.up()
    forget(desk)
    desk.sync()
    desk.clock.tick(seconds=59)
    desk.sync()
    assert len(desk.books.open) == 3


def test_missed_twice_a_minute_apart_is_gone_since_the_first_look(desk: Desk) -> None:
    desk.up()
    forget(desk)
    first = desk.clock()
    desk.sync()
    desk.clock.tick(seconds=60)
    desk.sync()
    assert {(u.end, u.evidence) for u in desk.books.usages} == {(first, Evidence.DEADLINE)}
    assert any("uncertain" in problem for problem in desk.bill().problems)
    (seen,) = desk.books.seen.values()
    assert seen.snapshot["state"] == State.GONE


def test_missed_long_ago_and_seen_since_counts_no_more(desk: Desk) -> None:
    desk.up()
    vm = desk.aws.vms[0]
    vm.visible = desk.clock() + timedelta(minutes=10)
    desk.clock.tick(minutes=5)
    desk.sync()
    desk.clock.tick(minutes=5)
    desk.sync()
    desk.clock.tick(hours=5)
    vm.visible = desk.clock() + timedelta(days=1)
    desk.sync()
    assert len(desk.events(Missed)) == 2
    assert len(desk.books.open) == 3


def test_after_the_deadline_it_ended_then(desk: Desk) -> None:
    deadline = desk.machine().deadline
    desk.clock.tick(hours=30)
    forget(desk)
    desk.sync()
    desk.clock.tick(minutes=2)
    desk.sync()
    assert {u.end for u in desk.books.usages} == {deadline}


def test_evidence_of_what_is_not_listed_ends_it_at_once(desk: Desk) -> None:
    desk.up()
    desk.clock.tick(minutes=90)
    desk.aws.interrupt("i-000001")
    at = desk.clock()
    desk.clock.tick(days=2)
    desk.sync()
    assert {(u.end, u.ended_by) for u in desk.books.usages} == {(at, EndedBy.PROVIDER)}


def test_a_listing_that_failed_says_nothing(desk: Desk) -> None:
    desk.up()
    forget(desk)
    desk.aws.broken_region = "us-west-2"
    for _ in range(3):
        synced = desk.sync()
        desk.clock.tick(minutes=5)
    assert synced.silent == (
        Silence(provider="aws", region="us-west-2", reason="us-west-2 did not answer"),
    )
    assert (len(desk.books.open), desk.events(Missed)) == (3, [])


def test_when_nobody_answers_that_is_an_error(desk: Desk) -> None:
    desk.aws.broken_region = desk.gcp.broken_region = "everywhere"
    with pytest.raises(ListingIncomplete):
        desk.sync()


def test_no_accounts_nothing_to_show(desk: Desk) -> None:
    assert desk.sync(refs=[]).machines == ()


def test_credentials_of_one_cloud_do_not_hide_the_other(desk: Desk) -> None:
    desk.gcp.denied = True
    desk.up()
    synced = desk.sync()
    assert [machine.name for machine in synced.machines] == ["vision-1"]
    assert [silent.provider for silent in synced.silent] == ["gcp"]


class Narrow:
    """An account whose listing does not look where a machine is; other calls are answered."""

    def __init__(self, provider, error=None):
        self._provider = provider
        self._error = error

    def __getattr__(self, name):
        return getattr(self._provider, name)

    def machines(self):
        return []

    def get(self, machine):
        if self._error is not None:
            raise self._error
        return self._provider.get(machine)


def narrowed(desk: Desk, error: GpuctlError | None = None) -> None:
    refs = desk.app.clouds.providers
    aws = next(ref for ref in refs if ref.provider == "aws")
    refs[aws] = Narrow(refs[aws], error)


def test_a_machine_where_nobody_looks_any_more_is_asked_for_itself(desk: Desk) -> None:
    desk.up()
    narrowed(desk)
    for _ in range(3):
        desk.clock.tick(minutes=5)
        synced = desk.sync()
    assert [machine.name for machine in synced.machines] == ["vision-1"]
    assert (len(desk.books.open), desk.events(Missed)) == (3, [])


def test_a_machine_that_cannot_be_asked_for_is_not_missed(desk: Desk) -> None:
    desk.up()
    narrowed(desk, Busy("throttled"))
    for _ in range(3):
        desk.clock.tick(minutes=5)
        desk.sync()
    assert (len(desk.books.open), desk.events(Missed)) == (3, [])
    assert any("could not be asked for: throttled" in note for note in desk.said.notes)


def test_an_ending_that_cannot_be_asked_is_none(desk: Desk) -> None:
    desk.up()
    narrowed(desk, NotFound("no such"))
    refs = desk.app.clouds.providers
    narrow = next(p for p in refs.values() if isinstance(p, Narrow))
    narrow.ending = refuse
    desk.clock.tick(minutes=5)
    desk.sync()
    assert len(desk.events(Missed)) == 1
    assert any("how it ended could not be asked" in note for note in desk.said.notes)


def refuse(machine: object) -> None:
    raise Denied("cloudtrail:LookupEvents is not allowed")


def test_two_references_to_one_account_show_each_machine_once(desk: Desk) -> None:
    desk.up()
    refs = desk.app.clouds.providers
    refs[CloudRef("aws", "twin")] = refs[CloudRef("aws")]
    assert len(desk.sync().machines) == 1


def test_a_changed_state_is_remembered_for_when_no_cloud_is_asked(desk: Desk) -> None:
    desk.machine(detach=True)
    desk.clock.tick(minutes=5)
    desk.sync()
    assert [s.snapshot["state"] for s in desk.events(Seen)] == ["starting", "running"]


def test_what_ended_without_us_closes_its_door(desk: Desk) -> None:
    desk.up()
    desk.clock.tick(hours=1)
    desk.aws.interrupt("i-000001")
    desk.clock.tick(minutes=5)
    desk.sync()
    assert desk.aws.inbound == {}
    calls = desk.aws.calls.count("end i-000001")
    desk.sync()
    assert desk.aws.calls.count("end i-000001") == calls


def test_a_door_that_cannot_be_closed_is_said(desk: Desk) -> None:
    desk.up()
    desk.clock.tick(hours=1)
    desk.aws.interrupt("i-000001")
    desk.clock.tick(minutes=5)
    desk.aws.stop_error = Denied("ec2:RevokeSecurityGroupIngress is not allowed")
    desk.sync()
    assert any("could not be tidied" in note for note in desk.said.notes)
    assert desk.books.open == ()
    assert desk.events(Intent)[0].verb == "start"


def test_a_run_of_a_machine_that_was_never_seen_needs_two_looks(desk: Desk) -> None:
    desk.up()
    run = desk.events(Usage)[0]
    other = run._replace(id="u/imported", resource="i-0", machine="aws:us-east-1a:i-0")
    desk.app.ledger.append([other])
    desk.sync()
    assert "u/imported" in {usage.id for usage in desk.books.open}
    desk.clock.tick(minutes=6)
    desk.sync()
    assert "u/imported" not in {usage.id for usage in desk.books.open}


def test_prices_that_could_not_be_had_when_a_run_ended_are_asked_for_again(desk: Desk) -> None:
    desk.up()
    desk.clock.tick(hours=1)
    desk.aws.prices_broken = True
    desk.aws.interrupt("i-000001")
    desk.clock.tick(minutes=5)
    desk.sync()
    assert desk.events(PricesKnown) == []
    desk.aws.prices_broken = False
    desk.sync()
    known = {event.usage for event in desk.events(PricesKnown)}
    assert known == {usage.id for usage in desk.books.usages}
    desk.aws.prices_broken = True
    said = len(desk.said.notes)
    desk.sync()
    assert len(desk.said.notes) == said


def test_of_two_names_of_one_account_the_users_own_pays(desk: Desk) -> None:
    providers = desk.app.clouds.providers
    providers[CloudRef("aws", "acme")] = providers[CloudRef("aws")]
    desk.aws.lost_answers = 50
    with pytest.raises(UnknownOutcome):
        desk.up("borealis/nlp")
    desk.sync()
    assert {usage.payer for usage in desk.events(Usage)} == {None}


def test_a_state_that_is_not_known_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.machine()
    account = desk.app.clouds.connect(CloudRef("aws"))
    listed = [replace(one, strange="hovering") for one in account.machines()]
    monkeypatch.setattr(type(account), "machines", lambda _: listed)
    desk.sync()
    assert "vision-1: aws calls its state 'hovering', which is not known: it counts as running" in (
        desk.said.notes
    )
