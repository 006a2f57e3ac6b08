"""A quote as a page: all that a client must know, on one sheet, and nothing of our own."""

import io
from datetime import timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from gpuctl.core.quoting.quote import Amounts
from gpuctl.core.statement import Party
from gpuctl.documents.quotes import draw
from tests.core.quoting.quotes import NOW, a_quote


class Text(HTMLParser):
    """What is to be read on a page."""

    def __init__(self):
        super().__init__()
        self.words, self.skips = [], 0

    def handle_starttag(self, tag, attrs):
        self.skips += tag == "style"

    def handle_endtag(self, tag):
        self.skips -= tag == "style"

    def handle_data(self, data):
        if not self.skips:
            self.words.append(data)


def html(quote):
    reader = Text()
    reader.feed(draw(quote, "html").decode())
    return " ".join(" ".join(reader.words).split())


def pages(quote):
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    pytest.importorskip("typst", reason="typst is not installed")
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(draw(quote, "pdf"))).pages]


FULL = a_quote(sender=Party("Ada Freelance", ("Keizersgracht 1",), "NL123456789B01", "a@b.example"))


@pytest.mark.parametrize(
    "words",
    [
        "Ada Freelance", "ACME GmbH", "Shelf detection", "acme/vision",
        "EUR 35.27 \N{EN DASH} 52.90",
        "At most EUR 63.48, if it takes no more than 40.5 hours", "Valid until 16 March 2026",
        "25 \N{EN DASH} 40.5 h", "To be done by 5 March 2026, 09:00 UTC", "64.01", "76.81",
        "1 USD = 0.92 EUR (ECB, 2 March 2026)", "It is so.",
    ],
)  # fmt: skip
def test_it_says_who_offers_what_to_whom_and_at_what_price(words):
    assert words in html(FULL)


def test_nothing_of_our_own_is_in_it():
    text = html(FULL)
    for inner in ("15", "markup", "33.3", "USD 5", "50.00"):
        assert inner not in text.lower(), inner


def test_vat_is_left_out_where_there_is_none():
    text = html(a_quote(vat_rate=None))
    assert "VAT is not part of this quote" in text
    assert "With VAT" not in text


def test_without_a_deadline_the_finish_is_told():
    text = html(a_quote(deadline=None, hours=(Decimal(30), Decimal(30))))
    assert "Begun today, done by 5 Mar 2026" in text
    assert "Computing 30 h" in text
    assert "not within 60 days" in html(a_quote(deadline=None, finish_p90=None))


def test_one_price_is_said_once():
    same = Amounts(*[Decimal("63.48")] * 3)
    assert "Estimate, without VAT EUR 63.48 At most" in html(a_quote(price=same))


def test_names_are_never_markup():
    text = draw(a_quote(title="<b>x</b>", receiver=Party("<script>")), "html").decode()
    assert "<b>x</b>" not in text
    assert "<script>" not in text


def test_the_paper_is_one_page_and_the_same_each_time():
    [page] = pages(FULL)
    for words in ("Quote for cloud computing", "52.90", "Valid until 16 March 2026", "It is so."):
        assert words in page.replace("\N{NO-BREAK SPACE}", " ")
    assert draw(FULL, "pdf") == draw(FULL, "pdf")


def test_a_long_quote_is_still_one_page():
    basis = FULL.basis._replace(
        assumed=("What is assumed takes up a line, or a second one " * 3,) * 7
    )
    large = Amounts(Decimal("123456.78"), Decimal("234567.89"), Decimal("345678.90"))
    late = NOW + timedelta(days=300)
    quote = FULL._replace(basis=basis, price=large, title="A title " * 6, deadline=late)
    assert len(pages(quote)) == 1
    assert 'class="amount long"' in draw(quote, "html").decode()


def test_there_is_no_other_form():
    with pytest.raises(ValueError, match="html or pdf"):
        draw(FULL, "docx")
