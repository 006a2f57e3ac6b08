"""Names: one grammar each, the same for commands, tags and labels."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core import names

PROJECT = st.from_regex(r"[a-z0-9][a-z0-9-]{0,29}/[a-z0-9][a-z0-9-]{0,29}", fullmatch=True)


@given(PROJECT)
@settings(max_examples=40)
def test_a_project_survives_a_label(project):
    assert names.project_name(project) == project
    label = names.label_of_project(project)
    assert "/" not in label
    assert names.project_of_label(label) == project
    assert project.startswith(names.client_of(project) + "/")


@pytest.mark.parametrize(
    "text",
    ["acme", "acme/", "/vision", "Acme/vision", "acme/vision/x", "acme/-v", "acme/v_1", "a/b\n",
     "a" * 31 + "/b", "ä/b", ""],
)  # fmt: skip
def test_what_is_no_project(text):
    with pytest.raises(ValueError, match="is not a project name"):
        names.project_name(text)


def test_labels_of_others_are_not_ours():
    assert names.project_of_label("acme") is None
    assert names.project_of_label("a__b__c") is None


@pytest.mark.parametrize("text", ["vision-1", "a", "a" * 40])
def test_machine_names(text):
    assert names.machine_name(text) == text


@pytest.mark.parametrize("text", ["1vision", "vision-", "Vision", "a" * 41, "a b", "a\n", ""])
def test_what_is_no_machine_name(text):
    with pytest.raises(ValueError, match="is not a machine name"):
        names.machine_name(text)


@pytest.mark.parametrize("text", ["vision-1", "a", "a" * 63])
def test_names_that_others_gave(text):
    assert names.given_name(text) == text


@pytest.mark.parametrize("text", ["1vision", "a-", "Vision", "a" * 64, "a b", "a\n", "", "-oX"])
def test_what_nobody_could_have_given(text):
    with pytest.raises(ValueError, match="is not the name of a machine"):
        names.given_name(text)


def test_login_names():
    assert names.user_name("ubuntu") == "ubuntu"
    assert names.user_name("_svc-1") == "_svc-1"
    for text in ("root;", "1st", "", "a" * 33, "-oProxyCommand=x"):
        with pytest.raises(ValueError, match="is not a login name"):
            names.user_name(text)


def test_a_moment_survives_a_label():
    at = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)
    assert names.label_of_time(at) == "20261122t101500z"
    assert names.time_of_label("20261122t101500z") == at
    for other in ("20261322t101500z", "soon", "2026-11-22T10:15:00Z"):
        assert names.time_of_label(other) is None
