"""`python -m tests.faults`: the sweeps, their table, and docs/reliability.md."""

import argparse
import json
import sys
import time
from pathlib import Path

from tests.faults.clocks import ROWS as CLOCKS
from tests.faults.crowd import ROWS as CROWDS
from tests.faults.disks import ROWS as DISKS
from tests.faults.errors import ROWS as ERRORS
from tests.faults.kills import ROWS as KILLS
from tests.faults.mutants import rows as mutants
from tests.faults.weather import ROWS as STORMS
from tests.faults.world import make_world

ROWS = (*KILLS, *ERRORS, *CROWDS, *STORMS, *CLOCKS, *DISKS, *mutants())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the reduced sweep of CI")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--row", action="append", choices=[row.name for row in ROWS])
    parser.add_argument("--only", default="", help="cases whose name has this in it are shown")
    parser.add_argument("--stop", action="store_true", help="stop at the first failure")
    asked = parser.parse_args()
    world = make_world()
    bad = 0
    try:
        for cloud in ("aws", "gcp"):
            world.warm(cloud)
        for row in ROWS:
            if asked.row and row.name not in asked.row:
                continue
            began, count, failed = time.monotonic(), 0, 0
            for result in row.run(world, not asked.quick, asked.seed):
                count += 1
                if count % 100 == 0:
                    print(f"{row.name}: {count}…", flush=True)
                if not result.ok:
                    failed += 1
                    print(f"FAILED {result.case}")
                    for line in (*result.wrong, *result.said):
                        print("   ", line.replace("\n", "\n    "))
                    sys.stdout.flush()
                    if asked.stop:
                        return 1
            bad += failed
            took = time.monotonic() - began
            print(f"{row.name}: {count} cases, {failed} failed, {took:.0f} s", flush=True)
    finally:
        world.close()
    return int(bool(bad))


__all__ = ["Path", "json", "main"]

if __name__ == "__main__":
    sys.exit(main())
