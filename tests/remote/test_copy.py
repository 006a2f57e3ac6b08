"""Files there and back, and none anywhere else."""

import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.errors import NotFound, RemoteFailed
from gpuctl.remote import copy
from gpuctl.remote.archive import unpack
from gpuctl.remote.ignore import Ignore
from gpuctl.remote.select import select

WITH_RSYNC = shutil.which("rsync") is not None
BY = "rsync" if WITH_RSYNC else "tar"
NOTHING = Ignore(())


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"this is {name}")
    return root


def tree(root: Path) -> set[str]:
    paths = (path for path in root.rglob("*") if not path.is_dir() or path.is_symlink())
    return {path.relative_to(root).as_posix() for path in paths}


def git(root: Path, *argv: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", root, *who, *argv], check=True, capture_output=True)


# --- which files


def test_outside_git_everything_but_git_itself(tmp_path):
    fill(tmp_path, "a.py", "data/b.bin", ".env", ".git/config", "sub/.git/HEAD")
    names = {str(path) for path in select(tmp_path).files}
    assert names == {"a.py", "data/b.bin", ".env"}


def test_in_git_what_git_would_add(tmp_path):
    fill(tmp_path, "a.py", "runs/x.pt", "new.py", "gone.py", "dir/kept.py", "dir/skip.log")
    (tmp_path / ".gitignore").write_text("runs/\n*.log\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "a.py", "gone.py", ".gitignore")
    (tmp_path / "gone.py").unlink()
    assert {str(path) for path in select(tmp_path).files} == {
        *(".gitignore", "a.py", "new.py", "dir/kept.py"),
    }
    assert {str(path) for path in select(tmp_path / "dir").files} == {"kept.py"}


def test_a_repository_within_goes_along(tmp_path):
    git(tmp_path, "init", "-q")
    fill(tmp_path, "a.py", "lib/b.py", "lib/c.log")
    (tmp_path / "lib/.gitignore").write_text("*.log\n")
    git(tmp_path / "lib", "init", "-q")
    git(tmp_path / "lib", "add", "b.py")
    git(tmp_path / "lib", "commit", "-q", "-m", "x")
    git(tmp_path, "-c", "advice.addEmbeddedRepo=false", "add", ".")
    names = {str(path) for path in select(tmp_path).files}
    assert names == {"a.py", "lib/b.py", "lib/.gitignore"}


def test_a_hook_of_another_repository_does_not_mislead(tmp_path, monkeypatch):
    other, ours = tmp_path / "other", tmp_path / "ours"
    fill(other, "theirs.py")
    git(other, "init", "-q")
    (other / ".git/info/exclude").write_text("a.py\n")
    fill(ours, "a.py")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert {str(path) for path in select(ours).files} == {"a.py"}


def test_gpuctlignore_and_excludes_take_away(tmp_path):
    fill(tmp_path, "a.py", "big/x.bin", "b.tmp", "c.py")
    (tmp_path / ".gpuctlignore").write_text("# large\nbig/\n")
    names = {str(path) for path in select(tmp_path, ["*.tmp", "/c.py"]).files}
    assert names == {".gpuctlignore", "a.py"}


def test_links_are_kept_inside_and_skipped_outside(tmp_path):
    secret = fill(tmp_path, "secret/key").joinpath("secret")
    root = fill(tmp_path / "root", "a.py", "d/e")
    (root / "inside").symlink_to("d/e")
    (root / "folder").symlink_to("d")
    (root / "outside").symlink_to("../secret/key")
    (root / "absolute").symlink_to(secret)
    os.mkfifo(root / "fifo")
    chosen = select(root)
    assert {str(path) for path in chosen.files} == {"a.py", "d/e", "inside", "folder"}
    assert {str(path) for path in chosen.skipped} == {"outside", "absolute", "fifo"}


PATTERNS = ["*.pt", "runs/", "/top", "a/b", "**/deep", "x/**", "!keep.pt", "d[0-9].py", "?.md"]
PATHS = ["m.pt", "keep.pt", "a/m.pt", "runs/x", "a/runs/x", "runs", "top", "a/top", "a/b", "c/a/b"]
PATHS += ["deep", "q/deep/z", "x/y", "x", "d1.py", "dd.py", "r.md", "rr.md", "runs/keep.pt"]


@settings(max_examples=25)
@given(st.lists(st.sampled_from(PATTERNS), max_size=6))
def test_patterns_mean_what_git_means(patterns):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        git(root, "init", "-q")
        (root / ".git/info/exclude").write_text("\n".join(patterns) + "\n")
        ours = Ignore(patterns)
        asked = subprocess.run(
            ["git", "-C", root, "check-ignore", "--no-index", "--stdin"],
            input="\n".join(PATHS),
            capture_output=True,
            text=True,
            check=False,
        )
        ignored = {path for path in PATHS if ours(PurePosixPath(path))}
        assert ignored == set(asked.stdout.split())


# --- there and back


def test_push_and_pull(place, tmp_path):
    source = fill(tmp_path / "src", "a.py", "d/b c.txt", "d/-n", ".gpuctlignore", "ü/x")
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    (source / "link").symlink_to("d/b c.txt")
    sent = copy.push(place.target, source, "vision code")
    regular = 6 if WITH_RSYNC else 7  # rsync does not count the link among its files
    assert (sent.by, sent.files, sent.skipped) == (BY, regular, ())
    there = place.machine.home / "vision code"
    assert tree(there) == tree(source)
    assert (there / "run.sh").stat().st_mode & stat.S_IXUSR
    assert (there / "link").readlink() == Path("d/b c.txt")
    got = copy.pull(place.target, "vision code", tmp_path / "back")
    assert (got.by, got.files) == (BY, regular)
    assert (
        got.bytes
        == sent.bytes
        == sum(len((source / n).read_bytes()) for n in tree(source))
        - (len((source / "link").read_bytes()))
    )
    assert tree(tmp_path / "back") == tree(source)
    assert (tmp_path / "back/d/b c.txt").read_text() == "this is d/b c.txt"


def test_push_deletes_nothing_and_replaces(place, tmp_path):
    source = fill(tmp_path / "src", "a.py")
    fill(place.machine.home / "code", "a.py", "checkpoint.pt")
    (source / "a.py").write_text("new")
    copy.push(place.target, source, "~/code")
    assert tree(place.machine.home / "code") == {"a.py", "checkpoint.pt"}
    assert (place.machine.home / "code/a.py").read_text() == "new"


def test_one_file_each_way(place, tmp_path):
    source = fill(tmp_path, "-weights.pt") / "-weights.pt"
    assert copy.push(place.target, source, "-in").files == 1
    assert (place.machine.home / "-in/-weights.pt").exists()
    assert copy.pull(place.target, "-in/-weights.pt", tmp_path / "out").files == 1
    assert tree(tmp_path / "out") == {"-weights.pt"}


def test_pull_leaves_out_what_it_is_told_to(place, tmp_path):
    fill(place.machine.home / "runs", "log.txt", "a.tmp", "cache/x")
    copy.pull(place.target, "runs", tmp_path / "out", exclude=["*.tmp", "cache/"])
    assert tree(tmp_path / "out") == {"log.txt"}


def test_what_is_not_there(place, tmp_path):
    with pytest.raises(NotFound):
        copy.push(place.target, tmp_path / "none", "x")
    with pytest.raises(NotFound):
        copy.pull(place.target, "none", tmp_path / "out")


def test_a_destination_that_cannot_be_written(place, tmp_path):
    fill(place.machine.home, "file")
    with pytest.raises(RemoteFailed):
        copy.push(place.target, fill(tmp_path / "src", "a"), "file")


def test_a_large_file_is_streamed(place, tmp_path):
    source = tmp_path / "src"
    source.mkdir()
    with (source / "big.bin").open("wb") as file:
        file.truncate(30_000_000)
    assert copy.push(place.target, source, "big").bytes == 30_000_000
    assert (place.machine.home / "big/big.bin").stat().st_size == 30_000_000
    assert copy.pull(place.target, "big", tmp_path / "out").bytes == 30_000_000


def test_a_connection_that_breaks_is_told(place, tmp_path):
    (place.machine.home / "bin").mkdir()
    for name in ("tar", "rsync"):
        broken = place.machine.home / "bin" / name
        broken.write_text("#!/bin/sh\nprintf 'half a tar'\nexit 2\n")
        broken.chmod(0o755)
    fill(place.machine.home / "runs", "a")
    with pytest.raises(RemoteFailed):
        copy.pull(place.target, "runs", tmp_path / "out")


def test_rsync_is_told_the_same_files(place, tmp_path, monkeypatch):
    """With a stand-in that writes down its arguments, for rsync is not everywhere."""
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin/rsync"
    shim.write_text(
        '#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done >"$0.argv"\ncat >"$0.stdin"\n'
        "echo 'Number of regular files transferred: 1,002'\n"
        "echo 'Total transferred file size: 12,345 bytes'\n"
    )
    shim.chmod(0o755)
    (place.machine.home / "bin").symlink_to(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    source = fill(tmp_path / "src", "a.py", "b c.py")
    sent = copy.push(place.target, source, "code")
    assert (sent.by, sent.files, sent.bytes) == ("rsync", 1002, 12345)
    argv = (tmp_path / "bin/rsync.argv").read_text().splitlines()
    assert argv[-2:] == [f"{source}/", "vision-1:./code/"]
    assert (tmp_path / "bin/rsync.stdin").read_bytes() == b"a.py\0b c.py"
    assert "IdentitiesOnly=yes" in next(word for word in argv if word.startswith("--rsh="))


@pytest.mark.skipif(not WITH_RSYNC, reason="rsync is not installed")
def test_rsync_sends_only_what_changed(place, tmp_path):
    source = fill(tmp_path / "src", "a.py", "b.py")
    copy.push(place.target, source, "code")
    (source / "a.py").write_text("changed, and longer")
    assert copy.push(place.target, source, "code").files == 1


# --- a stream that is not to be trusted


def evil(*members: tarfile.TarInfo) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member in members:
            member.size = 4 if member.isreg() else 0
            tar.addfile(member, io.BytesIO(b"evil") if member.isreg() else None)
    out.seek(0)
    return out


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


EVIL = [
    [member("../out")],
    [member("/tmp/gpuctl-evil")],
    [member("a/../../out")],
    [member("out", tarfile.SYMTYPE, "../secret")],
    [member("out", tarfile.SYMTYPE, "/etc/passwd")],
    [member("d", tarfile.SYMTYPE, ".."), member("d/out")],
    [member("out", tarfile.LNKTYPE, "../secret")],
    [member("dev", tarfile.CHRTYPE)],
    [member("pipe", tarfile.FIFOTYPE)],
    [member("here/out")],
]


@pytest.mark.parametrize("members", EVIL)
def test_nothing_is_written_outside(tmp_path, members):
    into, outside = tmp_path / "into", tmp_path / "outside"
    into.mkdir()
    outside.mkdir()
    (into / "here").symlink_to(outside)
    got = unpack(evil(*members), into, NOTHING)
    assert got.skipped
    assert not Path("/tmp/gpuctl-evil").exists()
    assert {path for path in tree(tmp_path) if not path.startswith("into/d/")} == {"into/here"}


def test_set_id_bits_do_not_come_along(tmp_path):
    unpack(evil(member("tool", mode=0o6777)), tmp_path, NOTHING)
    assert stat.S_IMODE((tmp_path / "tool").stat().st_mode) == 0o755


def test_a_file_is_replaced_and_a_link_is_not_written_through(tmp_path):
    (tmp_path / "into").mkdir()
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "into/a").symlink_to("../precious")
    unpack(evil(member("a")), tmp_path / "into", NOTHING)
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "into/a").read_text() == "evil"
