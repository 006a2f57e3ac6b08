"""What the uploader does when the job, another machine or the store gets in its way."""

import os
import threading
from pathlib import Path

import pytest

from gpuctl.agent.checkpoint.directory import Doubt, Renames, empty, look, survey
from gpuctl.agent.checkpoint.save import DAY_S, Cancelled, Changed
from gpuctl.agent.checkpoint.shelf import Folder
from gpuctl.core.checkpoints import found

from .parts import ROOT, folder_at, job_saves, saver

OTHER = "b" * 32


class Watched(Folder):
    """Calls `on_put` after each object."""

    def __init__(self, root: str, on_put) -> None:
        super().__init__(root)
        self.on_put = on_put

    def put(self, key, source, size, sha256) -> None:
        super().put(key, source, size, sha256)
        self.on_put(key)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (tmp_path / "job").mkdir()
    return tmp_path / "job"


def keys(place: Path) -> list[str]:
    return [entry.key for entry in folder_at(place).entries("")]


@pytest.mark.parametrize("what", ["written", "removed", "shorter", "more", "renamed"])
def test_a_job_that_touches_it_meanwhile(tmp_path: Path, job: Path, what: str) -> None:
    one = job_saves(job, 1)
    path, calls = Path(one.path), []

    def touch(_: str) -> None:
        calls.append(1)
        if len(calls) != 2:
            return
        if what == "written":
            (path / "model").write_bytes((path / "model").read_bytes())
        elif what == "removed":
            (path / "opt/state").unlink()
        elif what == "shorter":
            os.truncate(path / "opt/state", 3)
        elif what == "more":
            (path / "new").touch()
        else:
            path.rename(path.with_name("other"))

    with pytest.raises(Changed):
        saver(Watched(str(folder_at(tmp_path / "box").root), touch)).save(one, renamed=True)
    assert keys(tmp_path / "box") == [], "what an attempt has left is removed"


def test_something_more_urgent(tmp_path: Path, job: Path) -> None:
    mine = saver(folder_at(tmp_path / "box"))
    mine.shelf = Watched(mine.shelf.root, lambda _: setattr(mine, "cancelled", True))
    with pytest.raises(Cancelled):
        mine.save(job_saves(job, 1), renamed=True)
    assert found(mine.shelf, ROOT)[0].problem == "not finished"
    assert mine.sent < mine.total
    mine.shelf = folder_at(tmp_path / "box")
    mine.save(job_saves(job, 2), renamed=True)
    mine.tidy()
    assert [one.sequence for one in found(mine.shelf, ROOT)] == [2], "its remains go with the next"


def test_a_store_that_loses_what_it_took(tmp_path: Path, job: Path) -> None:
    shelf = Watched(str(folder_at(tmp_path / "box").root), lambda _: None)
    shelf.on_put = shelf.delete
    with pytest.raises(OSError, match="did not arrive"):
        saver(shelf).save(job_saves(job, 1), renamed=True)
    assert keys(tmp_path / "box") == []


def test_many_machines_at_once_take_numbers_of_their_own(tmp_path: Path, job: Path) -> None:
    shelf, one, gate = folder_at(tmp_path / "box"), job_saves(job, 1), threading.Barrier(5)
    made, failed = [], []

    def machine(number: int) -> None:
        gate.wait()
        try:
            made.append(saver(shelf, f"{number}" * 32).save(one, renamed=True).sequence)
        except OSError as error:  # another's clean-up took its directory: told, and tried again
            failed.append(error)

    threads = [threading.Thread(target=machine, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(set(made)) == 5
    assert all(one.problem is None for one in found(shelf, ROOT) if one.sequence in made)


def test_what_another_machine_still_uploads_is_left_for_a_day(tmp_path: Path, job: Path) -> None:
    shelf = folder_at(tmp_path / "box")
    theirs = f"{ROOT}/00000001/{OTHER}-1/0000-000"
    late = f"{ROOT}/00000009/{OTHER}-1/0000-000"
    for key in (theirs, late):
        shelf.put(key, lambda: open(os.devnull, "rb"), 0, "")  # noqa: SIM115, PTH123
    mine = saver(shelf)
    for step in (1, 2, 3):
        mine.save(job_saves(job, step), renamed=True)
        mine.tidy()
    assert {theirs, late} <= set(keys(tmp_path / "box"))
    newest = (tmp_path / "box" / ROOT / "00000012/manifest.json").stat().st_mtime
    for key in (theirs, late):
        os.utime(tmp_path / "box" / key, (0, newest - DAY_S - 1))
    mine.tidy()
    assert not {theirs, late} & set(keys(tmp_path / "box"))


def test_nothing_is_removed_while_a_manifest_cannot_be_read(tmp_path: Path, job: Path) -> None:
    shelf, mine = folder_at(tmp_path / "box"), saver(folder_at(tmp_path / "box"))
    for step in (1, 2):
        mine.save(job_saves(job, step), renamed=True)
    shelf.create(f"{ROOT}/00000003/manifest.json", b"unreadable")
    orphan = f"{ROOT}/00000003/{mine.own}1/0000-000"
    shelf.put(orphan, lambda: open(os.devnull, "rb"), 0, "")  # noqa: SIM115, PTH123
    assert mine.tidy() == 0
    assert orphan in keys(tmp_path / "box")


def test_of_a_single_one_nothing_is_removed(tmp_path: Path, job: Path) -> None:
    mine = saver(folder_at(tmp_path / "box"))
    mine.save(job_saves(job, 1), renamed=True)
    assert mine.tidy() == 0


def test_a_damaged_one_does_not_count_among_those_to_keep(tmp_path: Path, job: Path) -> None:
    shelf, mine = folder_at(tmp_path / "box"), saver(folder_at(tmp_path / "box"))
    for step in (1, 2, 3):
        mine.save(job_saves(job, step), renamed=True)
    part = next((tmp_path / "box" / ROOT / "00000003").rglob("0000-000"))
    part.write_bytes(b"")
    mine.tidy()
    assert [one.sequence for one in found(shelf, ROOT)] == [3, 2, 1]


# --- what is complete -------------------------------------------------------------------------


def test_links_and_what_is_no_file(job: Path, tmp_path: Path) -> None:
    one = Path(job_saves(job, 1).path)
    (tmp_path / "weights").write_text("shared")
    (one / "weights").symlink_to(tmp_path / "weights")
    one = one.rename(job / "linked")
    pieces = {piece.path: piece.size for piece in look(str(one), renamed=True).pieces}
    assert pieces["weights"] == 6
    (one / "folder").symlink_to(tmp_path)
    with pytest.raises(Doubt, match="neither"):
        look(str(one.rename(job / "again")), renamed=True)


def test_written_in_place_counts_only_once_it_is_renamed(job: Path) -> None:
    path = job / "step_1"
    path.mkdir()
    (path / "model").write_text("half")
    assert survey(str(job), set()).newest is None
    with (path / "model").open("a") as file:
        os.utime(path, ns=(1, 1))  # whatever sets times, as cp -p does
        file.write("and more")
    os.utime(path / "model", ns=(2**62, 2**62))
    assert "still written" in survey(str(job), {"step_1"}).others["step_1"]


def test_renames_are_seen_and_what_is_made_in_place_is_not(job: Path) -> None:
    renames = Renames(str(job))
    if renames.handle < 0:
        pytest.skip("no inotify here")
    assert renames.seen() == set()
    job_saves(job, 1)
    (job / "step_2").mkdir()
    assert renames.seen() == {"step_1"}
    Path(job, "step_1").rename(job / "gone")
    Path(job, "step_1").mkdir()
    assert renames.seen() == {"gone"}


def test_the_newest_is_the_one_completed_last(job: Path) -> None:
    for step in (3, 20, 100):
        job_saves(job, step)
    seen = survey(str(job), {"step_3", "step_20", "step_100"})
    assert seen.newest is not None
    assert (seen.newest.name, seen.newest.step) == ("step_100", 100)


def test_what_is_not_finished_does_not_make_it_full(job: Path) -> None:
    assert empty(str(job / "none"))
    (job / ".tmp").mkdir()
    (job / "tmp-checkpoint-5").mkdir()
    assert empty(str(job))
    job_saves(job, 1)
    assert not empty(str(job))
