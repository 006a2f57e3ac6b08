"""How a message leaves this computer: an address (https, ntfy), or a program of the user's.

`env:NAME` is the address in that variable. `cmd:PROGRAM …` is run without a shell, with the text on
its standard input and in the place of an argument `{}`; when it prints an address, the
message goes there too. So no secret has to stand in the settings. What is said of failures names
the host and never the rest of an address, which may be a secret.
"""

import json
import re
import shlex
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from gpuctl.app.notify import Message, Undelivered
from gpuctl.core.span import format_time

TIMEOUT_S = 10.0
_ADDRESS = r"(?:https?|ntfy)://\S+"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LONGEST = 3_500
"""Characters of a message: ntfy takes 4,096 bytes, Slack and Discord fewer or more."""
_DISCORD = 2_000
_ENV, _CMD = "env:", "cmd:"


def deliver(url: str, message: Message, environ: Mapping[str, str]) -> None:
    """One message to one place of `[notify] urls`. Undelivered, with the reason."""
    if url.startswith(_CMD):
        printed = _run(url.removeprefix(_CMD), message, environ)
        if re.fullmatch(_ADDRESS, printed):
            _post(printed, message, environ, named=_program_of(url))
        return
    if url.startswith(_ENV):
        name = url.removeprefix(_ENV)
        address = environ.get(name, "").strip()
        if not address:
            raise Undelivered(
                f"{url}: that variable is not set here",
                hint="a timer has none of a shell's variables: use cmd:… instead",
            )
        _post(address, message, environ, named=url)
        return
    _post(url, message, environ, named=None)


def _program_of(url: str) -> str:
    return _CMD + (shlex.split(url.removeprefix(_CMD)) or [""])[0]


def _run(line: str, message: Message, environ: Mapping[str, str]) -> str:
    """What it printed: its first line. Its standard error is not repeated: it may hold a secret."""
    try:
        argv = shlex.split(line)
    except ValueError as error:
        raise Undelivered(f"[notify] {_CMD}…: {error}") from None
    if not argv:
        raise Undelivered(f"[notify] {_CMD} names no program")
    argv = [message.text if word == "{}" else word for word in argv]
    try:
        done = subprocess.run(
            argv,
            input=message.text,
            env=dict(environ),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it took too long"
        raise Undelivered(f"{_CMD}{argv[0]}: {why}") from None
    if done.returncode:
        raise Undelivered(f"{_CMD}{argv[0]} ended with {done.returncode}")
    return next(iter(done.stdout.strip().splitlines()), "").strip()


def _post(address: str, message: Message, environ: Mapping[str, str], *, named: str | None) -> None:
    where, body, headers = _request(address, message, named)
    host = urlsplit(where).hostname
    if environ.get("GPUCTL_SANDBOX") and host not in _LOOPBACK:
        raise Undelivered("the sandbox sends nothing out of this computer")
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        where, data=body, headers=headers, method="POST"
    )
    try:
        with _opener().open(request, timeout=TIMEOUT_S) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        raise Undelivered(f"{named or host}: answered {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Undelivered(f"{named or host}: {type(reason).__name__}") from None


def _request(
    address: str, message: Message, named: str | None
) -> tuple[str, bytes, dict[str, str]]:
    """Address, body and headers as its service wants them. Undelivered for what is no address."""
    parts = urlsplit(address) if re.fullmatch(_ADDRESS, address) else None
    if parts is None or not parts.hostname:
        raise Undelivered(f"{named or 'notify.urls'}: is no https:// or ntfy:// address")
    text = message.text[:_LONGEST]
    if parts.scheme == "ntfy" or parts.hostname == "ntfy.sh":
        title = message.title[:120].encode("ascii", "replace").decode()
        scheme = "http" if parts.hostname in _LOOPBACK else "https"
        where = f"{scheme}://{parts.netloc}{parts.path}"
        return where, text.encode(), {"Title": title, "Content-Type": "text/plain; charset=utf-8"}
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise Undelivered(
            f"{named or parts.hostname}: http:// can be read on the way; use https://"
        )
    return (
        address,
        json.dumps(_body(parts.hostname, message, text)).encode(),
        {
            "Content-Type": "application/json",
            "User-Agent": "gpuctl",
        },
    )


def _body(host: str, message: Message, text: str) -> Mapping[str, Any]:
    if host.endswith("slack.com"):
        return {"text": text}
    if host.endswith(("discord.com", "discordapp.com")):
        return {"content": text[:_DISCORD]}
    return {
        "schema": "gpuctl.notice/1",
        "title": message.title,
        "text": text,
        "at": format_time(message.at),
        "notices": [{"event": one.event, "text": one.text} for one in message.notices],
    }


class _Straight(urllib.request.HTTPRedirectHandler):
    """A message goes where it was sent: a redirect is an answer, and not followed."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Straight)


def unreachable(urls: Sequence[str], carried: Mapping[str, str]) -> Sequence[str]:
    """Variables that these urls need and a timer will not have."""
    names = [url.removeprefix(_ENV) for url in urls if url.startswith(_ENV)]
    return [name for name in names if name not in carried]


__all__ = ["TIMEOUT_S", "deliver", "unreachable"]
