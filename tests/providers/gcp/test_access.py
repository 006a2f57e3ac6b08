"""Who is let in: one address, one rule a machine, everybody else's keys kept."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gpuctl.core.errors import InvalidRequest
from gpuctl.core.model import Access
from gpuctl.providers.gcp.access import (
    IAP,
    describe,
    described,
    merged_keys,
    rule_name,
    rule_of,
    sources_of,
)

INSTALL = "1f" * 16
UNTIL = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)
HOME = Access(
    public_key="ssh-ed25519 AAAA me@laptop",
    user="ubuntu",
    sources=("203.0.113.7/32",),
    expires=UNTIL,
)
NETWORK = "global/networks/default"


def test_a_rule_lets_one_address_in_to_ssh_of_one_machine() -> None:
    rule = rule_of(INSTALL, "vision-1", HOME, NETWORK)
    assert rule is not None
    assert rule["sourceRanges"] == ["203.0.113.7/32"]
    assert rule["allowed"] == [{"IPProtocol": "tcp", "ports": ["22"]}]
    assert rule["targetTags"] == [rule["name"]] == ["gpuctl-1f1f1f1f-vision-1"]
    assert described(rule) == ("vision-1", INSTALL, UNTIL)


def test_a_tunnel_lets_only_google_in() -> None:
    assert sources_of(replace(HOME, tunnel="iap")) == (IAP,)
    with pytest.raises(InvalidRequest):
        sources_of(replace(HOME, tunnel="ssm"))


@pytest.mark.parametrize("source", ["203.0.113.0/24", "0.0.0.0/0", "::/0", "203.0.113.6/31"])
def test_more_than_one_address_is_refused(source: str) -> None:
    with pytest.raises(InvalidRequest):
        sources_of(replace(HOME, sources=("203.0.113.7/32", source)))


def test_ipv6_is_left_out_and_alone_refused() -> None:
    both = replace(HOME, sources=("2001:db8::1/128", "203.0.113.7/32"))
    assert sources_of(both) == ("203.0.113.7/32",)
    with pytest.raises(InvalidRequest, match="IPv6"):
        sources_of(replace(HOME, sources=("2001:db8::1/128",)))


def test_nobody_let_in_is_no_rule() -> None:
    assert rule_of(INSTALL, "vision-1", replace(HOME, sources=()), NETWORK) is None


def test_names_stay_within_googles_grammar() -> None:
    name = rule_name(INSTALL, "a" * 61)
    assert len(name) <= 63
    assert not name.endswith("-")
    assert rule_name("!!", "v") == "gpuctl-x-v"


def test_two_long_names_that_begin_alike_have_a_rule_each() -> None:
    one, other = ("v" * 60 + end for end in ("-a", "-b"))
    assert rule_name(INSTALL, one) != rule_name(INSTALL, other)
    assert len(rule_name(INSTALL, one)) == 63


@pytest.mark.parametrize("text", ["", "default ssh", "gpuctl machine x of y until soon"])
def test_rules_of_others_say_nothing_to_us(text: str) -> None:
    assert described({"description": text}) is None
    assert described({"description": describe("i", "v", UNTIL)}) == ("v", "i", UNTIL)


def test_our_key_is_replaced_and_others_stay() -> None:
    before = "bob:ssh-rsa BBBB bob@home\nubuntu:ssh-ed25519 OLD gpuctl-1f1f1f1f"
    assert merged_keys(before, HOME, INSTALL).splitlines() == [
        "bob:ssh-rsa BBBB bob@home",
        "ubuntu:ssh-ed25519 AAAA gpuctl-1f1f1f1f",
    ]
    other = "ubuntu:ssh-ed25519 OTHER gpuctl-2e2e2e2e"
    assert other in merged_keys(other, HOME, INSTALL)
