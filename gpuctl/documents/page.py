"""A statement as one HTML page: nothing is loaded, nothing is run, and it prints on A4."""

import re
from functools import cache
from html import escape
from importlib import resources

from gpuctl.core.statement import Statement
from gpuctl.documents.drawing import inline
from gpuctl.documents.sheet import (
    Address,
    Block,
    Cell,
    Column,
    Facts,
    Figure,
    Gallery,
    Key,
    Remarks,
    Row,
    Section,
    Sheet,
    Table,
    Words,
)
from gpuctl.documents.statement_sheet import sheet

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""No script, no font, no image from anywhere, whatever a name in it may hold."""


_SHORT = 6
"""So many rows are kept on one sheet."""
_LONG_AMOUNT = 16
"""Of more letters it is set smaller, and may go on in the next line."""
_LONG_WORD = re.compile(r"[^\s\N{NO-BREAK SPACE}]{17,}")
_PIECE = 12


def draw(statement: Statement) -> bytes:
    """The page in UTF-8: readable at 360 pixels and on A4, light and dark, without scripts.

    The same statement gives the same bytes. No text of the statement is taken for markup.
    """
    return draw_sheet(sheet(statement))


def draw_sheet(made: Sheet) -> bytes:
    """Any sheet as such a page."""
    return _page(made).encode()


def _page(made: Sheet) -> str:
    sections = "".join(_section(one) for one in made.sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<title>{escape(made.name)}</title>
<style>
{_style()}</style>
</head>
<body>
<div class="sheet">
{_head(made)}
<main>
{_sum(made)}
{sections}</main>
<footer><p>{escape(made.head_words)} <code>{escape(made.head)}</code></p></footer>
</div>
</body>
</html>
"""


@cache
def _style() -> str:
    return resources.files(__package__).joinpath("page.css").read_text("utf-8")


def _head(made: Sheet) -> str:
    sender = _party(made.sender, "party sender") if made.sender else ""
    return (
        f'<header>\n<div class="top"><div><h1>{escape(made.title)}</h1>'
        f'<p class="period">{escape(made.period)}</p></div>{sender}</div>\n'
        f'<div class="who">{_party(made.receiver, "party")}{_facts(made.facts)}</div>\n</header>'
    )


def _party(party: Address, kind: str) -> str:
    lines = "".join(f"<br>{_name(line)}" for line in party.lines).removeprefix("<br>")
    return (
        f'<address class="{kind}"><span class="role">{escape(party.role)}</span>'
        f"<b>{_name(party.name)}</b>{lines}</address>"
    )


def _sum(made: Sheet) -> str:
    size = "amount long" if len(made.amount) > _LONG_AMOUNT else "amount"
    return (
        '<div class="sum" role="group" aria-label="The sum">'
        f'<div><p class="label">{escape(made.label)}</p><p class="{size}">{escape(made.amount)}</p>'
        f'<p class="under">{escape(made.under)}</p></div>'
        f'<div class="state"><p><span class="badge">{escape(made.state)}</span></p>'
        f"<p>{escape(made.state_words)}</p></div></div>\n{_facts(made.figures, 'keys')}"
    )


def _facts(facts: Facts, kind: str = "facts") -> str:
    pairs = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{_name(value)}</dd></div>" for name, value in facts.pairs
    )
    return f'<dl class="facts {kind}">{pairs}</dl>'


def _section(made: Section) -> str:
    under = f'<p class="under">{_name(made.under)}</p>' if made.under else ""
    blocks = "\n".join(_block(block) for block in made.blocks)
    return (
        f'<section id="{made.name}" class="{made.name}" aria-labelledby="{made.name}-h">'
        f'<h2 id="{made.name}-h">{_name(made.title)}</h2>{under}\n{blocks}\n</section>\n'
    )


def _block(block: Block) -> str:
    if isinstance(block, Words):
        return f"<p>{_name(block.text)}</p>"
    if isinstance(block, Remarks):
        title = f"<h3>{escape(block.title)}</h3>" if block.title else ""
        return f"{title}<ul>{''.join(f'<li>{_name(item)}</li>' for item in block.items)}</ul>"
    if isinstance(block, Facts):
        return _facts(block)
    if isinstance(block, Table):
        return _folded(block)
    if isinstance(block, Gallery):
        return _gallery(block)
    return _figure(block)


def _figure(figure: Figure) -> str:
    return (
        f"<figure><figcaption><b>{_name(figure.title)}</b>{_name(figure.words)}</figcaption>"
        f"{_legend(figure.keys)}{inline(figure.drawing, figure.title, figure.words)}</figure>"
    )


def _gallery(gallery: Gallery) -> str:
    name = gallery.name
    figures = "".join(_figure(figure) for figure in gallery.figures)
    return (
        f'<figure aria-labelledby="{name}-c"><figcaption id="{name}-c">'
        f"<b>{_name(gallery.title)}</b>{_name(gallery.words)}</figcaption>{_legend(gallery.keys)}"
        f'<div class="gallery">{figures}</div></figure>'
    )


def _legend(keys: tuple[Key, ...]) -> str:
    items = "".join(f"<li>{inline(key.drawing, '', '')}{_name(key.label)}</li>" for key in keys)
    return f'<ul class="legend" aria-label="Legend">{items}</ul>' if items else ""


def _folded(table: Table) -> str:
    if not table.folded:
        return _table(table)
    return f"<details><summary>{escape(table.folded)}</summary>{_table(table)}</details>"


def _table(table: Table) -> str:
    # The roles are said because the phone's layout takes tables apart, and some readers with it.
    head = "".join(
        f'<th scope="col" role="columnheader"{_kind(column)}>'
        f"{_soft(column.label)}{_small(column.under)}</th>"
        for column in table.columns
    )
    kind = "wide wordy" if table.wordy else "wide"
    kind += " short" if len(table.rows) <= _SHORT else ""
    name = f"{table.name}-c"
    return (
        f'<div class="{kind}" id="{table.name}" role="region" tabindex="0"'
        f' aria-labelledby="{name}">'
        f'<table role="table"><caption id="{name}">{escape(table.caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n'
        f'<tbody role="rowgroup">{_rows(table, table.rows)}</tbody>\n'
        f'<tfoot role="rowgroup">{_rows(table, table.feet)}</tfoot></table></div>'
    )


def _rows(table: Table, rows: tuple[Row, ...]) -> str:
    return "\n".join(_row(table, row) for row in rows)


def _row(table: Table, row: Row) -> str:
    kinds = f"{row.weight} brief".strip() if row.brief else row.weight
    span = f' colspan="{len(row.cells) - 1}"' if row.brief else ""
    cells = f'<th scope="row" role="rowheader"{span}>{_cell(row.cells[0])}</th>'
    for cell, column in list(zip(row.cells, table.columns, strict=True))[-1 if row.brief else 1 :]:
        label = f"{column.label}, {column.under}" if column.under else column.label
        cells += f'<td role="cell" data-label="{escape(label)}"{_kind(column)}>{_cell(cell)}</td>'
    kind = f' class="{kinds}"' if kinds else ""
    return f'<tr role="row"{kind}>{cells}</tr>'


def _kind(column: Column) -> str:
    return ' class="n"' if column.number else ""


def _cell(cell: Cell) -> str:
    text = _soft(cell.text)
    if cell.to:
        text = f'<a href="#{cell.to}">{text}</a>'
    return text + _small(cell.under)


def _small(text: str) -> str:
    return f"<small>{_soft(text)}</small>" if text else ""


def _name(text: str) -> str:
    """Its direction of writing is its own, and turns round nothing beside it."""
    return _isolated(escape(text), text)


def _soft(text: str) -> str:
    """A name in a cell, which may go on in the next line where it is one long word."""
    written, done = "", 0
    for word in _LONG_WORD.finditer(text):
        written += escape(text[done : word.start()])
        found = word.group()
        pieces = (found[i : i + _PIECE] for i in range(0, len(found), _PIECE))
        written += "<wbr>".join(map(escape, pieces))
        done = word.end()
    return _isolated(written + escape(text[done:]), text)


def _isolated(written: str, text: str) -> str:
    return written if text.isascii() else f"<bdi>{written}</bdi>"
