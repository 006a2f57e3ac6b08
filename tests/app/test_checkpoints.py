"""Checkpoints from the laptop's side, on a directory that stands for the bucket."""

from datetime import timedelta
from pathlib import Path

import pytest

from gpuctl.app import checkpoints as verb
from gpuctl.app import job as jobs
from gpuctl.config.template import Checkpoint, Template
from gpuctl.core.checkpoints import Manifest
from gpuctl.core.errors import GpuctlError, NotFound, UsageProblem
from gpuctl.core.keeping import base_of, name_of, root_of
from gpuctl.core.model import DiskSpec
from tests.app.conftest import ACME, Desk
from tests.changed import changed
from tests.checkpoint.parts import folder_at, is_step, job_saves, saver

BUCKET = "s3://box/ckpt"
TABLE = Checkpoint(dir="ck", bucket=BUCKET, command="save", interval=timedelta(minutes=5))


def template(**changes) -> Template:
    disk = DiskSpec(gb=100, type="gp3")
    base = Template(name="saved", provider="aws", type="g5.xlarge", disk=disk, checkpoint=TABLE)
    return changed(base, **changes)


@pytest.fixture
def saved(make_desk) -> Desk:
    return make_desk(templates={"saved": template()})


@pytest.fixture
def store(tmp_path: Path):
    """Two of one job, saved as machines save them."""
    shelf, job = folder_at(tmp_path / "box"), tmp_path / "job"
    job.mkdir()
    for step in (1, 2):
        saver(shelf).save(job_saves(job, step), renamed=True)
    return shelf


def test_what_a_machine_is_told(saved: Desk) -> None:
    saved.up(template="saved")
    (machine,) = saved.sync().machines
    keep = verb.keep_of(saved.app, machine, "train", ("python", "train.py"), restore=False)
    assert keep is not None
    assert (keep.root, keep.dir, keep.bucket) == (f"ckpt/{ACME}/train", "ck", BUCKET)
    assert (keep.command, keep.interval_s, keep.restore) == ("save", 300, False)
    nameless = changed(machine, template=None)
    again = verb.keep_of(saved.app, nameless, None, ("python", "train.py"), restore=True)
    assert again is not None
    assert again.job.startswith("train-py-")
    with pytest.raises(UsageProblem, match="no name of a job"):
        verb.keep_of(saved.app, machine, "Two Words", ("x",), restore=True)


def test_a_job_is_started_under_its_keeper(saved: Desk) -> None:
    saved.up(template="saved")
    synced = saved.sync()
    (machine,) = synced.machines
    keep = verb.keep_of(saved.app, machine, "train", ("python", "train.py"), restore=True)
    job = jobs.Job(name="j", argv=("python", "train.py"), directory="w", keep=keep)
    jobs.start(saved.app, synced, machine, job)
    assert saved.reach.started["j"][0] == ("keeper", "train", "python", "train.py")


def test_without_a_table_nothing_is_kept(desk: Desk) -> None:
    desk.up()
    (machine,) = desk.sync().machines
    assert verb.keep_of(desk.app, machine, None, ("true",), restore=True) is None
    lost = changed(machine, template=None, lease=None)
    assert verb.keep_of(desk.app, lost, None, ("true",), restore=True) is None
    with pytest.raises(UsageProblem, match="no checkpoint table"):
        verb.store_of(desk.app, desk.app.settings.template("v100"), None, None)


def test_without_a_bucket_the_machine_is_asked(make_desk, store) -> None:
    bare = template(checkpoint=changed(TABLE, bucket=None))
    desk = make_desk(templates={"saved": bare})
    desk.up(template="saved")
    (machine,) = desk.sync().machines
    assert verb.keep_of(desk.app, machine, "train", ("x",), restore=True) is not None
    assert "names no bucket" in desk.said.notes[-1]
    with pytest.raises(UsageProblem, match="name the machine"):
        verb.store_of(desk.app, bare, None, None)
    desk.reach.keeps = store
    assert verb.store_of(desk.app, bare, None, machine) is store


def test_a_client_with_an_account_of_its_own_has_its_bucket_there(make_desk, store) -> None:
    desk = make_desk(own=True, templates={"saved": template()})
    desk.app.clouds.buckets = {(BUCKET, "acme"): store, (BUCKET, None): folder_at(Path("/nowhere"))}
    assert verb.store_of(desk.app, template(), ACME, None) is store


def test_a_listing_and_its_filters(store) -> None:
    store.create("ckpt/stray.txt", b"not ours")
    store.create("ckpt/acme/vision/other/00000003/manifest.json", b"{}")
    store.create("ckpt/borealis/nlp/train/00000001/x-1/0000-000", b"begun")
    every = verb.listing(store, BUCKET)
    assert [(one.project, one.job, one.sequence) for one in every] == [
        ("acme/vision", "other", 3),
        ("acme/vision", "train", 2),
        ("acme/vision", "train", 1),
        ("borealis/nlp", "train", 1),
    ]
    assert [one.begun_only for one in every] == [False, False, False, True]
    assert "damaged" in (every[0].problem or "")
    assert len(verb.listing(store, BUCKET, ACME, "train")) == 2
    assert verb.listing(store, BUCKET, "borealis/nlp", "none") == []
    checked = verb.verify(store, every)
    assert [bool(one.problems) for one in checked] == [True, False, False]
    with pytest.raises(NotFound, match="which job"):
        verb.one_job(every, None)
    with pytest.raises(NotFound, match="no checkpoints of x"):
        verb.one_job([], "x")


def flip(store, one: verb.Kept) -> None:
    assert isinstance(one.manifest, Manifest)
    path = Path(store.root, one.root, one.manifest.files[0].parts[0].key)
    held = path.read_bytes()
    path.write_bytes(held[:-1] + b"?")


def test_the_newest_that_verifies_is_pulled(desk: Desk, store, tmp_path: Path) -> None:
    some = verb.listing(store, BUCKET)
    kept, path = verb.pull(desk.app, store, some, tmp_path / "a", None)
    assert (kept.sequence, path.name) == (2, "step_2")
    assert is_step(path, 2)
    with pytest.raises(UsageProblem, match="exists already"):
        verb.pull(desk.app, store, some, tmp_path / "a", None)
    assert verb.pull(desk.app, store, some, tmp_path / "a", 1)[1].name == "step_1"
    with pytest.raises(NotFound, match="no such checkpoint"):
        verb.pull(desk.app, store, some, tmp_path / "a", 9)

    flip(store, some[0])
    assert [bool(one.problems) for one in verb.verify(store, some)] == [True, False]
    assert verb.pull(desk.app, store, some, tmp_path / "b", None)[0].sequence == 1
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["step_1"]
    assert "passed over" in desk.said.notes[-1]
    flip(store, some[1])
    with pytest.raises(GpuctlError, match="none of these"):
        verb.pull(desk.app, store, some, tmp_path / "c", None)
    assert list((tmp_path / "c").iterdir()) == []
    Path(store.root, some[0].root, "00000002/manifest.json").write_text("{}")
    with pytest.raises(GpuctlError, match="none of these"):
        verb.pull(desk.app, store, verb.listing(store, BUCKET), tmp_path / "c", None)


def test_a_file_is_no_place_for_a_checkpoint(desk: Desk, store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageProblem, match="file cannot be written: Not a directory"):
        verb.pull(desk.app, store, verb.listing(store, BUCKET), tmp_path / "file", None)
    assert (tmp_path / "file").read_text() == "mine"


def test_names() -> None:
    assert name_of(("python", "a/Train_Big.py")) == name_of(("python", "a/Train_Big.py"))
    assert name_of(("python", "a/Train_Big.py")).startswith("train-big-py-")
    assert name_of(("python", "t.py", "--lr", "1")) != name_of(("python", "t.py", "--lr", "2"))
    assert name_of(("./run",)).startswith("run-")
    assert name_of(("-",)).startswith("job-")
    assert (base_of(None), base_of("s3://box"), base_of("s3://box/a/b/")) == ("", "", "a/b/")
    assert root_of("gs://box/a", ACME, "j") == f"a/{ACME}/j"
