"""What cannot be read as it must be is an error that names file, line and column."""

import builtins
import gzip
import json
import subprocess
import sys
from decimal import Decimal

import duckdb
import pytest

from gpuctl.bills import open_bill
from gpuctl.core.errors import ConfigError, UsageProblem
from tests.bills.made import FEED, cur, google, hour, line


@pytest.fixture
def refused(tmp_path):
    def opened(content, name="bill.csv", error=ConfigError):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(error) as caught:
            open_bill([path])
        return str(caught.value).removeprefix(f"{tmp_path}/")

    return opened


@pytest.mark.parametrize("cost", ["1,50", "$1.50", "abc", "1_000", "nan", "1e-60", "1e30"])
def test_a_cost_that_is_no_number(refused, cost):
    text = cur(line(), line(said="two\nlines"), line(), line(cost=f'"{cost}"'), line(cost="x"))
    assert refused(text).startswith(f"bill.csv:6: lineItem/UnblendedCost: {cost!r} ")


def test_in_an_archive_too(refused):
    text = cur(*[line()] * 3_000, line(cost="?"), *[line()] * 3_000)
    assert refused(gzip.compress(text.encode()), "b.gz") == (
        "b.gz:3002: lineItem/UnblendedCost: '?' is not an amount"
    )


@pytest.mark.parametrize("cost", ["", "NULL", "null"])
def test_usage_without_a_cost(refused, cost):
    text = cur(line(kind="Tax", cost=cost), line(), line(cost=cost))
    assert refused(text) == "bill.csv:4: lineItem/UnblendedCost: a row of usage has no cost"


def test_a_cost_in_parquet_has_a_row(refused, tmp_path):
    path = tmp_path / "made.parquet"
    duckdb.connect().execute(
        "COPY (SELECT 'NaN'::DOUBLE AS line_item_unblended_cost,"
        " 'Usage' AS line_item_line_item_type,"
        f" TIMESTAMP '2025-03-10 14:00:00' AS line_item_usage_start_date) TO '{path}'"
    )
    assert refused(path.read_bytes(), "b.parquet") == (
        "b.parquet: line_item_unblended_cost: row 1: 'nan' is not an amount"
    )


@pytest.mark.parametrize(
    "credit", ["[{'name': 'x'}]", "[{'amount': 'much'}]", "oops", "[{'amount': 1e-70}]"]
)
def test_credits_that_cannot_be_taken_apart(refused, credit):
    head = "cost,usage_start_time,credits,currency\n"
    text = f'{head}1,2025-03-10,[],USD\n1,2025-03-10,"{credit}",USD\n'
    assert refused(text).startswith("bill.csv:3: credits: ")


def test_credits_in_json(refused):
    lines = [json.dumps(google()), json.dumps(google(credits=[{"amount": "-1 USD"}]))]
    assert (
        refused("\n".join(lines), "b.jsonl") == "b.jsonl: credits: row 2: '-1 USD' is not an amount"
    )


def test_a_charge_of_the_feed(refused):
    text = FEED + hour("14:05:30", "0.1") + hour("15:05:30", "free")
    assert refused(text) == "bill.csv:4: Charge: 'free' is not an amount"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (cur(line(), line() + ",more"), "bill.csv:3: has 11 values where the header has 10 col"),
        (cur(line(), "Usage,2025-03-10"), "bill.csv:3: has 2 values where the header has 10 col"),
        (cur(line(said='an "open')), "bill.csv:2: has a quote that does not end"),
        (cur(line(resource="café")).encode("latin-1"), "bill.csv:2: is not UTF-8"),
        (cur(line()).encode("utf-16"), "bill.csv: is UTF-16: save it as UTF-8"),
        (b"PK\x03\x04zip", "bill.csv: is a ZIP archive: unpack it first"),
        (b"\x28\xb5\x2f\xfdzstd", "bill.csv: is compressed with zstd: unpack it first"),
        (b"PAR1 and no more", "bill.csv: cannot be read: "),
        (gzip.compress(b"a,b\n" * 99, mtime=0)[:-20], "bill.csv: cannot be read: "),
        ("", "bill.csv: is empty: there is no header"),
        ("a,b,c\n1,2,3\n", "bill.csv: is no bill that can be read"),
        ("# words\nmore\n", "bill.csv: begins with # but has no #Fields: line"),
        ("{not json", "bill.csv: cannot be read: "),
        ("[1, 2]", "bill.csv: is no bill that can be read"),
        (
            cur(line()).replace("lineItem/UnblendedCost", "lineItem/BlendedCost"),
            "bill.csv: looks like AWS Cost and Usage Report, but has no column lineItem/Unbl",
        ),
        (
            "#Fields: InstanceID Charge\ni-1\t1 USD\n",
            "bill.csv: looks like EC2 Spot data feed, but has no column Timestamp",
        ),
    ],
)
def test_what_is_wrong_is_said(refused, content, said):
    assert refused(content).startswith(said)


def test_two_kinds_of_bill_at_once(tmp_path):
    (tmp_path / "a.csv").write_text(cur(line()))
    (tmp_path / "b.csv").write_text("BilledCost,ChargePeriodStart\n1,2025-03-10\n")
    with pytest.raises(UsageProblem, match=r"a.csv is AWS Cost and Usage Report; b.csv is FOCUS"):
        open_bill([tmp_path])


def test_nothing_to_read(tmp_path):
    for paths, said in (
        ([], "no bill was named"),
        ([tmp_path], "there is no bill in"),
        ([tmp_path / "none.csv"], "there is no file"),
    ):
        with pytest.raises(UsageProblem, match=said):
            open_bill(paths)


def test_without_duckdb_the_command_that_installs_it(tmp_path, monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == "duckdb":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UsageProblem) as caught:
        open_bill([tmp_path])
    assert "DuckDB, which is not installed" in str(caught.value)
    assert "pip install 'gpuctl[billing]'" in caught.value.hint
    assert caught.value.exit_code == 2


def test_nothing_of_a_bill_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "bill.csv").write_bytes(cur(line(), line()).encode().replace(b"\n", b"\r\n", 1))
    bill = open_bill([tmp_path / "bill.csv"])
    assert [day.cost for day in bill.days()] == [Decimal("1.6096")]
    assert list((tmp_path / "tmp").iterdir())
    del bill
    assert not list((tmp_path / "tmp").iterdir())


def test_duckdb_is_loaded_only_when_a_bill_is_read():
    code = "import sys, gpuctl.bills, gpuctl.bills.opening; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
