"""Google's answers with a field gone, null or of another kind: read, or an error of ours."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from requests import Response
from requests.adapters import HTTPAdapter

from gpuctl.core.errors import GpuctlError
from gpuctl.core.kinds import Kind, State
from gpuctl.core.model import Order
from gpuctl.providers.gcp import GcpProvider
from gpuctl.providers.gcp.client import Compute

WAYS = ("drop", None, "junk \u2603", [1])
Json = Any


class Tape:
    """Between the client library and the wire: what was heard, and what is told instead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heard: dict[str, Json] = {}
        self.told: dict[str, Json] = {}
        self.patience = monkeypatch
        send = HTTPAdapter.send

        def taped(adapter: HTTPAdapter, request: Any, **options: Any) -> Response:
            path = urlsplit(request.url).path
            if path in self.told:
                answer = Response()
                answer.status_code, answer.request, answer.url = 200, request, request.url
                answer.headers["Content-Type"] = "application/json"
                answer._content = json.dumps(self.told[path]).encode()
                return answer
            answer = send(adapter, request, **options)
            if request.method == "GET" and answer.ok:
                self.heard[path] = answer.json()
            return answer

        monkeypatch.setattr(HTTPAdapter, "send", taped)


def broken(answer: Json) -> Iterator[tuple[str, Json]]:
    """The answer once for each place in it and each way to break that."""
    for steps in {
        tuple("*" if isinstance(s, int) else s for s in p): p for p in _paths(answer)
    }.values():
        for way in WAYS:
            copied = copy.deepcopy(answer)
            parent = copied
            for step in steps[:-1]:
                parent = parent[step]
            if way == "drop":
                del parent[steps[-1]]
            else:
                parent[steps[-1]] = way
            yield f"{way} {'/'.join(map(str, steps))}", copied


def _paths(at: Json, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = at.items() if isinstance(at, dict) else enumerate(at) if isinstance(at, list) else ()
    for key, value in pairs:
        yield (*steps, key)
        yield from _paths(value, (*steps, key))


def survives(tape: Tape, ask: Callable[[], Any], *endings: str) -> dict[str, Any]:
    tape.patience.setattr(Compute, "_reading", lambda _: None)  # junk is read again for 45 s
    outcomes: dict[str, Any] = {}
    ask()
    recorded = dict(tape.heard)
    for path in (path for path in recorded if path.endswith(endings)):
        for what, answer in broken(_shortened(recorded[path])):
            tape.told = recorded | {path: answer}
            try:
                outcomes[f"{path.rpartition('/')[2]}: {what}"] = ask()
            except GpuctlError as error:
                outcomes[f"{path.rpartition('/')[2]}: {what}"] = error
    tape.told = {}
    assert len(outcomes) > 30
    return outcomes


def _shortened(answer: Json) -> Json:
    """Without the scopes in which nothing is."""
    if not isinstance(answer.get("items"), dict):
        return answer
    full = {name: scope for name, scope in answer["items"].items() if "warning" not in scope}
    return answer | {"items": full}


@pytest.fixture
def tape(monkeypatch: pytest.MonkeyPatch) -> Tape:
    return Tape(monkeypatch)


def test_a_listing_of_vms(tape: Tape, provider: GcpProvider, order: Order) -> None:
    """Where it is read all the same, what is told to run is billed."""
    provider.start(order)
    outcomes = survives(tape, provider.machines, "/instances", "/disks")
    read = {what: got for what, got in outcomes.items() if not isinstance(got, GpuctlError)}
    for what, got in outcomes.items():
        if isinstance(got, GpuctlError):
            assert got.message.startswith(("listing", "Compute Engine", "reading")), what
    for what, [vm] in ((what, got) for what, got in read.items() if got):
        assert vm.state is State.RUNNING, what
        assert Kind.VCPU in {thing.kind for thing in vm.billed}, what
    strange = [got[0].strange for what, got in read.items() if what.endswith("\u2603 " + STATUS)]
    assert strange == ["junk \u2603"]


def test_a_listing_of_what_remains(tape: Tape, provider: GcpProvider, order: Order) -> None:
    provider.start(order)
    for what, got in survives(tape, provider.leftovers, "/firewalls", "/disks").items():
        if isinstance(got, GpuctlError):
            assert got.message.startswith(("listing", "Compute Engine")), what


STATUS = "items/zones/us-central1-a/instances/0/status"
