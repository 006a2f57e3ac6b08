"""maxRunDuration and its kin: the switch that works when everything else is dead."""

from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions
from google.cloud import compute_v1


def limit(seconds: int = 3600, action: str = "STOP", **changes) -> compute_v1.Scheduling:
    values = {
        "on_host_maintenance": "TERMINATE",
        "instance_termination_action": action,
        "max_run_duration": compute_v1.Duration(seconds=seconds),
    }
    return compute_v1.Scheduling(**(values | changes))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def set_scheduling(api, scheduling):
    return api.after(
        api.instances.set_scheduling_unary(**api.place("vm"), scheduling_resource=scheduling)
    )


def test_the_end_is_told_and_kept(api, cloud, clock):
    vm = api.up(scheduling=limit(3600))
    end = moment(vm.resource_status.scheduling.termination_timestamp)
    assert end - moment(vm.last_start_timestamp) == timedelta(hours=1)
    clock.advance(timedelta(days=20))
    stopped = api.get()
    assert stopped.status == "TERMINATED"
    assert stopped.resource_status.scheduling.termination_timestamp == ""
    run = cloud.truth().vm("vm").runs[0]
    assert run.ended_by == "max-run-duration"
    assert timedelta(hours=1) <= run.stop - run.start < timedelta(hours=1, seconds=30)


def test_action_delete_deletes(api, cloud, clock):
    api.up(scheduling=limit(60, "DELETE"))
    clock.advance(timedelta(minutes=2))
    assert list(api.instances.list(**api.place())) == []
    assert list(api.disks.list(**api.place())) == []
    assert cloud.truth().vm("vm").runs[0].ended_by == "max-run-duration"


def test_each_start_counts_anew(api, clock):
    api.up(scheduling=limit(3600))
    clock.advance(timedelta(minutes=50))
    api.stop()
    api.start()
    clock.advance(timedelta(minutes=50))
    assert api.get().status == "RUNNING"


def test_a_stop_calls_the_end_off(api, clock, cloud):
    api.up(scheduling=limit(3600))
    api.stop()
    clock.advance(timedelta(days=1))
    assert [run.ended_by for run in cloud.truth().vm("vm").runs] == ["user"]


def test_the_limit_is_set_while_terminated(api):
    api.up()
    api.stop()
    done = set_scheduling(api, limit(7200))
    assert not done.error.errors
    api.start()
    vm = api.get()
    assert vm.scheduling.max_run_duration.seconds == 7200
    assert vm.scheduling.on_host_maintenance == "TERMINATE"
    assert vm.resource_status.scheduling.termination_timestamp


def test_the_limit_is_not_set_while_running(api):
    api.up()
    with pytest.raises(exceptions.BadRequest, match="TERMINATED"):
        set_scheduling(api, limit())


def test_restart_behaviour_may_change_while_running(api):
    api.up()
    set_scheduling(api, compute_v1.Scheduling(automatic_restart=False))
    assert api.get().scheduling.automatic_restart is False


def test_on_demand_becomes_spot_while_terminated(api, make):
    api.up()
    api.stop()
    set_scheduling(api, make.spot())
    scheduling = api.get().scheduling
    assert (scheduling.preemptible, scheduling.automatic_restart) == (True, False)


def test_preemptible_of_the_old_kind_lasts_a_day(api, cloud, clock):
    api.up(scheduling=compute_v1.Scheduling(preemptible=True))
    clock.advance(timedelta(days=2))
    run = cloud.truth().vm("vm").runs[0]
    assert run.ended_by == "preempted"
    assert timedelta(days=1) <= run.stop - run.start < timedelta(days=1, minutes=1)


def test_a_termination_time_is_kept(api, clock):
    end = (clock.now() + timedelta(hours=2)).isoformat(timespec="seconds")
    api.up(
        scheduling=compute_v1.Scheduling(
            on_host_maintenance="TERMINATE",
            termination_time=end,
            instance_termination_action="STOP",
        )
    )
    clock.advance(timedelta(hours=3))
    assert api.get().status == "TERMINATED"


@pytest.mark.parametrize(
    ("scheduling", "words"),
    [
        (limit(29), "30"),
        (limit(120 * 86_400 + 1), "10368000"),
        (compute_v1.Scheduling(max_run_duration=compute_v1.Duration(seconds=60)), "migration"),
        (
            compute_v1.Scheduling(
                on_host_maintenance="TERMINATE",
                max_run_duration=compute_v1.Duration(seconds=60),
            ),
            "instanceTerminationAction",
        ),
        (limit(60, preemptible=True, automatic_restart=False), "Spot"),
        (limit(60, termination_time="2030-01-01T00:00:00Z"), "terminationTime"),
        (
            compute_v1.Scheduling(
                on_host_maintenance="TERMINATE", instance_termination_action="STOP"
            ),
            "instanceTerminationAction",
        ),
        (compute_v1.Scheduling(on_host_maintenance="MIGRATE"), "live migration"),
        (compute_v1.Scheduling(), "live migration"),
        (
            compute_v1.Scheduling(provisioning_model="SPOT", preemptible=False),
            "preemptible",
        ),
        (
            compute_v1.Scheduling(provisioning_model="SPOT", automatic_restart=True),
            "AutomaticRestart",
        ),
        (
            compute_v1.Scheduling(provisioning_model="SPOT", on_host_maintenance="MIGRATE"),
            "OnHostMaintenance",
        ),
    ],
)
def test_what_cannot_be_scheduled_is_refused(api, scheduling, words):
    with pytest.raises(exceptions.BadRequest, match=words):
        api.insert(scheduling=scheduling)
