"""The files that come with gpuctl: templates, and recipes for images."""

from pathlib import Path

_HERE = Path(__file__).parent
_CHECKOUT = _HERE.parent.parent


def template_files() -> tuple[Path, ...]:
    """The built-in templates, by name.

    In an installed package they lie beside this file; in a checkout they are `configs/templates`.
    """
    return tuple(sorted(_one_of(_HERE / "builtin", _CHECKOUT / "configs/templates").glob("*.toml")))


def recipes() -> Path:
    """The directory of the image recipes that come with gpuctl."""
    return _one_of(_HERE / "recipes", _CHECKOUT / "amis")


def defaults_text() -> str:
    """The user file that `gpuctl init` starts from, comments and all."""
    return _one_of(_HERE / "defaults.toml", _CHECKOUT / "configs/defaults.toml").read_text("utf-8")


def _one_of(installed: Path, checkout: Path) -> Path:
    return installed if installed.exists() else checkout
