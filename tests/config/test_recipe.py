"""Recipes for images, and the scripts they name."""

import json
import re
import shutil
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from gpuctl.config.builtin import recipes
from gpuctl.config.recipe import read_recipe
from gpuctl.core.errors import ConfigError

RECIPES = sorted(path.parent for path in recipes().glob("*/image.toml"))
STEPS = sorted({step for recipe in RECIPES for step in read_recipe(recipe).steps})


def test_the_portable_image_is_what_a_v100_needs():
    recipe = read_recipe(recipes() / "portable-cu126")
    assert (recipe.driver, recipe.module, recipe.cuda) == ("580", "proprietary", "cu126")
    assert "p3.2xlarge" in recipe.aws_targets
    assert recipe.build_timeout == timedelta(hours=1)
    assert recipe.environment()["GPUCTL_TORCH"] == recipe.torch
    assert recipe.smoke.is_file()
    assert [step.name for step in recipe.steps][-1] == "90-clean.sh"


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_stops_at_errors_and_asks_nothing(step):
    text = step.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "\nset -euo pipefail\n" in text
    assert step.stat().st_mode & stat.S_IXUSR
    assert "://" not in text
    if "apt-get" in text and "install" in text:
        assert "DEBIAN_FRONTEND=noninteractive" in text
    subprocess.run(["bash", "-n", str(step)], check=True)


def test_every_step_is_used_and_in_order():
    for recipe in RECIPES:
        steps = [step.name for step in read_recipe(recipe).steps]
        assert steps == sorted(steps)
        assert (steps[0], steps[-1]) == ("10-base.sh", "90-clean.sh")
    assert set(STEPS) == set(recipes().rglob("*.sh"))


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing():
    scripts = [*recipes().rglob("*.sh"), recipes() / "common/units/gpuctl-prefetch"]
    done = subprocess.run(
        ["shellcheck", *scripts],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""


def test_no_recipe_says_where_packages_come_from():
    files = [f for f in recipes().rglob("*") if f.is_file() and f.parent.name != "__pycache__"]
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"index-url\s*=|download\.pytorch|--index", text), file


def test_the_thin_layers_take_the_driver_of_their_base():
    layers = {name: read_recipe(recipes() / name) for name in ("dlami-layer", "gcp-l4")}
    assert [recipe.steps[1].name for recipe in layers.values()] == ["20-driver.sh"] * 2
    aws, google = layers.values()
    assert (aws.driver, aws.driver_least, aws.module) == (None, "570", "open")
    assert aws.environment()["GPUCTL_DRIVER_LEAST"] == "570"
    assert "p3.2xlarge" not in aws.aws_targets
    assert (google.driver, google.aws_targets) == ("580", ())


@pytest.mark.parametrize(
    ("version", "licence", "environ", "says"),
    [
        ("580.95.05", "NVIDIA", {"GPUCTL_DRIVER": "580", "GPUCTL_MODULE": "proprietary"}, None),
        ("595.91.07", "Dual MIT/GPL", {"GPUCTL_DRIVER_LEAST": "570"}, None),
        ("595.91.07", "Dual MIT/GPL", {"GPUCTL_DRIVER": "580"}, "the recipe says branch 580"),
        ("550.1", "Dual MIT/GPL", {"GPUCTL_DRIVER_LEAST": "570"}, "needs 570 or later"),
        ("580.95.05", "NVIDIA", {"GPUCTL_MODULE": "open"}, "has the proprietary kernel module"),
        ("", "", {}, "has no NVIDIA driver"),
    ],
)
def test_a_base_with_another_driver_is_refused(tmp_path, version, licence, environ, says):
    says_modinfo = (
        f'#!/bin/sh\ncase "$2" in version) echo "{version}";; *) echo "{licence}";; esac\n'
    )
    held = tmp_path / "held"
    tools = {
        "modinfo": says_modinfo,
        "dpkg-query": "#!/bin/sh\necho nvidia-driver ii\necho linux-image-old rc\n",
        "apt-mark": f'#!/bin/sh\necho "$@" >>{held}\n',
    }
    for name, text in tools.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["bash", recipes() / "common/20-driver.sh"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", **environ},
    )
    if says is None:
        assert (done.returncode, done.stderr) == (0, "")
        assert held.read_text() == "hold nvidia-driver\n"
    else:
        assert done.returncode == 1
        assert says in done.stderr
        assert not held.exists()


def test_the_smoke_test_tells_all_that_fails(tmp_path):
    done = subprocess.run(
        [sys.executable, recipes() / "common/smoke.py"],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path), "PATH": str(tmp_path)},
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"], report["schema"]) == (1, False, "gpuctl.smoke/1")
    assert any(
        problem.startswith("nvidia_smi: FileNotFoundError") for problem in report["problems"]
    )
    assert report["disk"]["write_mb_s"] > 0
    assert list(tmp_path.iterdir()) == []


def test_the_smoke_test_reads_nvidia_smi(tmp_path):
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\necho 'Tesla V100-SXM2-16GB, 580.95.05, 16384, 7.0'\n")
    fake.chmod(0o755)
    done = subprocess.run(
        [sys.executable, recipes() / "common/smoke.py"],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"},
    )
    gpu = {"name": "Tesla V100-SXM2-16GB", "vram_mib": 16384, "sm": "7.0"}
    assert json.loads(done.stdout)["nvidia_smi"] == {"driver": "580.95.05", "gpus": [gpu]}


def test_the_last_step_stops_at_a_secret(tmp_path):
    """Run for real on a tree of its own; first, that it names no path outside that tree."""
    step = recipes() / "common/90-clean.sh"
    commands = [line for line in step.read_text().splitlines()[1:] if not line.startswith("#")]
    naked = re.compile(r"""(?<![\w"*.}])/(?!dev/null)""")
    beside = '"$(dirname "$0")/scan.py"'
    inside = [line.replace('"$root"/', "").replace(beside, "") for line in commands]
    assert [line for line in inside if naked.search(line)] == []

    root, tools = tmp_path / "root", tmp_path / "tools"
    home = root / "home/ubuntu"
    for part in ("root/.ssh", "home/ubuntu/.ssh", "etc/ssh", "tmp", "var/tmp", "var/log"):
        (root / part).mkdir(parents=True)
    for name, says in {"apt-get": "", "cloud-init": "", "getent": "u:x:1:1::/home/ubuntu:"}.items():
        tools.mkdir(exist_ok=True)
        (tools / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (tools / name).chmod(0o755)
    (home / ".ssh/authorized_keys").write_text("ssh-ed25519 AAAA me")
    (root / "etc/machine-id").write_text("abc")
    builder = (
        "etc/gpuctl/deadline",
        "etc/systemd/system/gpuctl-deadline.timer",
        "etc/gpuctl/image.json",
    )
    for part in builder:
        (root / part).parent.mkdir(parents=True, exist_ok=True)
        (root / part).write_text("x")
    (root / "var/log/auth.log").write_text("me")
    (home / ".netrc").write_text("password x")
    environ = {"PATH": f"{tools}:/usr/bin:/bin", "GPUCTL_ROOT": str(root)}

    def clean():
        return subprocess.run(
            ["bash", step], capture_output=True, text=True, check=False, env=environ
        )

    done = clean()
    assert done.returncode == 1
    assert "/home/ubuntu/.netrc" in done.stderr
    assert "authorized_keys" not in done.stderr
    assert (home / ".ssh/authorized_keys").exists()
    (home / ".netrc").unlink()
    for _ in range(2):
        done = clean()
        assert done.returncode == 0, done.stderr
    assert not (home / ".ssh/authorized_keys").exists()
    assert [part for part in builder if (root / part).exists()] == ["etc/gpuctl/image.json"]
    assert (root / "var/log/auth.log").read_text() == (root / "etc/machine-id").read_text() == ""


def test_every_mistake_of_a_recipe_at_once(tmp_path):
    recipe = tmp_path / "mine"
    shutil.copytree(recipes() / "portable-cu126", recipe)
    file = recipe / "image.toml"
    text = file.read_text()
    text = text.replace('version = "1"', "version = 1").replace("[targets]", "[target]")
    text = text.replace("common/40-python.sh", "steps/45-mine.sh")
    text = text.replace('module = "proprietary"', 'module = "closed"')
    text = text.replace('gcp_types = ["e2-standard-2"]\n', "")
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_recipe(recipe)
    keys = [problem.key for problem in caught.value.problems]
    assert keys == ["version", "contents.module", "target", "build.steps[3]", "build.gcp_types"]
    assert all(problem.line for problem in caught.value.problems)


def test_no_recipe_is_told_as_such(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_recipe(Path(tmp_path))
