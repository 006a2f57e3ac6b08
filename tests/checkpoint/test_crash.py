"""The uploader is killed at every write, rename and put: a restore gives the newest complete one.

A reduced set is part of the tests; CRASH_SWEEP=all runs every moment.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuctl.agent.checkpoint.restore import restore
from gpuctl.agent.checkpoint.save import KEEP
from gpuctl.core.checkpoints import found

from .parts import ROOT, count_of, folder_at, is_step, job_saves, killed_at, saver

ALL = os.environ.get("CRASH_SWEEP") == "all"
OTHER = "b" * 32


@pytest.fixture
def fast() -> Iterator[Path]:
    """In memory where there is such a directory: a sweep flushes thousands of times."""
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
    yield place
    shutil.rmtree(place)


def prepared(place: Path, steps: int) -> Path:
    """A store with so many checkpoints, and the next one complete on the machine's disk."""
    job = place / "job"
    job.mkdir(parents=True)
    shelf = folder_at(place / "store")
    for step in range(1, steps + 1):
        done = job_saves(job, step)
        saver(shelf).save(done, renamed=True)
    job_saves(job, steps + 1)
    return place


def save_next(place: Path, step: int, lease: str = "a" * 32) -> None:
    from gpuctl.agent.checkpoint.directory import look  # noqa: PLC0415 - in the child

    mine = saver(folder_at(place / "store"), lease)
    mine.save(look(str(place / f"job/step_{step}"), renamed=True), renamed=True)
    mine.tidy()


def moments(fast: Path, steps: int) -> list[int]:
    place = prepared(fast / f"count{steps}", steps)
    number = count_of(lambda: save_next(place, steps + 1))
    assert number > 60, "nothing was counted: the sweep would prove nothing"
    return list(range(1, number + 1)) if ALL else list(range(1, number + 1, 3))


def restored(place: Path, shelf=None) -> int | None:
    """The step that a new machine gets."""
    new = place / "new"
    shutil.rmtree(new, ignore_errors=True)
    said: list[str] = []
    manifest = restore(shelf or folder_at(place / "store"), ROOT, str(new), said.append)
    if manifest is None:
        assert list(new.iterdir()) == []
        return None
    assert manifest.step is not None
    assert [path.name for path in new.iterdir()] == [manifest.name]
    assert is_step(new / manifest.name, manifest.step), said
    return manifest.step


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_killed_while_saving(fast: Path, steps: int) -> None:
    before, after = 0, 0
    for number in moments(fast, steps):
        place = prepared(fast / str(number), steps)
        assert killed_at(number, lambda place=place: save_next(place, steps + 1))
        got = restored(place)
        assert got in ((steps or None), steps + 1), f"moment {number}"
        before, after = before + (got != steps + 1), after + (got == steps + 1)
        save_next(place, steps + 1)
        assert restored(place) == steps + 1
        kept = found(folder_at(place / "store"), ROOT)
        assert [one for one in kept if one.problem is not None] == [], f"moment {number}"
        assert min(steps + 1, KEEP) <= len(kept) <= KEEP + 1, f"moment {number}"
        shutil.rmtree(place)
    assert before
    assert after


def test_killed_while_restoring(fast: Path) -> None:
    place = prepared(fast / "x", 2)
    new = place / "new"

    def work() -> None:
        restore(folder_at(place / "store"), ROOT, str(new), lambda _: None, workers=1)

    number = count_of(work)
    assert number > 20
    for at in range(1, number + 1, 1 if ALL else 2):
        shutil.rmtree(new, ignore_errors=True)
        assert killed_at(at, work)
        new.mkdir(exist_ok=True)
        visible = [path for path in new.iterdir() if not path.name.startswith(".")]
        for path in visible:
            assert is_step(path, 2), f"moment {at}"
        for path in visible:
            shutil.rmtree(path)
        assert restored(place) == 2


def test_two_writers_at_once_and_one_is_killed(fast: Path) -> None:
    """Another machine saves in between, wherever the first one dies."""
    for number in moments(fast, 2):
        place = prepared(fast / str(number), 2)
        killed_at(number, lambda place=place: save_next(place, 3))
        save_next(place, 2, OTHER)
        newest = found(folder_at(place / "store"), ROOT)
        first = next(one for one in newest if one.problem is None)
        assert first.manifest is not None
        assert first.manifest.lease == OTHER
        assert restored(place) == 2
        save_next(place, 3)
        assert restored(place) == 3
        shutil.rmtree(place)


def test_every_byte_of_the_newest_may_be_flipped(fast: Path) -> None:
    """One byte in each object, and many of the manifest: the one before comes back."""
    place = prepared(fast, 1)
    shelf = folder_at(place / "store")
    save_next(place, 2)
    (newest, _) = found(shelf, ROOT)
    assert newest.manifest is not None
    names = [part.key for file in newest.manifest.files for part in file.parts if part.size]
    spots = [(place / "store" / ROOT / name, 7) for name in names]
    manifest = place / f"store/{ROOT}/00000002/manifest.json"
    size = manifest.stat().st_size
    spots += [(manifest, at) for at in range(0, size, 1 if ALL else size // 50)]
    changed = 0
    for path, at in spots:
        held = path.read_bytes()
        path.write_bytes(held[:at] + bytes([held[at] ^ 1]) + held[at + 1 :])
        got = restored(place)
        # White space and the like may flip without a meaning: then it is the very same.
        assert got in (1, 2)
        changed += got == 1
        assert got == 1 or path == manifest
        path.write_bytes(held)
    assert changed > len(spots) * 0.8
    assert restored(place) == 2


def test_every_truncation_of_the_newest(fast: Path) -> None:
    place = prepared(fast, 1)
    save_next(place, 2)
    for path in sorted((place / f"store/{ROOT}/00000002").rglob("*")):
        held = path.read_bytes() if path.is_file() else b""
        for short in {0, len(held) // 2, len(held) - 1} if held else ():
            path.write_bytes(held[:short])
            assert restored(place) == 1, (path, short)
            path.write_bytes(held)
        if path.is_file():
            path.unlink()
            assert restored(place) == 1, path
            path.write_bytes(held)
    assert restored(place) == 2
