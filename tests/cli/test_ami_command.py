"""`ami list` and `ami check`: no cloud for what is known here, one free call for what is not."""

from datetime import datetime

import pytest

from gpuctl.config.lockfile import Built, write_lock
from gpuctl.core.errors import NotFound
from gpuctl.core.images.facts import ImageFacts
from gpuctl.core.ports import CloudRef

AMI = "ami-0123456789abcdef0"
BUILT = Built(
    name="torch-portable",
    version="1",
    built_at=datetime.fromisoformat("2026-02-20T09:00:00Z"),
    recipe="portable-cu126",
    driver="580.95.05",
    module="proprietary",
    cuda="cu126",
    torch="2.10.0",
    snapshot_gb=38,
    aws={"us-east-2": AMI},
)


class Account:
    """The clouds, as far as `ami` asks them: one AWS account, and what it was asked."""

    def __init__(self, **known):
        self.known = known
        self.asked = []

    def accounts(self):
        return [CloudRef("aws")]

    def of(self, provider, project):
        return CloudRef(provider)

    def image(self, ref, region, named):
        self.asked.append((ref.provider, region, named))
        if named not in self.known:
            raise NotFound(f"no image {named}")
        return self.known[named]


class Silent:
    """Nobody may be asked."""

    def accounts(self):
        return []


@pytest.fixture
def locked(desk):
    desk.clouds = Silent()
    write_lock(desk.config.parent / "images.lock.toml", [BUILT])
    return desk


def test_list_shows_recipes_and_what_was_built(locked):
    shown = locked.json("ami", "list")
    assert shown["schema"] == "gpuctl.ami.list/1"
    built = {image["name"]: image for image in shown["images"]}
    assert set(built) == {"torch-dlami", "torch-gcp", "torch-portable"}
    portable = built["torch-portable"]
    assert (portable["ids"], portable["built_at"]) == ({"us-east-2": AMI}, "2026-02-20T09:00:00Z")
    assert (portable["driver"], portable["torch"]) == ("580.95.05", "2.10.0")
    assert (built["torch-dlami"]["built_at"], built["torch-dlami"]["ids"]) == (None, {})
    lines = locked.ok("ami", "list").splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        "torch-dlami@1",
        "torch-gcp@1",
        "torch-portable@1",
    ]
    assert lines[3].split()[2:4] == ["10d", "us-east-2"]
    assert lines[1].endswith("not built")


def test_image_is_another_name_for_ami(locked):
    assert locked.ok("image", "list") == locked.ok("ami", "list")
    assert " image " not in locked.ok("--help")


def test_check_of_the_recipes_own_types(locked):
    shown = locked.json("ami", "check", "portable-cu126")
    assert shown["schema"] == "gpuctl.ami.check/1"
    assert {check["verdict"] for check in shown["checks"]} == {"fits"}
    assert "p3.2xlarge" in [check["type"] for check in shown["checks"]]
    assert shown["image"]["driver"] == "R580"


def test_what_does_not_fit_is_exit_8_with_reason_and_fix(locked):
    result = locked("ami", "check", AMI, "--for", "g7e.2xlarge", "--for", "g6.xlarge")
    assert result.exit_code == 8
    lines = result.stdout.splitlines()
    assert lines[:2] == ["torch-portable@1, by images.lock.toml", "g7e.2xlarge: does not fit"]
    assert "needs the open kernel module" in lines[2]
    assert lines[3].split(maxsplit=1) == ["do", "an image of amis/dlami-layer (T4 to Blackwell)"]
    assert lines[-1] == "g6.xlarge: fits"


def test_an_ami_that_nobody_here_knows_is_asked_for_and_the_unknown_is_said(desk):
    stranger = ImageFacts("ami-0fedcba9876543210", "AWS", "aws", "x86_64", "default", "hvm", True)
    desk.clouds = Account(**{stranger.name: stranger})
    words = ("ami", "check", stranger.name, "--for", "g6.xlarge", "--region", "us-east-2")
    assert "g6.xlarge: cannot be known from here" in desk.ok(*words)
    assert desk.clouds.asked == [("aws", "us-east-2", stranger.name)]
    shown = desk.json(*words)
    [check] = shown["checks"]
    unknown = [rule["rule"] for rule in check["findings"] if rule["verdict"] == "unknown"]
    assert (check["verdict"], unknown) == ("unknown", ["nvme", "driver", "torch"])
    assert shown["image"]["module"] is None
    rows = desk.ok(*words, "-o", "csv").splitlines()
    assert rows[0] == "type,rule,verdict,says,fix,source"
    assert len(rows) == 1 + len(check["findings"])


def test_what_nobody_has_is_exit_3(desk):
    desk.clouds = Account()
    desk.refused("ami", "check", "ami-0fedcba9876543210", "--for", "g6.xlarge", code=3)
    desk.refused("ami", "check", "nobodys@1", "--for", "g6.xlarge", code=3)
    assert len(desk.clouds.asked) == 2
    desk.refused("ami", "check", "amis/nobodys", "--for", "g6.xlarge", code=3)
    assert len(desk.clouds.asked) == 2


def test_a_type_is_needed_where_no_recipe_names_any(locked):
    said = locked.refused("ami", "check", "ami-0fedcba9876543210")
    assert "--for g6.xlarge" in said


def test_a_mistake_in_the_lock_is_told_with_its_line(locked):
    (locked.config.parent / "images.lock.toml").write_text("form = 1\nimages = 2\n")
    said = locked.refused("ami", "list")
    assert "images.lock.toml:2" in said
    assert "image" in said


def test_no_cloud_is_asked_for_what_is_no_region(desk):
    said = desk.refused("ami", "check", "ami-0123456789abcdef0", "--for", "g6.xlarge",
                        "--region", "nope")  # fmt: skip
    assert "'nope' is not a region" in said
    assert "--region us-west-2" in said
