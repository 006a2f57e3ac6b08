"""The files of a recipe as they lie on its builder, and the hash that tells two recipes apart."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from gpuctl.config.recipe import COMMON, Recipe

_LEFT_OUT = ("__pycache__",)


def recipe_files(recipe: Recipe) -> Mapping[str, bytes]:
    """Path -> content: `image.toml`, `steps/…`, `common/…`, and what lies beside them.

    A step finds its neighbours where they lie on the user's disk too. Hidden files are left out.
    """
    common = recipe.smoke.parent
    found = dict(_below(recipe.directory, ""))
    return found | dict(_below(common, f"{COMMON}/"))


def recipe_sha256(files: Mapping[str, bytes]) -> str:
    """SHA-256 in hex over paths and contents, whatever order they come in."""
    whole = hashlib.sha256()
    for name, data in sorted(files.items()):
        whole.update(f"{name}\0{len(data)}\0".encode())
        whole.update(data)
    return whole.hexdigest()


def step_names(recipe: Recipe) -> tuple[str, ...]:
    """`common/10-base.sh`, in order: what each step is called there."""
    common = recipe.smoke.parent
    return tuple(
        f"{COMMON}/{step.name}" if step.parent == common else f"{step.parent.name}/{step.name}"
        for step in recipe.steps
    )


def _below(directory: Path, prefix: str) -> Mapping[str, bytes]:
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    inner = {path.relative_to(directory): path for path in paths}
    return {
        f"{prefix}{name.as_posix()}": path.read_bytes()
        for name, path in inner.items()
        if not any(part.startswith(".") or part in _LEFT_OUT for part in name.parts)
    }
