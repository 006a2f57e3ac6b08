"""An instance from insert to delete, told by the real client."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions
from google.cloud import compute_v1

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}-0[78]:00\Z")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_insert_runs_after_a_while(api, clock):
    op = api.insert()
    assert (op.status, op.operation_type, op.progress) == (
        compute_v1.Operation.Status.RUNNING,
        "insert",
        0,
    )
    assert api.get().status == "PROVISIONING"
    clock.advance(timedelta(seconds=0.6))
    assert api.get().status == "STAGING"
    done = api.after(op)
    assert (done.status, done.progress) == (compute_v1.Operation.Status.DONE, 100)
    assert done.target_id == api.get().id
    vm = api.get()
    assert vm.status == "RUNNING"
    assert STAMP.match(vm.last_start_timestamp)
    assert STAMP.match(vm.creation_timestamp)
    assert vm.network_interfaces[0].access_configs[0].nat_i_p == "192.0.2.1"
    assert vm.machine_type.endswith("/zones/us-central1-a/machineTypes/n1-standard-4")
    assert vm.disks[0].disk_size_gb == 100


def test_stop_keeps_the_disk_and_gives_the_address_back(api, cloud):
    vm = api.up()
    op = api.instances.stop_unary(**api.place("vm"))
    assert api.get().status == "STOPPING"
    api.after(op)
    stopped = api.get()
    assert stopped.status == "TERMINATED"
    assert moment(stopped.last_stop_timestamp) > moment(vm.last_start_timestamp)
    assert stopped.network_interfaces[0].access_configs[0].nat_i_p == ""
    assert [d.name for d in api.disks.list(**api.place())] == ["vm"]
    run = cloud.truth().vm("vm").runs[0]
    assert run.ended_by == "user"
    assert abs(run.stop - moment(stopped.last_stop_timestamp)) < timedelta(milliseconds=1)


def test_start_begins_a_new_run(api, cloud):
    first = api.up()
    api.stop()
    api.start()
    again = api.get()
    assert again.status == "RUNNING"
    assert moment(again.last_start_timestamp) > moment(first.last_start_timestamp)
    assert again.network_interfaces[0].access_configs[0].nat_i_p
    assert [run.ended_by for run in cloud.truth().vm("vm").runs] == ["user", None]


def test_start_while_stopping_is_not_ready(api):
    api.up()
    api.instances.stop_unary(**api.place("vm"))
    with pytest.raises(exceptions.BadRequest) as refused:
        api.instances.start_unary(**api.place("vm"))
    assert refused.value.errors[0]["reason"] == "resourceNotReady"


def test_start_and_stop_twice_do_nothing_more(api, cloud):
    api.up()
    assert not api.start().error.errors
    assert not api.stop().error.errors
    assert not api.stop().error.errors
    assert len(cloud.truth().vm("vm").runs) == 1


def test_delete_takes_the_auto_delete_disk(api, cloud):
    api.up()
    api.delete()
    with pytest.raises(exceptions.NotFound) as gone:
        api.get()
    assert gone.value.errors[0]["reason"] == "notFound"
    assert list(api.disks.list(**api.place())) == []
    assert cloud.truth().vm("vm").runs[0].ended_by == "user"
    assert cloud.truth().disks[0].deleted is not None


def test_delete_leaves_a_disk_that_is_to_stay(api, make):
    api.up(disks=[make.boot_disk(auto_delete=False)])
    api.delete()
    disk = api.disks.get(**api.place(), disk="vm")
    assert list(disk.users) == []


def test_a_protected_vm_is_not_deleted(api):
    api.up()
    api.after(
        api.instances.set_deletion_protection_unary(
            project="sandbox-project", zone="us-central1-a", resource="vm"
        )
    )
    with pytest.raises(exceptions.BadRequest) as refused:
        api.delete()
    assert refused.value.errors[0]["reason"] == "invalidResourceUsage"
    api.after(
        api.instances.set_deletion_protection_unary(
            request=compute_v1.SetDeletionProtectionInstanceRequest(
                project="sandbox-project",
                zone="us-central1-a",
                resource="vm",
                deletion_protection=False,
            )
        )
    )
    api.delete()


def test_a_name_is_taken_once(api):
    api.up()
    with pytest.raises(exceptions.Conflict) as refused:
        api.insert()
    assert refused.value.errors[0]["reason"] == "alreadyExists"


def test_deleted_while_it_is_made(api, cloud):
    op = api.insert()
    api.instances.delete_unary(**api.place("vm"))
    assert api.after(op).error.errors[0].code == "UNSUPPORTED_OPERATION"
    assert cloud.truth().vm("vm").runs == ()


def test_reset_keeps_the_run(api, cloud):
    api.up()
    api.after(api.instances.reset_unary(**api.place("vm")))
    assert [run.ended_by for run in cloud.truth().vm("vm").runs] == [None]


def test_the_guest_powers_itself_off(api, cloud, metal, clock):
    vm = api.up()
    with clock.lock:
        metal.off[str(vm.id)]()
    assert api.get().status == "STOPPING"
    clock.advance(timedelta(seconds=2))
    assert api.get().status == "TERMINATED"
    assert api.system_events() == ["compute.instances.guestTerminate"]
    assert cloud.truth().vm("vm").runs[0].ended_by == "guest"


def test_a_spot_vm_is_preempted(api, cloud, metal, make, clock):
    api.up(scheduling=make.spot())
    cloud.preempt("vm", seconds=30)
    assert ("notify", "preempted") in metal.calls
    assert api.get().status == "STOPPING"
    clock.advance(timedelta(seconds=31))
    assert api.get().status == "TERMINATED"
    run = cloud.truth().vm("vm").runs[0]
    assert run.ended_by == "preempted"
    event = next(
        op
        for op in api.zone_operations.list(**api.place())
        if op.operation_type == "compute.instances.preempted"
    )
    assert (event.user, event.status_message) == ("system", "Instance was preempted.")
    assert event.target_link.endswith("/instances/vm")


def test_a_preempted_vm_with_action_delete_is_gone(api, cloud, make, clock):
    api.up(scheduling=make.spot(instance_termination_action="DELETE"))
    cloud.preempt("vm")
    clock.advance(timedelta(seconds=5))
    assert list(api.instances.list(**api.place())) == []
    assert cloud.truth().vm("vm").runs[0].ended_by == "preempted"


def test_an_end_in_flight_spares_the_next_run(api, cloud, make, clock):
    api.up(scheduling=make.spot())
    cloud.preempt("vm", seconds=30)
    api.stop()
    api.start()
    clock.advance(timedelta(seconds=60))
    assert api.get().status == "RUNNING"


def test_an_end_in_flight_is_not_the_next_stops(api, cloud, make, clock):
    api.up(scheduling=make.spot())
    cloud.preempt("vm", seconds=30)
    api.stop()
    api.start()
    clock.advance(timedelta(seconds=25.9))
    api.instances.stop_unary(**api.place("vm"))
    clock.advance(timedelta(seconds=2))
    assert [run.ended_by for run in cloud.truth().vm("vm").runs] == ["user", "user"]


def test_only_a_running_spot_vm_is_preempted(api, cloud):
    api.up()
    with pytest.raises(ValueError, match="spot"):
        cloud.preempt("vm")


def test_a_host_error_restarts_what_is_to_be_restarted(api, cloud, clock):
    api.up()
    cloud.host_error("vm")
    clock.advance(timedelta(seconds=2))
    assert api.get().status == "RUNNING"
    assert set(api.system_events()) == {
        "compute.instances.hostError",
        "compute.instances.automaticRestart",
    }
    assert [run.ended_by for run in cloud.truth().vm("vm").runs] == ["host-error", None]


def test_a_host_error_ends_what_is_not(api, cloud, make):
    api.up(scheduling=make.spot())
    cloud.host_error("vm")
    assert api.get().status == "TERMINATED"
