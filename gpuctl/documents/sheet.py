"""A statement as it is laid out, on the screen or on paper: words and tables, ready to be drawn.

`statement_sheet.py` makes it, so that the page and the paper say the same; `page.py` and
`paper.py` only draw. Every text is for people; nothing in it is markup.
"""

from typing import NamedTuple

from gpuctl.core.statement import Party
from gpuctl.documents.drawing import Drawing
from gpuctl.documents.formats import plain


class Cell(NamedTuple):
    """`under` is a second, smaller line; `to` names the section that tells more."""

    text: str
    under: str = ""
    to: str = ""


class Column(NamedTuple):
    """Numbers are set to the right, digit below digit."""

    label: str
    under: str = ""
    number: bool = False


class Row(NamedTuple):
    """The first cell names the row."""

    cells: tuple[Cell, ...]
    weight: str = ""
    """`part` or `total`, for the rows at the foot."""

    @property
    def brief(self) -> bool:
        """A name and the last figure alone."""
        return not any(cell.text for cell in self.cells[1:-1])


class Table(NamedTuple):
    """`folded` = the screen shows these words first, and the table when asked to.

    `wordy` = words in most columns, so that these need room beside the first.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    feet: tuple[Row, ...] = ()
    folded: str = ""
    wordy: bool = False


class Facts(NamedTuple):
    """Names and values."""

    pairs: tuple[tuple[str, str], ...]


class Key(NamedTuple):
    """What a colour, texture or line of a chart stands for."""

    drawing: Drawing
    label: str


class Figure(NamedTuple):
    """A chart; `words` says in a sentence what is to be seen in it."""

    name: str
    title: str
    words: str
    drawing: Drawing
    keys: tuple[Key, ...] = ()


class Gallery(NamedTuple):
    """Small charts side by side, all read the same way."""

    name: str
    title: str
    words: str
    figures: tuple[Figure, ...]
    keys: tuple[Key, ...] = ()


class Words(NamedTuple):
    """A paragraph."""

    text: str


class Remarks(NamedTuple):
    """A list of sentences."""

    title: str
    items: tuple[str, ...]


Block = Words | Remarks | Facts | Table | Figure | Gallery


class Section(NamedTuple):
    """`under` is the smaller line below its title."""

    name: str
    title: str
    under: str
    blocks: tuple[Block, ...]


class Address(NamedTuple):
    """A party as its letter has it: the name, then lines."""

    role: str
    name: str
    lines: tuple[str, ...]


def address_of(role: str, party: Party) -> Address:
    """A party's address, with its VAT number and whom to ask."""
    lines = [plain(line) for line in party.address]
    if party.vat:
        lines.append(f"VAT {plain(party.vat)}")
    if party.contact:
        lines.append(plain(party.contact))
    return Address(role, plain(party.name), tuple(lines))


class Sheet(NamedTuple):
    """All of it, in order."""

    title: str
    period: str
    sender: Address | None
    receiver: Address
    facts: Facts
    label: str
    amount: str
    under: str
    state: str
    state_words: str
    figures: Facts
    sections: tuple[Section, ...]
    head: str
    head_words: str

    @property
    def name(self) -> str:
        """What the document is called in a list of documents."""
        whole = f"{self.title}, {self.receiver.name}, {self.period}"
        return whole.replace("\N{NO-BREAK SPACE}", " ")
