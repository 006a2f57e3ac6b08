"""All sources, strongest first -> one `Config` that knows where each of its values came from.

Flag, environment, project file, user file, built-in. Every mistake of all of them is told at
once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gpuctl.config import build
from gpuctl.config.builtin import template_files
from gpuctl.config.check import check
from gpuctl.config.documents import read_document
from gpuctl.config.entries import Entry, KeyPath, OriginKind, fill, missing, nest
from gpuctl.config.keys import MERGED, PROJECT_FILE, USER, dotted, shape_at
from gpuctl.config.model import Settings
from gpuctl.config.paths import paths
from gpuctl.config.rules import dangling, odd, problem
from gpuctl.config.secrets import secrets_in
from gpuctl.config.shapes import Flag, Wrong, truth
from gpuctl.config.toml import written
from gpuctl.core.errors import ConfigError, Problem

VARIABLES = {
    "GPUCTL_PROJECT": "project",
    "GPUCTL_TEMPLATE": "template",
    "GPUCTL_OUTPUT": "output",
    "GPUCTL_YES": "yes",
    "GPUCTL_DEBUG": "debug",
}
FLAGS = ("project", "template", "region", "output", "yes", "debug")

Entries = dict[KeyPath, Entry]


class Sources(NamedTuple):
    """What to read. `flags`: those of `FLAGS` that were given; None = not given.

    `required`: the user file was asked for by name, so its absence is a mistake.
    """

    user_file: Path
    environ: Mapping[str, str]
    flags: Mapping[str, str | bool | None]
    required: bool = False
    project_file: Path | None = None

    @classmethod
    def find(
        cls,
        environ: Mapping[str, str],
        cwd: Path,
        flags: Mapping[str, str | bool | None] | None = None,
    ) -> "Sources":
        """The sources that hold in this environment and directory."""
        places = paths(environ, cwd)
        return cls(
            user_file=places.config,
            required=bool(environ.get("GPUCTL_CONFIG")),
            project_file=places.project_file,
            environ=environ,
            flags=flags or {},
        )


class Origin(NamedTuple):
    """Where a value was set. `file` is the variable or flag for those two kinds."""

    kind: OriginKind
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.file is None:
            return self.kind.value
        if self.line is None:
            return f"{self.kind.value} {self.file}"
        return f"{self.file}:{self.line}"


class ConfigRow(NamedTuple):
    """One key that is set, its value as TOML, and where that was written."""

    key: str
    value: str
    origin: Origin


class Config:
    """The settings, and the origin of each."""

    def __init__(self, settings: Settings, entries: Mapping[KeyPath, Entry]) -> None:
        self.settings = settings
        self._entries = entries

    def origin(self, key: str) -> Origin:
        """Where the value of a dotted key (`defaults.output`) came from.

        A key that is not set, or is a table, has the origin of the built-in nothing.
        """
        for path, entry in self._entries.items():
            if not entry.table and dotted(path) == key:
                return _origin(entry)
        return Origin(OriginKind.BUILT_IN)

    def rows(self) -> Sequence[ConfigRow]:
        """Every key that is set, built-in ones included, sorted by key."""
        rows = [
            ConfigRow(dotted(path), written(entry.written), _origin(entry))
            for path, entry in self._entries.items()
            if not entry.table
        ]
        return sorted(rows, key=lambda row: row.key)

    def template_name(self, project: str | None) -> str:
        """The template to use for a project when no argument names one.

        A flag, the environment or the project file come first, then the project's own
        `template`, then `[defaults]`, then the built-in one.
        """
        chosen = self._entries[("defaults", "template")]
        policy = self.settings.projects.get(project) if project is not None else None
        weak = chosen.kind in (OriginKind.USER_FILE, OriginKind.BUILT_IN)
        if weak and policy is not None and policy.template is not None:
            return policy.template
        return self.settings.defaults.template


def load(sources: Sources, *, references: bool = True) -> Config:
    """Read everything. ConfigError carries every problem of every source.

    `references=False` lets files name projects and templates that do not exist (yet): for
    commands that make them, and for those that must work whatever else is wrong (`down`).
    """
    problems: list[Problem] = []
    user = _user_file(sources, problems)
    entries = _templates(user, problems)
    entries.update(user)
    entries.update(_project_file(sources, problems))
    entries.update(_environment(sources.environ, problems))
    entries.update(_flags(sources.flags, problems))
    whole = all(each.key is not None for each in problems)
    fill(MERGED, entries)
    told = {each.key for each in problems}
    problems += [
        _absent(entries, path) for path in missing(MERGED, entries) if dotted(path) not in told
    ]
    problems += odd(entries)
    if references and whole:
        problems += dangling(entries)
    if problems:
        raise ConfigError(problems)
    return Config(build.settings(nest(entries)), entries)


def _user_file(sources: Sources, problems: list[Problem]) -> Entries:
    if not sources.required and not sources.user_file.exists():
        return {}
    document = read_document(sources.user_file, problems, private=True)
    return {} if document is None else check(document, USER, OriginKind.USER_FILE, problems)


def _templates(user: Entries, problems: list[Problem]) -> Entries:
    """The built-in templates, less those that the user's file remakes for another provider."""
    entries: Entries = {}
    for file in template_files():
        document = read_document(file, problems)
        if document is None:
            continue
        path = ("template", file.stem, "provider")
        found = check(document, USER, OriginKind.BUILT_IN, problems)
        if path not in user or user[path].value == found[path].value:
            entries.update(found)
    return entries


def _project_file(sources: Sources, problems: list[Problem]) -> Entries:
    if sources.project_file is None:
        return {}
    document = read_document(sources.project_file, problems)
    if document is None:
        return {}
    problems += secrets_in(document)
    wrong: list[Problem] = []
    found = check(document, PROJECT_FILE, OriginKind.PROJECT_FILE, wrong)
    problems += [_misplaced(each, document.tree, sources.user_file) for each in wrong]
    defaults = (("project",), ("template",))
    return {("defaults", *path) if path in defaults else path: found[path] for path in found}


def _misplaced(wrong: Problem, tree: Mapping[str, object], user_file: Path) -> Problem:
    """A mistake in a project file; of what only the user's own file may hold, where it belongs."""
    key = wrong.key or ""
    if key not in USER.keys or (
        key in PROJECT_FILE.keys and not isinstance(tree[key], dict | list)
    ):
        return wrong
    here = ", ".join(PROJECT_FILE.keys)
    named = ", and here template names one" if key == "template" else ""
    reason = f"belongs in your own config file, {user_file}{named}; a project file holds {here}"
    return wrong._replace(reason=reason, suggestion=None)


def _environment(environ: Mapping[str, str], problems: list[Problem]) -> Entries:
    entries: Entries = {}
    for variable, key in VARIABLES.items():
        text = environ.get(variable)
        if text:
            value = truth(text, text) if key in ("yes", "debug") else text
            _take(
                entries, key, value, Entry(None, value, OriginKind.ENV, None, (variable,)), problems
            )
    return entries


def _flags(flags: Mapping[str, str | bool | None], problems: list[Problem]) -> Entries:
    entries: Entries = {}
    for key in FLAGS:
        value = flags.get(key)
        if value is not None:
            place = (f"--{key}",)
            _take(entries, key, value, Entry(None, value, OriginKind.FLAG, None, place), problems)
    return entries


def _take(entries: Entries, key: str, value: object, entry: Entry, problems: list[Problem]) -> None:
    """Check a value of the section `defaults` that no file gave."""
    path = ("defaults", key)
    shape = shape_at(USER, path) or Flag()
    try:
        entries[path] = entry._replace(value=shape.read(value))
    except Wrong as wrong:
        where = "environment" if entry.kind is OriginKind.ENV else "command line"
        problems.append(Problem(where, None, dotted(entry.place), wrong.reason, wrong.suggestion))


def _absent(entries: Entries, path: KeyPath) -> Problem:
    """A required key that is not there, told at the table that lacks it."""
    table = entries.get(path[:-1])
    reason = f"needs the key {path[-1]!r}"
    if table is None:
        return Problem("built-in", None, dotted(path), reason)
    told = problem(table, path[:-1], reason)
    return told._replace(key=dotted(path))


def _origin(entry: Entry) -> Origin:
    if entry.kind in (OriginKind.FLAG, OriginKind.ENV):
        return Origin(entry.kind, str(entry.place[0]))
    if entry.document is None:
        return Origin(entry.kind)
    return Origin(entry.kind, entry.document.file, entry.document.line(entry.place))
