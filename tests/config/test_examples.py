"""Every file that is shipped or shown is a good one, and what is generated is fresh."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gpuctl.config.builtin import template_files
from gpuctl.config.check import check
from gpuctl.config.documents import parse_document, read_document
from gpuctl.config.entries import OriginKind
from gpuctl.config.keys import PROJECT_FILE, USER
from gpuctl.config.reference import generated
from gpuctl.config.schema import json_schema
from gpuctl.config.tables import MapOf, Table
from gpuctl.core.kinds import MarketPolicy

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path for path in (ROOT / "configs").rglob("*.toml") if path.parent.name != "templates"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_is_a_good_user_file(home, path):
    home.user(path.read_text(encoding="utf-8")).load()


@pytest.mark.parametrize("path", template_files(), ids=lambda path: path.name)
def test_a_built_in_template_is_complete(home, path):
    template = home.user(path.read_text(encoding="utf-8")).load().settings.template(path.stem)
    assert template.image
    assert template.max_price
    assert template.idle_stop
    assert template.regions or template.zones
    cheap = template.market is not MarketPolicy.ON_DEMAND
    assert cheap == (template.provider == "aws")
    schema = (path.parent / path.read_text().splitlines()[0].removeprefix("#:schema ")).resolve()
    assert schema == ROOT / "configs/schema.json"


def test_the_templates_asked_for_are_there(home):
    names = {"v100-spot", "l4-spot", "t4-spot", "a10g-spot", "l40s-spot", "gcp-t4", "gcp-l4"}
    settings = home.load().settings
    assert set(settings.templates) == names
    v100 = settings.template("v100-spot")
    assert v100.types == ("p3.2xlarge", "g5.xlarge", "g6.xlarge", "g4dn.xlarge")
    assert v100.image is not None
    assert v100.image.startswith("ssm:/aws/service/deeplearning/ami/")


def test_the_example_clients_are_billed_in_three_ways(home):
    clients = [path.read_text() for path in FILES if path.parent.name == "clients"]
    settings = home.user("\n".join(clients)).load().settings
    assert (settings.client("acme").currency, str(settings.markup("acme/vision"))) == (
        "EUR",
        "0.15",
    )
    assert settings.markup("borealis/nlp") == 0
    assert settings.absorbed("learning/sandbox")


@pytest.mark.parametrize("page", ["configs/README.md", "amis/README.md"])
def test_toml_in_the_pages_is_good(page):
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        problems = []
        document = parse_document(page, block, problems)
        table = PROJECT_FILE if "project" in document.tree else USER
        check(document, table, OriginKind.USER_FILE, problems)
        assert problems == []


@pytest.mark.parametrize("path", generated(ROOT), ids=lambda path: path.name)
def test_what_is_generated_is_fresh(path):
    hint = f"{path.name} is stale: python -m gpuctl.config.reference"
    assert path.read_text(encoding="utf-8") == generated(ROOT)[path], hint


def tables_of(shape):
    if isinstance(shape, MapOf):
        yield from tables_of(shape.item)
    if isinstance(shape, Table):
        yield shape
        for key in shape.keys.values():
            yield from tables_of(key.shape)


@pytest.mark.parametrize("table", [USER, PROJECT_FILE])
def test_every_key_has_a_reason_and_a_default_that_it_takes(table):
    for part in tables_of(table):
        for key in part.keys.values():
            assert key.doc.endswith(".")
            if key.default is not None and not hasattr(key.shape, "item"):
                key.shape.read(key.default)
            assert not set(key.also) & set(part.keys) or key.name == "client"


@pytest.mark.parametrize("kind", ["user", "project"])
def test_a_schema_is_json_and_its_patterns_are_plain(kind):
    text = json.dumps(json_schema(kind))
    for pattern in re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', text):
        form = json.loads(pattern)
        re.compile(form)
        assert "\\Z" not in form
        assert "(?i" not in form


def matches(schema, value):
    """The part of JSON Schema that we use."""
    if "anyOf" in schema:
        return any(matches(each, value) for each in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if schema.get("format") == "date":
        return not isinstance(value, str)
    if not isinstance(value, kinds[schema["type"]]):
        return False
    if isinstance(value, str):
        return re.search(schema["pattern"], value, re.DOTALL) is not None
    if isinstance(value, list):
        return all(matches(schema["items"], item) for item in value)
    if isinstance(value, dict):
        return all(matches(part, value[name]) for name in value for part in [named(schema, name)])
    return True


def named(schema, name):
    if name in schema.get("properties", {}):
        return schema["properties"][name]
    found = [v for p, v in schema.get("patternProperties", {}).items() if re.search(p, name)]
    return found[0] if found else {"enum": []}


@pytest.mark.parametrize("path", [*FILES, *template_files()], ids=lambda path: path.name)
def test_the_schema_takes_what_we_ship(path):
    document = read_document(path, [])
    assert matches(json_schema("user"), document.tree)
    assert not matches(json_schema("user"), {**document.tree, "limits": {"month": 2}})


def test_reading_settings_loads_nothing_heavy():
    code = (
        "import sys; from pathlib import Path; from gpuctl.config.load import Sources, load;"
        "load(Sources.find({'GPUCTL_HOME': '/nowhere'}, Path('/')));"
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    heavy = {"tomlkit", "platformdirs", "click", "boto3", "google", "json", "pydantic", "tempfile"}
    assert not loaded & heavy
    assert "gpuctl.config.lines" not in done.stdout.split()


def test_a_wheel_holds_templates_and_recipes(tmp_path):
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    (built,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(built).namelist())
    for path in template_files():
        assert f"gpuctl/config/builtin/{path.name}" in names
    assert "gpuctl/config/defaults.toml" in names
    assert "gpuctl/config/recipes/portable-cu126/steps/20-nvidia.sh" in names
    zipfile.ZipFile(built).extractall(tmp_path / "site")
    code = (
        "from gpuctl.config.builtin import recipes, template_files;"
        "print(recipes()); print(*template_files())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path / "site",
    )
    assert str(tmp_path / "site/gpuctl/config/recipes") in done.stdout
    assert done.stdout.count(".toml") == len(template_files())
