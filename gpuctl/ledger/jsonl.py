"""The interchange file: JSON Lines in and out, whole or not at all."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gpuctl.core.bill import runs
from gpuctl.core.errors import ConfigError, NotFound, Problem
from gpuctl.core.events import Event, Usage
from gpuctl.core.interchange import RecordError, is_public, read_line, write_line
from gpuctl.core.merge import Contradiction, merge

_MOST = 20
"""So many bad lines are named: a file of another kind has nothing but."""


def read_file(path: Path) -> Sequence[tuple[int, Event]]:
    """(line number, event) of a whole file. ConfigError names every bad line and its field."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(path), None, None, f"is not UTF-8: {error}")]) from error
    events: list[tuple[int, Event]] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            events.append((number, read_line(line)))
        except RecordError as error:
            problems.append(Problem(str(path), number, None, str(error)))
            if len(problems) == _MOST:
                break
    if problems:
        raise ConfigError(problems)
    return events


def news_of(path: Path, known: Iterable[Event]) -> Sequence[Event]:
    """What the file adds to the known events. ConfigError names the line that contradicts."""
    lines = read_file(path)
    try:
        return merge(known, [event for _, event in lines])
    except Contradiction as error:
        number = lines[error.position][0] if error.position >= 0 else None
        raise ConfigError([Problem(str(path), number, None, str(error))]) from None


def export(events: Iterable[Event], *, everything: bool = False) -> Iterator[str]:
    """The money records, one line each, runs folded with their ends; or every event as stored."""
    events = list(events)
    if everything:
        yield from map(write_line, events)
        return
    folded = {usage.id: usage for usage in runs(events)}
    for event in events:
        if is_public(event):
            yield write_line(folded[event.id] if isinstance(event, Usage) else event)
