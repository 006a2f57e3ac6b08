"""Turning a unit's command line into argv on this computer."""

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gpuctl.sandbox.metal.layout import Layout
from gpuctl.sandbox.metal.units import Unit, UnitProblem

_VARIABLE = re.compile(r"\$\$|\$\{(\w+)\}|\$(\w+)")


@dataclass(frozen=True, slots=True)
class Command:
    """What to run; `ignored` = its failure does not matter (a leading `-`)."""

    argv: tuple[str, ...]
    ignored: bool = False


def read_command(line: str, unit: str, environ: Mapping[str, str], layout: Layout) -> Command:
    """One Exec line, with `${VAR}`, `%n` and `%%` replaced and paths led into the machine."""
    prefix = line[: len(line) - len(line.lstrip("-@:+!|"))]
    stem = unit.rpartition(".")[0]
    named = line[len(prefix) :].replace("%%", "\0").replace("%n", unit).replace("%N", stem)
    try:
        words = shlex.split(named.replace("\0", "%"))
    except ValueError as error:
        raise UnitProblem(f"{unit}: {error}: {line!r}") from error
    if not words:
        raise UnitProblem(f"{unit}: an empty command line")
    words = [_VARIABLE.sub(lambda found: _value(found, environ), word) for word in words]
    return Command(lead_into_machine(words, environ, layout), "-" in prefix)


def lead_into_machine(
    words: list[str], environ: Mapping[str, str], layout: Layout
) -> tuple[str, ...]:
    """Absolute paths of programs are the machine's: a file of its own, a shim, or the system's.

    The first argument counts as a program too when the first word is an interpreter.
    """
    first = _find(words[0], environ, layout)
    rest = list(words[1:])
    if not first.startswith(f"{layout.root}/usr"):
        for index, word in enumerate(rest):
            if word.startswith("/") and (inside := _inside(word, layout)):
                rest[index] = inside
                break
    return (first, *rest)


def read_environment(unit: Unit, environ: Mapping[str, str], layout: Layout) -> dict[str, str]:
    """The service's own variables on top of the machine's."""
    own = dict(environ)
    for line in unit.all("Service", "Environment"):
        own |= dict(word.split("=", 1) for word in shlex.split(line) if "=" in word)
    for name in unit.all("Service", "EnvironmentFile"):
        path = Path(_inside(name.lstrip("-"), layout) or name.lstrip("-"))
        if not path.exists():
            if name.startswith("-"):
                continue
            raise UnitProblem(f"{unit.name}: no such EnvironmentFile: {name}")
        for line in path.read_text(encoding="utf-8").splitlines():
            if "=" in line and not line.lstrip().startswith(("#", ";")):
                key, _, value = line.strip().partition("=")
                own[key] = value.strip("\"'")
    return own


def _find(word: str, environ: Mapping[str, str], layout: Layout) -> str:
    if word.startswith("/"):
        if inside := _inside(word, layout):
            return inside
        shim = layout.shims / Path(word).name
        if shim.exists():
            return str(shim)
        if Path(word).exists():
            return word
    found = shutil.which(Path(word).name, path=environ.get("PATH"))
    return found or word


def _inside(word: str, layout: Layout) -> str | None:
    """A file of the machine's own by its absolute path, which may be prefixed already."""
    if Path(word).is_relative_to(layout.root):
        return word
    path = Path(f"{layout.root}{os.path.normpath(word)}")
    return str(path) if path.is_file() else None


def _value(found: "re.Match[str]", environ: Mapping[str, str]) -> str:
    name = found[1] or found[2]
    return environ.get(name, "") if name else "$"
