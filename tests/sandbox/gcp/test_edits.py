"""Changes to an instance: fingerprints, and what reaches the guest."""

import pytest
from google.api_core import exceptions
from google.cloud import compute_v1

KEY = "ssh-ed25519 AAAAC3Nza me@laptop"


def set_labels(api, labels, fingerprint):
    resource = compute_v1.InstancesSetLabelsRequest(labels=labels, label_fingerprint=fingerprint)
    return api.instances.set_labels_unary(
        **api.place("vm"), instances_set_labels_request_resource=resource
    )


def metadata(fingerprint=None, **items) -> compute_v1.Metadata:
    pairs = [compute_v1.Items(key=k.replace("_", "-"), value=v) for k, v in items.items()]
    return compute_v1.Metadata(fingerprint=fingerprint, items=pairs)


def set_metadata(api, wanted):
    return api.instances.set_metadata_unary(**api.place("vm"), metadata_resource=wanted)


def test_labels_change_when_the_operation_is_done(api):
    vm = api.up(labels={"a": "1"})
    op = set_labels(api, {"a": "2"}, vm.label_fingerprint)
    assert api.get().labels == {"a": "1"}
    api.after(op)
    assert api.get().labels == {"a": "2"}
    assert api.get().label_fingerprint != vm.label_fingerprint


def test_no_labels_have_googles_own_fingerprint(api):
    assert api.up().label_fingerprint == "42WmSpB8rSM="


@pytest.mark.parametrize("old", ["", "AAAAAAAAAAA="])
def test_stale_labels(api, old):
    api.up(labels={"a": "1"})
    with pytest.raises(exceptions.PreconditionFailed) as refused:
        set_labels(api, {"a": "2"}, old)
    assert refused.value.errors[0]["reason"] == "conditionNotMet"


def test_of_two_changes_at_once_the_second_fails(api):
    vm = api.up(labels={"a": "1"})
    first = set_labels(api, {"a": "2"}, vm.label_fingerprint)
    second = set_labels(api, {"a": "3"}, vm.label_fingerprint)
    assert not api.after(first).error.errors
    assert api.after(second).error.errors[0].code == "CONDITION_NOT_MET"
    assert api.get().labels == {"a": "2"}


def test_new_keys_and_attributes_reach_the_guest(api, metal):
    vm = api.up(metadata=metadata(ssh_keys=f"gpu:{KEY}"))
    changed = metadata(vm.metadata.fingerprint, ssh_keys=f"gpu:{KEY}\ngpu:{KEY}2", deadline="x")
    api.after(set_metadata(api, changed))
    assert ("authorize", [KEY, f"{KEY}2"]) in metal.calls
    assert any(what == "set_tags" and tags["deadline"] == "x" for what, tags in metal.calls)


def test_stale_metadata(api):
    api.up()
    with pytest.raises(exceptions.PreconditionFailed):
        set_metadata(api, metadata("old", a="1"))


def test_a_stopped_vms_guest_hears_nothing(api, metal):
    api.up()
    api.stop()
    api.after(set_metadata(api, metadata(api.get().metadata.fingerprint, a="1")))
    assert "set_tags" not in [what for what, _ in metal.calls]
    api.start()
    assert metal.boots[-1].tags == {"a": "1"}


def test_tags(api):
    vm = api.up()
    wanted = compute_v1.Tags(fingerprint=vm.tags.fingerprint, items=["gpuctl"])
    api.after(api.instances.set_tags_unary(**api.place("vm"), tags_resource=wanted))
    assert list(api.get().tags.items) == ["gpuctl"]
    with pytest.raises(exceptions.PreconditionFailed):
        api.instances.set_tags_unary(**api.place("vm"), tags_resource=wanted)


def set_type(api, name):
    link = f"zones/us-central1-a/machineTypes/{name}"
    resource = compute_v1.InstancesSetMachineTypeRequest(machine_type=link)
    return api.instances.set_machine_type_unary(
        **api.place("vm"), instances_set_machine_type_request_resource=resource
    )


def test_the_machine_type_changes_while_terminated(api):
    api.up()
    with pytest.raises(exceptions.BadRequest, match="TERMINATED"):
        set_type(api, "n1-standard-8")
    api.stop()
    api.after(set_type(api, "n1-standard-8"))
    assert api.get().machine_type.endswith("n1-standard-8")
    with pytest.raises(exceptions.BadRequest, match="not compatible"):
        set_type(api, "g2-standard-4")


def test_a_type_with_gpus_brings_them(api):
    vm = api.up(type="g2-standard-12", gpu=None)
    assert vm.guest_accelerators[0].accelerator_type.endswith("/nvidia-l4")
    assert vm.guest_accelerators[0].accelerator_count == 1
    with pytest.raises(exceptions.BadRequest, match="live migration"):
        api.insert("b", type="g2-standard-4", gpu=None, scheduling=compute_v1.Scheduling())


def test_an_address_comes_and_goes(api):
    api.up()
    nic = {"network_interface": "nic0"}
    api.after(
        api.instances.delete_access_config_unary(
            **api.place("vm"), **nic, access_config="External NAT"
        )
    )
    assert not api.get().network_interfaces[0].access_configs
    config = compute_v1.AccessConfig(name="External NAT", type_="ONE_TO_ONE_NAT")
    api.after(
        api.instances.add_access_config_unary(
            **api.place("vm"), **nic, access_config_resource=config
        )
    )
    assert api.get().network_interfaces[0].access_configs[0].nat_i_p.startswith("192.0.2.")
    with pytest.raises(exceptions.BadRequest):
        api.instances.add_access_config_unary(
            **api.place("vm"), **nic, access_config_resource=config
        )


def test_a_data_disk_outlives_its_vm_and_is_attached_again(api, make):
    disk = compute_v1.Disk(name="data", size_gb=200, type_="zones/us-central1-a/diskTypes/pd-ssd")
    api.after(api.disks.insert_unary(**api.place(), disk_resource=disk))
    data = compute_v1.AttachedDisk(
        source="zones/us-central1-a/disks/data", device_name="data", mode="READ_WRITE"
    )
    api.up(disks=[make.boot_disk(), data])
    assert api.disks.get(**api.place(), disk="data").users[0].endswith("/instances/vm")
    with pytest.raises(exceptions.BadRequest) as refused:
        api.insert("other", disks=[make.boot_disk(), data])
    assert refused.value.errors[0]["reason"] == "resourceInUseByAnotherResource"
    api.delete()
    api.up("other")
    attach = {**api.place("other"), "attached_disk_resource": data}
    api.after(api.instances.attach_disk_unary(**attach))
    assert [d.device_name for d in api.get("other").disks] == ["persistent-disk-0", "data"]
    api.after(api.instances.detach_disk_unary(**api.place("other"), device_name="data"))
    assert len(api.get("other").disks) == 1
    with pytest.raises(exceptions.BadRequest):
        api.instances.detach_disk_unary(**api.place("other"), device_name="persistent-disk-0")


def test_serial_output_from_where_it_was_left(api):
    api.up()
    output = api.instances.get_serial_port_output(**api.place("vm"))
    assert output.contents == "line one\nline two\n"
    rest = api.instances.get_serial_port_output(
        request=compute_v1.GetSerialPortOutputInstanceRequest(**api.place("vm"), start=9)
    )
    assert rest.contents == "line two\n"


def host_keys(api):
    return api.instances.get_guest_attributes(
        request=compute_v1.GetGuestAttributesInstanceRequest(
            **api.place("vm"), query_path="hostkeys/"
        )
    )


def test_host_keys_by_guest_attributes(api):
    api.up(metadata=metadata(enable_guest_attributes="TRUE"))
    item = host_keys(api).query_value.items[0]
    assert (item.namespace, item.key, item.value) == ("hostkeys", "ssh-ed25519", "AAAAhost")


def test_guest_attributes_must_be_enabled(api):
    api.up()
    with pytest.raises(exceptions.Forbidden):
        host_keys(api)


def test_no_host_keys_yet(api, metal, monkeypatch):
    monkeypatch.setattr(metal, "host_keys", lambda _: ())
    api.up(metadata=metadata(enable_guest_attributes="TRUE"))
    with pytest.raises(exceptions.NotFound):
        host_keys(api)


def test_what_the_machine_is_booted_with(api, metal):
    vm = api.up(
        metadata=metadata(ssh_keys=f"gpu:{KEY}\nother:{KEY}9", startup_script="#!/bin/sh\n"),
        labels={"gpuctl-managed": "true"},
    )
    boot = metal.boots[0]
    assert (boot.id, boot.cloud, boot.zone) == (str(vm.id), "gcp", "us-central1-a")
    assert (boot.user, boot.authorized_keys) == ("gpu", (KEY,))
    assert boot.user_data == b"#!/bin/sh\n"
    assert (boot.gpu, boot.gpus) == ("nvidia-tesla-t4", 1)
    assert "gpuctl-managed" not in boot.tags


def test_stop_keeps_the_machines_directory_and_delete_does_not(api, metal):
    vm = api.up()
    api.stop()
    assert ("power_off", str(vm.id)) in metal.calls
    assert ("destroy", str(vm.id)) not in metal.calls
    api.start()
    assert [boot.id for boot in metal.boots] == [str(vm.id)] * 2
    api.delete()
    assert ("destroy", str(vm.id)) in metal.calls
