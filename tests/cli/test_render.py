"""What the command line prints as CSV: it can be read back, and nothing in it runs."""

import csv
import io
import re

from hypothesis import given
from hypothesis import strategies as st

from gpuctl.cli.render import as_csv, plain


def read(records):
    return list(csv.DictReader(io.StringIO(as_csv(records), newline=""), strict=True))


def test_numbers_stay_numbers_and_formulas_become_text():
    record = {
        "cost": "-1.20",
        "rate": "0.918",
        "note": "=HYPERLINK(A1)",
        "resource": "@x",
        "project": None,
        "settled": True,
        "zones": ["us-east-1a"],
    }
    assert read([record]) == [
        {
            "cost": "-1.20",
            "rate": "0.918",
            "note": "'=HYPERLINK(A1)",
            "resource": "'@x",
            "project": "",
            "settled": "true",
            "zones": '["us-east-1a"]',
        }
    ]


def test_records_may_have_columns_of_their_own():
    assert as_csv([{"a": "1"}, {"b": "x,y"}]) == 'a,b\n1,\n,"x,y"\n'


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=4))
def test_any_text_can_be_read_back_and_runs_nowhere(pairs):
    records = [{"name": name, "note": note} for name, note in pairs]
    for row, (name, note) in zip(read(records), pairs, strict=True):
        for found, text in ((row["name"], name), (row["note"], note)):
            assert found in (plain(text), "'" + plain(text))
            if found[:1] in ("=", "+", "@", "-", "\t", "\n"):
                assert re.fullmatch(r"-[0-9]+(\.[0-9]+)?", found)
