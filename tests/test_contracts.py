"""Each import contract of pyproject.toml fails when it is broken."""

import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
CLOUDS = ["providers/aws", "providers/gcp"]
SIBLINGS = ["app", "providers", "ledger", "bills", "documents", "remote", "agent", "sandbox"]
ROOMS = [".", "cli", *SIBLINGS, *CLOUDS, "config", "core"]
ALLOWED = {
    "__main__": "import click",
    "cli/machines": "import click\nimport gpuctl.wiring",
    "wiring": "import gpuctl.app, gpuctl.sandbox.cloud, gpuctl.providers.aws.provider",
    "app/up": "import gpuctl.core, gpuctl.config",
    "providers/aws/provider": "def connect():\n    import boto3, botocore.config",
    "providers/gcp/provider": "def connect():\n    from google.cloud import compute_v1",
    "sandbox/cloud": "import moto.server, asyncssh, flask, google.protobuf",
    "ledger/store": "def connect():\n    import psycopg",
    "bills/engine": "def connect():\n    import duckdb",
    "documents/paper": "def draw():\n    import typst",
}
FORBIDDEN = {
    "core looks up": ("core/x", "import gpuctl.config", "down only"),
    "core looks up for types": (
        "core/x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gpuctl.app",
        "down only",
    ),
    "a verb builds its world": ("app/x", "import gpuctl.wiring", "down only"),
    "a verb knows a cloud": ("app/x", "def f():\n    import gpuctl.providers.aws", "down only"),
    "siblings": ("ledger/x", "import gpuctl.bills", "down only"),
    "a room nobody planned": ("extra", "", "down only"),
    "one cloud knows the other": ("providers/gcp/x", "import gpuctl.providers.aws", "do not know"),
    "a verb prints by click": ("app/x", "import click", "knows click"),
    "AWS in the command line": ("cli/x", "def f():\n    import boto3", "AWS SDK"),
    "AWS in the registry": ("providers/registry", "import botocore", "AWS SDK"),
    "boto3 in the sandbox": ("sandbox/x", "import boto3", "AWS SDK"),
    "Google in AWS": ("providers/aws/x", "from google.cloud import compute_v1", "Google's SDK"),
    "emulator in a verb": ("app/x", "import moto", "emulators"),
    "a bill is read in a verb": ("app/x", "def f():\n    import duckdb", "one room each"),
    "a document is set by the command line": ("cli/x", "import typst", "one room each"),
    "a server in a verb": ("app/x", "import psycopg", "one room each"),
    "documents know bills": ("documents/x", "import gpuctl.bills", "down only"),
    "a library in the core": ("core/x", "import tenacity", "standard library"),
}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of empty rooms held to the real contracts, under a name that is not imported."""
    rules = (ROOT / "pyproject.toml").read_text().replace("gpuctl", "house")
    (tmp_path / "pyproject.toml").write_text(rules)
    package = tmp_path / "house"
    for room in ROOMS:
        (package / room).mkdir(parents=True, exist_ok=True)
        (package / room / "__init__.py").touch()
    for module, text in ALLOWED.items():
        add(package, module, text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return package


def add(package: Path, module: str, text: str) -> None:
    (package / f"{module}.py").write_text(text.replace("gpuctl", "house") + "\n")


def broken(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Names of the contracts that fail now."""
    status = lint_imports(cache_dir=None, no_cache=True, no_logo=True)
    lines = capsys.readouterr().out.splitlines()
    names = [line.partition(" BROKEN")[0] for line in lines if " BROKEN" in line]
    assert bool(names) == (status != 0), lines
    return names


def test_what_the_house_is_meant_for_is_allowed(
    house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert broken(capsys) == []


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_breaks_the_house_is_caught(
    what: str, house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, text, contract = FORBIDDEN[what]
    add(house, module, text)
    caught = broken(capsys)
    assert any(contract in name for name in caught), caught


def test_every_contract_was_broken_once() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    names = [contract["name"] for contract in contracts["contracts"]]
    proven = {word for _, _, word in FORBIDDEN.values()}
    assert [name for name in names if not any(word in name for word in proven)] == []
