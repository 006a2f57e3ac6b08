"""Completion: the shells' scripts in their places, and names from settings and ledger."""

import pytest
from click.shell_completion import ShellComplete

from gpuctl.cli import main
from tests.cli.desk import NOW


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed(desk, shell):
    printed = desk.ok("completion", shell)

    assert f"_GPUCTL_COMPLETE={shell}_complete" in printed
    assert desk.ok("completion", shell, "--print") == printed
    assert desk.ok("completion", SHELL=f"/usr/bin/{shell}") == printed


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", "me/.local/share/bash-completion/completions/gpuctl"),
        ("zsh", "gpuctl/config/completion.zsh"),
        ("fish", "me/.config/fish/completions/gpuctl.fish"),
    ],
)
def test_install_twice_is_install_once(desk, shell, place):
    zshrc = desk.home / ".zshrc"
    zshrc.write_text("alias ll='ls -l'\n")

    desk.ok("completion", shell, "--install")
    file, once = desk.root / place, zshrc.read_text()
    first = file.read_text()
    desk.ok("completion", shell, "--install")

    assert "_GPUCTL_COMPLETE" in first
    assert file.read_text() == first
    assert list(desk.home.rglob(".*.lock")) == []
    assert zshrc.read_text() == once
    assert once.startswith("alias ll='ls -l'\n")
    assert once.count(f'source "{file}"') == (shell == "zsh")


@pytest.mark.parametrize(
    ("argv", "environ", "says"),
    [
        (("tcsh",), {}, "'tcsh' is not one of"),
        ((), {}, "for which shell?"),
        ((), {"SHELL": "/bin/tcsh"}, "tcsh is not one of"),
        (("bash", "--install", "--print"), {}, "exclude each other"),
    ],
)
def test_wrong_words_about_shells(desk, argv, environ, says):
    assert says in desk.refused("completion", *argv, **environ)


def test_a_place_that_cannot_be_written_is_named(desk):
    (desk.home / ".config").write_text("a file")

    said = desk.refused("completion", "fish", "--install", code=1)

    assert "eval" in said


def offered(desk, monkeypatch, *words):
    """What TAB offers after these words, as click's own machinery finds it."""
    for name, value in desk.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(desk.cwd)
    *args, incomplete = words
    shell = ShellComplete(main, {}, "gpuctl", "_GPUCTL_COMPLETE")
    return [item.value for item in shell.get_completions(list(args), incomplete)]


@pytest.fixture
def settled(desk):
    desk.user(
        """\
        [client.acme.project.vision]
        [client.acme.project.old]
        archived = true
        [client.borealis.project.nlp]
        """
    )
    desk.machine("vision-1", "acme/vision", NOW)
    desk.price("0.20", NOW)
    return desk


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("up", "-p", ""), ["acme/vision", "borealis/nlp"]),
        (("up", "-p", "bor"), ["borealis/nlp"]),
        (("up", "-t", "gcp"), ["gcp-l4", "gcp-t4"]),
        (("down", "v"), ["vision-1"]),
        (("ssh", ""), ["vision-1"]),
        (("switch", "vision-1", "a"), ["acme/vision"]),
        (("report", "--client", ""), ["acme", "borealis"]),
        (("price", "show", "g"), ["g6.xlarge"]),
        (("config", "get", "limits.max_l"), ["limits.max_lifetime"]),
        (("template", "add", "x", "--from", "l4"), ["l4-spot", "l40s-spot"]),
        (("compl",), ["completion"]),
        (("config", "va"), ["validate"]),
    ],
)
def test_names_are_offered_from_settings_and_ledger(settled, monkeypatch, words, names):
    assert sorted(offered(settled, monkeypatch, *words)) == names


def test_the_config_file_named_before_the_command_counts(settled, monkeypatch):
    other = settled.root / "other.toml"
    other.write_text("[client.zeta.project.x]\n")
    other.chmod(0o600)

    assert offered(settled, monkeypatch, "--config", str(other), "up", "-p", "") == ["zeta/x"]


def test_a_broken_file_offers_nothing_and_says_nothing(desk, monkeypatch, capfd):
    desk.user("[client.acme\n")

    assert offered(desk, monkeypatch, "up", "-p", "") == []
    assert offered(desk, monkeypatch, "down", "") == []
    assert capfd.readouterr() == ("", "")
    assert not desk.ledger_path.exists()
