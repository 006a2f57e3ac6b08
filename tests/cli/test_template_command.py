"""`template`: what there is, as TOML with its origin, and new ones from old."""

import json
import tomllib
from datetime import UTC, datetime, timedelta

import pytest

from gpuctl.config.builtin import template_files
from gpuctl.core.boots import smoke
from gpuctl.core.events import Armed, Intent, Leased, Outcome


def test_list_marks_the_one_that_is_used_without_a_name(desk):
    lines = desk.ok("template", "list").splitlines()

    assert len(lines) == 1 + len(template_files())
    assert [line.split()[1] for line in lines if line.startswith("*")] == ["l4-spot"]
    google = desk.json("template", "list", "--cloud", "gcp")["templates"]
    assert [each["name"] for each in google] == ["gcp-l4", "gcp-t4"]


def test_show_is_toml_of_the_whole_template(desk):
    shown = desk.ok("template", "show", "gcp-t4")

    tree = tomllib.loads(shown)["template"]["gcp-t4"]
    assert tree["gpu"] == {"type": "nvidia-tesla-t4", "count": 1}
    assert "# built-in" in shown


def test_show_names_the_line_of_what_the_user_changed(desk):
    desk.user('[template.l4-spot]\nttl = "2h"\n')

    shown = {row["key"]: row for row in desk.json("template", "show", "l4-spot")["settings"]}

    assert shown["ttl"]["value"] == "2h"
    assert (shown["ttl"]["file"], shown["ttl"]["line"]) == (str(desk.config), 2)
    assert shown["type"]["origin"] == "built-in"


@pytest.mark.parametrize("source", [file.stem for file in template_files()])
def test_a_copy_of_each_built_in_template_is_the_same_template(desk, source):
    desk.ok("template", "add", "mine", "--from", source)

    found = {each["name"]: each for each in desk.json("template", "list")["templates"]}
    assert found["mine"] == found[source] | {"name": "mine", "origin": "user file"}
    assert desk("config", "validate").exit_code == 0
    assert "tunnel" not in desk.config.read_text(), "what is a default stays one"


@pytest.mark.parametrize(
    ("source", "cloud"),
    [("g6e.2xlarge", "aws"), ("u7i-12tb.224xlarge", "aws"), ("g2-standard-8", "gcp"),
     ("a2-highgpu-1g", "gcp")],
)  # fmt: skip
def test_a_machine_type_becomes_a_template_of_its_cloud(desk, source, cloud):
    desk.ok("template", "add", "big", "--from", source, "--set", "max_price=2.50")

    found = {each["name"]: each for each in desk.json("template", "list")["templates"]}["big"]
    assert (found["provider"], found["types"], found["max_price"]) == (cloud, [source], "2.50")


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("show", "l4-spt"), 3, "did you mean l4-spot?"),
        (("add", "l4-spot", "--from", "gcp-l4"), 2, "gpuctl config set template.l4-spot.KEY"),
        (("add", "mine", "--from", "l4-spt"), 3, "did you mean l4-spot?"),
        (("add", "mine", "--from", "what?"), 3, "--from g6.xlarge"),
        (("add", "Mine!", "--from", "l4-spot"), 2, "Mine!"),
        (("add", "mine", "--from", "l4-spot", "--set", "max_price"), 2, "is not KEY=VALUE"),
        (("add", "mine", "--from", "l4-spot", "--set", "maxprice=1"), 2, "max_price"),
        (("add", "mine"), 2, "--from"),
    ],
)
def test_wrong_words_about_templates(desk, argv, code, says):
    assert says in desk.refused("template", *argv, code=code)
    assert not desk.config.exists()


def test_schema_is_of_one_template(desk):
    assert "fallbacks" in json.loads(desk.ok("template", "schema"))["properties"]


def test_show_tells_how_long_starts_took(desk):
    at = datetime(2026, 3, 1, 9, tzinfo=UTC)
    for number, (seconds, image) in enumerate([(70, None), (50, "torch@7"), (40, "torch@7")]):
        lease, order = f"lease-{number}", {"image": "ami-1", "image_name": image}
        start = at + timedelta(hours=number)
        ready = start + timedelta(seconds=seconds)
        desk.ledger.append(
            [
                Leased(lease, "m", "acme/vision", "aws", "1", "l4-spot", start, ready, ready),
                Intent(f"intent-{number}", lease, "start", start, order=order),
                Outcome(f"outcome-{number}", f"intent-{number}", start, "done", "aws:z:i-1"),
                Armed(f"armed-{number}", lease, ready, ready),
            ]
        )
    tested = at + timedelta(hours=1, minutes=2)
    desk.ledger.append(smoke("test-1", "lease-1", tested, ok=True))
    lines = desk.ok("template", "show", "l4-spot").splitlines()
    assert lines[-2:] == [
        "# 1 start: p50 70 s until SSH answered",
        "# 2 starts from torch@7: p50 40 s until SSH answered, 120 s until its test had passed",
    ]
    shown = desk.json("template", "show", "l4-spot")["starts"]
    assert shown[1] == {"image": "torch@7", "starts": 2, "p50_s": 40, "smoke_p50_s": 120}
    assert desk.json("template", "show", "gcp-t4")["starts"] == []
