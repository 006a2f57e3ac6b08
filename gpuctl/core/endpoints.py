"""Addresses of services that come from the environment: refused by name before an SDK sees them."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from gpuctl.core.errors import UsageProblem

_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_LONGEST_HOST = 253
_TYPE = "https://HOST or https://HOST:PORT"


def endpoint(variable: str, value: str) -> str:
    """`value`, which is an http or https address with a host; UsageProblem naming `variable`.

    The reason is told without what the address holds of a user and a password.
    """
    why = wrong_with(value)
    if why is None:
        return value
    raise UsageProblem(
        f"{variable} is no address: {why}", hint=f"set it to {_TYPE}, or unset {variable}"
    )


def wrong_with(value: str) -> str | None:
    """Why nothing can be reached at `value`, in words that end a sentence; None = it is one."""
    if not value.isascii() or not value.isprintable() or " " in value:
        return "it has a space, a control character or a letter beyond ASCII in it"
    scheme, mark, _ = value.partition("://")
    if not mark:
        return "it does not begin with https:// (or http://)"
    if scheme.lower() not in ("http", "https"):
        return f"{scheme[:20] or 'nothing'}:// is neither https:// nor http://"
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError:
        return "what is between [ and ] is no IPv6 address"
    try:
        port = parts.port
    except ValueError:
        return "its port is no number from 1 to 65535"
    if port == 0:
        return "its port is no number from 1 to 65535"
    return _wrong_host(host, bracketed="[" in parts.netloc)


def _wrong_host(host: str, *, bracketed: bool) -> str | None:
    if not host:
        return "it names no host"
    if bracketed:
        try:
            ip_address(host)
        except ValueError:
            return "what is between [ and ] is no IPv6 address"
        return None
    if len(host) > _LONGEST_HOST or not _HOST.fullmatch(host):
        return f"{host[:60]} is no host name"
    return None
