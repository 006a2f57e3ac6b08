"""The ledger's disk is full, read-only, refuses writes, or gives back other bytes."""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gpuctl.core.errors import LedgerError
from gpuctl.core.events import Event
from gpuctl.ledger.store import SqliteLedger
from tests.faults import judge
from tests.faults.cases import Result, Row, Stage, Story, stories
from tests.faults.kills import ended
from tests.faults.world import World

_TROUBLES = (
    *(("full", room) for room in (0, 1, 512, 1_024, 4_096, 8_192, 16_384, 32_768)),
    ("readonly", 1),
    *(("deny", number) for number in range(1, 26)),
)


def unwritable(world: World, story: Story, kind: str, much: int) -> Result:
    """A command whose ledger cannot be written, then two with the trouble gone."""
    stage = Stage(world, story.cloud)
    story.before(stage)
    ledger = judge.ledger_file(stage.home)
    before = len(judge.live(world))
    hook = {"full": ledger.stat().st_size + much} if kind == "full" else {kind: much}
    done = stage.run(*story.argv, **hook)
    wrong = []
    running = judge.live(world)
    if story.name == "down" and before and running:
        wrong.append("what cannot be written down is not ended either")
    if story.name == "up":
        known, _ = judge.read(stage.home)
        wrong += [
            f"started without a word in the ledger: {one.id}"
            for one in running
            if one.lease not in known.leases
        ]
    if done.code == 0 and "cannot be written" in done.err:
        wrong.append("exit 0 though the ledger could not be written")
    world.pass_time(seconds=20)
    stage.run("ps")
    world.pass_time(minutes=16)
    stage.run("ps")
    return stage.result(f"{story.cloud} {story.name} {kind} {much}", [*wrong, *ended(stage, 1)])


def flipped(events: tuple[Event, ...], facts: tuple[str, str], file: Path, seed: int) -> Result:
    """Some bytes of the file are others: `ledger verify` says so, or nothing has changed."""
    chance = random.Random(seed)
    content = bytearray(file.read_bytes())
    places = sorted({chance.randrange(len(content)) for _ in range(chance.choice((1, 1, 1, 2, 8)))})
    for place in places:
        content[place] ^= 1 << chance.randrange(8)
    file.write_bytes(bytes(content))
    return Result(f"flip {seed}: bytes {places}", tuple(_harm(events, facts, file)))


def _harm(events: tuple[Event, ...], facts: tuple[str, str], file: Path) -> Iterator[str]:
    ledger = SqliteLedger(file, install="0" * 32)
    try:
        verdict = ledger.verify()
        if not verdict.ok:
            return
        if tuple(ledger.events()) != events:
            yield "other events, and verify says nothing"
        if (ledger.install, ledger.head) != facts:
            yield "another install or head, and verify says nothing"
    except LedgerError:
        return
    except (sqlite3.Error, UnicodeDecodeError, ValueError, TypeError) as error:
        yield f"no error of ours: {error!r}"
    finally:
        ledger.close()


_DAMAGED = {
    "cut in half": lambda content: content[: len(content) // 2],
    "cut at a page": lambda content: content[:4_096],
    "no header": lambda content: bytes(100) + content[100:],
    "other text": lambda content: b"this is not a ledger\n" * 100,
    "last page gone": lambda content: content[:-4_096],
    "a hole": lambda content: content[:8_192] + bytes(4_096) + content[12_288:],
    "newer schema": lambda content: content[:60] + (99).to_bytes(4, "big") + content[64:],
    "another program's": lambda content: content[:68] + b"abcd" + content[72:],
}


def damaged(world: World, story: Story, how: str, mutant: str | None = None) -> Result:
    """A ledger that is not one any more: said, kept as it is; `down` ends the machine."""
    stage = Stage(world, story.cloud, mutant)
    story.before(stage)
    file = judge.ledger_file(stage.home)
    whole = file.read_bytes()
    file.write_bytes(_DAMAGED[how](whole))
    seen = file.read_bytes()
    shown = stage.run("ps")
    wrong = []
    if shown.code == 0 and not stage.run("ledger", "verify").code:
        wrong.append("neither ps nor verify says anything")
    if shown.code and file.read_bytes() != seen:
        wrong.append("the damaged file was written to")
    name = judge.live(world)[0].name
    stage.run("down", name)
    if judge.live(world):
        wrong.append("down does not end the machine")
    file.write_bytes(whole)
    world.pass_time(seconds=20)
    stage.run("ps")
    return stage.result(f"{story.cloud} ledger {how}", [*wrong, *ended(stage, 1)])


def every_disk(world: World, full: bool, seed: int) -> Iterator[Result]:
    chance = random.Random(seed + 6)
    downs = [s for cloud in ("aws", "gcp") for s in stories(cloud) if s.name == "down"]
    told = [s for cloud in ("aws", "gcp") for s in stories(cloud) if s.name in ("up", "down")]
    cases = [(story, kind, much) for story in told for kind, much in _TROUBLES]
    for story, kind, much in cases if full else chance.sample(cases, 6):
        yield unwritable(world, story, kind, much)
    for story in downs if full else downs[:1]:
        for how in _DAMAGED if full else chance.sample(sorted(_DAMAGED), 2):
            yield damaged(world, story, how)
    yield from _flips(world, full, seed)


def _flips(world: World, full: bool, seed: int) -> Iterator[Result]:
    stage = Stage(world, "aws")
    downs = next(story for story in stories("aws") if story.name == "down")
    downs.before(stage)
    stage.well("down")
    file = judge.ledger_file(stage.home)
    ledger = SqliteLedger(file, install="0" * 32)
    events, facts = tuple(ledger.events()), (ledger.install, ledger.head)
    ledger.close()
    for number in range(1_000 if full else 60):
        copy = file.with_name("copy.db")
        shutil.copy(file, copy)
        copy.chmod(0o600)
        yield flipped(events, facts, copy, seed * 10_000 + number)
        copy.unlink()


ROWS = (
    Row(
        "disks",
        "the ledger on a full disk, read-only, refusing the n-th write, cut, of another program, "
        "with flipped bits",
        "detected or harmless; nothing starts without a durable word; down still ends what costs",
        500,
        every_disk,
    ),
)
