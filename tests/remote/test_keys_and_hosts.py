"""The key, the pinned host keys, and the entries that other programs read."""

import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from gpuctl.core.errors import GpuctlError
from gpuctl.remote import hosts
from gpuctl.remote.keys import ensure_key

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBwJJx1XGJD0mEJTm2Kl7vXR9v0vVNq3iOQy5YZB6v2o"


# --- key


def test_the_key_is_private_and_made_once(tmp_path):
    old = os.umask(0)
    try:
        first = ensure_key(tmp_path / "ssh")
    finally:
        os.umask(old)
    assert stat.S_IMODE(first.private.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.private.parent.stat().st_mode) == 0o700
    assert first.public_text.startswith("ssh-ed25519 AAAA")
    assert first.public_text.endswith(" gpuctl")
    assert ensure_key(tmp_path / "ssh") == first
    assert [path.name for path in first.private.parent.iterdir()] == ["id_ed25519"]


def test_all_who_ask_at_once_get_the_same_key(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: ensure_key(tmp_path / "ssh"), range(8)))
    assert len(keys) == 1


def test_a_key_that_others_may_read_is_refused(tmp_path):
    ensure_key(tmp_path).private.chmod(0o640)
    with pytest.raises(GpuctlError, match="others may read"):
        ensure_key(tmp_path)


def test_a_key_that_is_a_link_is_refused(tmp_path):
    real = ensure_key(tmp_path / "real").private
    (tmp_path / "here").mkdir()
    (tmp_path / "here/id_ed25519").symlink_to(real)
    with pytest.raises(GpuctlError, match="not a plain file"):
        ensure_key(tmp_path / "here")


# --- entries


def asked(config, name):
    """What ssh itself makes of the file."""
    done = subprocess.run(
        ["ssh", "-G", "-F", config, name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_ssh_reads_the_entry_as_it_was_meant(place, tmp_path):
    config = tmp_path / "with space" / "config"
    target = replace(place.target, control=tmp_path / "c%h", pinned=True)
    hosts.write(config, target)
    said = asked(config, "vision-1")
    assert said["hostname"] == "127.0.0.1"
    assert said["user"] == "ubuntu"
    assert said["port"] == str(target.port)
    assert said["hostkeyalias"] == "i-0abc"
    assert said["stricthostkeychecking"] == "true"
    assert said["identityfile"] == str(target.identity)
    assert said["identitiesonly"] == "yes"
    assert said["forwardagent"] == "no"
    assert said["userknownhostsfile"] == str(target.known_hosts)
    assert said["controlpath"].startswith(str(tmp_path / "c%h/"))
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


def test_a_first_meeting_is_accepted_once_where_nothing_is_pinned(place, tmp_path):
    hosts.write(tmp_path / "config", place.target)
    assert asked(tmp_path / "config", "vision-1")["stricthostkeychecking"] == "accept-new"


def test_plain_ssh_finds_the_machine_by_its_name(place, tmp_path):
    """As VS Code does: no option, only the user's file."""
    ours, users = tmp_path / "ours" / "config", tmp_path / "ssh" / "config"
    hosts.write(ours, place.target)
    hosts.install(users, ours)
    done = subprocess.run(
        ["ssh", "-F", users, "vision-1", "echo hello"], capture_output=True, stdin=-3, check=False
    )
    assert done.stdout == b"hello\n"


def test_entries_come_and_go(place, tmp_path):
    config = tmp_path / "config"
    for name in ("vision-1", "nlp-1", "vision-2"):
        hosts.write(config, replace(place.target, alias=name))
    hosts.write(config, replace(place.target, alias="nlp-1", user="root"))
    assert hosts.aliases(config) == ("vision-1", "vision-2", "nlp-1")
    assert asked(config, "nlp-1")["user"] == "root"
    assert hosts.remove(config, "vision-1")
    assert not hosts.remove(config, "vision-1")
    assert hosts.aliases(config) == ("vision-2", "nlp-1")
    assert asked(config, "vision-1")["hostname"] == "vision-1"


def test_nothing_is_removed_from_nothing(tmp_path):
    assert not hosts.remove(tmp_path / "config", "vision-1")
    assert not hosts.forget(tmp_path / "known_hosts", "i-0abc")
    assert not hosts.uninstall(tmp_path / "user", tmp_path / "config")
    assert list(tmp_path.iterdir()) == []


def test_writers_at_once_lose_nothing(place, tmp_path):
    names = [f"m-{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        write = lambda name: hosts.write(tmp_path / "config", replace(place.target, alias=name))  # noqa: E731
        list(pool.map(write, names))
    assert sorted(hosts.aliases(tmp_path / "config")) == sorted(names)


# --- include


@pytest.mark.parametrize("text", ["", "Host *\n  User me\n", "# mine\n\nHost a\n  Port 2\n", "x"])
def test_the_include_line_comes_first_once_and_goes_without_a_trace(tmp_path, text):
    users, ours = tmp_path / "ssh/config", tmp_path / "App Support/config"
    users.parent.mkdir()
    users.write_text(text)
    users.chmod(0o644)
    assert hosts.install(users, ours)
    assert not hosts.install(users, ours)
    assert users.read_text().splitlines()[0] == f'Include "{ours}"'
    assert stat.S_IMODE(users.stat().st_mode) == 0o644
    assert hosts.uninstall(users, ours)
    assert users.read_text() == text
    assert [path.name for path in users.parent.iterdir()] == ["config"]


def test_a_config_that_is_a_link_stays_one(tmp_path):
    real, users = tmp_path / "dotfiles/config", tmp_path / "ssh/config"
    for path in (real, users):
        path.parent.mkdir()
    real.write_text("Host *\n")
    users.symlink_to(real)
    hosts.install(users, tmp_path / "ours")
    assert users.is_symlink()
    assert real.read_text().startswith("Include ")


# --- known hosts


def test_pinning_replaces_and_forgetting_removes(tmp_path):
    known = tmp_path / "known_hosts"
    hosts.pin(known, "i-0", [PUBLIC + " root@ip-10-0-0-1"])
    hosts.pin(known, "i-1", [PUBLIC])
    hosts.pin(known, "i-0", [PUBLIC.replace("AAAA", "AAAB", 1), PUBLIC])
    assert [line.split()[0] for line in known.read_text().splitlines()] == ["i-1", "i-0", "i-0"]
    assert stat.S_IMODE(known.stat().st_mode) == 0o600
    assert hosts.pinned(known, "i-0")
    assert hosts.forget(known, "i-0")
    assert not hosts.forget(known, "i-0")
    assert known.read_text() == f"i-1 {PUBLIC}\n"


@pytest.mark.parametrize("keys", [[], ["nonsense"], [PUBLIC, "x\n@cert-authority * " + PUBLIC]])
def test_what_is_no_key_is_not_pinned(tmp_path, keys):
    with pytest.raises(ValueError, match="not public host keys"):
        hosts.pin(tmp_path / "known_hosts", "i-0", keys)
    assert not (tmp_path / "known_hosts").exists()
