"""The optional Packer template runs the recipes' own steps, with what the recipes say."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gpuctl.config.recipe import read_recipe

AMIS = Path(__file__).parents[2] / "amis"
PACKER = AMIS / "packer"
MADE = sorted(path.name.partition(".")[0] for path in PACKER.glob("*.pkrvars.hcl"))


def variables(recipe):
    """The file's texts, by name: what `name = "…"` and `name = [ "…", … ]` say."""
    text = (PACKER / f"{recipe}.pkrvars.hcl").read_text("utf-8")
    lists = {
        name: re.findall(r'"([^"]*)"', body)
        for name, body in re.findall(r"^(\w+)\s*= \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    }
    return dict(re.findall(r'^\s*(\w+)\s*= "?([^"\[{\n]+)"?$', text, re.MULTILINE)) | lists


def test_every_recipe_for_aws_has_its_variables():
    recipes = {path.parent.name: read_recipe(path.parent) for path in AMIS.glob("*/image.toml")}
    assert sorted(name for name, recipe in recipes.items() if recipe.aws_ssm) == MADE
    assert len(MADE) >= 2


@pytest.mark.parametrize("name", MADE)
def test_the_variables_are_the_recipe_s(name):
    recipe, told = read_recipe(AMIS / name), variables(name)
    assert told["recipe"] == name
    assert (told["base"], told["user"]) == (recipe.aws_ssm, recipe.user)
    assert (told["types"], int(told["disk_gb"])) == (list(recipe.aws_types), recipe.disk_gb)
    steps = [step.relative_to(AMIS) for step in map(Path.resolve, recipe.steps)]
    assert [str(step).removeprefix(f"{name}/") for step in steps] == told["steps"]
    environment = {key: value for key, value in told.items() if key.startswith("GPUCTL_")}
    assert environment == recipe.environment()


@pytest.mark.skipif(shutil.which("packer") is None, reason="Packer is not installed")
@pytest.mark.parametrize("name", MADE)
def test_packer_finds_it_valid(name):
    done = subprocess.run(
        [
            *("packer", "validate", "-syntax-only"),
            *("-var-file", str(PACKER / f"{name}.pkrvars.hcl"), str(PACKER)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
