"""The reference of all settings as Markdown, from the table of keys.

`python -m gpuctl.config.reference` rewrites what is generated: `docs/config.md` and the two
schemas in `configs/`.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from gpuctl.config.keys import PROJECT_FILE, USER
from gpuctl.config.schema import json_schema
from gpuctl.config.tables import Key, MapOf, Table
from gpuctl.config.toml import written

_HEAD = """\
# Settings

<!-- Generated from the table of keys by `python -m gpuctl.config.reference`: change it there. -->

Precedence, strongest first: flag, environment (`GPUCTL_PROJECT`, `GPUCTL_TEMPLATE`,
`GPUCTL_OUTPUT`, `GPUCTL_YES`, `GPUCTL_DEBUG`), project file, user file, built-in.
`gpuctl config show --origin` says where each value came from; `gpuctl config path` where the
files are. Every mistake of all files is told at once, with file, line, key and the nearest right
word. `gpuctl config validate` does only that.

Amounts are texts (`"1.50"`), because a TOML number with a point is not exact. Durations are texts
with units (`"8h"`, `"30m"`, `"1h30m"`). No file holds a credential: those stay where the SDKs of
AWS and Google keep them. A user file that others may write to is refused, and so is a project
file with something in it that looks like a secret.
"""

_USER = """
## The user file

`config.toml` in the configuration directory, or where `GPUCTL_CONFIG` says. Editors complete it
with `#:schema` and the path or address of `configs/schema.json` in its first line.
"""

_PROJECT = """
## The project file

`gpuctl.toml`, the nearest one upwards from the current directory. It may be committed: it names a
project and holds no secret. Templates, clients and limits belong in your own file. Its schema is
`configs/project.schema.json`.
"""


def reference() -> str:
    """The whole page."""
    parts = [_HEAD, _USER, *_table(USER, "", 3), _PROJECT, *_table(PROJECT_FILE, "", 3)]
    return "".join(parts)


def _table(table: Table, path: str, level: int) -> Iterator[str]:
    """Plain keys as one Markdown table, then each table in it under its own heading."""
    plain = [key for key in table.keys.values() if not isinstance(key.shape, Table | MapOf)]
    if plain:
        yield "\n| key | value | without it | why |\n|---|---|---|---|\n"
        for key in plain:
            cells = (f"`{key.name}`", _cell(key.shape.word), _without(key), _cell(key.doc))
            yield f"| {' | '.join(cells)} |\n"
    for key in table.keys.values():
        here = f"{path}.{key.name}" if path else key.name
        if isinstance(key.shape, MapOf):
            named = f"{here}.{key.shape.what.upper()}"
            if isinstance(key.shape.item, Table):
                yield f"\n{'#' * level} `[{named}]`\n\n{key.doc}\n"
                yield from _table(key.shape.item, named, min(level + 1, 5))
            else:
                holds = key.shape.item.word
                yield f"\n{'#' * level} `[{here}]`\n\n{key.doc} Each {key.shape.what} = {holds}.\n"
        elif isinstance(key.shape, Table):
            yield f"\n{'#' * level} `[{here}]`\n\n{key.doc}\n"
            yield from _table(key.shape, here, min(level + 1, 5))


def _without(key: Key) -> str:
    if key.required:
        return "required"
    return "" if key.default is None else f"`{written(key.default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def generated(root: Path) -> dict[Path, str]:
    """What belongs into the repository at `root`, by path."""
    return {
        root / "docs/config.md": reference(),
        root / "configs/schema.json": _json(json_schema("user")),
        root / "configs/project.schema.json": _json(json_schema("project")),
    }


def _json(schema: dict[str, object]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write what is stale, relative to the checkout this module is in."""
    for path, text in generated(Path(__file__).parents[2]).items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
