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
STEPS = [step for recipe in RECIPES for step in read_recipe(recipe).steps]


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


def test_every_step_is_named_and_in_order():
    for recipe in RECIPES:
        steps = [step.name for step in read_recipe(recipe).steps]
        assert steps == sorted(path.name for path in (recipe / "steps").iterdir())


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
    step = recipes() / "portable-cu126/steps/90-clean.sh"
    commands = [line for line in step.read_text().splitlines()[1:] if not line.startswith("#")]
    naked = re.compile(r"""(?<![\w"*.}])/(?!dev/null)""")
    assert [line for line in commands if naked.search(line.replace('"$root"/', ""))] == []

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
    (root / "var/log/auth.log").write_text("me")
    (home / ".netrc").write_text("password x")
    environ = {"PATH": f"{tools}:/usr/bin:/bin", "GPUCTL_ROOT": str(root)}

    def clean():
        return subprocess.run(
            ["bash", step], capture_output=True, text=True, check=False, env=environ
        )

    done = clean()
    assert done.returncode == 1
    assert str(home / ".netrc") in done.stderr
    assert (home / ".ssh/authorized_keys").exists()
    (home / ".netrc").unlink()
    for _ in range(2):
        done = clean()
        assert done.returncode == 0, done.stderr
    assert not (home / ".ssh/authorized_keys").exists()
    assert (root / "var/log/auth.log").read_text() == (root / "etc/machine-id").read_text() == ""


def test_every_mistake_of_a_recipe_at_once(tmp_path):
    recipe = tmp_path / "mine"
    shutil.copytree(recipes() / "portable-cu126", recipe)
    file = recipe / "image.toml"
    text = file.read_text()
    text = text.replace('version = "1"', "version = 1").replace("[targets]", "[target]")
    text = text.replace("steps/30-python.sh", "steps/35-mine.sh")
    text = text.replace('module = "proprietary"', 'module = "closed"')
    text = text.replace('gcp_types = ["e2-standard-2"]\n', "")
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_recipe(recipe)
    keys = [problem.key for problem in caught.value.problems]
    assert keys == ["version", "contents.module", "target", "build.steps[2]", "build.gcp_types"]
    assert all(problem.line for problem in caught.value.problems)


def test_no_recipe_is_told_as_such(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_recipe(Path(tmp_path))
