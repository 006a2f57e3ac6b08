"""Listing, ending and tidying."""

from datetime import timedelta

import pytest

from gpuctl.core import errors
from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, State
from gpuctl.core.model import DiskSpec, Down
from tests.providers.aws.rig import Rig, id_of, offer


def test_a_listing_is_two_calls_a_region(rig: Rig) -> None:
    provider = rig.provider()
    assert provider.account
    rig.sent.clear()
    provider.machines()
    assert rig.sent == {"DescribeInstances": 2, "DescribeVolumes": 2}


def test_machines_of_all_regions_and_all_installations(rig: Rig) -> None:
    provider = rig.provider()
    provider.start(rig.order())
    west = offer(region="us-west-2", zone="us-west-2a")
    other = "f" * 32
    rig.provider(install=other).start(
        rig.order(token="b" * 32, lease="1" * 32, offer=west, install=other, name="nlp-1")
    )
    found = {(one.id.region, one.name, one.install) for one in provider.machines()}
    assert found == {
        ("us-east-1", "vision-1", rig.settings().install),
        ("us-west-2", "nlp-1", other),
    }


def test_machines_of_nobodys_are_not_ours(rig: Rig) -> None:
    rig.raw().run_instances(ImageId=_image(rig), InstanceType="t3.micro", MinCount=1, MaxCount=1)
    assert rig.running() == 1
    assert list(rig.provider().machines()) == []


def test_what_a_disk_costs_beside_its_size_is_told(rig: Rig) -> None:
    provider = rig.provider()
    disk = DiskSpec(gb=60, type="gp3", iops=4000, throughput=250)
    machine = provider.start(rig.order(disk=disk))
    billed = {one.kind: int(one.quantity) for one in provider.get(machine.id).billed}
    assert billed[Kind.DISK] == 60
    assert billed[Kind.DISK_IOPS] == 1000
    assert billed[Kind.DISK_THROUGHPUT] == 125


def test_a_disk_attached_by_hand_is_billed_to_its_machine(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    rig.settle()
    ec2 = rig.raw()
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=33, VolumeType="gp3")
    ec2.attach_volume(Device="/dev/sdk", InstanceId=machine.id.native, VolumeId=volume["VolumeId"])
    (listed,) = provider.machines()
    sizes = {int(one.quantity) for one in listed.billed if one.kind is Kind.DISK}
    assert sizes == {50, 33}
    assert provider.get(machine.id) == listed


@pytest.mark.parametrize("call", ["DescribeInstances", "DescribeVolumes"])
def test_a_region_that_fails_makes_the_listing_incomplete(rig: Rig, call: str) -> None:
    rig.cloud.market.fault(call, code="InternalError", count=5)
    rig.provider(regions=("us-east-1",)).account  # noqa: B018 - not what is tested
    rig.cloud.market.clear_faults()
    rig.cloud.market.fault(call, code="OptInRequired", status=403, count=1)
    with pytest.raises(errors.ListingIncomplete) as caught:
        rig.provider().machines()
    assert caught.value.region in ("us-east-1", "us-west-2")
    assert caught.value.detail is not None


def test_a_captive_portal_is_not_an_empty_account(rig: Rig) -> None:
    rig.cloud.market.fault("*", html=True, count=50)
    with pytest.raises(errors.ListingIncomplete):
        rig.provider().machines()


def test_a_throttled_listing_is_repeated_by_the_sdk_alone(rig: Rig) -> None:
    provider = rig.provider(regions=("us-east-1",))
    assert provider.account
    rig.sent.clear()
    rig.cloud.market.fault("DescribeVolumes", code="RequestLimitExceeded", count=1)
    provider.machines()
    assert rig.sent["DescribeVolumes"] == 2
    assert rig.slept == []


def test_no_permission_anywhere_is_denied(rig: Rig) -> None:
    rig.cloud.market.deny("DescribeInstances")
    with pytest.raises(errors.Denied):
        rig.provider().machines()


def test_long_listings_are_read_to_the_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpuctl.providers.aws import machines  # noqa: PLC0415 - patched below

    provider = rig.provider(regions=("us-east-1",))
    for number in range(7):
        provider.start(rig.order(token=f"{number:032x}", lease=f"{number:032x}"))
    real = machines.pages

    def five_at_a_time(*args, **request):
        if "MaxResults" in request:
            request["MaxResults"] = 5
        return real(*args, **request)

    monkeypatch.setattr(machines, "pages", five_at_a_time)
    rig.sent.clear()
    assert len(list(provider.machines())) == 7
    assert rig.sent["DescribeInstances"] == 2


def test_stopping_ends_requests_and_rules_of_its_lease(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    assert len(rig.rules()) == 1
    provider.stop(machine.id, Down.END)
    assert list(rig.rules()) == []
    assert rig.request("TerminateInstances") == {"InstanceIds": [machine.id.native]}


def test_stopping_works_when_tidying_does_not(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    rig.cloud.market.deny("DescribeSecurityGroupRules")
    provider.stop(machine.id, Down.END)
    assert rig.running() == 0


def test_a_protected_machine_is_loud(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    rig.settle()
    rig.cloud.market.fault("TerminateInstances", code="OperationNotPermitted", status=400)
    with pytest.raises(errors.Denied) as caught:
        provider.stop(machine.id, Down.END)
    assert "termination protection" in (caught.value.hint or "")


def test_a_termination_without_an_answer_is_unknown(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    rig.cloud.market.fault("TerminateInstances", html=True, count=99)
    with pytest.raises(errors.UnknownOutcome):  # a web page with status 200 proves nothing
        provider.stop(machine.id, Down.END)
    assert rig.running() == 1


def test_what_never_existed_is_stopped(rig: Rig) -> None:
    rig.provider().stop(id_of(), Down.END)
    assert rig.sent["TerminateInstances"] == 3


def test_a_machine_that_aws_does_not_show_yet_is_stopped_all_the_same(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    rig.cloud.market.fault("TerminateInstances", code="InvalidInstanceID.NotFound", count=2)
    provider.stop(machine.id, Down.END)
    assert rig.running() == 0


def test_a_machine_that_aws_does_not_show_yet_is_waited_for(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    rig.cloud.market.fault("DescribeInstances", code="InvalidInstanceID.NotFound", count=2)
    assert provider.get(machine.id).id == machine.id
    assert rig.slept == [2.0, 4.0]


def test_a_machine_of_another_process_is_not_waited_for(rig: Rig) -> None:
    machine = rig.provider().start(rig.order())
    rig.cloud.market.fault("DescribeInstances", code="InvalidInstanceID.NotFound", count=1)
    with pytest.raises(errors.NotFound):
        rig.provider().get(machine.id)
    assert rig.slept == []


def test_a_launched_machine_is_complete_at_once(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    assert {one.kind for one in machine.billed} == {Kind.COMPUTE, Kind.DISK, Kind.IPV4}
    again = provider.start(rig.order())
    assert again.billed == machine.billed


def test_a_launch_does_not_fail_because_its_disks_cannot_be_read(rig: Rig) -> None:
    rig.cloud.market.deny("DescribeVolumes")
    machine = rig.provider().start(rig.order())
    assert Kind.COMPUTE in {one.kind for one in machine.billed}


def test_an_interruption_is_seen_in_the_listing_and_by_every_evidence(rig: Rig) -> None:
    from gpuctl.providers.aws import ending  # noqa: PLC0415 - each evidence alone

    provider = rig.provider()
    machine = provider.start(rig.order())
    rig.clock.advance(timedelta(minutes=20))
    rig.cloud.market.interrupt(machine.id.native, notice_seconds=120)
    rig.clock.advance(timedelta(minutes=2, seconds=5))
    (over,) = provider.machines()
    assert over.state is State.GONE
    assert over.billed == ()
    assert over.ending is not None
    assert over.ending.by is EndedBy.PROVIDER
    clients = rig.clients()
    where = (clients, "us-east-1", machine.id.native)
    by_request = ending.from_spot_request(*where)
    by_log = ending.from_audit_log(*where, rig.now())
    assert by_request is not None
    assert by_log is not None
    assert {by_request.by, by_log.by} == {EndedBy.PROVIDER}
    for one in (by_request, by_log):
        assert abs(one.at - over.ending.at) < timedelta(seconds=5)


def test_long_after_only_the_audit_log_remembers(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    rig.clock.advance(timedelta(minutes=20))
    rig.cloud.market.interrupt(machine.id.native)
    rig.clock.advance(timedelta(days=20))
    found = provider.ending(machine.id)
    assert found is not None
    assert (found.by, found.evidence) == (EndedBy.PROVIDER, Evidence.AUDIT_LOG)
    rig.clock.advance(timedelta(days=80))
    assert provider.ending(machine.id) is None


def test_without_the_audit_log_nothing_is_invented(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    rig.settle()
    provider.stop(machine.id, Down.END)
    rig.clock.advance(timedelta(days=2))
    rig.cloud.market.deny("LookupEvents")
    assert provider.ending(machine.id) is None


def test_a_guest_shutdown_of_an_on_demand_machine_is_not_timed_by_guessing(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order(offer=offer(market=Market.ON_DEMAND)))
    rig.settle()
    rig.power_off(machine.id.native)
    (over,) = provider.machines()
    assert over.state is State.GONE
    assert over.billed == ()
    assert over.ending is None or over.ending.evidence.certain


def test_a_moved_deadline_touches_nothing_else(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    later = rig.now() + timedelta(hours=30)
    provider.move_deadline(machine.id, later)
    request = rig.request("CreateTags")
    assert request == {
        "Resources": [machine.id.native],
        "Tags": [{"Key": "gpuctl:deadline", "Value": f"{later:%Y-%m-%dT%H:%M:%SZ}"}],
    }


def _image(rig: Rig) -> str:
    return str(rig.raw().describe_images(Owners=["amazon"])["Images"][0]["ImageId"])


def test_a_captive_portal_says_nothing_of_whose_account_it_is(rig: Rig) -> None:
    rig.cloud.market.fault("GetCallerIdentity", html=True)
    provider = rig.provider()
    with pytest.raises(errors.Busy, match="not one of AWS's"):
        provider.account  # noqa: B018 - asking is the point
    assert provider.account == "123456789012"
