"""Changing files: comments stay, nothing invalid is written, nothing is half written."""

import stat

import pytest

from gpuctl.config import edit
from gpuctl.config.builtin import defaults_text
from gpuctl.core.errors import ConfigError, NotFound

START = """\
# my settings
[limits]
max_hourly = "2.00"   # nothing dearer

[client.acme]
markup = "15%"
"""


@pytest.fixture
def file(home):
    return home.user(START).user_file


def test_a_first_project_makes_file_client_and_project(home):
    edit.add_project(
        home.user_file,
        "acme/vision",
        {"budget.month": "120.00", "template": "l4-spot", "since": "2026-09-01"},
    )
    policy = home.load().settings.project("acme/vision")
    assert policy.budget is not None
    assert str(policy.budget.month) == "120.00"
    assert policy.template == "l4-spot"
    assert stat.S_IMODE(home.user_file.stat().st_mode) == 0o600


def test_comments_and_order_stay(home, file):
    edit.add_client(file, "borealis", {"name": "Borealis", "absorbed": "yes"})
    edit.add_project(file, "acme/vision", {"budget.warn": "50, 90"})
    edit.set_key(file, "limits.max_hourly", "3.00")
    edit.set_key(file, "limits.max_machines", "2")
    edit.set_key(file, "aws.regions", "us-east-2,us-west-2")
    text = file.read_text()
    assert text.startswith('# my settings\n[limits]\nmax_hourly = "3.00"   # nothing dearer\n')
    settings = home.load().settings
    assert settings.limits.max_machines == 2
    assert settings.aws.regions == ("us-east-2", "us-west-2")
    assert settings.client("borealis").absorbed
    assert settings.markup("acme/vision") > 0
    budget = settings.project("acme/vision").budget
    assert budget is not None
    assert budget.warn == (50, 90)


def test_a_key_and_a_table_can_be_removed(home, file):
    edit.add_project(file, "acme/vision", {})
    edit.remove(file, "limits.max_hourly")
    edit.remove(file, "client.acme.project.vision")
    settings = home.load().settings
    assert settings.limits.max_hourly is None
    assert list(settings.projects) == []
    with pytest.raises(NotFound):
        edit.remove(file, "client.acme.project.vision")
    with pytest.raises(NotFound):
        edit.remove(file, "limits.max_hourly.deeper")


@pytest.mark.parametrize(
    ("key", "text", "suggestion"),
    [
        ("limits.max_hourly", "cheap", None),
        ("limits.max_hourli", "2", "limits.max_hourly"),
        ("limits", "2", None),
        ("client.acme.markup", "15", None),
        ("defaults.template", "l4-spto", "l4-spot"),
        ("defaults.project", "acme/none", None),
        ("template.new.type", "g6.xlarge", None),
        ("aws.profile.x", "y", None),
        ("a..b", "y", None),
    ],
)
def test_what_would_be_wrong_is_not_written(file, key, text, suggestion):
    with pytest.raises(ConfigError) as caught:
        edit.set_key(file, key, text)
    assert caught.value.problems[0].suggestion == suggestion
    assert file.read_text() == START
    assert list(file.parent.iterdir()) == [file]


def test_what_is_there_already_is_not_added_again(file):
    with pytest.raises(ConfigError, match="already"):
        edit.add_client(file, "acme", {})
    with pytest.raises(ConfigError, match="not client/project"):
        edit.add_project(file, "acme", {})
    with pytest.raises(ConfigError):
        edit.add_client(file, "Not A Name", {})
    assert file.read_text() == START


def test_a_broken_file_is_not_made_worse(file):
    file.write_text("[limits\n")
    with pytest.raises(ConfigError, match="not TOML"):
        edit.set_key(file, "limits.month", "2")
    assert file.read_text() == "[limits\n"


def test_a_link_stays_a_link(tmp_path, file):
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    edit.set_key(link, "limits.month", "200")
    assert link.is_symlink()
    assert 'month = "200"' in file.read_text()


def test_a_new_file_is_checked_first(home):
    with pytest.raises(ConfigError, match="no such key"):
        edit.write_new(home.project_file, "limits = 1\n", which="project")
    assert not home.project_file.exists()


def test_the_start_of_init_is_a_good_user_file(home):
    edit.write_new(home.user_file, defaults_text(), which="user")
    assert home.load().settings.limits.max_machines == 3


def test_a_project_file_is_written_and_changed(home):
    edit.write_new(home.project_file, 'project = "acme/vision"\n', which="project")
    with pytest.raises(FileExistsError):
        edit.write_new(home.project_file, "", which="project")
    edit.set_key(home.project_file, "ports.jupyter", "8888", which="project")
    assert home.project_file.read_text().startswith('project = "acme/vision"\n')
    with pytest.raises(ConfigError, match="looks like"):
        edit.set_key(home.project_file, "run.setup", "x AKIAIOSFODNN7EXAMPLE", which="project")


def test_a_failed_replacement_leaves_the_old_file(file, monkeypatch):
    def full(*_):
        raise OSError("disk is full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="full"):
        edit.set_key(file, "limits.month", "200")
    assert file.read_text() == START
    assert list(file.parent.iterdir()) == [file]
