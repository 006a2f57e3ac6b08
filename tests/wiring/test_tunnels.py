"""Tunnels are argv of the vendors' own programs; nothing of a name reaches a shell."""

import pytest

from gpuctl.config.model import Tunnel
from gpuctl.wiring.tunnels import proxy
from tests.core.cloudstory import machine

WAYS = {
    Tunnel.EICE: ("aws ec2-instance-connect open-tunnel", "--instance-id i-1"),
    Tunnel.SSM: ("aws ssm start-session", "--target i-1", "AWS-StartSSHSession"),
    Tunnel.IAP: ("gcloud compute start-iap-tunnel i-1 22", "--listen-on-stdin"),
}


def test_plain_ssh_needs_none():
    assert proxy(Tunnel.SSH, machine()) == ()


@pytest.mark.parametrize("way", WAYS)
def test_each_way_is_the_vendors_own(way):
    said = " ".join(proxy(way, machine()))
    assert all(part in said for part in WAYS[way])
    assert ("us-east-1" in said) is (way is not Tunnel.IAP) or "--zone=us-east-1a" in said


def test_every_tunnel_is_known():
    assert {way for way in Tunnel if proxy(way, machine())} == set(WAYS)
