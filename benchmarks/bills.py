"""Real bills: five million rows of a CUR to resources and days, beside DuckDB's own grouping."""

import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

from benchmarks.table import Row

TITLE = "Reading a bill: 5 million rows of a gzipped CUR (smallest of all rounds)"
ROUNDS = int(os.environ.get("BENCH_BILL_ROUNDS", "2"))
THINGS = int(os.environ.get("BENCH_BILL_THINGS", "6721"))
"""Billed every hour of 31 days: 6,721 are 5,000,424 rows."""
FILES = 4
GOAL = 1.5
MEMORY_GOAL_MB = 1_500

_DAYS = [date(2025, 3, 1) + timedelta(days=number) for number in range(31)]
_TODAY, _NEXT = b"0000-00-01", b"0000-00-02"

# One day with stand-ins for its dates. The columns that are read, and as many that are not.
_DAY = """
COPY (SELECT
    md5((thing * 24 + hour)::VARCHAR) AS "identity/LineItemId",
    printf('{today}T%02d:00:00Z/{today}T%02d:59:59Z', hour, hour) AS "identity/TimeInterval",
    '' AS "bill/InvoiceId", 'AWS' AS "bill/BillingEntity", 'Anniversary' AS "bill/BillType",
    '111122223333' AS "bill/PayerAccountId",
    '2025-03-01T00:00:00Z' AS "bill/BillingPeriodStartDate",
    '2025-04-01T00:00:00Z' AS "bill/BillingPeriodEndDate",
    (111122223333 + thing % 5)::VARCHAR AS "lineItem/UsageAccountId",
    CASE WHEN thing % 500 = 0 THEN 'Tax' WHEN thing % 200 = 0 THEN 'Credit' ELSE 'Usage' END
        AS "lineItem/LineItemType",
    printf('{today}T%02d:00:00Z', hour) AS "lineItem/UsageStartDate",
    CASE hour WHEN 23 THEN '{next}T00:00:00Z' ELSE printf('{today}T%02d:00:00Z', hour + 1) END
        AS "lineItem/UsageEndDate",
    'AmazonEC2' AS "lineItem/ProductCode",
    (['SpotUsage:g6.xlarge', 'BoxUsage:p3.2xlarge', 'EBS:VolumeUsage.gp3',
      'PublicIPv4:InUseAddress', 'DataTransfer-Out-Bytes'])[1 + thing % 5] AS "lineItem/UsageType",
    'RunInstances' AS "lineItem/Operation", 'us-east-1a' AS "lineItem/AvailabilityZone",
    (['i-0', 'i-0', 'vol-0', 'arn:aws:ec2:us-east-1:111122223333:network-interface/eni-0',
      'i-0'])[1 + thing % 5] || left(md5(thing::VARCHAR), 16) AS "lineItem/ResourceId",
    printf('0.%06d', (thing * 7919 + hour * 104729) % 1000000) AS "lineItem/UsageAmount",
    'USD' AS "lineItem/CurrencyCode", '0.3600000000' AS "lineItem/UnblendedRate",
    CASE WHEN thing % 50 = 7 THEN printf('%d.5E-7', 1 + thing % 9)
        ELSE printf('0.%010d', (thing * 7919 + hour * 104729) % 1000000 * 3600) END
        AS "lineItem/UnblendedCost",
    '0.3600000000' AS "lineItem/BlendedRate", '0.0000000000' AS "lineItem/BlendedCost",
    '$0.36 per hour of a machine in US East (N. Virginia)' AS "lineItem/LineItemDescription",
    'us-east-1' AS "product/regionCode", 'Linux' AS "product/operatingSystem",
    'Hrs' AS "pricing/unit", 'OnDemand' AS "pricing/term",
    (['acme/vision', 'borealis/nlp', 'acme/speech', ''])[1 + thing % 4]
        AS "resourceTags/user:gpuctl:project"
FROM range({things}) AS t(thing), range(24) AS h(hour)) TO '{path}' (FORMAT csv, HEADER)
"""

# A child's own peak: what wait4 tells begins with the size of the process that started it.
_PEAK = """
import resource
try:
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    peak = int(status["VmHWM"].split()[0]) / 1024
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024
"""

_BARE = f"""
import duckdb, json, sys
con = duckdb.connect(config=dict(threads="2", memory_limit="1GiB"))
con.execute("SET preserve_insertion_order = false")
con.execute("SET enable_progress_bar = false")
rows = con.execute('''SELECT "lineItem/ResourceId", substr("lineItem/UsageStartDate", 1, 10),
    sum("lineItem/UnblendedCost"::DECIMAL(38, 18))
    FROM read_csv(?, all_varchar = true, header = true) GROUP BY ALL''', [sys.argv[1]]).fetchall()
cost, count = sum(row[2] for row in rows), len(rows)
{_PEAK}
print(json.dumps([str(cost.normalize()), count, peak]))
"""

_OURS = f"""
import json, sys
from decimal import Decimal
from pathlib import Path
from gpuctl.bills import engine, open_bill
engine._THREADS = 2
bill = open_bill([Path(sys.argv[1]).parent])
cost, count = Decimal(0), 0
for day in bill.days():
    cost, count = cost + day.cost, count + 1
{_PEAK}
print(json.dumps([str(cost.normalize()), count, peak]))
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process of two threads took: seconds of CPU and on the clock; its peak in MB."""

    cpu: float
    wall: float
    peak_mb: float
    cost: str
    groups: int
    failed: bool


def measure() -> Sequence[Row]:
    """Both over the same files, in turn."""
    with tempfile.TemporaryDirectory(prefix="gpuctl-bench-") as directory:
        made = time.perf_counter()
        _make(Path(directory))
        made = time.perf_counter() - made
        pattern = f"{directory}/*.csv.gz"
        taken: dict[str, list[Taken]] = {_BARE: [], _OURS: []}
        for _ in range(ROUNDS):
            for code, rounds in taken.items():
                rounds.append(_run([sys.executable, "-c", code, pattern], os.environ))
    bare, ours = (min(taken[code], key=lambda one: one.wall) for code in (_BARE, _OURS))
    return _rows(bare, ours, made)


def _rows(bare: Taken, ours: Taken, made: float) -> Sequence[Row]:
    if bare.failed or ours.failed:
        return [Row(name="gpuctl: bill to days", unit="s", value=None, goal=GOAL, note="failed")]
    same = "same sum" if bare.cost == ours.cost else "SUMS DIFFER"
    rows = THINGS * 24 * len(_DAYS)
    return [
        Row(
            name="bare GROUP BY resource, day",
            unit="s",
            value=bare.wall,
            note=f"{bare.cpu:.1f} s of CPU, {bare.peak_mb:.0f} MB, {bare.groups:,} groups",
        ),
        Row(
            name="gpuctl: bill to days",
            unit="s",
            value=ours.wall,
            baseline=bare.wall,
            against="bare GROUP BY",
            goal=GOAL,
            note=f"{ours.cpu:.1f} s of CPU ({ours.cpu / bare.cpu:.2f}x), {rows:,} rows, "
            f"{ours.groups:,} days, {same}",
        ),
        Row(name="peak memory", unit="MB", value=ours.peak_mb, goal=MEMORY_GOAL_MB),
        Row(name="making the bill", unit="s", value=made, note="once"),
    ]


def _run(argv: Sequence[str], env: Mapping[str, str]) -> Taken:
    began = time.perf_counter()
    process = subprocess.Popen(argv, env=dict(env), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    cost, groups, peak = ("", 0, 0.0) if process.returncode else json.loads(text)
    cpu = usage.ru_utime + usage.ru_stime
    return Taken(cpu, wall, peak, cost, groups, failed=bool(process.returncode))


def _make(directory: Path) -> None:
    """One day by SQL, and that day again with other dates: 31 members of four gzip files."""
    day = directory / "day"
    words = {"today": _TODAY.decode(), "next": _NEXT.decode(), "things": THINGS, "path": day}
    with duckdb.connect() as connection:
        connection.execute(_DAY.format(**words))
    header, _, body = day.read_bytes().partition(b"\n")
    day.unlink()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda part: _write(directory, part, header + b"\n", body), range(FILES)))


def _write(directory: Path, part: int, header: bytes, body: bytes) -> None:
    with (directory / f"part-{part}.csv.gz").open("wb") as stream:
        for member in (header, *_dated(body, _DAYS[part::FILES])):
            packer = zlib.compressobj(1, wbits=31)
            stream.write(packer.compress(member) + packer.flush())


def _dated(body: bytes, days: Sequence[date]) -> Iterator[bytes]:
    for day in days:
        following = (day + timedelta(days=1)).isoformat().encode()
        yield body.replace(_TODAY, day.isoformat().encode()).replace(_NEXT, following)
