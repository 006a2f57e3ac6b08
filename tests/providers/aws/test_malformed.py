"""EC2's answers with a field gone, empty or of junk: read as far as known, or an error of ours."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from botocore.awsrequest import AWSResponse

from gpuctl.core.errors import GpuctlError, UnknownOutcome
from gpuctl.core.kinds import Kind, State
from gpuctl.providers.aws import AwsProvider
from gpuctl.providers.aws.leftovers import of_region
from tests.providers.aws.rig import Rig

JUNK = "junk \u2603"
WAYS = ("drop", "empty", JUNK)
LAUNCHED = "/reservationSet/item/instancesSet/item/launchTime"
STATE = "/reservationSet/item/instancesSet/item/instanceState/name"
Answers = Mapping[str, bytes]


class Body:
    """What urllib3 would hand out."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._content


class Tape:
    """Between the SDK and the wire of each client that the provider has made."""

    def __init__(self, rig: Rig) -> None:
        self.heard: dict[str, bytes] = {}
        self.told: Answers = {}
        self._events = [client.meta.events for client in rig.counted.values()]  # type: ignore[attr-defined]

    def __enter__(self) -> "Tape":
        for events in self._events:
            events.register("response-received.*", self._hear, unique_id="tape-hears")
            events.register("before-send.*", self._tell, unique_id="tape-tells")
        return self

    def __exit__(self, *_: object) -> None:
        for events in self._events:
            events.unregister("response-received.*", unique_id="tape-hears")
            events.unregister("before-send.*", unique_id="tape-tells")

    def _hear(self, response_dict: Any, event_name: str, **_: Any) -> None:
        self.heard[event_name.rpartition(".")[2]] = response_dict["body"]

    def _tell(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        body = self.told.get(event_name.rpartition(".")[2])
        if body is None:
            return None
        return AWSResponse(request.url, 200, {"Content-Type": "text/xml"}, Body(body))


def broken(body: bytes, ways: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """The answer once for each place in it and each way to break that: (what was done, answer)."""
    seen: set[str] = set()
    for place, steps in _places(ET.fromstring(body), ""):
        if place in seen or "Metadata" in place:
            continue
        seen.add(place)
        for way in ways:
            root = ET.fromstring(body)
            parent = root
            for step in steps[:-1]:
                parent = parent[step]
            child = parent[steps[-1]]
            if way == "drop":
                parent.remove(child)
            else:
                for inner in list(child):
                    child.remove(inner)
                child.text = "" if way == "empty" else way
            yield f"{way} {place}", ET.tostring(root)


def _places(at: ET.Element, name: str, steps: tuple[int, ...] = ()) -> Iterator[Any]:
    for index, child in enumerate(at):
        place = f"{name}/{child.tag.rpartition('}')[2]}"
        if place != "/requestId":
            yield place, (*steps, index)
            yield from _places(child, place, (*steps, index))


def survives(rig: Rig, ask: Callable[[], Any], ways: Sequence[str] = WAYS) -> dict[str, Any]:
    """What came of each broken answer of one question: a value, or an error of ours."""
    outcomes: dict[str, Any] = {}
    ask()
    with Tape(rig) as tape:
        ask()
        recorded = {name: body for name, body in tape.heard.items() if body.startswith(b"<")}
        for name, body in recorded.items():
            for what, answer in broken(body, ways):
                tape.told = recorded | {name: answer}
                try:
                    outcomes[f"{name}: {what}"] = ask()
                except GpuctlError as error:
                    outcomes[f"{name}: {what}"] = error
    assert len(outcomes) > 30
    return outcomes


@pytest.fixture
def provider(rig: Rig) -> AwsProvider:
    return rig.provider(regions=("us-east-1",))


def test_a_listing_of_machines(rig: Rig, provider: AwsProvider) -> None:
    """Where it is read all the same, what runs is billed, as what the cloud told that it is."""
    provider.start(rig.order())
    rig.settle()
    outcomes = survives(rig, provider.machines)
    read = {what: got for what, got in outcomes.items() if not isinstance(got, GpuctlError)}
    for what, got in outcomes.items():
        if isinstance(got, GpuctlError):
            assert "us-east-1" in got.message, what
            assert got.hint, what
    assert len(read) > 100
    for what, [one] in ((what, got) for what, got in read.items() if got):
        assert one.state is State.RUNNING, what
        assert Kind.COMPUTE in {thing.kind for thing in one.billed}, what
    [lacking] = [got for what, got in outcomes.items() if what.endswith("drop " + LAUNCHED)]
    assert lacking.message.endswith("is running and has no LaunchTime")
    [junk] = [got for what, got in outcomes.items() if what.endswith(f"{JUNK} {LAUNCHED}")]
    assert "timestamp" in junk.message
    [strange] = [got for what, got in outcomes.items() if what.endswith(f"{JUNK} {STATE}")]
    assert strange[0].strange == JUNK


def test_a_listing_of_leftovers(rig: Rig, provider: AwsProvider) -> None:
    raw = rig.raw()
    volume = raw.create_volume(AvailabilityZone="us-east-1a", Size=8, VolumeType="gp3")
    raw.create_snapshot(VolumeId=volume["VolumeId"])
    raw.allocate_address()
    provider.start(rig.order())
    rig.settle()
    clients = rig.clients()

    def ask() -> Any:
        return of_region(clients, rig.settings(), provider.account, "us-east-1", rig.now())

    for what, got in survives(rig, ask, ("drop",)).items():
        if isinstance(got, GpuctlError):
            assert "us-east-1" in got.message, what
            assert got.hint, what


@pytest.mark.parametrize("way", WAYS)
def test_the_answer_to_a_launch_leaves_its_outcome_open(
    rig: Rig, provider: AwsProvider, way: str
) -> None:
    """What may run is never called a failure: the order stays, and its token finds it."""
    order = rig.order()
    provider.start(order)
    with Tape(rig) as tape:
        provider.start(order)
        for what, answer in broken(tape.heard["RunInstances"], (way,)):
            if what.endswith(("/instanceId", "/launchTime", "/instanceState/name", "/placement")):
                tape.told = {"RunInstances": answer}
                with suppress(UnknownOutcome):
                    assert provider.start(order).state in (State.STARTING, State.RUNNING), what
                tape.told = {}
