"""An address from the environment: taken as it is, or refused by the name of its variable."""

import pytest
from botocore.endpoint_provider import RuleSetStandardLibrary
from botocore.utils import is_valid_endpoint_url, is_valid_ipv6_endpoint_url
from hypothesis import example, given
from hypothesis import strategies as st

from gpuctl.core.endpoints import endpoint, wrong_with
from gpuctl.core.errors import UsageProblem

GOOD = (
    "http://127.0.0.1:4566",
    "https://ec2.us-east-1.amazonaws.com",
    "https://compute-private.p.googleapis.com/",
    "http://[::1]:80",
    "http://localhost",
    "HTTPS://example.com:65535/root?a=b",
    "https://user:word@example.com",
    "https://example.com.",
)
BAD = {
    "not a url": "space",
    "http://h/\x01": "control character",
    "http://127.0.0.1:1/a\nb": "control character",
    "http://127.0.0.1:1\x7f": "control character",
    "http://\u00e9.invalid": "beyond ASCII",
    "http://\udcff": "beyond ASCII",
    "": "begin with https://",
    "localhost:99": "begin with https://",
    "//example.com": "begin with https://",
    "://": "nothing://",
    "ftp://example.com": "ftp://",
    "file:///etc/passwd": "file://",
    "http://": "no host",
    "https:///path": "no host",
    "https://:443": "no host",
    "http://[::1": "IPv6",
    "http://[zz]:5": "IPv6",
    "http://::1]": "IPv6",
    "http://[]:5": "IPv6",
    "http://[127.0.0.1]": "IPv6",
    "http://h:x": "port",
    "http://h:0": "port",
    "http://h:99999": "port",
    "http://h:-1": "port",
    "http://..:1": "no host name",
    "http://-h": "no host name",
    "http://h-": "no host name",
    "http://docker_host": "no host name",
    "http://a;b": "no host name",
    f"http://{'a' * 64}.x": "no host name",
    f"http://{'a.' * 200}x": "no host name",
}


@pytest.mark.parametrize("address", GOOD)
def test_an_address_is_taken_as_it_is(address):
    assert endpoint("AWS_ENDPOINT_URL", address) == address


@pytest.mark.parametrize(("address", "reason"), BAD.items(), ids=[ascii(bad) for bad in BAD])
def test_what_is_no_address_is_refused_by_name_and_reason(address, reason):
    with pytest.raises(UsageProblem) as caught:
        endpoint("AWS_ENDPOINT_URL", address)
    assert caught.value.message.startswith("AWS_ENDPOINT_URL is no address: ")
    assert reason in caught.value.message
    assert "unset AWS_ENDPOINT_URL" in caught.value.hint


def test_a_password_in_a_broken_address_is_not_told():
    with pytest.raises(UsageProblem) as caught:
        endpoint("AWS_ENDPOINT_URL", "http://root:hunter2@h:x")
    assert "hunter2" not in caught.value.message + caught.value.hint


@given(st.one_of(st.text(), st.text("htps:/[]0123456789.@%ab \t?#").map("http://".__add__)))
@example("http://[fe80::1%25eth0]:80")
@example("http://[::1]x:80")
def test_what_passes_is_an_address_to_the_sdk_too(text):
    if wrong_with(text) is None:
        assert is_valid_endpoint_url(text) or is_valid_ipv6_endpoint_url(text), text
        RuleSetStandardLibrary("aws").parse_url(text)
