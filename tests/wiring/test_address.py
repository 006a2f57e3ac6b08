"""Nobody is let in from an address that only one source, or no source, knows."""

import urllib.error

import pytest

from gpuctl.core.errors import GpuctlError
from gpuctl.wiring.address import SOURCES, public_addresses


def test_two_sources_that_agree_are_believed():
    assert public_addresses(lambda url: "8.8.4.4") == ("8.8.4.4/32",)
    assert public_addresses(lambda url: "2001:4860:4860::8888") == ("2001:4860:4860::8888/128",)


def test_two_sources_that_disagree_are_not():
    with pytest.raises(GpuctlError, match=r"disagree.*8\.8\.4\.4, 8\.8\.8\.8") as refused:
        public_addresses(lambda url: "8.8.8.8" if url == SOURCES[0] else "8.8.4.4")
    assert "ssh_from" in str(refused.value.hint)


@pytest.mark.parametrize(
    "answer",
    ["10.0.0.3", "192.168.1.2", "100.64.0.1", "127.0.0.1", "::1", "0.0.0.0", "203.0.113.7"],
)
def test_an_address_that_the_world_cannot_see_is_none(answer):
    with pytest.raises(GpuctlError, match="not a public address"):
        public_addresses(lambda url: answer)


@pytest.mark.parametrize("answer", ["", "<html>", "8.8.8.8/0", "8.8.8.8 evil"])
def test_nonsense_is_no_address(answer):
    with pytest.raises(GpuctlError, match="is no address"):
        public_addresses(lambda url: answer)


def test_a_source_that_does_not_answer_is_said():
    def fail(url):
        raise urllib.error.URLError("no route")

    with pytest.raises(GpuctlError, match="could not be learnt"):
        public_addresses(fail)
