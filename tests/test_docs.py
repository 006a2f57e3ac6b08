"""The generated pages: made rightly from a small tree, and fresh for the real one."""

from pathlib import Path

import click
import pytest

from docs import generate


@click.group()
@click.version_option("1.2.3")
def tool() -> None:
    """Runs things."""


@tool.command()
@click.argument("name", required=False)
@click.option(
    "-p",
    "--project",
    metavar="C/P",
    envvar="GPUCTL_PROJECT",
    show_envvar=True,
    help="Whom the money is for.",
)
@click.option("--how", type=click.Choice(["spot", "on-demand"]), default="spot", show_default=True)
@click.option("--secret", hidden=True)
def up(**_: object) -> None:
    """Give a project a machine.

    It is billed | from now
    on.

    \b
    up vision
    up --how spot
    """


@tool.group()
def ledger() -> None:
    """What was spent."""


@ledger.command()
def verify() -> None:
    """Check the chain."""


@tool.command(hidden=True)
def internal() -> None:
    """For the tests."""


def test_every_command_in_the_order_of_the_help() -> None:
    headings = [x for x in generate.cli_page(tool, "tool").splitlines() if x.startswith("## ")]
    assert headings == ["## tool", "## tool ledger", "## tool ledger verify", "## tool up"]


def test_a_command_with_its_usage_help_and_options() -> None:
    page = generate.cli_page(tool, "tool")
    section = page.partition("## tool up\n")[2]
    assert section.startswith("\n```\ntool up [OPTIONS] [NAME]\n```\n\nGive a project a machine.\n")
    assert "```\nup vision\nup --how spot\n```" in section
    assert "| `-p, --project C/P` | Whom the money is for. [env var: GPUCTL_PROJECT] |" in section
    assert "| `--how [spot\\|on-demand]` | [default: spot] |" in section
    assert "secret" not in page
    assert "internal" not in page


def test_the_table_links_to_each_section() -> None:
    page = generate.cli_page(tool, "tool")
    assert "| [`tool ledger verify`](#tool-ledger-verify) | Check the chain. |" in page


def test_transcript_goes_between_its_markers_and_again() -> None:
    page = f"# x\n\n{generate.BEGIN}\nold\n{generate.END}\n\nafter\n"
    once = generate.with_transcript(page, "$ tool up\n\\1 done\n")
    assert "```console\n$ tool up\n\\1 done\n```" in once
    assert "old" not in once
    assert once.endswith("\n\nafter\n")
    assert generate.with_transcript(once, "$ tool up\n\\1 done\n") == once


def test_record_keeps_command_and_output_without_the_home_directory(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    generate.record(lambda _: f"key in {Path.home()}/keys\n", tmp_path)
    kept = (tmp_path / generate.TRANSCRIPT).read_text()
    assert kept == "$ gpuctl sandbox demo\nkey in ~/keys\n"


def test_check_writes_nothing_and_make_docs_repairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "cli.md"
    monkeypatch.setattr(generate, "pages", lambda root: {root / "cli.md": "new\n"})
    assert generate.main(["--check"], tmp_path) == 1
    assert "cli.md: stale; run: make docs" in capsys.readouterr().out
    assert not page.exists()
    assert generate.main([], tmp_path) == 0
    assert page.read_text() == "new\n"
    assert generate.main(["--check"], tmp_path) == 0


def test_generated_pages_are_fresh() -> None:
    for path, text in generate.pages(generate.ROOT).items():
        assert path.read_text().splitlines() == text.splitlines(), path


def test_every_command_and_option_says_what_it_is_for() -> None:
    main = generate._from_code("gpuctl.cli", "main")
    if not isinstance(main, click.Command):
        pytest.skip("gpuctl has no command line yet")
    silent = []
    for command, context in generate._walk(main, click.Context(main, info_name="gpuctl")):
        if not command.help:
            silent.append(context.command_path)
        silent += [
            f"{context.command_path} {option.opts[-1]}"
            for option in command.params
            if isinstance(option, click.Option) and not option.hidden and not option.help
        ]
    assert silent == []
