"""Several programs at once, a kill in the middle, a full disk: nothing half, nothing lost."""

import itertools
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from gpuctl.core.errors import LedgerError
from gpuctl.ledger.store import SqliteLedger
from tests.ledger.facts import INSTALL, fact, ledger_of

ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from pathlib import Path
from gpuctl.ledger.store import SqliteLedger
from tests.ledger.facts import fact

path, name, batches, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
ledger = SqliteLedger(Path(path), install=name * 32)
for batch in range(batches):
    ledger.append([fact(batch * size + n, name, note="x" * 300) for n in range(size)])
    print(batch, flush=True)
"""


def writer(path, name, batches, size, before=""):
    """A program of its own that appends, and says so after each batch."""
    return subprocess.Popen(
        [sys.executable, "-c", before + WRITER, str(path), name, str(batches), str(size)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_eight_programs_at_once_lose_nothing(tmp_path):
    path = tmp_path / "data" / "ledger.db"
    names = "bcdefghi"
    programs = [writer(path, name, 4, 3) for name in names]
    told = [program.communicate(timeout=100) for program in programs]
    assert [program.returncode for program in programs] == [0] * 8, told
    ledger = SqliteLedger(path, install=INSTALL)
    events = ledger.events()
    assert {e.id for e in events} == {f"{name}{n}" for name in names for n in range(12)}
    verdict = ledger.verify()
    assert (verdict.ok, verdict.events, verdict.head) == (True, 96, ledger.head)
    # One of them made the ledger; all of them use the installation that it was made with.
    assert ledger.install in {name * 32 for name in names}
    # Each batch stands together, in the order in which it was given.
    for _, group in itertools.groupby(events, key=lambda e: (e.id[0], int(e.id[1:]) // 3)):
        assert len(list(group)) == 3
    ledger.close()


def test_a_kill_in_the_middle_leaves_whole_batches(tmp_path):
    chance = random.Random(7)
    for attempt in range(4):
        path = tmp_path / f"{attempt}.db"
        program = writer(path, "b", 10_000, 40)
        assert program.stdout.readline() == "0\n"
        time.sleep(chance.uniform(0, 0.1))
        program.send_signal(signal.SIGKILL)
        said, _ = program.communicate(timeout=30)
        told = int(said.split()[-1]) if said.split() else 0
        ledger = SqliteLedger(path, install=INSTALL)
        verdict = ledger.verify()
        assert verdict.ok, verdict.problems
        events = ledger.events()
        assert len(events) % 40 == 0
        assert [e.id for e in events] == [f"b{n}" for n in range(len(events))]
        # What was told to be written is there; one batch more may be.
        assert len(events) // 40 - (told + 1) in (0, 1)
        assert ledger.append([fact(0, "after")]) == 1
        assert ledger.verify().ok
        ledger.close()


def test_a_kill_while_the_ledger_is_made_can_be_gone_on_from(tmp_path):
    path = tmp_path / "ledger.db"
    path.touch(mode=0o600)
    ledger = SqliteLedger(path, install=INSTALL)
    assert ledger.append([fact(0)]) == 1
    assert (ledger.install, ledger.verify().ok) == (INSTALL, True)
    ledger.close()


def test_a_file_that_may_not_grow_keeps_what_it_has(tmp_path):
    path = tmp_path / "ledger.db"
    ledger_of(path, 3)
    limit = path.stat().st_size + 8192
    before = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
"""
    program = writer(path, "b", 50, 10, before)
    said, complaint = program.communicate(timeout=60)
    assert program.returncode == 1
    assert LedgerError.__name__ in complaint
    assert "cannot be written" in complaint
    ledger = SqliteLedger(path, install=INSTALL)
    verdict = ledger.verify()
    assert (verdict.ok, verdict.events) == (True, 3 + 10 * len(said.split()))
    assert ledger.append([fact(3)]) == 1
    ledger.close()
