"""A launch that no command saw the end of, asked for when EC2 has forgotten the instance."""

from datetime import datetime, timedelta

from gpuctl.core.kinds import Evidence, Kind, State
from gpuctl.core.model import Down, Machine, Order
from tests.providers.aws.rig import Rig


def launched_and_ended(rig: Rig, order: Order) -> tuple[Machine, datetime]:
    provider = rig.provider()
    machine = provider.start(order)
    rig.clock.advance(timedelta(hours=2))
    ended = rig.now()
    provider.stop(machine.id, Down.END)
    return machine, ended


def test_the_audit_log_tells_of_what_ec2_has_forgotten(rig: Rig) -> None:
    order = rig.order()
    machine, ended = launched_and_ended(rig, order)
    rig.clock.advance(timedelta(days=3))
    found = rig.provider().find(order)
    assert found is not None
    assert (found.id, found.state, found.lease) == (machine.id, State.GONE, order.lease)
    (run,) = found.ran
    assert (run.kind, run.resource, run.until) == (Kind.COMPUTE, machine.id.native, ended)
    assert run.since == machine.launched_at


def test_without_a_trace_of_its_end_it_ended_at_its_deadline(rig: Rig) -> None:
    order = rig.order()
    machine = rig.provider().start(order)
    rig.settle()
    rig.clock.advance(timedelta(hours=3))
    rig.power_off(machine.id.native)
    rig.clock.advance(timedelta(days=3))
    found = rig.provider().find(order)
    assert found is not None
    assert found.ending is not None
    assert (found.ending.at, found.ending.evidence) == (order.deadline, Evidence.DEADLINE)


def test_another_attempts_launch_is_not_taken_for_it(rig: Rig) -> None:
    launched_and_ended(rig, rig.order())
    rig.clock.advance(timedelta(hours=2))
    assert rig.provider().find(rig.order(token="b" * 32, deadline=rig.now())) is None


def test_what_was_just_launched_is_ec2s_own_to_tell(rig: Rig) -> None:
    order = rig.order()
    rig.cloud.market.lag(9)
    rig.provider().start(order)
    rig.clock.advance(timedelta(minutes=5))
    assert rig.provider().find(order) is None


def test_without_the_right_to_the_log_nothing_is_known(rig: Rig) -> None:
    order = rig.order()
    launched_and_ended(rig, order)
    rig.clock.advance(timedelta(days=3))
    rig.cloud.market.deny("LookupEvents")
    assert rig.provider().find(order) is None
