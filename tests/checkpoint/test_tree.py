"""The tree that a job began with: kept once, had back whole or not at all."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from gpuctl.agent.checkpoint import tree
from gpuctl.agent.checkpoint.tree import fetch_tree, save_tree, tree_root
from gpuctl.core.checkpoints import Damaged, found
from gpuctl.core.keeping import code_key

from .parts import ROOT, folder_at

WHERE = tree_root(ROOT, "job1")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with what trees have, as the working directory."""
    work = tmp_path / "work"
    (work / "pkg").mkdir(parents=True)
    (work / "checkpoints").mkdir()
    (work / "checkpoints/step_1").write_text("not code")
    (work / "pkg/a.py").write_text("print()")
    (work / "run.sh").write_text("#!/bin/sh")
    (work / "run.sh").chmod(0o755)
    (work / "link").symlink_to("pkg/a.py")
    (work / "folder").symlink_to("pkg")
    monkeypatch.chdir(work)
    return tmp_path


def save(here: Path) -> str:
    leave = str(Path("checkpoints").resolve())
    return save_tree(folder_at(here / "box"), WHERE, "train", "a" * 32, str(here / "own"), leave)


def fetch(here: Path) -> int:
    return fetch_tree(folder_at(here / "box"), WHERE, str(here / "own"), lambda _: None)


def test_there_and_back(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "4 files" in save(here)
    assert save(here) == "the tree is kept already"
    assert len(found(folder_at(here / "box"), WHERE)) == 1
    assert found(folder_at(here / "box"), ROOT) == []
    (here / "other").mkdir()
    monkeypatch.chdir(here / "other")
    Path("run.sh").write_text("older")
    assert fetch(here) == 4
    assert Path("pkg/a.py").read_text() == "print()"
    assert os.access("run.sh", os.X_OK)
    assert [str(Path(n).readlink()) for n in ("link", "folder")] == ["pkg/a.py", "pkg"]
    assert not Path("checkpoints").exists()
    assert list((here / "own").iterdir()) == []


def test_nothing_kept_is_nothing_had(here: Path) -> None:
    with pytest.raises(Damaged, match="is not in the bucket"):
        fetch(here)


def test_what_is_too_large_is_data(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "LARGEST", 10)
    with pytest.raises(OSError, match="larger than 10 bytes"):
        save(here)


@pytest.mark.parametrize("name", ["../out", "/etc/out", "folder/../../out", "behind/out"])
def test_nothing_leaves_the_directory(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def packed(path: str, leave: str) -> int:
        with tarfile.open(path, "w") as archive:
            link = tarfile.TarInfo("behind")
            link.type, link.linkname = tarfile.SYMTYPE, str(here)
            archive.addfile(link)
            file = tarfile.TarInfo(name)
            file.size = 1
            archive.addfile(file, io.BytesIO(b"x"))
        return 2

    monkeypatch.setattr(tree, "_pack", packed)
    save(here)
    with pytest.raises(Damaged):
        fetch(here)
    assert not (here / "out").exists()


def test_where_the_code_lies() -> None:
    assert code_key(ROOT, "job1", "lease") == f"{WHERE}/code-lease"
