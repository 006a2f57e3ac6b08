"""`ami list|check`: the images that recipes and lock files tell of, and what runs on what.

No cloud is needed for what this computer knows; an AMI that it does not know is asked for once,
by a call that costs nothing.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from gpuctl.config.lockfile import Built
from gpuctl.config.recipe import Recipe
from gpuctl.core.errors import NotFound
from gpuctl.core.images.bases import base_facts
from gpuctl.core.images.facts import Branches, Finding, ImageFacts, Module, Verdict, worst
from gpuctl.core.images.machines import machine_facts
from gpuctl.core.images.rules import check, no_row, refusal
from gpuctl.core.model import Accelerator

_AMI = re.compile(r"ami-[0-9a-f]{8,17}")
_NAMED = re.compile(r"([a-z0-9][a-z0-9-]*)(?:@([A-Za-z0-9][A-Za-z0-9.-]*))?")

Ask = Callable[[str], ImageFacts]
"""What a cloud tells of an image by its name or id. NotFound, Denied…"""


class Shelf(NamedTuple):
    """What this computer knows of images: recipes, and what was built of them."""

    recipes: tuple[Recipe, ...] = ()
    built: tuple[Built, ...] = ()


class Checked(NamedTuple):
    """One image on one machine type."""

    type: str
    verdict: Verdict
    findings: tuple[Finding, ...]


def known_facts(shelf: Shelf, named: str, *, exact: bool = False) -> ImageFacts | None:
    """What is known of an image without asking anybody; None = nothing.

    `named` is as in a template, or the directory of a recipe. Only the cloud knows where `NAME` and
    `NAME@CHANNEL` lead: the newest that was built stands for them, unless `exact`.
    """
    if _AMI.fullmatch(named):
        found = next((one for one in shelf.built if named in one.aws.values()), None)
        return None if found is None else of_built(found, shelf)
    base = base_facts(named)
    if base is not None:
        return base
    recipe = _by_directory(shelf, named)
    if recipe is not None:
        return of_recipe(recipe)
    match = _NAMED.fullmatch(named)
    if match is None or (exact and not _is_version(match[2])):
        return None
    return _by_name(shelf, match[1], match[2])


def facts(shelf: Shelf, named: str, ask: Ask) -> ImageFacts:
    """The same, from the cloud where this computer knows nothing."""
    known = known_facts(shelf, named)
    if known is not None:
        return known
    asked = ask(named)
    local = known_facts(shelf, asked.name) if asked.name != named and "@" in asked.name else None
    return asked if local is None else filled(asked, local)


def nowhere(named: str) -> NotFound:
    """The error for an image that neither this computer nor a cloud knows."""
    return NotFound(f"there is no image or recipe {named} here", hint="gpuctl ami list")


def checks(image: ImageFacts, types: Sequence[str]) -> Sequence[Checked]:
    """An image on each of these types."""
    found = []
    for type_ in types:
        machine = machine_facts(type_)
        findings = (no_row(type_),) if machine is None else check(image, machine)
        found.append(Checked(type_, worst(findings), findings))
    return found


def why_not(image: ImageFacts, type_: str, gpu: Accelerator | None) -> str | None:
    """For people: why an image certainly does not work on a type, and what to do; else None."""
    machine = machine_facts(type_, gpu.type if gpu is not None else None)
    found = None if machine is None else refusal(image, machine)
    if found is None:
        return None
    return f"the image does not run on it: {found.says}; instead: {found.fix}"


def targets(shelf: Shelf, named: str) -> tuple[str, ...]:
    """The types that the recipe of an image names; () where there is none."""
    recipe = _by_directory(shelf, named) or _recipe(shelf, named.partition("@")[0])
    return () if recipe is None else (*recipe.aws_targets, *recipe.gcp_targets)


def of_recipe(recipe: Recipe) -> ImageFacts:
    """What an image of this recipe holds, by its contents and its bases."""
    bases = [base_facts(name) for name in (recipe.aws_ssm, recipe.gcp_family) if name]
    base = next((one for one in bases if one is not None), ImageFacts("", ""))
    return ImageFacts(
        name=f"{recipe.name}@{recipe.version}",
        source=f"{recipe.directory.name}/image.toml",
        provider=None if len(bases) > 1 else base.provider,
        architecture=base.architecture,
        boot=base.boot,
        virtualization=base.virtualization,
        ena=base.ena,
        nvme=base.nvme,
        driver=_branches(recipe) or base.driver,
        module=Module(recipe.module) if recipe.module else base.module,
        cuda=recipe.cuda,
        torch=recipe.torch,
        bare=recipe.torch is None,
    )


def of_built(built: Built, shelf: Shelf) -> ImageFacts:
    """What was built, by the lock; what it does not say, by the recipe of the same version."""
    recipe = _recipe(shelf, built.name)
    branch = int(built.driver.partition(".")[0]) if built.driver else None
    told = ImageFacts(
        name=built.key,
        source="images.lock.toml",
        provider="aws" if built.aws and not built.gcp else "gcp" if not built.aws else None,
        architecture=built.architecture,
        driver=None if branch is None else Branches(branch, branch),
        module=Module(built.module) if built.module else None,
        cuda=built.cuda,
        torch=built.torch,
        bare=built.torch is None,
    )
    if recipe is None or recipe.version != built.version:
        return told
    return filled(told, of_recipe(recipe))


def filled(told: ImageFacts, other: ImageFacts) -> ImageFacts:
    """What one does not know, by the other; what it says itself stands."""
    lacks = {
        key: value
        for key, value in other._asdict().items()
        if key != "provider" and getattr(told, key) is None and value is not None
    }
    return told._replace(**lacks, bare=told.bare and other.bare)


def _branches(recipe: Recipe) -> Branches | None:
    if recipe.driver is not None:
        return Branches(int(recipe.driver), int(recipe.driver))
    return None if recipe.driver_least is None else Branches(int(recipe.driver_least))


def _by_name(shelf: Shelf, name: str, version: str | None) -> ImageFacts | None:
    built = [one for one in shelf.built if one.name == name]
    exact = [one for one in built if one.version == version]
    if exact or (built and not _is_version(version)):
        return of_built((exact or built)[-1], shelf)
    recipe = _recipe(shelf, name)
    if recipe is None or (_is_version(version) and version != recipe.version):
        return None
    return of_recipe(recipe)


def _is_version(at: str | None) -> bool:
    return at is not None and at.isdecimal()


def _recipe(shelf: Shelf, name: str) -> Recipe | None:
    return next((one for one in shelf.recipes if one.name == name), None)


def _by_directory(shelf: Shelf, named: str) -> Recipe | None:
    """A recipe by its directory's name, or by a path that leads to it."""
    for recipe in shelf.recipes:
        if named == recipe.directory.name:
            return recipe
        if "/" in named and Path(named).resolve() == recipe.directory.resolve():
            return recipe
    return None
