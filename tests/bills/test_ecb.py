"""The ECB's rates: its files read strictly, a day's rate or the last before it, kept, fetched."""

import contextlib
import io
import threading
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.bills.ecb import ALL, RECENT, Unreadable, from_file, rate_in, read_table
from gpuctl.bills.ecb_kept import Ecb, fetch
from gpuctl.core.errors import GpuctlError, UsageProblem

CSV = """Date,USD,JPY,GBP,ISK,
2025-03-31,1.0815,161.6,0.83536,N/A,
2025-03-28,1.0797,162.23,0.83433,142.9,
2025-03-27,1.0785,162.6,0.8331,143.1,
"""
XML = """<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"
 xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
 <gesmes:subject>Reference rates</gesmes:subject>
 <Cube><Cube time="2025-03-31"><Cube currency="USD" rate="1.0815"/>
 <Cube currency="GBP" rate="0.83536"/></Cube>
 <Cube time="2025-03-28"><Cube currency="USD" rate="1.0797"/></Cube></Cube>
</gesmes:Envelope>
"""
MARCH_31 = date(2025, 3, 31)


def zipped(text, name="eurofxref-hist.csv"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, text)
    return out.getvalue()


@pytest.mark.parametrize("data", [CSV.encode(), zipped(CSV), CSV.replace("\n", "\r\n").encode()])
def test_all_days_as_csv_or_zipped(data):
    table = read_table(data)
    assert (table.first, table.last) == (date(2025, 3, 27), MARCH_31)
    assert table.days[MARCH_31] == {
        "USD": Decimal("1.0815"), "JPY": Decimal("161.6"), "GBP": Decimal("0.83536"),
    }  # fmt: skip


def test_days_as_xml():
    table = read_table(XML.encode())
    assert sorted(table.days) == [date(2025, 3, 28), MARCH_31]
    assert table.days[MARCH_31]["GBP"] == Decimal("0.83536")


def test_a_dollar_is_worth_another_currency_by_way_of_the_euro():
    table = read_table(CSV.encode())
    euro = rate_in(table, "EUR", MARCH_31, "ECB")
    assert (euro.per_usd, euro.day) == (1 / Fraction("1.0815"), MARCH_31)
    assert (euro.quoted, euro.source, euro.notes) == ("1 EUR = 1.0815 USD", "ECB", ())
    pound = rate_in(table, "GBP", MARCH_31, "ECB")
    assert pound.per_usd == Fraction("0.83536") / Fraction("1.0815")
    assert pound.quoted == "1 EUR = 1.0815 USD, 0.83536 GBP"


def test_a_day_without_a_rate_has_the_last_before_it():
    table = read_table(CSV.encode())
    assert rate_in(table, "EUR", date(2025, 3, 30), "ECB").day == date(2025, 3, 28)
    # A currency that was not quoted on a day has its own last day.
    assert rate_in(table, "ISK", MARCH_31, "ECB").day == date(2025, 3, 28)
    assert rate_in(table, "EUR", date(2025, 3, 26), "ECB") is None
    assert rate_in(table, "XAU", MARCH_31, "ECB") is None
    old = rate_in(table, "EUR", date(2025, 4, 6), "ECB")
    [note] = old.notes
    assert note == ("the exchange rate is of 2025-03-31, the last that was known before 2025-04-06")
    assert rate_in(table, "EUR", date(2025, 4, 5), "ECB").notes == ()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "line 1: the header"),
        (b"Date,\n", "line 1: the header"),
        (b"Day,USD\n2025-03-31,1.1\n", "line 1: the header"),
        (b"Date,Dollar\n2025-03-31,1.1\n", "line 1: the header"),
        (b"Date,USD,\n", "no day with a rate"),
        (b"Date,USD,\n31/03/2025,1.1,\n", "line 2: '31/03/2025' is no day"),
        (b"Date,USD,\n2025-03-31,1;1,\n", "line 2: USD is '1;1', and no rate"),
        (b"Date,USD,\n2025-03-31,0,\n", "line 2: USD is '0', and no rate"),
        (b"Date,USD,\n2025-03-31,-1.1,\n", "line 2: USD is '-1.1', and no rate"),
        (b"Date,USD,JPY\n2025-03-31,1.1\n", "line 2: 2 rates were expected"),
        (b"Date,USD,\n2025-03-31,1.1,7,\n", "line 2: 1 rates were expected"),
        (b"Date,USD,\n2025-03-31,1.1,\n2025-03-31,1.1,\n", "line 3: 2025-03-31 is there twice"),
        (b"Date,USD,USD,\n2025-03-31,1.1,1.1,\n", "line 2: USD is there twice"),
        (b"Date,USD,\n2025-03-31,\xff,\n", "not UTF-8"),
        (b"<html><body>503</body></html>", "no day with a rate"),
        (b"<html>", "not XML"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "declares no entities"),
        (XML.replace("GBP", "Pound").encode(), "'Pound' is no currency"),
        (XML.replace("2025-03-28", "yesterday").encode(), "'yesterday' is no day"),
        (b"PK\x03\x04 damaged", "the ZIP is damaged"),
        (zipped(CSV, "readme.txt"), "a ZIP of one CSV"),
        (zipped("0" * (65 << 20)), "more than rates can be"),
    ],
)  # fmt: skip
def test_what_is_not_the_ecbs_is_refused_with_its_place(data, reason):
    with pytest.raises(Unreadable, match=reason):
        read_table(data)


@given(
    st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode(errors="replace"))
)
def test_anything_at_all_is_rates_or_a_reason(data):
    with contextlib.suppress(Unreadable):
        assert read_table(data).days


def test_a_file_of_the_users(tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text(CSV)
    assert from_file(path, "EUR", MARCH_31).source == "ECB, rates.csv"
    with pytest.raises(UsageProblem, match="no rate of USD and EUR on 2025-03-01 or before"):
        from_file(path, "EUR", date(2025, 3, 1))
    path.write_text("nonsense")
    with pytest.raises(UsageProblem, match=r"rates\.csv: line 1"):
        from_file(path, "EUR", MARCH_31)
    with pytest.raises(UsageProblem, match="cannot be read"):
        from_file(tmp_path / "absent.csv", "EUR", MARCH_31)


# --- kept and fetched -----------------------------------------------------------------------


class Bank:
    """A bank that counts how often it is asked."""

    def __init__(self, data):
        self.data = data
        self.asked = []
        self.closed = None

    def __call__(self, address):
        self.asked.append(address.rpartition("/")[2])
        if self.closed is not None:
            raise self.closed
        return self.data


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


NOON = datetime(2025, 4, 1, 12, tzinfo=UTC)


@pytest.fixture
def bank():
    return Bank(XML.encode())


@pytest.fixture
def clock():
    return Clock(NOON)


@pytest.fixture
def ecb(tmp_path, bank, clock):
    return Ecb(tmp_path / "cache", clock, bank, "https://bank.example/")


def test_rates_are_fetched_once(ecb, bank):
    for _ in range(3):
        assert ecb.rate("EUR", MARCH_31).day == MARCH_31
    assert bank.asked == [RECENT]


def test_a_day_long_ago_needs_the_whole_history(ecb, bank, clock):
    bank.data = zipped(CSV)
    clock.now = NOON + timedelta(days=90)
    assert ecb.rate("EUR", MARCH_31).per_usd == 1 / Fraction("1.0815")
    assert bank.asked == [ALL]


def test_a_day_that_may_still_get_its_rate_is_asked_for_again_after_some_hours(ecb, bank, clock):
    today = NOON.date()
    assert ecb.rate("EUR", today).day == MARCH_31
    clock.now = NOON + timedelta(hours=5)
    ecb.rate("EUR", today)
    assert len(bank.asked) == 1
    clock.now = NOON + timedelta(hours=7)
    ecb.rate("EUR", today)
    assert len(bank.asked) == 2
    # Fetched the day after, it is final: a Sunday never gets one.
    clock.now = NOON + timedelta(days=2)
    ecb.rate("EUR", today)
    clock.now = NOON + timedelta(days=9)
    ecb.rate("EUR", today)
    assert len(bank.asked) == 3


def test_offline_the_copy_serves_and_says_so(ecb, bank, clock):
    ecb.rate("EUR", MARCH_31)
    bank.closed = OSError("no route to host")
    clock.now = NOON + timedelta(days=3)
    rate = ecb.rate("EUR", date(2025, 4, 3))
    assert rate.day == MARCH_31
    [note] = rate.notes
    assert note.startswith("the exchange rate is of 2025-03-31, from a copy fetched on 2025-04-01")


def test_offline_without_a_copy_says_what_to_type(ecb, bank):
    bank.closed = OSError("no route to host")
    with pytest.raises(GpuctlError, match="in EUR is not known: no route to host") as refused:
        ecb.rate("EUR", MARCH_31)
    assert "--rate 0.92" in refused.value.hint
    assert "--rates FILE" in refused.value.hint


def test_nothing_is_fetched_where_that_is_not_allowed(tmp_path, clock):
    with pytest.raises(GpuctlError, match="nothing is fetched from here"):
        Ecb(tmp_path, clock, None).rate("EUR", MARCH_31)


def test_a_bank_that_talks_nonsense_leaves_the_copy_as_it_was(ecb, bank, clock):
    ecb.rate("EUR", MARCH_31)
    bank.data = b"<html>maintenance"
    clock.now = NOON + timedelta(days=3)
    assert ecb.rate("EUR", date(2025, 4, 3)).notes
    assert ecb.rate("EUR", MARCH_31).notes == ()


def test_a_damaged_copy_is_fetched_again(ecb, bank, tmp_path):
    ecb.rate("EUR", MARCH_31)
    (tmp_path / "cache" / RECENT).write_bytes(b"cut of")
    assert ecb.rate("EUR", MARCH_31).day == MARCH_31
    assert len(bank.asked) == 2


def test_a_currency_that_the_bank_does_not_quote(ecb):
    with pytest.raises(GpuctlError, match="in XYZ is not known: the ECB has no rate of it"):
        ecb.rate("XYZ", MARCH_31)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, body = self.server.answers.get(self.path, (404, b"no such file"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    made = HTTPServer(("127.0.0.1", 0), Handler)
    made.answers = {}
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_over_http_for_real(server, tmp_path, clock):
    root = f"http://127.0.0.1:{server.server_port}/"
    server.answers[f"/{RECENT}"] = (200, XML.encode())
    assert Ecb(tmp_path, clock, fetch, root).rate("EUR", MARCH_31).day == MARCH_31
    assert (tmp_path / RECENT).read_bytes() == XML.encode()
    server.answers[f"/{ALL}"] = (503, b"")
    with pytest.raises(GpuctlError, match="the ECB answers 503"):
        Ecb(tmp_path, clock, fetch, root).rate("EUR", date(2024, 1, 1))
    server.answers[f"/{ALL}"] = (200, b"0" * (9 << 20))
    with pytest.raises(GpuctlError, match="larger than rates can be"):
        Ecb(tmp_path, clock, fetch, root).rate("EUR", date(2024, 1, 1))
    with pytest.raises(GpuctlError, match="the ECB cannot be reached"):
        Ecb(tmp_path, clock, fetch, "http://127.0.0.1:1/").rate("EUR", date(2024, 1, 1))
