"""`config`: what is set and where from; changing it never leaves a broken file behind."""

import json
import stat

import pytest

USER = """\
# mine
[limits]
month = "200.00"

[aws]
regions = ["us-east-2", "us-west-2"]

[client.acme.project.vision]
"""


@pytest.fixture
def mine(desk):
    desk.user(USER)
    return desk


def test_show_knows_where_each_value_was_set(mine):
    shown = mine.json("config", "show", "limits")

    assert shown["schema"] == "gpuctl.config.show/1"
    rows = {row["key"]: row for row in shown["settings"]}
    assert rows["limits.month"]["value"] == "200.00"
    assert (rows["limits.month"]["file"], rows["limits.month"]["line"]) == (str(mine.config), 3)
    assert rows["limits.max_lifetime"]["origin"] == "built-in"


def test_show_as_table_names_file_and_line_with_origin_only(mine):
    assert f"{mine.config}:3" in mine.ok("config", "show", "limits", "--origin")
    assert str(mine.config) not in mine.ok("config", "show", "limits")


def test_a_flag_and_the_environment_are_origins_too(mine):
    shown = mine.ok("config", "show", "defaults", "--origin", GPUCTL_TEMPLATE="gcp-l4")

    assert "env GPUCTL_TEMPLATE" in shown


def test_what_get_prints_set_takes_again(mine):
    listed = mine.ok("config", "get", "aws.regions").strip()
    mine.ok("config", "set", "aws.regions", f"{listed},eu-west-1")

    assert mine.json("config", "get", "aws.regions")["value"] == [
        "us-east-2", "us-west-2", "eu-west-1",
    ]  # fmt: skip
    assert mine.config.read_text().startswith("# mine\n")


def test_set_and_unset_in_a_project_file_that_is_made_here(mine):
    mine.ok("config", "set", "--project-file", "project", "acme/vision")
    assert mine.ok("config", "get", "defaults.project") == "acme/vision\n"

    mine.ok("config", "unset", "--project-file", "project")
    assert "project" not in mine.project_file.read_text()


def test_a_value_that_something_stronger_hides_is_said(mine):
    result = mine("config", "set", "defaults.output", "csv", GPUCTL_OUTPUT="json")

    assert "env GPUCTL_OUTPUT is stronger" in result.stderr


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("get", "limit.mont"), 2, "did you mean limits.month?"),
        (("get", "project"), 2, "defaults.project"),
        (("get", "limits"), 2, "gpuctl config show limits"),
        (("get", "limits.max_hourly"), 1, "gpuctl config set limits.max_hourly VALUE"),
        (("show", "nothing"), 2, "there is no key nothing"),
        (("set", "limits.mont", "3"), 2, "limits.month"),
        (("set", "limits.month", "much"), 2, "'much' is not an amount"),
        (("set", "project", "acme/vision"), 2, "--project-file"),
        (("set", "--project-file", "limits.month", "3"), 2, "leave out --project-file"),
        (("set", "--project-file", "project", "acme/visio"), 3, "did you mean acme/vision?"),
        (("set", "--project-file", "template", "l4-spt"), 3, "did you mean l4-spot?"),
        (("unset", "limits.max_hourly"), 3, "has no key"),
    ],
)
def test_wrong_keys_and_values_are_answered_with_the_right_ones(mine, argv, code, says):
    assert says in mine.refused("config", *argv, code=code)
    assert mine.config.read_text() == USER
    assert not mine.project_file.exists()


BROKEN = """\
[limits]
month = 3
max_hourly = "x"

[client.acme.project.vision]
templat = "l4-spot"
"""


def test_validate_prints_every_mistake_with_its_line(desk):
    desk.user(BROKEN)

    result = desk("config", "validate")

    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert [line.split(" ")[0] for line in lines] == [
        f"{desk.config}:2:", f"{desk.config}:3:", f"{desk.config}:6:",
    ]  # fmt: skip
    assert "templat: no such key (did you mean 'template'?)" in lines[2]
    assert result.stderr == "3 mistakes\n"


def test_validate_as_json_works_although_the_files_are_broken(desk):
    desk.user(BROKEN)

    said = json.loads(desk("config", "validate", GPUCTL_OUTPUT="json").stdout)

    assert said["schema"] == "gpuctl.config.validate/1"
    assert not said["ok"]
    assert [problem["line"] for problem in said["problems"]] == [2, 3, 6]


@pytest.mark.parametrize("name", ["mine.toml", "gpuctl.toml", "image.toml"])
def test_validate_takes_a_file_of_any_kind(mine, name):
    (mine.cwd / name).write_text("nothing = 1\n")

    assert f"{mine.cwd / name}:1: nothing" in mine("config", "validate", name).stdout


def test_validate_of_good_files_says_so(mine):
    assert mine("config", "validate").stderr == "no mistakes\n"


def test_validate_of_a_file_that_is_not_there(mine):
    result = mine("config", "validate", "none.toml")

    assert result.exit_code == 2
    assert "No such file" in result.stdout


def test_path_is_told_although_the_files_are_broken(desk):
    desk.user(BROKEN)

    places = {place["name"]: place for place in desk.json("config", "path")["paths"]}

    assert places["config"] == {"name": "config", "path": str(desk.config), "exists": True}
    assert places["project file"]["path"] is None
    assert not places["ledger"]["exists"]
    assert str(desk.config) in desk.ok("config", "path")
    assert not desk.ledger_path.exists()


@pytest.mark.parametrize(("kind", "key"), [("user", "limits"), ("project", "sync")])
def test_schema_is_a_json_schema(desk, kind, key):
    schema = json.loads(desk.ok("config", "schema", kind))

    assert key in schema["properties"]


def editor(desk, body):
    script = desk.root / "my editor"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o700)
    return f"'{script}' --wait"


def test_edit_starts_the_editor_as_words_and_makes_the_file_first(desk):
    name = editor(desk, 'test "$1" = --wait && echo "# edited" >> "$2"')

    assert desk("config", "edit", EDITOR=name).exit_code == 0
    assert desk.config.read_text().endswith("# edited\n")
    assert stat.S_IMODE(desk.config.stat().st_mode) == 0o600


def test_edit_tells_the_mistakes_that_were_made(mine):
    name = editor(mine, 'echo "[limit]" >> "$2"')

    assert "did you mean 'limits'" in mine.refused("config", "edit", EDITOR=name)


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [("none-such -x", 2, "none-such"), ("sh -c 'exit 3'", 1, "ended with 3"), ("a 'b", 2, "a 'b")],
)
def test_an_editor_that_cannot_work_is_named(mine, name, code, says):
    assert says in mine.refused("config", "edit", EDITOR=name, code=code)
