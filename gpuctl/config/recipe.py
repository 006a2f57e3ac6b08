"""Recipes for images: `image.toml` -> a frozen value, or every mistake in it at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from gpuctl.config.builtin import recipes
from gpuctl.config.check import check
from gpuctl.config.documents import Document, read_document
from gpuctl.config.entries import KeyPath, OriginKind, fill, missing, nest
from gpuctl.config.keys import dotted
from gpuctl.config.shapes import Amount, Choice, Count, Duration, Flag, Text
from gpuctl.config.tables import Key, ListOf, Table
from gpuctl.config.words import GB, LINE, LOGIN, NAME, REGION, TYPE
from gpuctl.core.errors import ConfigError, Problem

COMMON = "common"
"""The directory beside a recipe's own whose steps all recipes share."""

_STEP = Text(
    rf"(?:steps|{COMMON})/\d\d-[a-z0-9-]+\.sh",
    word='step such as "common/10-base.sh" or "steps/20-mine.sh"',
)
_TYPES = ListOf(TYPE)
_TARGETS = ListOf(
    Text(
        r"[a-z0-9][a-z0-9.-]*(?:\+[a-z0-9][a-z0-9-]*)?",
        word='machine type such as "g6.xlarge" or "n1-standard-4+nvidia-tesla-t4"',
    )
)
_BRANCH = Text("[0-9]{3}", word='driver branch such as "580"')

IMAGE = Table(
    Key("name", NAME, "Name of the image; templates name it as `NAME@VERSION`.", required=True),
    Key("version", Text("[0-9]+", word='version such as "7"'), "Counted up.", required=True),
    Key("title", LINE, "What it is, for people."),
    Key(
        "base",
        Table(
            Key(
                "aws_ssm", Text(r"/\S+", word="SSM parameter"), "Parameter with the base AMI's id."
            ),
            Key("gcp_family", Text(r"projects/\S+/images/family/\S+"), "Image family on Google."),
            Key("user", LOGIN, "Login name on the base.", default="ubuntu"),
            always=True,
        ),
        "What it is built on.",
    ),
    Key(
        "build",
        Table(
            Key("aws_types", _TYPES, "Types to build on, cheapest first; no GPU is needed."),
            Key("gcp_types", _TYPES, "The same on Google."),
            Key("spot", Flag(), "Build on the spot market.", default=True),
            Key("disk_gb", GB, "Size of the image's disk.", required=True),
            Key("timeout", Duration(), "Give up after.", default="60m"),
            Key("steps", ListOf(_STEP), "Scripts, run as root in this order.", required=True),
            always=True,
        ),
        "How it is built.",
    ),
    Key(
        "contents",
        Table(
            Key("driver", _BRANCH, "NVIDIA driver branch."),
            Key("driver_least", _BRANCH, "Oldest branch to do with, where the base chooses it."),
            Key("module", Choice(("proprietary", "open")), "Kind of kernel module."),
            Key("cuda", Text(r"cu[0-9]+", word='CUDA build such as "cu126"'), "Of the wheels."),
            Key("torch", LINE, "Version requirement of torch."),
            Key("python", Text(r"3\.[0-9]+"), "Version of Python."),
            always=True,
        ),
        "What is in it; passed to the steps and written into the image.",
    ),
    Key(
        "targets",
        Table(
            Key("aws", _TARGETS, "AWS types it runs on."),
            Key("gcp", _TARGETS, "Google types it runs on; an attached GPU after a plus sign."),
            always=True,
        ),
        "What it is for.",
    ),
    Key(
        "test",
        Table(
            Key("on", _TYPES, "Types it must pass its test on."),
            Key("max_cost", Amount(positive=True), "USD a test may cost.", default="0.50"),
            Key("timeout", Duration(), "Give up after.", default="20m"),
            always=True,
        ),
        "How it is tested.",
    ),
    Key(
        "keep",
        Table(
            Key("versions", Count(1, 100), "Newest versions that `prune` keeps.", default=3),
            Key("regions", ListOf(REGION), "Regions it is copied to; each costs its snapshot."),
            always=True,
        ),
        "What stays.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One image: what it is built from, how, and what it is good for.

    `directory` holds `image.toml`; `steps` are files in it or in the shared directory beside it,
    run as root in this order with `environment` set. `smoke` is the test that must pass on every
    type of `test_on`. `driver` is the branch that is in it, `driver_least` the oldest that may be
    where the base brings its own.
    """

    name: str
    version: str
    title: str | None = None
    directory: Path
    steps: tuple[Path, ...]
    smoke: Path
    aws_ssm: str | None = None
    gcp_family: str | None = None
    user: str = "ubuntu"
    aws_types: tuple[str, ...] = ()
    gcp_types: tuple[str, ...] = ()
    spot: bool = True
    disk_gb: int
    build_timeout: timedelta = timedelta(hours=1)
    driver: str | None = None
    driver_least: str | None = None
    module: str | None = None
    cuda: str | None = None
    torch: str | None = None
    python: str | None = None
    aws_targets: tuple[str, ...] = ()
    gcp_targets: tuple[str, ...] = ()
    test_on: tuple[str, ...] = ()
    test_max_cost: Decimal = Decimal("0.50")
    test_timeout: timedelta = timedelta(minutes=20)
    keep_versions: int = 3
    keep_regions: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        """Variables for the steps: name, version, login and contents, e.g. `GPUCTL_DRIVER`."""
        values = {
            "GPUCTL_IMAGE": self.name,
            "GPUCTL_IMAGE_VERSION": self.version,
            "GPUCTL_USER": self.user,
            "GPUCTL_DRIVER": self.driver,
            "GPUCTL_DRIVER_LEAST": self.driver_least,
            "GPUCTL_MODULE": self.module,
            "GPUCTL_CUDA": self.cuda,
            "GPUCTL_TORCH": self.torch,
            "GPUCTL_PYTHON": self.python,
        }
        return {name: value for name, value in values.items() if value is not None}


def read_recipe(directory: Path) -> Recipe:
    """The recipe in a directory. ConfigError with every problem, missing steps included."""
    problems: list[Problem] = []
    document = read_document(directory / "image.toml", problems)
    if document is None:
        raise ConfigError(problems)
    entries = check(document, IMAGE, OriginKind.USER_FILE, problems)
    fill(IMAGE, entries)
    told = {problem.key for problem in problems}
    problems += [
        Problem(document.file, document.line(path[:-1]), dotted(path), "is needed")
        for path in missing(IMAGE, entries)
        if dotted(path) not in told
    ]
    tree = nest(entries)
    steps = tree.get("build", {}).get("steps", ())
    problems += _steps(directory, steps, document)
    problems += _sides(tree, document)
    if problems:
        raise ConfigError(problems)
    base, build, contents = tree["base"], tree["build"], tree.get("contents", {})
    return Recipe(
        name=tree["name"],
        version=tree["version"],
        title=tree.get("title"),
        directory=directory,
        steps=tuple(_place(directory, step) for step in steps),
        smoke=_common(directory) / "smoke.py",
        **base,
        **{name: build[name] for name in ("aws_types", "gcp_types") if name in build},
        spot=build["spot"],
        disk_gb=build["disk_gb"],
        build_timeout=build["timeout"],
        **contents,
        **{f"{cloud}_targets": types for cloud, types in tree.get("targets", {}).items()},
        **{f"test_{name}": value for name, value in tree["test"].items()},
        **{f"keep_{name}": value for name, value in tree["keep"].items()},
    )


def _common(directory: Path) -> Path:
    """The shared steps: beside the recipe, or those that come with gpuctl."""
    beside = directory.resolve().parent / COMMON
    return beside if beside.is_dir() else recipes() / COMMON


def _place(directory: Path, step: str) -> Path:
    return (
        _common(directory) / step.removeprefix(f"{COMMON}/")
        if step.startswith(f"{COMMON}/")
        else directory / step
    )


def _steps(directory: Path, steps: Sequence[str], document: Document) -> list[Problem]:
    if list(steps) != sorted(steps, key=lambda step: step.partition("/")[2]):
        reason = "the steps are not in the order of their numbers"
        return [Problem(document.file, document.line(("build", "steps")), "build.steps", reason)]
    return [
        Problem(
            document.file,
            document.line(("build", "steps", index)),
            f"build.steps[{index}]",
            f"there is no file {_place(directory, step)}",
        )
        for index, step in enumerate(steps)
        if not _place(directory, step).is_file()
    ]


def _sides(tree: dict[str, dict[str, object]], document: Document) -> list[Problem]:
    """Each cloud needs a base and types to build on, both or neither; one cloud at least."""
    problems = []
    pairs: list[tuple[KeyPath, KeyPath]] = [
        (("base", "aws_ssm"), ("build", "aws_types")),
        (("base", "gcp_family"), ("build", "gcp_types")),
    ]
    here = [[bool(tree.get(path[0], {}).get(path[1])) for path in pair] for pair in pairs]
    for pair, (one, other) in zip(pairs, here, strict=True):
        if one != other:
            there, lacking = pair if one else (pair[1], pair[0])
            reason = f"is needed with {dotted(there)}"
            problems.append(Problem(document.file, document.line(there), dotted(lacking), reason))
    if not any(one or other for one, other in here):
        problems.append(Problem(document.file, None, "base", "names no base on AWS or Google"))
    return problems
