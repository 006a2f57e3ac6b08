"""Single addresses only, each until its expiry; shared rules go with their last lease."""

import ipaddress
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.core import errors
from gpuctl.core.model import Access, Down
from gpuctl.providers.aws import access
from tests.providers.aws.rig import ALICE, INSTALL, PUBLIC_KEY, Rig, id_of, offer

BOB = "198.51.100.9/32"
CAROL = "2001:db8::7/128"


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_no_range_wider_than_24_is_ever_taken(address: ipaddress.IPv4Address, bits: int) -> None:
    network = ipaddress.ip_network((address, bits), strict=False)
    if bits < 24:
        with pytest.raises(ValueError, match="/24"):
            access.checked_source(str(network))
    else:
        assert access.checked_source(str(network)) == str(network)


@given(st.ip_addresses(v=6), st.integers(0, 128))
def test_no_v6_range_wider_than_64_is_ever_taken(address: ipaddress.IPv6Address, bits: int) -> None:
    network = ipaddress.ip_network((address, bits), strict=False)
    if bits < 64:
        with pytest.raises(ValueError, match="/64"):
            access.checked_source(str(network))
    else:
        assert access.checked_source(str(network)) == str(network)


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "everywhere", "", "10.0.0.1/24", "1.2.3/32"])
def test_what_is_no_address_is_an_invalid_request(rig: Rig, text: str) -> None:
    wanted = replace(rig.order().access, sources=(ALICE, text))
    with pytest.raises(errors.InvalidRequest):
        access.sources_of(wanted)


def test_a_rule_says_whose_it_is_and_until_when(rig: Rig) -> None:
    order = rig.order()
    rig.provider().start(order)
    (rule,) = rig.rules()
    assert rule["CidrIpv4"] == ALICE
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 22, 22)
    assert access.leases_of(rule) == (order.lease,)
    assert access.expiry_of(rule) == order.access.expires
    assert "until" in rule["Description"]


def test_v6_sources_are_let_in_as_v6(rig: Rig) -> None:
    order = rig.order()
    rig.provider().start(replace(order, access=replace(order.access, sources=(CAROL,))))
    (rule,) = rig.rules()
    assert rule["CidrIpv6"] == CAROL


def test_one_group_an_installation_without_any_other_rule(rig: Rig) -> None:
    provider = rig.provider()
    provider.start(rig.order())
    provider.start(rig.order(token="b" * 32, lease="1" * 32, offer=offer(zone="us-east-1b")))
    groups = rig.raw().describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["gpuctl-01234567"]}]
    )["SecurityGroups"]
    assert len(groups) == 1
    tags = {tag["Key"]: tag["Value"] for tag in groups[0]["Tags"]}
    assert tags == {"gpuctl:managed": "true", "gpuctl:install": INSTALL}


def test_two_machines_share_a_rule_until_both_are_gone(rig: Rig) -> None:
    provider = rig.provider()
    first = provider.start(rig.order())
    second = provider.start(rig.order(token="b" * 32, lease="1" * 32))
    (rule,) = rig.rules()
    assert set(access.leases_of(rule)) == {rig.order().lease, "1" * 32}
    provider.stop(first.id, Down.END)
    (rule,) = rig.rules()
    assert access.leases_of(rule) == ("1" * 32,)
    provider.stop(second.id, Down.END)
    assert list(rig.rules()) == []


def test_a_shared_rule_lasts_as_long_as_the_longest(rig: Rig) -> None:
    provider = rig.provider()
    short, long = rig.order(), rig.order(token="b" * 32, lease="1" * 32)
    longer = replace(long.access, expires=long.access.expires + timedelta(hours=5))
    provider.start(replace(long, access=longer))
    provider.start(short)
    (rule,) = rig.rules()
    assert access.expiry_of(rule) == longer.expires


def test_admitting_another_address_never_closes_the_first_before(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    provider.admit(machine.id, replace(rig.order().access, sources=(BOB,)))
    changes = [name for name, _ in rig.requests if name.endswith("SecurityGroupIngress")]
    assert changes[-2:] == ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"]
    assert [rule["CidrIpv4"] for rule in rig.rules()] == [BOB]


def test_admitting_again_only_moves_the_expiry(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    later = replace(rig.order().access, expires=rig.now() + timedelta(days=1))
    provider.admit(machine.id, later)
    (rule,) = rig.rules()
    assert access.expiry_of(rule) == later.expires


def test_a_tunnel_closes_what_was_open(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    provider.admit(machine.id, replace(rig.order().access, tunnel="ssm"))
    assert list(rig.rules()) == []


def test_nobody_is_admitted_to_what_is_not_ours(rig: Rig) -> None:
    with pytest.raises(errors.NotFound):
        rig.provider().admit(id_of(), rig.order().access)


def test_a_race_for_the_group_ends_with_one_group(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients, settings = rig.clients(), rig.settings()
    vpc = rig.raw().describe_vpcs()["Vpcs"][0]["VpcId"]
    first = access.ensure_group(clients, settings, "us-east-1", vpc)
    real = access.find_group
    answers = iter([None])
    monkeypatch.setattr(access, "find_group", lambda *args: next(answers, None) or real(*args))
    seen = iter([False, True])
    monkeypatch.setattr(access, "find_group", lambda *args: real(*args) if next(seen) else None)
    assert access.ensure_group(clients, settings, "us-east-1", vpc) == first


def test_the_key_is_imported_once_and_named_by_its_fingerprint(rig: Rig) -> None:
    clients, settings = rig.clients(), rig.settings()
    name = access.ensure_key(clients, settings, "us-east-1", PUBLIC_KEY)
    again = access.ensure_key(clients, settings, "us-east-1", f"{PUBLIC_KEY} other comment")
    assert name == again
    assert name.startswith("gpuctl-01234567-")
    assert rig.sent["ImportKeyPair"] == 1


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 not*base64"])
def test_what_is_no_public_key_is_refused(rig: Rig, text: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        access.ensure_key(rig.clients(), rig.settings(), "us-east-1", text)


@given(st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), unique=True, max_size=20))
def test_the_newest_leases_fit_into_a_tag(leases: list[str]) -> None:
    joined = access._joined(leases)
    assert len(joined) <= 256
    assert joined.split() == leases[-7:]


def test_a_rule_without_an_expiry_has_expired() -> None:
    assert access.expiry_of({"Tags": []}) is None


def test_sources_are_taken_once_each() -> None:
    wanted = Access(
        public_key=PUBLIC_KEY,
        user="ubuntu",
        sources=(ALICE, BOB, ALICE),
        expires=None,  # type: ignore[arg-type]
    )
    assert access.sources_of(wanted) == (ALICE, BOB)


def test_a_rule_that_somebody_made_by_hand_is_left_alone(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    (rule,) = rig.rules()
    rig.raw().authorize_security_group_ingress(
        GroupId=rule["GroupId"],
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": BOB}]}
        ],
    )
    provider.admit(machine.id, rig.order().access)
    provider.stop(machine.id, Down.END)
    assert [rule["CidrIpv4"] for rule in rig.rules()] == [BOB]
