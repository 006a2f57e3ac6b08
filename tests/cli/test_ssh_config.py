"""`ssh-config`: one line in the user's file, put in and taken out."""

import pytest


@pytest.fixture
def users(desk):
    file = desk.home / ".ssh/config"
    file.parent.mkdir(mode=0o700)
    file.write_text("Host bastion\n  User me\n")
    file.chmod(0o600)
    return file


def test_install_and_remove_leave_the_rest_alone(desk, users):
    before = users.read_text()

    desk.ok("ssh-config", "install")
    desk.ok("ssh-config", "install")
    include = f'Include "{desk.root}/gpuctl/ssh/config"\n'
    assert users.read_text() == f"{include}\n{before}"
    assert desk.json("ssh-config", "show")["installed"] is True

    desk.ok("ssh-config", "remove")
    assert users.read_text() == before
    assert desk.json("ssh-config", "show")["installed"] is False


def test_dry_run_writes_nothing(desk, users):
    before = users.read_text()

    assert "Include" in desk("ssh-config", "install", "--dry-run").stderr
    assert users.read_text() == before
    desk.ok("ssh-config", "install")
    desk.ok("ssh-config", "remove", "--dry-run")
    assert "Include" in users.read_text()


def test_show_has_the_machines_by_name(desk, users):
    file = desk.root / "gpuctl/ssh/config"
    file.parent.mkdir(parents=True)
    file.write_text("Host vision-1\n    HostName 203.0.113.7\n")

    assert desk.json("ssh-config", "show")["machines"] == ["vision-1"]
    assert desk.ok("ssh-config", "show") == file.read_text()
    assert "gpuctl ssh-config install" in desk("ssh-config", "show").stderr
    assert desk.ok("ssh-config", "show", "-o", "csv") == "machine\nvision-1\n"


def test_without_any_file_nothing_is_made_up(desk):
    assert "no machines yet" in desk.ok("ssh-config", "show")
    assert "does not have" in desk("ssh-config", "remove").stderr
    assert not (desk.home / ".ssh").exists()


def test_a_file_that_cannot_be_written_is_named(desk):
    (desk.home / ".ssh").write_text("not a directory")

    assert str(desk.home / ".ssh") in desk.refused("ssh-config", "install", code=1)


@pytest.mark.parametrize("argv", [("uninstall",), ("install", "vision-1"), ("show", "--all")])
def test_wrong_words_about_ssh_config(desk, argv):
    assert "Error: " in desk.refused("ssh-config", *argv)
