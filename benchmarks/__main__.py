"""`python -m benchmarks [NAME]...`: run the benchmarks, print tables, exit 0 whatever they say.

A timed test fails on a busy day; these are for reading, and for comparing two commits.
"""

import importlib
import pkgutil
import sys

import benchmarks
from benchmarks.table import table

NOT_BENCHMARKS = {"__main__", "cpu", "table"}


def names() -> list[str]:
    """Every benchmark there is."""
    found = {module.name for module in pkgutil.iter_modules(benchmarks.__path__)}
    return sorted(found - NOT_BENCHMARKS)


def main(wanted: list[str]) -> None:
    """Run those wanted, or all."""
    for name in wanted or names():
        module = importlib.import_module(f"benchmarks.{name}")
        print(table(module.TITLE, module.measure()), end="\n\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
