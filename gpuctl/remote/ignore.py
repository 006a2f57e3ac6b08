"""What is not copied: patterns as in .gitignore."""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import PurePosixPath

_TOKEN = re.compile(r"\*\*/|/\*\*\Z|\*\*|\*|\?|\[!?\]?[^]/]*\]|\\.|.", re.DOTALL)
_PARTS = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class Ignore:
    """Ordered patterns; the last that fits decides, `!` takes one back, `dir/` is a directory.

    As with git, what lies in an ignored directory cannot be taken back.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._rules: list[tuple[bool, bool, re.Pattern[str]]] = []
        for raw in patterns:
            pattern = raw.rstrip("\r\n ")
            if not pattern or pattern.startswith("#"):
                continue
            keep = pattern.startswith("!")
            pattern = pattern.removeprefix("!").removeprefix("\\")
            only_directories = pattern.endswith("/")
            self._rules.append((keep, only_directories, _regex(pattern.rstrip("/"))))

    def __call__(self, path: PurePosixPath, *, directory: bool = False) -> bool:
        """Whether that relative path, or a directory it lies in, is ignored."""
        above = list(path.parents)[-2::-1]
        return any(self._matches(str(parent), directory=True) for parent in above) or (
            self._matches(str(path), directory=directory)
        )

    def _matches(self, path: str, *, directory: bool) -> bool:
        for keep, only_directories, regex in reversed(self._rules):
            if (directory or not only_directories) and regex.match(path):
                return not keep
        return False


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    anchored = "/" in pattern
    body = "".join(_part(token) for token in _TOKEN.findall(pattern.removeprefix("/")))
    return re.compile(("" if anchored else "(?:.*/)?") + body + r"\Z", re.DOTALL)


def _part(token: str) -> str:
    if token in _PARTS:
        return _PARTS[token]
    if len(token) > 1 and token.startswith("["):
        inside = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        return f"[^/{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
    return re.escape(token[-1])
