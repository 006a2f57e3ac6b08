"""The formats there are, and what holds for each of them."""

import pytest

from gpuctl.documents import FORMATS, draw, suffix
from tests.documents.statements import march, retained

TEXT = [name for name in FORMATS if name not in ("html", "pdf")]


@pytest.mark.parametrize("name", TEXT)
def test_the_same_statement_is_the_same_bytes(name):
    assert draw(march(), name) == draw(march(), name)


@pytest.mark.parametrize("name", TEXT)
def test_nothing_of_another_client_is_in_it(name):
    text = draw(march(), name).decode()
    assert "acme" in text.lower()
    assert "borealis" not in text.lower()
    draw(retained(), name)
    assert draw(march(), name).decode() == text, "drawing keeps nothing"


@pytest.mark.parametrize("name", [name for name in TEXT if name != "xero"])
def test_what_the_client_should_know_is_in_it(name):
    text = draw(march(), name).decode()
    assert "the end of i-0a1b2c3d4e5f60718 at 2025-03-07T11:11:11Z is uncertain" in text


def test_files_are_named_by_their_format():
    names = [suffix(name) for name in FORMATS]
    assert names == [".md", ".csv", ".html", ".pdf", ".journal", ".beancount", ".xero.csv"]


def test_an_unknown_format_names_those_there_are():
    with pytest.raises(ValueError, match="'doc' is no format: it is one of md, csv, html"):
        draw(march(), "doc")
    with pytest.raises(ValueError, match="'doc' is no format"):
        suffix("doc")
