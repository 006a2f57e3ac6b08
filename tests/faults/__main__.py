"""`python -m tests.faults`: the sweeps, and their table in docs/reliability.md.

Without --quick everything is swept, which takes about an hour, and the table is written.
"""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.faults import table
from tests.faults.agents import ROWS as AGENT
from tests.faults.cases import Row
from tests.faults.clocks import ROWS as CLOCKS
from tests.faults.crowd import ROWS as CROWDS
from tests.faults.disks import ROWS as DISKS
from tests.faults.errors import ROWS as ERRORS
from tests.faults.guard import ROWS as GUARD
from tests.faults.kills import ROWS as KILLS
from tests.faults.late import ROWS as LATE
from tests.faults.mutants import rows as mutants
from tests.faults.names import ROWS as NAMES
from tests.faults.weather import ROWS as STORMS
from tests.faults.world import World, make_world

ROWS = (
    *KILLS,
    *ERRORS,
    *CROWDS,
    *LATE,
    *STORMS,
    *CLOCKS,
    *DISKS,
    *NAMES,
    *AGENT,
    *GUARD,
    *mutants(),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the reduced sweep of CI")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--row", action="append", choices=[row.name for row in ROWS])
    parser.add_argument("--report", type=Path, help="write what came of each row there, as JSON")
    asked = parser.parse_args()
    told: dict[str, table.Told] = {}
    broken: dict[str, list[str]] = {}
    world = make_world()
    try:
        for cloud in ("aws", "gcp"):
            world.warm(cloud)
        for row in ROWS:
            if not asked.row or row.name in asked.row:
                told[row.name], broken[row.name] = _sweep(world, row, asked)
    finally:
        world.close()
    if asked.report:
        found = {name: {"cases": told[name].cases, "broken": broken[name]} for name in told}
        asked.report.write_text(json.dumps(found))
    if not asked.quick:
        table.write(ROWS, told)
    return int(any(broken.values()))


def _sweep(world: World, row: Row, asked: argparse.Namespace) -> tuple[table.Told, list[str]]:
    began, count = time.monotonic(), 0
    broken: list[str] = []
    for result in row.run(world, not asked.quick, asked.seed):
        count += 1
        if not result.ok:
            broken.append("\n".join((result.case, *result.wrong, *result.said)))
            print("BROKEN", broken[-1].replace("\n", "\n    "), flush=True)
        if count % 100 == 0:
            print(f"{row.name}: {count}…", flush=True)
    if not asked.quick and count < row.least:
        broken.append(f"{count} cases, and there should be {row.least}")
        print("BROKEN", row.name, broken[-1])
    took = time.monotonic() - began
    print(f"{row.name}: {count} cases, {len(broken)} broken, {took:.0f} s", flush=True)
    when = f"{datetime.now(UTC):%Y-%m-%d}, seed {asked.seed}"
    return table.Told(count, len(broken), when), broken


if __name__ == "__main__":
    sys.exit(main())
