"""Messages that leave this computer: to a webhook over real HTTP, to ntfy, to a program."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gpuctl.app.notify import Message, Notice, Undelivered
from gpuctl.wiring.messenger import _request, deliver, unreachable
from gpuctl.wiring.told import read_told, write_told

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
NOTICE = Notice(key="k", event="leftover", text="disk vol-1: of no machine é")
MESSAGE = Message(title="gpuctl: é", text=NOTICE.text, notices=(NOTICE,), at=AT)


class Received(HTTPServer):
    """What came; `status` is what is answered, `location` where a redirect points."""

    status = 200
    location: str | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[str, str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook/SECRETPART"


class Handler(BaseHTTPRequestHandler):
    server: Received

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers.get("Title", ""), body))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - the server's word

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def received() -> Iterator[Received]:
    server = Received()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_json(received: Received) -> None:
    deliver(received.url, MESSAGE, {})

    (path, _, body), *more = received.got
    assert not more
    assert path == "/hook/SECRETPART"
    assert json.loads(body) == {
        "schema": "gpuctl.notice/1",
        "title": "gpuctl: é",
        "text": NOTICE.text,
        "at": "2026-03-02T09:00:00Z",
        "notices": [{"event": "leftover", "text": NOTICE.text}],
    }


def test_ntfy_gets_text_with_a_title(received: Received) -> None:
    deliver(f"ntfy://127.0.0.1:{received.server_port}/topic", MESSAGE, {})
    assert received.got == [("/topic", "gpuctl: ?", NOTICE.text.encode())]


def test_an_address_may_stand_in_a_variable(received: Received) -> None:
    deliver("env:HOOK", MESSAGE, {"HOOK": received.url})
    assert len(received.got) == 1
    with pytest.raises(Undelivered, match="env:HOOK: that variable is not set"):
        deliver("env:HOOK", MESSAGE, {})
    assert unreachable(["env:HOOK", "env:HOME", "cmd:x"], {"HOME": "/"}) == ["HOOK"]


def program(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "program"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_a_program_gets_the_text_and_no_shell(tmp_path: Path) -> None:
    file = program(tmp_path, f'printf "%s|" "$@" > {tmp_path}/argv; cat > {tmp_path}/stdin')
    deliver(f"cmd:{file} 'two words' {{}} $HOME;ls", MESSAGE, {"PATH": "/usr/bin:/bin"})
    assert (tmp_path / "argv").read_text() == f"two words|{NOTICE.text}|$HOME;ls|"
    assert (tmp_path / "stdin").read_text() == NOTICE.text


def test_a_program_may_print_the_address(tmp_path: Path, received: Received) -> None:
    file = program(tmp_path, f"echo {received.url}")
    deliver(f"cmd:{file}", MESSAGE, {"PATH": "/usr/bin:/bin"})
    assert [path for path, _, _ in received.got] == ["/hook/SECRETPART"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("cmd:/no/such SECRET", r"cmd:/no/such: No such file"),
        ("cmd:'", "No closing quotation"),
        ("cmd: ", "names no program"),
        ("http://example.com/SECRET", "can be read on the way"),
        ("https:///SECRET", "is no https:// or ntfy:// address"),
        ("ftp://example.com/SECRET", "is no https:// or ntfy:// address"),
        ("env:BAD", "env:BAD: is no https://"),
    ],
)
def test_what_cannot_be_told_says_why_and_no_secret(url: str, says: str) -> None:
    with pytest.raises(Undelivered, match=says) as caught:
        deliver(url, MESSAGE, {"BAD": "SECRET"})
    assert "SECRET" not in str(caught.value)


def test_a_refusal_names_the_host_alone(received: Received, tmp_path: Path) -> None:
    received.status = 500
    with pytest.raises(Undelivered, match=r"^127.0.0.1: answered 500$"):
        deliver(received.url, MESSAGE, {})
    file = program(tmp_path, f"echo {received.url}")
    with pytest.raises(Undelivered, match=r"^cmd:\S+/program: answered 500$"):
        deliver(f"cmd:{file} SECRETARG", MESSAGE, {})
    failing = program(tmp_path, "echo SECRET >&2; exit 3")
    with pytest.raises(Undelivered, match=r"ended with 3$"):
        deliver(f"cmd:{failing}", MESSAGE, {})


def test_a_redirect_is_not_followed(received: Received) -> None:
    received.status, received.location = 302, "/elsewhere"
    with pytest.raises(Undelivered, match="answered 302"):
        deliver(received.url, MESSAGE, {})
    assert len(received.got) == 1


def test_nobody_there(received: Received) -> None:
    with pytest.raises(Undelivered, match=r"^127.0.0.1: ConnectionRefusedError$"):
        deliver("http://127.0.0.1:1/SECRET", MESSAGE, {})


def test_the_sandbox_sends_nothing_out() -> None:
    with pytest.raises(Undelivered, match="sandbox"):
        deliver("https://example.com/x", MESSAGE, {"GPUCTL_SANDBOX": "/s"})


@pytest.mark.parametrize(
    ("url", "key"),
    [("https://hooks.slack.com/x", "text"), ("https://discord.com/api/webhooks/x", "content")],
)
def test_slack_and_discord_are_spoken_to_in_their_words(url: str, key: str) -> None:
    long = MESSAGE._replace(text="x" * 9_000)
    _, body, _ = _request(url, long, None)
    told = json.loads(body)
    assert list(told) == [key]
    assert len(told[key]) <= (3_500 if key == "text" else 2_000)


def test_ntfys_own_site_wants_text_too() -> None:
    assert _request("https://ntfy.sh/topic", MESSAGE, None)[1] == NOTICE.text.encode()


def test_what_was_told_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "told.json"
    assert read_told(path) == {}
    write_told(path, {"k": AT})
    assert read_told(path) == {"k": AT}
    assert path.stat().st_mode & 0o777 == 0o600
    for broken in ("[]", "{", '{"k": 1}', '{"k": "soon"}'):
        path.write_text(broken)
        assert read_told(path) == {}
