"""The PDF: the same content, the same bytes wherever it is set, and names that are only names."""

import io
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from pypdf import PdfReader

from gpuctl import documents
from gpuctl.core.errors import GpuctlError, UsageProblem
from gpuctl.core.statement import Party, Statement
from gpuctl.documents import paper
from gpuctl.documents.formats import amount, duration
from tests.documents import statements
from tests.documents.statements import march, nothing, retained

pytest.importorskip("typst", reason="the extra pdf is not installed")


def plain_march() -> Statement:
    """March without the name that typst's own fonts cannot set."""
    given = march()
    first, second, third = given.projects
    return given._replace(projects=(first, second._replace(title="Überblick: Verträge"), third))


@cache
def pages(make) -> tuple[str, ...]:
    return read(paper.draw(make()))


def read(drawn: bytes) -> tuple[str, ...]:
    """The text of each page; spaces and breaks are the layout's, so they are left out."""
    sheets = PdfReader(io.BytesIO(drawn)).pages
    return tuple(squeezed(sheet.extract_text()) for sheet in sheets)


def squeezed(text: str) -> str:
    return re.sub(r"[\s\u200b]+", "", text)


@pytest.mark.parametrize("make", [plain_march, march])
def test_every_total_and_session_is_there(make) -> None:
    given, text = make(), "".join(pages(make))
    for value in (given.total, given.net, given.vat):
        assert f"EUR{value}" in text
    for project in given.projects:
        for value in (project.cost, project.billable, project.markup, project.other):
            assert amount(value, "EUR") in text
        assert f"USD{project.cost_usd}" in text
        assert project.project in text
        for line in project.lines:
            assert amount(line.cost, "EUR") in text
        for one in project.sessions:
            row = duration(one.seconds) + min(f"{one.low}", f"{one.high}")
            assert row in text
            assert amount(one.compute, "EUR") in text
            assert amount(one.cost, "EUR") in text
            assert one.machine in text
    for words in ("VAT21%", "1EUR=1.0842USD", "0.9223390518", "2025-031", "NL123456789B01"):
        assert words in text
    assert given.ledger_head in text
    assert all(squeezed(note) in text for note in given.notes)


@pytest.mark.parametrize(("make", "most"), [(march, 7), (retained, 3), (nothing, 1)])
def test_it_has_the_pages_it_needs(make, most: int) -> None:
    found = pages(make)
    assert len(found) <= most
    for i, text in enumerate(found, 1):
        assert f"Page{i}of{len(found)}" in text
    assert all("Statementofcloudcosts" in text for text in found)


def test_a_long_table_names_its_columns_on_every_page() -> None:
    given = plain_march()
    first = given.projects[0]
    long = first._replace(sessions=first.sessions * 15)
    found = read(paper.draw(given._replace(projects=(long, *given.projects[1:]))))
    rows = [text for text in found if "AWSus-east-1a" in text]
    assert len(rows) >= 4
    assert all("howitended" in text for text in rows)


def test_it_is_fit_for_archives_and_readers() -> None:
    book = PdfReader(io.BytesIO(paper.draw(plain_march())))
    assert book.metadata is not None
    assert book.metadata.title == "Statement of cloud costs, ACME Robotics & Söhne GmbH, March 2025"
    assert book.metadata.creation_date == datetime(2025, 4, 3, 9, 12, 44, tzinfo=UTC)
    assert book.root_object["/Lang"] == "en"
    assert book.root_object["/MarkInfo"]["/Marked"]
    meta = book.root_object["/Metadata"].get_data().decode()
    assert "<pdfaid:part>2<" in meta
    assert "<pdfuaid:part>1<" in meta
    width, height = book.pages[0].mediabox[2:]
    assert (round(width), round(height)) == (595, 842)
    fonts = {font for sheet in book.pages for font in fonts_of(sheet)}
    assert {re.sub(r"^/[A-Z]{6}\+", "", font).split("-")[0] for font in fonts} <= {
        "LibertinusSerif",
        "DejaVuSansMono",
    }


def fonts_of(sheet) -> set[str]:
    fonts = sheet["/Resources"].get("/Font", {})
    return {str(font.get_object()["/BaseFont"]) for font in fonts.values()}


ELSEWHERE = """
import sys
from gpuctl.documents import paper
from tests.documents.test_paper import plain_march
sys.stdout.buffer.write(paper.draw(plain_march()))
"""


def test_the_same_bytes_again_and_elsewhere(tmp_path: Path) -> None:
    drawn = paper.draw(plain_march())
    assert documents.draw(plain_march(), "pdf") == drawn
    root = Path(__file__).parents[2]
    env = os.environ | {
        "TZ": "Pacific/Chatham",
        "LC_ALL": "C",
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": str(root),
        "SOURCE_DATE_EPOCH": "1",
    }
    other = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], cwd=tmp_path, env=env, capture_output=True, check=True
    ).stdout
    assert other == drawn


def test_another_statement_gives_other_bytes() -> None:
    later = plain_march()._replace(closed_at=datetime(2025, 4, 4, tzinfo=UTC))
    assert paper.draw(later) != paper.draw(plain_march())


CODE = (
    '#eval("1 + 1")',
    "#panic()",
    '#read("/etc/hostname")',
    "] #pagebreak() [",
    '"), #(1/0) ("',
    "\\ \\u{41} $x^2$ *b* _i_ `c` <label> @ref // no /* no */",
    "= Heading",
    "<svg/onload=alert(1)>&amp;</text><image href='x'/>",
)


@pytest.mark.parametrize("name", CODE)
def test_a_name_is_only_a_name(name: str) -> None:
    given = retained()
    (project,) = given.projects
    sessions = tuple(one._replace(machine=name, type=name) for one in project.sessions)
    project = project._replace(title=name, tags={name: name}, sessions=sessions)
    party = Party(name, (name,), name, name)
    hostile = given._replace(
        projects=(project,), receiver=party, sender=party, invoice=name, notes=(name,)
    )
    text = "".join(read(paper.draw(hostile)))
    # Party, address, tax number and contact twice; invoice, note; title, tag and machine.
    assert text.count(squeezed(name)) >= 13


def test_letters_that_no_font_has_stop_nothing() -> None:
    given = retained()._replace(notes=("契約書 \N{TEST TUBE} \ue000 \ufeff",))
    text = "".join(read(paper.draw(given)))
    assert amount(given.total, "USD") in text


@settings(max_examples=4)
@given(statements.statements())
def test_any_statement_can_be_set(given: Statement) -> None:
    text = "".join(read(paper.draw(given)))
    assert f"{given.currency}{amount(given.total, given.currency)}" in text


def test_without_typst_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(UsageProblem) as caught:
        paper.draw(nothing())
    assert "pip install 'gpuctl[pdf]'" in (caught.value.hint or "")


def test_what_typst_does_not_take_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "_template", lambda: b'#panic("no")')
    with pytest.raises(GpuctlError, match="typst could not set the statement") as caught:
        paper.draw(nothing())
    assert caught.value.hint == "gpuctl report --format html"


def test_the_data_is_text_alone() -> None:
    """Nothing that typst would have to reckon: no number, and no name of a file."""

    def leaves(value) -> set[type]:
        if isinstance(value, dict):
            return set().union(*map(leaves, value.values()))
        if isinstance(value, list):
            return set().union(*map(leaves, value))
        return {type(value)}

    data = json.loads(json.dumps(paper._data(paper.sheet(march()))))
    assert leaves(data) <= {str, bool, type(None)}
    assert Decimal not in leaves(data)
