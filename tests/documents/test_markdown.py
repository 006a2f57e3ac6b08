"""Markdown: what is read back from it is what was written, and its tables add up."""

import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.documents import draw
from gpuctl.documents.formats import MINUS, plain
from tests.documents.statements import HOSTILE, march, nothing, retained, statements, texts

markdown_it = pytest.importorskip("markdown_it", reason="no Markdown reader here")


def read(made):
    """(headings, list items, tables): tables as rows of cells, all as plain text."""
    tokens = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).parse(draw(made, "md").decode())
    headings, items, tables, inside = [], [], [], []
    for token in tokens:
        if token.type.endswith("_open"):
            inside.append(token.type.removesuffix("_open"))
            if token.type == "table_open":
                tables.append([])
            if token.type == "tr_open":
                tables[-1].append([])
        elif token.type.endswith("_close"):
            inside.pop()
        elif token.type == "inline":
            text = shown(token)
            if "table" in inside:
                tables[-1][-1].append(text)
            elif "heading" in inside:
                headings.append(text)
            elif "list_item" in inside:
                items.append(text)
        else:
            assert token.type == "hr", token
    return headings, items, tables


def shown(token):
    text = ""
    for child in token.children:
        assert child.type in (
            "text",
            "strong_open",
            "strong_close",
            "code_inline",
            "text_special",
        ), child
        text += child.content
    return text


def number(text):
    return Decimal(text.replace(",", "").replace(MINUS, "-"))


def adds_up(table):
    *parts, whole = [number(row[-1]) for row in table[1:]]
    return sum(parts, Decimal(0)) == whole


@pytest.mark.parametrize("make", [march, retained, nothing])
def test_tables_add_up(make):
    made = make()
    _, _, (summary, *tables) = read(made)
    figures = {row[0]: row[-1] for row in summary}
    assert number(figures["total"]) == made.total
    assert number(figures["net"]) == made.net
    names = [project.project for project in made.projects]
    beside = [number(value) for name, value in figures.items() if name.startswith(("fee", "round"))]
    assert sum((number(figures[name]) for name in names), sum(beside)) == made.net
    assert len(tables) == 2 * len(names)
    assert all(adds_up(table) for table in tables)
    for row in summary[1:]:
        if row[1]:
            cost, left_out, markup, asked = (number(cell) for cell in row[1:])
            assert cost + left_out + markup == asked


@pytest.mark.parametrize(
    ("basis", "words"),
    [("estimated", "estimated,"), ("settled", "settled,"), ("mixed", "partly settled,")],
)
def test_the_status_is_in_words_for_clients(basis, words):
    items = read(march()._replace(basis=basis))[1]
    assert any(item.startswith(f"Status: {words}") for item in items), items


def test_who_asks_for_what_is_said():
    headings, items, tables = read(march())
    assert headings[0] == "ACME Robotics & Söhne GmbH: cloud costs, March\xa02025"
    assert "Łukasz Żółć | Machine Learning, Keizersgracht 1" in items[0]
    assert any("1 EUR = 1.0842 USD (ECB, 31\xa0March\xa02025)" in item for item in items)
    assert any(item.startswith("the end of i-0a1b2c3d4e5f60718") for item in items)
    assert ["po", "4500012345"] in [item.split(": ") for item in items]
    assert any(row[4] == "the cloud: free" for row in tables[2])
    assert any(row[3] == "runs on" for row in tables[2])
    assert ["Disk: gp3", "12.345678 GB-months", "0.08", "0.57"] in tables[1]
    assert tables[1][-2][:3] == [
        "Correction: 2025-02: the bill asked 1.49 USD less for i-0b1c2d3e4f",
        "",
        "\N{EN DASH}",
    ]


def test_what_ran_on_the_clients_own_account_is_told_and_in_no_total():
    _, items, _ = read(march()._replace(own_account=Decimal("12.30")))
    assert "On your own cloud account, in no total here: 12.30 USD" in items


@given(statements())
@settings(max_examples=60)
def test_any_statement_can_be_read_back(made):
    headings, _, tables = read(made)
    expected = 1 + sum(1 + bool(project.sessions) for project in made.projects)
    assert len(tables) == expected
    assert all(adds_up(table) for table in tables[1:])
    assert {len(row) for row in tables[0]} == {5}
    assert number({row[0]: row[-1] for row in tables[0]}["total"]) == made.total
    assert len(headings) == 1 + len(made.projects) + bool(made.notes)


@given(texts() | st.text("|*_`~<>[]()!#&\\-+.:/1a =$@\n", max_size=30))
@settings(max_examples=150)
def test_a_name_is_shown_as_it_is(name):
    made = march()
    project = made.projects[0]._replace(title=name)
    headings, _, _ = read(made._replace(projects=(project,), notes=(name,) if plain(name) else ()))
    title = plain(name)
    assert headings[1] == (f"acme/vision: {title}" if name else "acme/vision").rstrip()


def test_no_mark_of_a_name_is_markup():
    for name in HOSTILE:
        _, items, _ = read(march()._replace(notes=(name,)))
        if plain(name):
            assert items[-1] == plain(name)
    text = draw(march()._replace(notes=("<b>x</b> &amp; http://a.b",)), "md").decode()
    assert not re.search(r"(?<!\\)<b>|(?<!\\)&amp;|(?<!\\)://", text)
