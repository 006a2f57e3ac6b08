"""Disks, addresses, snapshots, the network and its firewall."""

import pytest
from google.api_core import exceptions
from google.cloud import compute_v1

PROJECT = "sandbox-project"
REGION = {"project": PROJECT, "region": "us-central1"}
SSD = "zones/us-central1-a/diskTypes/pd-ssd"


def add_disk(api, name="data", **changes):
    values = {"name": name, "size_gb": 200, "type_": SSD} | changes
    op = api.disks.insert_unary(**api.place(), disk_resource=compute_v1.Disk(**values))
    return api.after(op)


def test_a_disks_life(api, cloud):
    assert not add_disk(api, labels={"a": "1"}).error.errors
    disk = api.disks.get(**api.place(), disk="data")
    assert (disk.size_gb, disk.status, disk.labels) == (200, "READY", {"a": "1"})
    assert disk.type_.endswith("/diskTypes/pd-ssd")
    with pytest.raises(exceptions.Conflict):
        add_disk(api)
    labels = compute_v1.ZoneSetLabelsRequest(
        labels={"a": "2"}, label_fingerprint=disk.label_fingerprint
    )
    change = {
        "project": PROJECT,
        "zone": "us-central1-a",
        "resource": "data",
        "zone_set_labels_request_resource": labels,
    }
    api.after(api.disks.set_labels_unary(**change))
    assert api.disks.get(**api.place(), disk="data").labels == {"a": "2"}
    with pytest.raises(exceptions.PreconditionFailed):
        api.disks.set_labels_unary(**change)
    scopes = dict(api.disks.aggregated_list(project=PROJECT))
    assert [d.name for d in scopes["zones/us-central1-a"].disks] == ["data"]
    api.after(api.disks.delete_unary(**api.place(), disk="data"))
    with pytest.raises(exceptions.NotFound):
        api.disks.get(**api.place(), disk="data")
    assert cloud.truth().disks[0].deleted is not None


def test_a_disk_in_use_stays(api):
    api.up()
    with pytest.raises(exceptions.BadRequest) as refused:
        api.disks.delete_unary(**api.place(), disk="vm")
    assert refused.value.errors[0]["reason"] == "resourceInUseByAnotherResource"


def test_a_disk_over_quota(api, cloud):
    cloud.quota("SSD_TOTAL_GB", 100)
    assert add_disk(api).error.errors[0].code == "QUOTA_EXCEEDED"
    assert list(api.disks.list(**api.place())) == []


def test_a_snapshots_life(api):
    add_disk(api)
    wanted = compute_v1.Snapshot(name="s1", source_disk="zones/us-central1-a/disks/data")
    api.after(api.snapshots.insert_unary(project=PROJECT, snapshot_resource=wanted))
    snapshot = api.snapshots.get(project=PROJECT, snapshot="s1")
    assert (snapshot.disk_size_gb, snapshot.status) == (200, "READY")
    assert snapshot.storage_bytes == 20 * 1024**3
    assert [s.name for s in api.snapshots.list(project=PROJECT)] == ["s1"]
    add_disk(api, "back", source_snapshot="global/snapshots/s1")
    assert api.disks.get(**api.place(), disk="back").source_snapshot.endswith("/s1")
    api.after(api.snapshots.delete_unary(project=PROJECT, snapshot="s1"))
    with pytest.raises(exceptions.NotFound):
        api.snapshots.get(project=PROJECT, snapshot="s1")


def reserve(api, name="fixed"):
    op = api.addresses.insert_unary(**REGION, address_resource=compute_v1.Address(name=name))
    return api.after(op)


def test_a_reserved_addresss_life(api, cloud):
    reserve(api)
    address = api.addresses.get(**REGION, address="fixed")
    assert address.status == "RESERVED"
    config = compute_v1.AccessConfig(nat_i_p=address.address)
    vm = api.up(network_interfaces=[compute_v1.NetworkInterface(access_configs=[config])])
    assert vm.network_interfaces[0].access_configs[0].nat_i_p == address.address
    with pytest.raises(exceptions.BadRequest):
        api.addresses.delete_unary(**REGION, address="fixed")
    api.stop()
    assert api.addresses.get(**REGION, address="fixed").status == "IN_USE"
    assert api.get().network_interfaces[0].access_configs[0].nat_i_p == address.address
    api.delete()
    assert api.addresses.get(**REGION, address="fixed").status == "RESERVED"
    assert [a.name for a in api.addresses.list(**REGION)] == ["fixed"]
    scopes = dict(api.addresses.aggregated_list(project=PROJECT))
    assert [a.name for a in scopes["regions/us-central1"].addresses] == ["fixed"]
    assert scopes["global"].warning.code == "NO_RESULTS_ON_PAGE"
    api.after(api.addresses.delete_unary(**REGION, address="fixed"))
    assert cloud.truth().addresses[0].deleted is not None


def test_an_address_that_is_not_ours(api):
    config = compute_v1.AccessConfig(nat_i_p="198.51.100.1")
    with pytest.raises(exceptions.BadRequest, match="not found in the project"):
        api.insert(network_interfaces=[compute_v1.NetworkInterface(access_configs=[config])])


def test_addresses_over_quota(api, cloud):
    cloud.quota("STATIC_ADDRESSES", 0)
    assert reserve(api).error.errors[0].code == "QUOTA_EXCEEDED"


def rule(**changes) -> compute_v1.Firewall:
    values = {
        "name": "ssh",
        "network": "global/networks/default",
        "allowed": [compute_v1.Allowed(I_p_protocol="tcp", ports=["22"])],
        "source_ranges": ["203.0.113.7/32"],
    }
    return compute_v1.Firewall(**(values | changes))


def test_a_firewall_rules_life(api, cloud):
    api.after(api.firewalls.insert_unary(project=PROJECT, firewall_resource=rule()))
    with pytest.raises(exceptions.Conflict):
        api.firewalls.insert_unary(project=PROJECT, firewall_resource=rule())
    narrowed = compute_v1.Firewall(source_ranges=["198.51.100.4/32"])
    api.after(
        api.firewalls.patch_unary(project=PROJECT, firewall="ssh", firewall_resource=narrowed)
    )
    found = api.firewalls.get(project=PROJECT, firewall="ssh")
    assert list(found.source_ranges) == ["198.51.100.4/32"]
    assert found.allowed[0].ports == ["22"]
    assert [r.name for r in api.firewalls.list(project=PROJECT)] == ["ssh"]
    api.after(api.firewalls.delete_unary(project=PROJECT, firewall="ssh"))
    assert list(api.firewalls.list(project=PROJECT)) == []
    assert cloud.violations == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"source_ranges": ["0.0.0.0/0"]},
        {"source_ranges": ["10.0.0.0/8", "::/0"]},
        {"source_ranges": []},
        {
            "source_ranges": ["0.0.0.0/0"],
            "allowed": [compute_v1.Allowed(I_p_protocol="tcp", ports=["20-30"])],
        },
        {"source_ranges": ["0.0.0.0/0"], "allowed": [compute_v1.Allowed(I_p_protocol="all")]},
    ],
)
def test_port_22_open_to_the_world_is_put_down(api, cloud, changes):
    api.firewalls.insert_unary(project=PROJECT, firewall_resource=rule(**changes))
    assert cloud.violations == ("firewall ssh opens port 22 to the world",)


def test_other_ports_and_tagged_sources_are_not(api, cloud):
    web = [compute_v1.Allowed(I_p_protocol="tcp", ports=["443", "8000-9000"])]
    open_ = rule(source_ranges=["0.0.0.0/0"], allowed=web)
    api.firewalls.insert_unary(project=PROJECT, firewall_resource=open_)
    tagged = rule(name="b", source_ranges=[], source_tags=["bastion"])
    api.firewalls.insert_unary(project=PROJECT, firewall_resource=tagged)
    assert cloud.violations == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "SSH"},
        {"allowed": []},
        {"source_ranges": ["1.2.3.4/99"]},
        {"denied": [compute_v1.Denied(I_p_protocol="udp")]},
        {"direction": "SIDEWAYS"},
    ],
)
def test_what_a_rule_cannot_be(api, changes):
    with pytest.raises(exceptions.BadRequest):
        api.firewalls.insert_unary(project=PROJECT, firewall_resource=rule(**changes))


def test_the_default_network(api):
    network = api.networks.get(project=PROJECT, network="default")
    assert len(network.subnetworks) == 4
    assert [n.name for n in api.networks.list(project=PROJECT)] == ["default"]
    subnet = api.subnetworks.get(**REGION, subnetwork="default")
    assert subnet.network == network.self_link
    assert [s.name for s in api.subnetworks.list(**REGION)] == ["default"]
    with pytest.raises(exceptions.NotFound):
        api.networks.get(project=PROJECT, network="other")
