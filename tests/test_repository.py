"""The repository itself: nothing of one machine in it, and what describes it is true."""

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pytest_socket import SocketConnectBlockedError

import gpuctl

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE)


@cache
def tracked() -> tuple[Path, ...]:
    """Files that are in git, or would be after `git add`."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        [
            "git",
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return tuple(path for path in paths if path.is_file())


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        try:
            yield str(path.relative_to(ROOT)), path.read_text()
        except UnicodeDecodeError:
            continue


# Written in parts, so that this file does not hold what it looks for.
REGISTRY = re.compile(
    "|".join(
        (
            r"pypi\.(?:org|python)",
            "python" + "hosted",
            r"(?:extra-)?index" + r"[-_]url\s*[=:]?\s*[\"']?(?:https?|file)://",
            "find" + "-links",
            r"npmjs\." + "org",
        )
    )
)
# Homes on the machines that gpuctl starts are nobody's laptop.
DEVELOPER_PATH = re.compile(
    r"/(?:Us{1}ers|home)/(?!ubuntu\b|ec2-user\b|debian\b|gpuctl\b|gpu\b|you\b|me\b|NAME\b)[A-Za-z]"
)
COMMON = {"/", "/tmp", "/home", "/root", "/usr", "/opt", "/srv", "/var", "/mnt", "/src", "/app"}


def test_no_registry_address() -> None:
    assert [name for name, text in texts() if REGISTRY.search(text)] == []


def test_no_path_of_a_developers_machine() -> None:
    here = [str(ROOT)]
    if str(ROOT.parent) not in COMMON:
        here.append(f"{ROOT.parent}/")
    found = {
        name: match.group()
        for name, text in texts()
        if (match := DEVELOPER_PATH.search(text) or re.search("|".join(map(re.escape, here)), text))
    }
    assert found == {}


def test_the_search_finds_what_it_should() -> None:
    assert REGISTRY.search("--index-" + "url https://x")
    assert REGISTRY.search("https://files.python" + "hosted.example")
    assert DEVELOPER_PATH.search("/Us" + "ers/ann/gpuctl")
    assert not DEVELOPER_PATH.search("/home/ubuntu/work")


def test_top_level_is_the_one_that_was_decided() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in tracked() if path.parent != ROOT}
    assert folders <= {
        *(".ci", "amis", "benchmarks", "configs", "docs", "examples", "gpuctl", "tests"),
    }


# --- dependencies ---------------------------------------------------------------------------


def locked() -> dict[str, Version]:
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", LOCK, re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in pins}


def declared() -> list[Requirement]:
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    lines = [*project["dependencies"]]
    lines += [x for extra in project["optional-dependencies"].values() for x in extra]
    lines += [x for group in groups.values() for x in group if isinstance(x, str)]
    return [Requirement(line) for line in lines if not line.startswith("gpuctl[")]


def test_every_locked_requirement_is_pinned_by_hash() -> None:
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    assert len(entries) > 20
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==\S+", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
    assert "://" not in LOCK


def test_lock_satisfies_what_pyproject_asks_for() -> None:
    pins = locked()
    for requirement in declared():
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not in requirements.lock: make lock"
        assert requirement.specifier.contains(pins[name]), f"{requirement}, locked {pins[name]}"


def test_version_is_told_once() -> None:
    assert PYPROJECT["project"]["version"] == gpuctl.__version__


# --- Makefile, CI, hooks --------------------------------------------------------------------


def test_every_target_says_what_it_does() -> None:
    documented = re.findall(r"^([a-z][a-z-]*):[^\n]*## \S", MAKEFILE, re.MULTILINE)
    assert documented == TARGETS
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert sorted(phony.group(1).split()) == sorted(TARGETS)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_alone_lists_the_targets() -> None:
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # these tests are run by make themselves
    env = {name: value for name, value in os.environ.items() if name not in outer}
    shown = subprocess.run(
        ["make"], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    ).stdout
    assert [line.split()[0] for line in shown.splitlines()] == TARGETS


def test_hooks_and_pages_name_only_targets_there_are() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    named = {hook["entry"].removeprefix("make ") for hook in hooks}
    for page in ("CONTRIBUTING.md", "README.md", "docs/architecture.md"):
        text = (ROOT / page).read_text() if (ROOT / page).exists() else ""
        named |= set(re.findall(r"(?:`|^)make ([a-z][a-z-]*)", text, re.MULTILINE))
    assert {"check", "lint"} <= named
    assert named <= set(TARGETS)


def is_shell(path: Path) -> bool:
    return path.suffix == ".sh" or (
        not path.suffix and re.match(rb"#!.*\b(?:ba)?sh\b", path.read_bytes()[:80]) is not None
    )


def test_shell_scripts_stop_at_the_first_error() -> None:
    """Except a machine's own: a dead-man's switch goes on, whatever failed before."""
    scripts = [path for path in tracked() if is_shell(path)]
    scripts = [path for path in scripts if ROOT / "gpuctl/agent" not in path.parents]
    assert ROOT / ".ci/run" in scripts
    for script in scripts:
        lines = script.read_text().splitlines()
        commands = [line for line in lines if line.strip() and not line.startswith("#")]
        assert commands[0] == "set -euo pipefail", script.relative_to(ROOT)


def test_ci_is_a_program() -> None:
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("suffix", "parse"),
    [(".toml", tomllib.loads), (".json", json.loads), (".yaml", yaml.safe_load)],
)
def test_structured_files_parse(suffix: str, parse) -> None:
    files = [path for path in tracked() if path.suffix == suffix and "tests" not in path.parts]
    for path in files:
        try:
            parse(path.read_text())
        except ValueError as error:
            pytest.fail(f"{path.relative_to(ROOT)}: {error}")


# --- the package ----------------------------------------------------------------------------


@pytest.mark.parametrize("room", ["core", "agent"])
def test_standard_library_only(room: str) -> None:
    """import-linter forbids names it is told; this forbids those nobody thought of."""
    ours = ("gpuctl.core",) if room == "core" else ("gpuctl.core", "gpuctl.agent")
    for path in (ROOT / "gpuctl" / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                names = [node.module or ""]
            for name in names:
                standard = name.partition(".")[0] in sys.stdlib_module_names
                assert standard or name.startswith(ours), f"{path.name} imports {name}"


def test_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {
        "gpuctl",
        f"gpuctl-{gpuctl.__version__}.dist-info",
    }
    assert "gpuctl/py.typed" in names
    assert {"gpuctl/documents/page.css", "gpuctl/documents/paper.typ"} <= set(names)
    templates = {path.name for path in (ROOT / "configs/templates").glob("*.toml")}
    assert {f"gpuctl/config/builtin/{name}" for name in templates} <= set(names)
    recipes = {path.relative_to(ROOT / "amis") for path in (ROOT / "amis").rglob("*.toml")}
    assert {f"gpuctl/config/recipes/{name}" for name in recipes} <= set(names), (
        'pyproject.toml, wheel.force-include: "amis" = "gpuctl/config/recipes"'
    )


def test_tests_reach_no_network() -> None:
    outside, told = socket.socket(), pytest.warns(UserWarning, match="tried to use socket")
    with closing(outside), told, pytest.raises(SocketConnectBlockedError):
        outside.connect(("192.0.2.1", 80))


# --- docs -----------------------------------------------------------------------------------

DECISIONS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(path.name.partition("-")[0]) for path in DECISIONS]
    assert numbers == list(range(1, len(DECISIONS) + 1))
    pages = [path for path in (ROOT / "docs/adr").glob("*.md") if path.name != "README.md"]
    assert sorted(pages) == DECISIONS


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_why_and_what_lost(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.name.partition('-')[0]}. ")
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert sections == ["Context", "Decision", "Alternatives", "Consequences"]
    assert path.name in (ROOT / "docs/adr/README.md").read_text()


def test_changelog_is_open() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for name, text in texts():
        if not name.endswith(".md"):
            continue
        for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", text):
            if "://" not in target and not target.startswith("mailto:"):
                there = (ROOT / name).parent / target
                broken += [] if there.exists() else [f"{name}: {target}"]
    assert broken == []
