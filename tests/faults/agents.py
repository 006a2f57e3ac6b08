"""The agent: notices that misbehave, metadata services that hang, machines that look idle.

The agent's real program runs on a directory that takes itself for a machine, before a metadata
service that lies, stalls or stays silent. The hook says when it was run. Idleness is judged on
traces that were made by hand and by chance, by the agent's own functions.
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gpuctl.agent import agent
from gpuctl.agent.boot import render
from tests.agent.conftest import SHIM, FakeMachine, plan
from tests.agent.metadata import ACTION, PREEMPTED, REBALANCE, TAG, FakeMetadata, notice, serving
from tests.faults.cases import Result, Row
from tests.faults.world import World

PROMISED_S = 4.0
"""From the moment at which the cloud would tell, to the hook.

A scene begins with the agent's first request: how long a busy machine takes to start an
interpreter is no part of it."""
MEMORY_MB = 30
_RUN_S = 8.0
_START_S = 60.0
_AT_ONCE = 6
_LATER = "2026-11-22T10:20:00Z"

Says = Callable[[object], None]
Script = Sequence[tuple[float, object]]
"""From that second on: (status, body), `hang`, `drip`, `garbage`, `cut`, `slow`."""

MISSING, TRUE, FALSE = (404, ""), (200, "TRUE"), (200, "FALSE")
_MAINTENANCE = "/computeMetadata/v1/instance/maintenance-event"
_LABEL = "/computeMetadata/v1/instance/attributes/gpuctl-deadline"


@dataclass(frozen=True)
class Scene:
    """One life of the agent. `hooks`: what is run, and the second from which it is known."""

    name: str
    cloud: str
    scripts: dict[str, Script]
    hooks: tuple[tuple[str, float], ...] = ()


def _answer(script: Script, fake: FakeMetadata) -> Says:
    """An endpoint that plays its script."""

    def say(handler) -> None:
        says = _now(script, fake)
        if "wait_for_change=true" in handler.path and handler.path.endswith(_etag(says)):
            _hold(script, fake)
            says = _now(script, fake)
        if isinstance(says, tuple):
            handler.say(*says, ETag=_etag(says))
        elif says == "hang":
            fake.free.wait(10)
        elif says == "slow":
            fake.free.wait(0.8)
            handler.say(404, "")
        elif says == "garbage":
            handler.wfile.write(b"\x00\xff garbage\r\n\r\n")
        elif says == "cut":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{")
        elif says == "drip":
            _drip(handler, fake)

    return say


def _now(script: Script, fake: FakeMetadata) -> object:
    now = time.monotonic() - fake.first[0]
    return [answer for since, answer in script if since <= now][-1]


def _etag(says: object) -> str:
    return f"e{abs(hash(says))}"


def _hold(script: Script, fake: FakeMetadata) -> None:
    """Google's hanging GET, by somebody who knows what there is: answers at the next change."""
    now = time.monotonic() - fake.first[0]
    changes = [since for since, _ in script if since > now]
    fake.free.wait(min([since - now for since in changes] or [30]))


def _drip(handler, fake: FakeMetadata) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not fake.free.wait(0.1):
        try:
            handler.wfile.write(b"x")
        except OSError:
            return


def lived(base: Path, scene: Scene) -> Result:
    """Run the agent through a scene and look when its hook was run."""
    root = Path(tempfile.mkdtemp(prefix="life-", dir=base.parent))
    shutil.copytree(base, root, dirs_exist_ok=True)
    file = root / "etc/gpuctl/lease.json"
    hook = 'echo "$GPUCTL_NOTICE $(date +%s.%N)" >>"$GPUCTL_ROOT/hook"'
    told = {"cloud": scene.cloud, "hook": ["/bin/sh", "-c", hook]}
    file.write_text(json.dumps(json.loads(file.read_text()) | told))
    fake = FakeMetadata()
    with serving(fake) as port:
        environ = FakeMachine(root).environ | {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{port}/",
            "GCE_METADATA_HOST": f"127.0.0.1:{port}",
        }
        fake.says = {path: _answer(one, fake) for path, one in scene.scripts.items()}
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", agent.__file__, "run"],
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            last = max([since for _, since in scene.hooks] or [0.0])
            met = fake.met.wait(_START_S)
            time.sleep(max(_RUN_S - 2, last + PROMISED_S) + 1)
            ended = process.poll()
            memory = _memory(process.pid)
        finally:
            process.kill()
            said = process.communicate()[1]
    ran = (root / "hook").read_text().splitlines() if (root / "hook").exists() else []
    calls = FakeMachine(root).calls()
    shutil.rmtree(root, ignore_errors=True)
    wrong = list(_late(scene, [line.split() for line in ran], fake.first[1]))
    if not met:
        wrong.append("the agent asks for nothing")
    if ended is not None:
        wrong.append(f"the agent has ended with {ended}")
    if memory > MEMORY_MB:
        wrong.append(f"the agent takes {memory:.0f} MB")
    if "Traceback" in said:
        wrong.append("traceback")
    if any(call.startswith(("poweroff", "shutdown")) for call in calls):
        wrong.append("the machine was ended")
    return Result(f"{scene.cloud} {scene.name}", tuple(wrong), (said[-800:],) if wrong else ())


def _memory(pid: int) -> float:
    """At most so far, in MB; 0 where it has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int((status.partition("VmHWM:")[2].split() or ["0"])[0]) / 1000


def _late(scene: Scene, ran: Sequence[Sequence[str]], wall: float) -> Iterator[str]:
    kinds = [kind for kind, _ in ran]
    if sorted(kinds) != sorted(kind for kind, _ in scene.hooks):
        yield f"hooks {kinds}, not {[kind for kind, _ in scene.hooks]}"
        return
    for kind, since in scene.hooks:
        at = min(float(moment) for known, moment in ran if known == kind) - wall
        if at - since > PROMISED_S:
            yield f"{kind}: {at - since:.1f} s after it could be known"


BAD = ((500, ""), (503, "busy"), (429, ""), "garbage", "cut", (200, "<html>"), (200, "null"))
_SLOW = ("hang", "drip", "slow")


def scenes() -> Iterator[Scene]:
    """Every one, AWS's first."""
    yield from _on_aws()
    yield from _on_google()


def _on_aws() -> Iterator[Scene]:
    gone: Script = [(0, MISSING)]
    spot = (200, notice())
    for at in (0.0, 0.7, 1.4, 2.1, 2.8, 3.5):
        comes: Script = [(0, MISSING), (at, spot)]
        yield Scene(f"notice at {at} s", "aws", {ACTION: comes}, (("spot", at),))
    for beside in (TAG, REBALANCE):
        for says in (*_SLOW, *BAD):
            for at in (0.0, 2.4):
                scripts = {ACTION: [(0, MISSING), (at, spot)], beside: [(0, says)]}
                where = "tag" if beside == TAG else "rebalance"
                yield Scene(f"notice at {at} s, {where} {says}", "aws", scripts, (("spot", at),))
    for says in (*_SLOW, *BAD):
        scripts = {ACTION: [(0, says), (2, spot)]}
        yield Scene(f"{says}, then a notice", "aws", scripts, (("spot", 2.0),))
        yield Scene(f"{says} for ever", "aws", {ACTION: [(0, says)], REBALANCE: gone})
    for says in (*BAD[:3], "garbage", (200, ""), (403, "")):
        scripts = {"token": [(0, says), (1.5, (200, "good"))], ACTION: [(0, spot)]}
        yield Scene(f"token {says} at first", "aws", scripts, (("spot", 1.5),))
    again = (200, notice(_LATER))
    wavering = [(0, spot), (1.5, again), (3, spot), (4.5, again)]
    yield Scene("dated anew each time", "aws", {ACTION: wavering}, (("spot", 0.0),))
    flapping = [(0, spot), (2, (500, "")), (4, spot)]
    yield Scene("repeated after an error", "aws", {ACTION: flapping}, (("spot", 0.0),))
    taken_back = [(0, spot), (2.5, MISSING), (5, spot)]
    yield Scene("taken back, and the same again", "aws", {ACTION: taken_back}, (("spot", 0.0),))
    rebalance = json.dumps({"noticeTime": "2026-11-22T10:00:00Z"})
    both = {REBALANCE: [(0, (200, rebalance))], ACTION: [(0, MISSING), (2, spot)]}
    yield Scene("rebalance, then taken", "aws", both, (("rebalance", 0.0), ("spot", 2.0)))


def _on_google() -> Iterator[Scene]:
    for at in (0.0, 0.6, 1.2, 1.9, 2.5, 3.3):
        comes: Script = [(0, FALSE), (at, TRUE)]
        yield Scene(f"preempted at {at} s", "gcp", {PREEMPTED: comes}, (("preempted", at),))
    for beside in (_MAINTENANCE, _LABEL):
        for says in (*_SLOW, *BAD):
            scripts = {PREEMPTED: [(0, FALSE), (2, TRUE)], beside: [(0, says)]}
            where = "label" if beside == _LABEL else "maintenance"
            yield Scene(f"preempted, {where} {says}", "gcp", scripts, (("preempted", 2.0),))
    for says in (*_SLOW, *BAD, MISSING):
        scripts = {PREEMPTED: [(0, says), (2, TRUE)]}
        yield Scene(f"{says}, then preempted", "gcp", scripts, (("preempted", 2.0),))
        yield Scene(f"{says} for ever", "gcp", {PREEMPTED: [(0, says)]})
    wavering: Script = [(0, TRUE), (2, FALSE), (4, FALSE)]
    yield Scene("preempted, then not", "gcp", {PREEMPTED: wavering}, (("preempted", 0.0),))
    ends = (200, "TERMINATE_ON_HOST_MAINTENANCE")
    scripts = {PREEMPTED: [(0, FALSE)], _MAINTENANCE: [(0, ends)]}
    yield Scene("maintenance", "gcp", scripts, (("maintenance", 0.0),))


# Idleness

WINDOW, GRACE = 1800, 600


def traced(seed: int) -> Result:
    """Eight hours of looks at GPUs that work now and then, or not at all; even seeds are busy."""
    chance = random.Random(seed)
    busy = seed % 2 == 0
    trace = list(_busy(chance) if busy else _idle(chance))
    stopped = _watch(trace)
    name = f"{'busy' if busy else 'idle'} trace {seed}"
    if busy:
        return Result(name, () if stopped is None else (f"stopped at {stopped} s",))
    since = sum(seconds for seconds, active in trace[:-1] if active or seconds)
    late = stopped is None or stopped > since + WINDOW + GRACE + 120
    return Result(name, (f"idle since {since} s, stopped at {stopped}",) if late else ())


def _watch(trace: Sequence[tuple[int, bool]]) -> int | None:
    idle, now = agent.Idle(WINDOW, GRACE, 0.0), 0
    for seconds, active in trace:
        for _ in range(seconds):
            now += 1
            if idle.feed(float(now), active=active) == "stop":
                return now
    return None


def _busy(chance: random.Random) -> Iterator[tuple[int, bool]]:
    """Never quiet for as long as window and grace; the quiet is as the driver tells it."""
    for _ in range(chance.randrange(10, 40)):
        yield chance.randrange(1, WINDOW + GRACE - 1), _looks(chance, work=False)
        yield chance.randrange(1, 120), _looks(chance, work=True)


def _idle(chance: random.Random) -> Iterator[tuple[int, bool]]:
    for _ in range(chance.randrange(0, 8)):
        yield chance.randrange(1, 600), False
        yield chance.randrange(1, 3_600), True
    yield 3 * WINDOW, _looks(chance, work=False)


def _looks(chance: random.Random, *, work: bool) -> bool:
    """One look at up to eight GPUs, of which one works where any does, by the agent's reading.

    What is unknown (MIG, an error, a GPU missing) counts as work.
    """
    count = chance.choice((1, 1, 2, 4, 8))
    gpus = [agent.Gpu(n, "GPU", 0, chance.choice((0, 10, 15_000)), 16_160) for n in range(count)]
    if work:
        one = chance.choice(gpus)
        how = chance.choice(("util", "mig", "error", "missing"))
        one.util, one.mem_used = (chance.randrange(5, 101) if how == "util" else 0), 900
        if how == "mig":
            one.util = None
        if how in ("error", "missing"):
            error = "NVML error 15" if how == "error" else ""
            return agent.Gpus(gpus, [], error).state(count + (how == "missing")) != "idle"
    return agent.Gpus(gpus, []).state(count) != "idle"


def every_life(world: World, full: bool, seed: int) -> Iterator[Result]:
    chance = random.Random(seed + 8)
    told = list(scenes())
    base = Path(tempfile.mkdtemp(prefix="agent-", dir=world.folder)) / "machine"
    machine = _booted(base)
    with ThreadPoolExecutor(_AT_ONCE) as beside:
        some = told if full else chance.sample(told, _AT_ONCE)
        yield from beside.map(lambda scene: lived(machine, scene), some)
    for number in range(100 if full else 10):
        yield traced(seed * 1_000 + number)


def _booted(root: Path) -> Path:
    (root / "shims").mkdir(parents=True)
    for name in ("systemctl", "poweroff", "shutdown", "logger", "wall", "sysctl"):
        (root / "shims" / name).write_text(SHIM)
        (root / "shims" / name).chmod(0o755)
    done = FakeMachine(root).sh(render(plan(), compress=False))
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    FakeMachine(root).forget_calls()
    return root


ROWS = (
    Row(
        "agent",
        "notices missing, late, malformed, repeated, hanging, at boot, on both clouds; busy and "
        "idle traces of GPUs",
        "the hook within 4 s of the notice, once; no busy machine stopped, every idle one is",
        100,
        every_life,
    ),
)
