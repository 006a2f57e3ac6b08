"""The table of docs/reliability.md: one row a sweep, and rows for what is tested elsewhere."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.cases import Row

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
_HEAD = """\
| sweep | what is done | the promise | cases | broken | when |
|---|---|---|--:|--:|---|
"""
ELSEWHERE = (
    (
        "lifecycle",
        "any order of commands, crashes, misfortunes and looks, two laptops; 200 lives x 50 steps",
        "each run to the second, nothing that never was",
        "`tests/app/test_lifecycle.py`",
    ),
    (
        "ledger",
        "several programs at once, a kill in the middle, a file that may not grow",
        "whole batches, the chain holds",
        "`tests/ledger/test_crash.py`",
    ),
    (
        "machines",
        "deadline, idleness and notices of the agent on emulated machines",
        "off by the deadline; one hook a notice",
        "`tests/agent`, `tests/sandbox/test_agent_on_metal.py`",
    ),
)
"""Name, what is done, the promise, and where: part of every `make test`."""


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a sweep. `when` holds the date and the seed."""

    cases: int
    broken: int
    when: str


def write(rows: Sequence[Row], told: Mapping[str, Told], page: Path = PAGE) -> None:
    """Put the results into the page; rows that were not swept now keep what they had."""
    text = page.read_text(encoding="utf-8")
    before = dict(re.findall(r"^\| `(\w+)` \|.*?\| ([^|]*\|[^|]*\|[^|]*) \|$", text, re.MULTILINE))
    lines = [_HEAD]
    for row in rows:
        new = told.get(row.name)
        cells = f"{new.cases:,} | {new.broken} | {new.when}" if new else before.get(row.name)
        lines.append(f"| `{row.name}` | {row.title} | {row.passes} | {cells or '- | - | -'} |\n")
    lines += [
        f"| {n} | {title} | {passes} | in {where} |||\n" for n, title, passes, where in ELSEWHERE
    ]
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    page.write_text(text[:start] + "\n" + "".join(lines) + text[end:], encoding="utf-8")
