"""Reading systemd's unit files, spans and absolute calendar times: the part that machines use."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_SECONDS = {
    **dict.fromkeys(("us", "usec", "µs"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
}
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zµ]*)")
_CALENDAR = re.compile(
    r"(?:[A-Z][a-z]{2},? )?(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}(?::\d{2})?)(?:\.\d+)?(?: ?(UTC|Z))?"
)


class UnitProblem(Exception):
    """systemctl's complaint and its exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit file. A key given twice has two values; an empty value forgets those before."""

    name: str
    sections: Mapping[str, Mapping[str, tuple[str, ...]]]

    def all(self, section: str, key: str) -> tuple[str, ...]:
        """Every value, in order."""
        return self.sections.get(section, {}).get(key, ())

    def get(self, section: str, key: str, default: str = "") -> str:
        """The last value."""
        values = self.all(section, key)
        return values[-1] if values else default

    def flag(self, section: str, key: str) -> bool:
        """Whether it is switched on."""
        return self.get(section, key).lower() in ("1", "yes", "true", "on")


def parse(name: str, text: str) -> Unit:
    """Read a unit file; raises `UnitProblem` for a line that is none."""
    sections: dict[str, dict[str, tuple[str, ...]]] = {}
    section = ""
    for line in text.replace("\\\n", " ").splitlines():
        line = line.strip()  # noqa: PLW2901
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            sections.setdefault(section, {})
            continue
        key, equals, value = line.partition("=")
        if not equals or not section:
            raise UnitProblem(f"{name}: not understood: {line!r}")
        known = sections[section].get(key.strip(), ())
        sections[section][key.strip()] = (*known, value.strip()) if value.strip() else ()
    return Unit(name, sections)


def parse_span(text: str) -> timedelta:
    """`1h 30min`, `90` (seconds), `500ms`; raises `UnitProblem`."""
    total, at = 0.0, 0
    while at < len(text.rstrip()):
        found = _SPAN.match(text, at)
        if not found or found[2] not in _SECONDS:
            raise UnitProblem(f"Failed to parse time span: {text!r}")
        total += float(found[1]) * _SECONDS[found[2]]
        at = found.end()
    if not text.strip():
        raise UnitProblem("Failed to parse time span: ''")
    return timedelta(seconds=total)


def parse_calendar(text: str) -> datetime:
    """An absolute `YYYY-MM-DD HH:MM[:SS] [UTC]` or `@epoch`; a machine's own zone is UTC.

    Raises `UnitProblem`, also for repeating expressions, which the sandbox does not know.
    """
    if text.startswith("@") and text[1:].isdigit():
        return datetime.fromtimestamp(int(text[1:]), UTC)
    found = _CALENDAR.fullmatch(text.strip())
    if not found:
        raise UnitProblem(f"the sandbox knows absolute calendar times only, not {text!r}")
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC)
    except ValueError as error:
        raise UnitProblem(f"Failed to parse calendar specification {text!r}: {error}") from error
