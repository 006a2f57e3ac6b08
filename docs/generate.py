"""Writes the pages that are made from the code, so that they cannot say something else.

python docs/generate.py            write docs/cli.md, docs/config.md, the schemas in configs/,
                                   the least rights on AWS and Google, and the README's transcript
python docs/generate.py --check    write nothing; name what is stale and exit 1
python docs/generate.py --record   run the sandbox's demo and keep its output as docs/transcript.txt
"""

import argparse
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
TRANSCRIPT = "docs/transcript.txt"
DEMO = ("sandbox", "demo")

GENERATED = "<!-- Written by `make docs` from the code; edit the code instead. -->"
BEGIN, END = "<!-- transcript: begin -->", "<!-- transcript: end -->"
_MARKED = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)


def cli_page(root: click.Command, name: str = "gpuctl") -> str:
    """Every command that is not hidden, in the order the help lists them."""
    context = click.Context(root, info_name=name, **root.context_settings)
    commands = list(_walk(root, context))
    rows = "\n".join(
        f"| [`{context.command_path}`](#{_anchor(context.command_path)}) "
        f"| {_cell(command.get_short_help_str(200))} |"
        for command, context in commands
    )
    table = f"| command | what it does |\n|---|---|\n{rows}"
    parts = [GENERATED, f"# Commands of {name}", table]
    parts += [_section(command, context) for command, context in commands]
    return "\n\n".join(parts) + "\n"


def _walk(
    command: click.Command, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    yield command, context
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child is not None and not child.hidden:
            yield from _walk(child, click.Context(child, info_name=name, parent=context))


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"## {context.command_path}", f"```\n{usage}\n```"]
    if command.help:
        parts += _paragraphs(command.help)
    if rows := list(_option_rows(command, context)):
        parts.append("| option | |\n|---|---|\n" + "\n".join(rows))
    if command.epilog:
        parts += _paragraphs(command.epilog)
    return "\n\n".join(parts)


def _paragraphs(text: str) -> Iterator[str]:
    """Help text as Markdown: what click is told not to wrap is kept as it is, in a fence."""
    for paragraph in inspect.cleandoc(text).partition("\f")[0].strip().split("\n\n"):
        if paragraph.startswith("\b\n"):
            yield "```\n" + paragraph.removeprefix("\b\n").rstrip() + "\n```"
        else:
            yield paragraph.strip()


def _option_rows(command: click.Command, context: click.Context) -> Iterator[str]:
    # click keeps the help option of whoever asked first, with that caller's names for it.
    command._help_option = None  # noqa: SLF001
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            names, says = record
            yield f"| `{_cell(names)}` | {_cell(says)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def with_transcript(page: str, transcript: str) -> str:
    """The page with the recorded run between its markers; the page itself when it has none."""
    return _MARKED.sub(lambda _: f"{BEGIN}\n```console\n{transcript.rstrip()}\n```\n{END}", page)


def iam_policy(document: Mapping[str, object]) -> str:
    """The least IAM policy, as `aws iam create-policy` takes it."""
    return json.dumps(document, indent=2) + "\n"


def custom_role(permissions: Iterable[str]) -> str:
    """The least custom role, as `gcloud iam roles create` takes it."""
    lines = [
        "# Written by `make docs` from gpuctl/providers/gcp/role.py; edit that instead.",
        "title: gpuctl",
        "description: Start, stop and account for GPU machines, and nothing else.",
        "stage: GA",
        "includedPermissions:",
        *(f"- {permission}" for permission in permissions),
    ]
    return "\n".join(lines) + "\n"


def _from_code(module: str, name: str) -> object | None:
    """A name of the package; None where that part of the package is not there."""
    try:
        found: object = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name is not None and module.startswith(error.name):
            return None
        raise
    return found


def pages(root: Path) -> dict[Path, str]:
    """What each generated page should read. README only where it has the markers."""
    found: dict[Path, str] = {}
    command = _from_code("gpuctl.cli", "main")
    if isinstance(command, click.Command):
        found[root / "docs/cli.md"] = cli_page(command)
    settings = _from_code("gpuctl.config.reference", "generated")
    if callable(settings):
        found |= settings(root)
    policy = _from_code("gpuctl.providers.aws.policy", "policy")
    if callable(policy):
        found[root / "docs/aws-policy.json"] = iam_policy(policy())
    setup = _from_code("gpuctl.providers.aws.policy", "setup_policy")
    if callable(setup):
        found[root / "docs/aws-setup-policy.json"] = iam_policy(setup())
    permissions = _from_code("gpuctl.providers.gcp.role", "PERMISSIONS")
    if isinstance(permissions, tuple):
        found[root / "docs/gcp-role.yaml"] = custom_role(permissions)
    readme, transcript = root / "README.md", root / TRANSCRIPT
    if transcript.exists():
        found[readme] = with_transcript(
            readme.read_text(encoding="utf-8"), transcript.read_text(encoding="utf-8")
        )
    return found


def stale(expected: Mapping[Path, str]) -> list[Path]:
    """Pages that are absent or read otherwise."""
    return [
        path
        for path, text in expected.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def record(run: Callable[[tuple[str, ...]], str], root: Path) -> None:
    """Keep what the demo prints, under the command that prints it."""
    shown = run(DEMO).replace(str(Path.home()), "~").rstrip()
    text = f"$ gpuctl {' '.join(DEMO)}\n{shown}\n"
    (root / TRANSCRIPT).write_text(text, encoding="utf-8")


def _run(argv: tuple[str, ...]) -> str:
    command = [sys.executable, "-m", "gpuctl", *argv]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


def main(arguments: list[str], root: Path = ROOT) -> int:
    """0 when all is fresh (now); 1 when `--check` found a stale page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if stale")
    parser.add_argument("--record", action="store_true", help="record the demo again first")
    asked = parser.parse_args(arguments)
    if asked.record:
        record(_run, root)
    expected = pages(root)
    old = stale(expected)
    for path in old:
        print(f"{path.relative_to(root)}: {'stale; run: make docs' if asked.check else 'written'}")
        if not asked.check:
            path.write_text(expected[path], encoding="utf-8")
    return 1 if asked.check and old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
