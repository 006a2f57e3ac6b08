"""What this computer knows of images, and which types `up` leaves out for it."""

from datetime import UTC, datetime

import pytest

from gpuctl.app import images
from gpuctl.app.images import Shelf, facts, known_facts, targets, why_not
from gpuctl.app.launch import NothingStarted
from gpuctl.config.builtin import recipes
from gpuctl.config.lockfile import Built, write_lock
from gpuctl.config.paths import paths
from gpuctl.config.recipe import read_recipe
from gpuctl.core.images.facts import Branches, ImageFacts, Module, Verdict
from gpuctl.core.model import Accelerator
from gpuctl.wiring.shelf import known_image, lock_file, pinned, shelf, update_locks
from tests.fake_images import stored

AT = datetime(2026, 11, 22, tzinfo=UTC)
RECIPES = tuple(
    read_recipe(recipes() / name) for name in ("portable-cu126", "dlami-layer", "gcp-l4")
)
AMI = "ami-0123456789abcdef0"
BUILT = Built("torch-portable", "1", AT, driver="580.95.05", torch="2.10.0", aws={"us-east-2": AMI})
NEWER = BUILT._replace(version="2", driver="570.1", module="open", aws={})
SHELF = Shelf(RECIPES, (BUILT, NEWER))
DLAMI = (
    "ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
)


def test_a_recipe_by_its_name_its_version_its_directory_and_its_path():
    shelf = Shelf(RECIPES)
    found = known_facts(shelf, "torch-portable")
    assert found.source == "portable-cu126/image.toml"
    assert (found.driver, found.module) == (Branches(580, 580), Module.PROPRIETARY)
    assert (found.ena, found.nvme, found.provider) == (True, True, None)
    named = ("torch-portable@1", "torch-portable@stable", "portable-cu126")
    for name in (*named, str(recipes() / "portable-cu126")):
        assert known_facts(shelf, name) == found
    assert known_facts(shelf, "torch-portable@7") is None
    assert known_facts(shelf, "nobodys") is None
    assert known_facts(shelf, "Not A Name") is None


def test_a_layer_knows_what_its_base_tells():
    layer = known_facts(Shelf(RECIPES), "torch-dlami")
    assert (layer.provider, layer.driver, layer.module) == ("aws", Branches(570), Module.OPEN)
    google = known_facts(Shelf(RECIPES), "torch-gcp")
    assert (google.provider, google.driver, google.module) == ("gcp", Branches(580, 580), None)


def test_what_was_built_comes_before_the_recipe_and_is_completed_by_it():
    exact = known_facts(SHELF, "torch-portable@1")
    assert (exact.source, exact.provider) == ("images.lock.toml", "aws")
    assert (exact.module, exact.cuda, exact.nvme) == (Module.PROPRIETARY, "cu126", True)
    assert known_facts(SHELF, AMI) == exact
    newest = known_facts(SHELF, "torch-portable")
    assert (newest.name, newest.module) == ("torch-portable@2", Module.OPEN)
    assert newest.ena is None
    assert known_facts(SHELF, "ami-0fedcba9876543210") is None


def test_of_a_channel_nothing_is_certain():
    assert known_facts(SHELF, "torch-portable@stable", exact=True) is None
    assert known_facts(SHELF, "torch-portable", exact=True) is None
    assert known_facts(SHELF, "torch-portable@1", exact=True) is not None
    assert known_facts(SHELF, DLAMI, exact=True).module is Module.OPEN


def test_a_cloud_is_asked_for_what_nobody_here_knows():
    def told(named):
        return ImageFacts("torch-portable@1", "AWS", "aws", "x86_64", "default", "hvm", ena=True)

    asked = facts(SHELF, "ami-0fedcba9876543210", told)
    assert (asked.source, asked.nvme, asked.module) == ("AWS", True, Module.PROPRIETARY)
    stranger = facts(Shelf(), "ami-0fedcba9876543210", told)
    assert (stranger.nvme, stranger.driver) == (None, None)
    assert facts(SHELF, AMI, told).source == "images.lock.toml"


def test_types_of_a_recipe_and_types_that_nobody_knows():
    assert "g6.xlarge" in targets(SHELF, "torch-portable@1")
    assert "g2-standard-4" in targets(SHELF, "gcp-l4")
    assert targets(SHELF, AMI) == ()
    [found] = images.checks(known_facts(SHELF, DLAMI), ["p9.large"])
    assert (found.verdict, found.findings[0].rule) == (Verdict.UNKNOWN, "type")


def test_why_not_in_words():
    known = known_facts(SHELF, DLAMI)
    assert "R595 or later; V100 (Volta) needs" in why_not(known, "p3.2xlarge", None)
    assert why_not(known, "g6.xlarge", None) is None
    assert why_not(known, "p9.large", None) is None
    google = known_facts(SHELF, "torch-gcp@1")
    assert why_not(google, "n1-standard-4", Accelerator(type="nvidia-tesla-t4")) is None


# --- up -------------------------------------------------------------------------------------


def image_of(desk, facts_):
    desk.app = desk.app._replace(images=lambda named: facts_ if named == "mine@1" else None)


def test_up_takes_the_next_type_where_the_image_cannot_work(desk):
    image_of(desk, known_facts(SHELF, DLAMI))
    desk.aws.kept.images += [
        stored("1", name="mine", made_at=AT, region=region, facts=ImageFacts("", ""))
        for region in ("us-east-1", "us-west-2")
    ]
    shown = desk.up(image="mine@1")
    assert shown.machine.machine.type == "g5.xlarge"
    [skipped] = [one for one in shown.attempts if one.code == "image"]
    assert (skipped.type, skipped.outcome) == ("p3.2xlarge", "skipped")
    assert "amis/portable-cu126" in skipped.reason


def test_up_refuses_an_image_that_works_on_no_type(desk):
    image_of(desk, known_facts(SHELF, DLAMI))
    with pytest.raises(NothingStarted, match=r"the image does not run on it: .*V100") as caught:
        desk.up(image="mine@1", fallbacks=())
    assert caught.value.exit_code == 5


def test_up_says_nothing_of_an_image_that_nobody_knows(desk):
    image_of(desk, known_facts(SHELF, DLAMI))
    assert desk.up(image="ami-1").machine.machine.type == "p3.2xlarge"


# --- where they lie -------------------------------------------------------------------------


def places(tmp_path):
    return paths({"GPUCTL_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}, tmp_path)


def test_the_projects_own_come_before_those_of_gpuctl(tmp_path):
    assert [one.name for one in shelf(places(tmp_path)).recipes] == [
        "torch-dlami",
        "torch-gcp",
        "torch-portable",
    ]
    assert lock_file(places(tmp_path)) == tmp_path / "home/config/images.lock.toml"
    write_lock(lock_file(places(tmp_path)), [BUILT, NEWER])

    own = tmp_path / "amis/mine"
    (tmp_path / "gpuctl.toml").touch()
    own.mkdir(parents=True)
    text = (recipes() / "dlami-layer/image.toml").read_text()
    (own / "image.toml").write_text(text.replace("torch-dlami", "torch-portable"))
    assert lock_file(places(tmp_path)) == tmp_path / "amis/images.lock.toml"
    write_lock(lock_file(places(tmp_path)), [BUILT._replace(torch="2.9.0")])

    found = shelf(places(tmp_path))
    assert found.recipes[0].directory == own
    assert found.recipes[0].steps[0] == recipes() / "common/10-base.sh"
    assert [(one.version, one.torch) for one in found.built] == [("1", "2.9.0"), ("2", "2.10.0")]


def test_a_mistake_in_a_recipe_starts_a_machine_all_the_same(tmp_path):
    (tmp_path / "gpuctl.toml").touch()
    (tmp_path / "amis/mine").mkdir(parents=True)
    (tmp_path / "amis/mine/image.toml").write_text("name = 1")
    assert known_image(places(tmp_path), "torch-portable@1") is None
    assert known_image(places(tmp_path), DLAMI).module is Module.OPEN


def test_a_lock_file_tells_where_a_version_and_a_channel_lead(tmp_path):
    google = NEWER._replace(gcp="projects/p/global/images/x", channels=("next",))
    write_lock(lock_file(places(tmp_path)), [BUILT._replace(channels=("stable",)), google])

    def led(text, provider="aws", region="us-east-2"):
        return pinned(places(tmp_path), text, provider, region)

    assert led("torch-portable@1") == led("torch-portable") == ("torch-portable@1", AMI)
    assert led("torch-portable@1", region="us-west-2") is None
    assert led("torch-portable@next") is None
    found = ("torch-portable@2", "projects/p/global/images/x")
    assert led("torch-portable@next", "gcp", "us-central1") == found
    assert led(AMI) is led("nobodys") is None
    update_locks(places(tmp_path), lambda one: None if one.version == "2" else one)
    assert led("torch-portable@next", "gcp", "us-central1") is None
    assert led("torch-portable@1") == ("torch-portable@1", AMI)
    lock_file(places(tmp_path)).write_text("form = 9")
    assert led("torch-portable@1") is None
