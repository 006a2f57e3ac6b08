"""`images.lock.toml`: what was built, as frozen values; read with every mistake, written whole."""

import os
import tempfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from gpuctl.config.check import check
from gpuctl.config.documents import Document, parse_document, read_document
from gpuctl.config.entries import OriginKind, missing, nest
from gpuctl.config.keys import dotted
from gpuctl.config.shapes import Checked, Choice, Count, Text
from gpuctl.config.tables import Key, ListOf, MapOf, Table
from gpuctl.config.toml import quoted, written
from gpuctl.config.words import GB, LINE, REGION, TYPE
from gpuctl.core.errors import ConfigError, Problem
from gpuctl.core.images.facts import Module
from gpuctl.core.span import format_time, parse_time

LOCK = "images.lock.toml"
FORM = 1
"""Of the file; a later one is refused, not guessed at."""

_AMI = Text(r"ami-[0-9a-f]{8,17}", word='AMI id such as "ami-0123456789abcdef0"')
_MOMENT = Checked(lambda text: format_time(parse_time(text)), r"\S+", word="time (RFC 3339, UTC)")
_NAME = Text("[a-z0-9][a-z0-9-]{0,29}@[0-9]+", word='name and version such as "torch-portable@1"')

_CHANNEL = Text("[a-z][a-z0-9-]{0,29}", word='channel such as "stable"')

_IMAGE = Table(
    Key("built_at", _MOMENT, "When it was made.", required=True),
    Key("recipe", LINE, "Directory of its recipe."),
    Key("recipe_sha256", Text("[0-9a-f]{64}", word="SHA-256 in hex"), "Of recipe and steps."),
    Key("base", LINE, "The image it was built on, by its id."),
    Key("architecture", Choice(("x86_64", "arm64")), "Of the machines it runs on."),
    Key("driver", Text(r"\d{3}(?:\.\d+)*", word='driver such as "580.95.05"'), "NVIDIA's."),
    Key("module", Choice(tuple(Module)), "Kind of its kernel module."),
    Key("cuda", Text(r"cu[0-9]+", word='CUDA build such as "cu126"'), "Of torch."),
    Key("torch", LINE, "Its version."),
    Key("python", Text(r"3\.[0-9]+", word='version such as "3.10"'), "Its version."),
    Key("snapshot_gb", GB, "What is stored of it in each region."),
    Key("tested", ListOf(TYPE), "Types on which its test passed."),
    Key("channels", ListOf(_CHANNEL), "Channels that lead to it."),
    Key("aws", MapOf("region", _AMI, REGION), "Its id in each region."),
    Key("gcp", Text(r"projects/\S+/global/images/\S+", word="image on Google"), "Its name there."),
)
_FILE = Table(
    Key("form", Count(FORM, FORM), "Of this file.", required=True),
    Key("image", MapOf("NAME@VERSION", _IMAGE, _NAME), "What was built.", also=("images",)),
)

_HEAD = """\
# What was built of which recipe, and what is in it. gpuctl writes this file; keep it in git.
"""


class Built(NamedTuple):
    """One version of an image. `aws`: region -> AMI id; `gcp`: the image's full name on Google."""

    name: str
    version: str
    built_at: datetime
    recipe: str | None = None
    recipe_sha256: str | None = None
    base: str | None = None
    architecture: str | None = None
    driver: str | None = None
    module: str | None = None
    cuda: str | None = None
    torch: str | None = None
    python: str | None = None
    snapshot_gb: int | None = None
    tested: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    aws: Mapping[str, str] = MappingProxyType({})
    gcp: str | None = None

    @property
    def key(self) -> str:
        """`NAME@VERSION`, as templates name it."""
        return f"{self.name}@{self.version}"


def read_lock(path: Path) -> tuple[Built, ...]:
    """What a file tells, by name and version; () where there is none.

    ConfigError with every mistake: file, key and line.
    """
    if not path.exists():
        return ()
    problems: list[Problem] = []
    document = read_document(path, problems)
    found = _read(document, problems) if document is not None else ()
    if problems:
        raise ConfigError(problems)
    return found


def write_lock(path: Path, images: Iterable[Built]) -> None:
    """The whole file in one step; what could not be read again is never written (ConfigError)."""
    text = lock_text(images)
    problems: list[Problem] = []
    document = parse_document(str(path), text, problems)
    if document is not None:
        _read(document, problems)
    if problems:
        raise ConfigError(problems)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            os.fchmod(out.fileno(), 0o644)  # mkstemp's own is for one user; this goes into git
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise


def lock_text(images: Iterable[Built]) -> str:
    """The file's text: the same images give the same text."""
    blocks = [f"{_HEAD}form = {FORM}\n"]
    for image in in_order(images):
        values = {key: getattr(image, key) for key in _IMAGE.keys if key != "aws"}
        values["built_at"] = format_time(image.built_at)
        lines = [f"{key} = {written(value)}" for key, value in values.items() if value]
        if image.aws:
            regions = ", ".join(
                f"{quoted(region)} = {quoted(ami)}" for region, ami in sorted(image.aws.items())
            )
            lines.append(f"aws = {{ {regions} }}")
        blocks.append(f"[image.{quoted(image.key)}]\n" + "\n".join(lines) + "\n")
    return "\n".join(blocks)


def in_order(images: Iterable[Built]) -> tuple[Built, ...]:
    """By name, then by version as a number: the newest of a name last."""
    return tuple(sorted(images, key=lambda image: (image.name, int(image.version))))


def _read(document: Document, problems: list[Problem]) -> tuple[Built, ...]:
    entries = check(document, _FILE, OriginKind.USER_FILE, problems)
    told = {problem.key for problem in problems}
    problems += [
        Problem(document.file, document.line(path[:-1]), dotted(path), "is needed")
        for path in missing(_FILE, entries)
        if dotted(path) not in told
    ]
    if problems:
        return ()
    found = [_built(key, values) for key, values in nest(entries).get("image", {}).items()]
    return in_order(found)


def _built(key: str, values: dict[str, Any]) -> Built:
    name, _, version = key.partition("@")
    given = values | {"built_at": parse_time(values["built_at"])}
    return Built(name=name, version=version, **given)
