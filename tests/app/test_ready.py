"""From accepted to usable; what never becomes usable is ended."""

from datetime import timedelta

import pytest

from gpuctl.app.ready import NotReady
from gpuctl.core.errors import LedgerError
from gpuctl.core.events import Armed, Leased, Usage
from gpuctl.core.kinds import Kind
from tests.app.conftest import Desk, MakeDesk
from tests.app.ledgers import Failing
from tests.changed import changed


def test_a_machine_that_never_arms_its_switch_is_ended(desk: Desk) -> None:
    desk.reach.arms = False
    start = desk.clock()
    with pytest.raises(NotReady, match="dead-man's switch") as caught:
        desk.up()
    assert caught.value.exit_code == 1
    assert desk.aws.running() == []
    assert timedelta(minutes=10) <= desk.clock() - start < timedelta(minutes=12)
    assert desk.outcomes[-1] == ("done", None)
    desk.sync()
    assert desk.books.open == ()


def test_it_is_ended_even_if_the_ledger_cannot_be_written(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.reach.arms = False
    failing = Failing(desk.app.ledger)
    real = desk.app.sleep

    def sleep(seconds: float) -> None:
        real(seconds)
        failing.after = 0

    with pytest.raises(LedgerError):
        _with_sleep(failing.under(desk), sleep).up()
    assert len(desk.aws.vms) == 1
    assert desk.aws.running() == []


def test_a_machine_that_never_runs_is_ended(desk: Desk) -> None:
    desk.aws.booting = timedelta(hours=1)
    with pytest.raises(NotReady, match="not running after 10 minutes"):
        desk.up()
    assert desk.aws.running() == []


def test_a_machine_that_is_taken_back_at_once_is_told(desk: Desk) -> None:
    desk.aws.booting = timedelta(minutes=5)
    real = desk.app.sleep

    def sleep(seconds: float) -> None:
        real(seconds)
        desk.aws.interrupt("i-000001")

    with pytest.raises(NotReady, match="SpotInstanceTermination") as caught:
        _with_sleep(desk, sleep).up()
    assert caught.value.hint == "gpuctl up vision-1"
    assert desk.books.open == ()
    desk.sync()
    assert desk.bill().problems == ()
    assert all(usage.evidence for usage in desk.books.usages)


def test_what_a_clients_own_machine_cost_before_it_failed_is_the_clients(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(own=True)
    cloud = desk.app.clouds.connect(desk.app.clouds.of("aws", "acme/vision")).cloud  # type: ignore[attr-defined]
    cloud.booting = timedelta(minutes=5)
    real = desk.app.sleep

    def sleep(seconds: float) -> None:
        real(seconds)
        cloud.terminate("i-000064")

    with pytest.raises(NotReady):
        _with_sleep(desk, sleep).up()
    assert {usage.payer for usage in desk.events(Usage)} == {"acme"}


def test_armed_is_written_once_for_one_deadline(desk: Desk) -> None:
    desk.up()
    desk.up()
    assert len(desk.events(Armed)) == 1
    (lease,) = desk.events(Leased)
    assert desk.books.leases[lease.id].armed == lease.deadline


def test_a_machine_without_a_lease_can_be_waited_for(desk: Desk) -> None:
    desk.up(name="box")
    vm = desk.aws.vms[0]
    vm.order = changed(vm.order, lease=None)  # type: ignore[arg-type]
    before = len(desk.events(Armed))
    desk.up(name="box")
    assert len(desk.events(Armed)) == before


def test_the_whole_minute_of_a_failed_start_is_billed(desk: Desk) -> None:
    desk.reach.arms = False
    with pytest.raises(NotReady):
        desk.up()
    desk.sync()
    (usage,) = [u for u in desk.books.usages if u.kind is Kind.COMPUTE]
    assert usage.end is not None
    assert usage.end > usage.start


def _with_sleep(desk: Desk, sleep: object) -> Desk:
    return changed(desk, app=changed(desk.app, sleep=sleep))  # type: ignore[arg-type]
