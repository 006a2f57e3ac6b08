"""The labels of an image: what it is called, what is in it, which channels lead to it.

A label knows no dot and at most 63 characters: `580.95.05` stands as `580-95-05`, and of the
recipe's hash the first 63 digits.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from gpuctl.core.images.facts import Branches, ImageFacts, Module
from gpuctl.core.names import time_of_label

IMAGE = "gpuctl-image"
VERSION = "gpuctl-version"
RECIPE = "gpuctl-recipe-sha256"
DRIVER, MODULE = "gpuctl-driver", "gpuctl-module"
CUDA, TORCH = "gpuctl-cuda", "gpuctl-torch"
CHANNEL = "gpuctl-channel-"
"""Followed by the channel's name; its value is when it was promoted: the latest one leads."""

_LONGEST = 63
_ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64"}


def label(text: str) -> str:
    """A text as a label's value: dots become `-`, and what is too long is cut."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:_LONGEST]


def dotted(text: str | None) -> str | None:
    """The reverse for versions: `580-95-05` -> `580.95.05`."""
    return None if text is None else text.replace("-", ".")


def channels(labels: Mapping[str, str]) -> Mapping[str, datetime]:
    """Channel -> since when it leads to the image of these labels."""
    found = {
        key.removeprefix(CHANNEL): time_of_label(value)
        for key, value in labels.items()
        if key.startswith(CHANNEL)
    }
    return {channel: since for channel, since in found.items() if since is not None}


def facts_of(
    labels: Mapping[str, str], name: str, architecture: str | None, source: str
) -> ImageFacts:
    """What is in it, by its labels; None = not told."""
    driver = (labels.get(DRIVER) or "").partition("-")[0]
    branch = int(driver) if driver.isdecimal() else None
    module = labels.get(MODULE)
    return ImageFacts(
        name=name,
        source=source,
        provider="gcp",
        architecture=_ARCHITECTURES.get(architecture or ""),
        driver=None if branch is None else Branches(branch, branch),
        module=Module(module) if module in tuple(Module) else None,
        cuda=labels.get(CUDA),
        torch=dotted(labels.get(TORCH)),
    )
