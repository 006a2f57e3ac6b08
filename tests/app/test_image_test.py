"""`ami test` over the fake clouds: what is tested where, and that the machine always ends."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gpuctl.app.image_test import Proof, chosen, run_test
from gpuctl.app.images import Shelf
from gpuctl.config.builtin import recipes
from gpuctl.config.lockfile import Built, read_lock, write_lock
from gpuctl.config.recipe import read_recipe
from gpuctl.core.errors import GpuctlError, NotFound, UsageProblem
from tests.app.conftest import Desk
from tests.changed import changed

RECIPE = read_recipe(recipes() / "portable-cu126")
AMI = "ami-0123456789abcdef0"
BUILT = Built(
    name="torch-portable",
    version="1",
    built_at=datetime.fromisoformat("2026-02-20T09:00:00Z"),
    aws={"us-east-1": AMI},
)
SHELF = Shelf((RECIPE,), (BUILT, BUILT._replace(version="2", gcp="projects/p/global/images/i")))
GOOD = {"schema": "gpuctl.smoke/1", "ok": True, "problems": []}


def tried(desk: Desk, lock: Path, said: str, code: int = 0, **changes: Any) -> Proof | None:
    desk.aws.spot[("g4dn.xlarge", "us-east-1a")] = "0.16"
    desk.reach.run = lambda machine, argv: (code, said)  # type: ignore[method-assign]
    write_lock(lock, [BUILT])
    asked = changed(chosen(SHELF, "torch-portable@1", (), None), **changes)
    return run_test(desk.app, asked, lock, lambda plan: True)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "images.lock.toml"


def test_a_pass_is_in_the_lock_and_the_machine_has_ended(desk: Desk, lock: Path) -> None:
    said = f"a warning\n{json.dumps(GOOD)}\nanother {{\n"
    tested = tried(desk, lock, said)
    assert tested is not None
    assert (tested.ok, tested.type, tested.report["problems"]) == (True, "g4dn.xlarge", [])
    assert tested.boot_s > 0
    assert read_lock(lock)[0].tested == ("g4dn.xlarge",)
    (vm,) = desk.aws.vms
    assert (vm.alive, vm.order.image, vm.order.template) == (False, AMI, "ami-test")
    assert (vm.order.deadline - vm.created).total_seconds() <= 3600


def test_a_check_that_fails_is_reported_and_not_noted(desk: Desk, lock: Path) -> None:
    bad = GOOD | {"ok": False, "problems": ["torch sees no GPU"]}
    tested = tried(desk, lock, json.dumps(bad), code=1)
    assert tested is not None
    assert not tested.ok
    assert read_lock(lock)[0].tested == ()
    assert desk.aws.running() == []


@pytest.mark.parametrize("said", ["bash: not found", "{broken", "[1] {"])
def test_what_cannot_be_read_is_an_error_and_the_machine_ends(
    desk: Desk, lock: Path, said: str
) -> None:
    with pytest.raises(GpuctlError, match="can be read"):
        tried(desk, lock, said, code=127)
    assert desk.aws.running() == []


def test_a_crash_in_between_ends_it_too(desk: Desk, lock: Path) -> None:
    desk.aws.crash_after_launch = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        tried(desk, lock, "")
    assert desk.aws.running() == []


def test_a_dry_run_starts_nothing(desk: Desk, lock: Path) -> None:
    assert tried(desk, lock, "", dry_run=True) is None
    assert desk.aws.vms == []


def test_which_image_on_which_types() -> None:
    newest = chosen(SHELF, "torch-portable", (), None)
    assert (newest.built, newest.image, newest.region) == (SHELF.built[1], AMI, "us-east-1")
    assert newest.types == ("g4dn.xlarge", "g6.xlarge")
    google = chosen(SHELF, "portable-cu126@2", (), "gcp")
    assert google.image == "projects/p/global/images/i"
    assert google.types[0] == "n1-standard-4+nvidia-tesla-v100"
    channel = chosen(SHELF, "torch-portable@stable", ("g6.xlarge",), None)
    assert (channel.image, channel.built) == ("torch-portable@stable", None)
    assert channel.types == ("g6.xlarge",)


def test_a_gpu_that_is_attached_is_asked_for_apart(desk: Desk, lock: Path) -> None:
    said: list[Any] = []
    desk.gcp.spot[("n1-standard-4", "us-central1-a")] = "0.1"
    asked = chosen(SHELF, "torch-portable@2", ("n1-standard-4+nvidia-tesla-t4",), "gcp")
    asked = changed(asked, recipe=changed(RECIPE, test_max_cost=None))
    run_test(desk.app, asked, lock, lambda plan: bool(said.append(plan)))
    assert (said[0].template.gpu.type, said[0].template.types) == (
        "nvidia-tesla-t4",
        ("n1-standard-4",),
    )


def test_what_there_is_not_is_said() -> None:
    with pytest.raises(NotFound, match="no recipe"):
        chosen(SHELF, "nobodys", (), None)
    with pytest.raises(NotFound, match="not built"):
        chosen(SHELF, "torch-portable@7", (), None)
    with pytest.raises(NotFound, match="on gcp"):
        chosen(SHELF, "torch-portable@1", (), "gcp")
    only = Shelf((RECIPE,), (BUILT._replace(aws={}, gcp="projects/p/global/images/i"),))
    with pytest.raises(NotFound, match="on aws"):
        chosen(only, "torch-portable", (), "aws")
    bare = Shelf((changed(RECIPE, aws_targets=(), test_on=()),), SHELF.built)
    with pytest.raises(UsageProblem, match="no type"):
        chosen(bare, "torch-portable", (), "aws")
