"""`ami list|copy|promote|prune|share` as they are typed: what they print, ask and leave behind."""

from datetime import UTC, datetime

import pytest

from gpuctl.config.lockfile import Built, read_lock, write_lock
from gpuctl.core.ports import CloudRef
from tests.conftest import HandClock
from tests.fake_cloud import FakeCloud
from tests.fake_images import NAME, ami, stored
from tests.fakes import FakeProvider, ListedClouds

AT = datetime(2026, 2, 20, 9, tzinfo=UTC)
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
EAST, WEST = "us-east-1", "us-west-2"
AMI = "ami-0123456789abcdef0"


@pytest.fixture
def cloud(desk):
    made = FakeCloud(HandClock(NOW))
    made.kept.images += [stored(str(n), made_at=AT) for n in range(1, 6)]
    desk.clouds = ListedClouds({CloudRef("aws"): FakeProvider(made)})
    return made


@pytest.fixture
def lock(desk):
    path = desk.config.parent / "images.lock.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_lock(path, [Built(NAME, "5", AT, driver="580.95.05", aws={EAST: AMI})])
    return path


def test_list_shows_what_the_cloud_keeps_and_what_it_costs(desk, cloud, lock):
    cloud.kept.channels[EAST, NAME, "stable"] = ami(5)
    desk.config.write_text(
        '[template.mine]\nprovider = "aws"\ntype = "g6.xlarge"\n'
        f'image = "{NAME}@4"\ndisk.gb = 100\n'
    )
    shown = desk.json("ami", "list")
    built = {f"{image['name']}@{image['version']}": image for image in shown["images"]}
    five = built[f"{NAME}@5"]
    assert (five["channels"], five["used_by"], five["ids"]) == (["stable"], [], {EAST: AMI})
    assert five["driver"] == "580.95.05"
    [region] = five["regions"]
    assert (region["region"], region["gb"], region["ours"]) == (EAST, "40", True)
    assert five["monthly"] == region["monthly"]
    assert five["monthly"].startswith("1.96")
    assert built[f"{NAME}@4"]["used_by"] == ["template mine"]
    assert built[f"{NAME}@4"]["built_at"] == "2026-02-20T09:00:00Z"
    assert built["torch-dlami@1"]["regions"] == []
    table = desk.ok("ami", "list").splitlines()
    assert "$/MONTH" in table[0]
    [line] = [line for line in table if line.startswith(f"{NAME}@5 ")]
    assert line.split()[1:4] == ["stable", "10d", EAST]
    assert "$1.96" in line


def test_list_without_asking_is_what_this_computer_knows(desk, cloud, lock):
    shown = desk.json("ami", "list", "--cached")
    assert "regions" not in shown["images"][0]
    assert "images" not in cloud.calls


def test_list_of_a_cloud_that_does_not_answer(desk, cloud):
    cloud.denied = True
    assert "--cached" in desk.refused("ami", "list", code=4)
    cloud.denied = False
    silent = FakeCloud(cloud.clock, stops=True, broken_region="us-central1")
    desk.clouds.providers[CloudRef("gcp")] = FakeProvider(silent, account="my-project")
    result = desk("ami", "list", "--json")
    assert result.exit_code == 1
    assert '"incomplete"' in result.stdout


def test_copy_tells_its_price_asks_and_writes_the_lock(desk, cloud, lock):
    plan = desk("ami", "copy", NAME, "--to", f"{WEST},{EAST}", "--dry-run")
    assert plan.exit_code == 0
    assert f"{NAME}@5 is in {EAST} already" in plan.stderr
    assert "40 GB in each, together $1.96 a month" in plan.stderr
    assert plan.stdout == "nothing was copied\n"
    assert not [call for call in cloud.calls if call.startswith("copy")]
    desk.refused("ami", "copy", NAME, "--to", WEST)
    made = desk.json("ami", "copy", NAME, "--to", WEST, "--yes")
    assert [image["region"] for image in made["images"]] == [WEST]
    assert read_lock(lock)[0].aws == {EAST: AMI, WEST: made["images"][0]["id"]}
    declined = desk("ami", "copy", NAME, "--to", "eu-west-1", terminal=True, answers="n\n")
    assert (declined.exit_code, "Nothing was copied" in declined.stderr) == (1, True)


def test_promote_says_what_was_not_tested_and_the_lock_has_the_channel(desk, cloud, lock):
    result = desk("ami", "promote", f"{NAME}@5")
    assert result.exit_code == 0
    assert "has not passed a test here" in result.stderr
    assert cloud.kept.channels == {(EAST, NAME, "stable"): ami(5)}
    assert read_lock(lock)[0].channels == ("stable",)
    write_lock(lock, [read_lock(lock)[0]._replace(tested=("g6.xlarge",))])
    again = desk("ami", "promote", f"{NAME}@5", "--channel", "next", "--region", EAST)
    assert "test" not in again.stderr


def test_a_broken_lock_file_is_told_before_anything_is_done(desk, cloud, lock):
    lock.write_text("form = 9")
    for argv in (("promote", f"{NAME}@5"), ("copy", NAME, "--to", WEST, "-y"), ("prune", "-y")):
        assert "images.lock.toml" in desk.refused("ami", *argv)
    assert cloud.kept.channels == {}
    assert len(cloud.kept.images) == 5


def test_prune_shows_what_goes_and_yes_must_be_typed(desk, cloud, lock):
    dry = desk.json("ami", "prune", "--dry-run")
    assert [image["version"] for image in dry["images"]] == ["1", "2"]
    assert dry["saves"].startswith("3.92")
    assert len(cloud.kept.images) == 5
    desk.refused("ami", "prune", GPUCTL_YES="1")
    declined = desk("ami", "prune", terminal=True, answers="n\n")
    assert (declined.exit_code, "Nothing was removed" in declined.stderr) == (1, True)
    gone = desk("ami", "prune", "--keep", "1", "--yes")
    assert "saves $7.85 a month" in gone.stderr
    assert [image.version for image in cloud.kept.images] == ["5"]
    assert "no version is old enough" in desk.ok("ami", "prune", "--yes")


def test_share_asks_and_tells_the_ids(desk, cloud):
    whom = "444455556666"
    desk.refused("ami", "share", f"{NAME}@5", "--with", whom)
    shown = desk.json("ami", "share", f"{NAME}@5", "--with", whom, "-y")
    assert [image["id"] for image in shown["images"]] == [ami(5)]
    assert cloud.kept.shares == {(ami(5), whom)}
    declined = desk("ami", "share", f"{NAME}@5", "--with", whom, terminal=True, answers="n\n")
    assert declined.exit_code == 1


def test_a_wrong_account_is_told_before_anybody_is_asked(desk, cloud):
    argv = ("ami", "share", f"{NAME}@5", "--with", "12")
    told = desk(*argv, terminal=True, answers="y\n")
    assert (told.exit_code, "not an account" in told.stderr) == (2, True)
    assert "Let 12 use" not in told.stderr + told.stdout
    assert cloud.kept.shares == set()


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("copy", NAME, "--to", "West"), 2),
        (("copy", NAME), 2),
        (("copy", "nobodys", "--to", WEST, "-y"), 3),
        (("promote", NAME), 2),
        (("promote", f"{NAME}@9"), 3),
        (("promote", f"{NAME}@5", "--channel", "v2"), 2),
        (("prune", "nobodys", "-y"), 3),
        (("prune", "--keep", "0"), 2),
        (("prune", NAME, "--keep", "x"), 2),
        (("share", f"{NAME}@5"), 2),
        (("share", f"{NAME}@9", "--with", "4" * 12, "-y"), 3),
        (("share", f"{NAME}@5", "--with", "me", "-y"), 2),
    ],
)
def test_wrong_inputs_change_nothing(desk, cloud, argv, code):
    desk.refused("ami", *argv, code=code)
    assert cloud.kept.channels == {}
    assert len(cloud.kept.images) == 5
    assert cloud.kept.shares == set()
