"""A ledger of an older gpuctl is brought up to date, and kept as it was beside the new one."""

import sqlite3
import stat
from datetime import UTC
from pathlib import Path

import pytest

from gpuctl.core.bill import bill, fixed
from gpuctl.core.errors import LedgerError
from gpuctl.core.span import Month
from gpuctl.ledger import schema
from gpuctl.ledger.store import SqliteLedger
from tests.ledger.facts import INSTALL, fact, raw

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def old(tmp_path):
    """A file of schema 1, as it was written in its day."""
    path = tmp_path / "ledger.db"
    path.touch(mode=0o600)
    with raw(path) as db:
        db.executescript((GOLDEN / "schema1.sql").read_text())
    return path


def test_schema_1_is_read_whole_and_by_the_month(old):
    ledger = SqliteLedger(old, install="f" * 32)
    assert ledger.install == INSTALL
    events = ledger.events()
    assert [event.id for event in events] == ["p1", "u1", "u2", "u1/ended/state-reason", "a1"]
    march = Month(2025, 3).span(UTC)
    whole = bill(events, fixed(march), march.end)
    assert whole.total > 0
    assert bill(ledger.events_about(march), fixed(march), march.end) == whole
    assert ledger.verify().ok
    assert ledger.append([fact(1, prefix="b")]) == 1
    ledger.close()


def test_the_file_as_it_was_stays_beside_it(old):
    before = _rows(old)
    SqliteLedger(old, install=INSTALL).events()
    kept = old.with_name("ledger.schema1.db")
    assert _rows(kept) == before == _rows(old)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert _version(kept) == 1
    assert _version(old) == schema.SCHEMA_VERSION
    assert sorted(path.name for path in old.parent.iterdir()) == ["ledger.db", "ledger.schema1.db"]


def test_a_copy_that_is_there_already_is_not_overwritten(old):
    kept = old.with_name("ledger.schema1.db")
    kept.write_text("mine")
    assert len(SqliteLedger(old, install=INSTALL).events()) == 5
    assert kept.read_text() == "mine"


def test_nothing_changes_when_the_copy_cannot_be_made(old, monkeypatch):
    def full(_target):
        raise LedgerError("no space left on device")

    monkeypatch.setattr(schema, "make_private", full)
    with pytest.raises(LedgerError, match="no space left"):
        SqliteLedger(old, install=INSTALL).events()
    assert _version(old) == 1


def test_a_migration_that_breaks_off_leaves_the_old_ledger(old, monkeypatch):
    def broken(_db):
        raise LedgerError("stopped half way")

    with monkeypatch.context() as patch:
        patch.setattr(schema.reach, "rebuild", broken)
        with pytest.raises(LedgerError, match="stopped half way"):
            SqliteLedger(old, install=INSTALL).events()
    assert _version(old) == 1
    assert len(SqliteLedger(old, install=INSTALL).events()) == 5
    assert _version(old) == schema.SCHEMA_VERSION


def test_a_schema_1_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with raw(path) as db:
        db.executescript("CREATE TABLE t (x); PRAGMA user_version = 1;")
    path.chmod(0o600)
    with pytest.raises(LedgerError, match="is not a ledger of gpuctl"):
        SqliteLedger(path, install=INSTALL).events()
    assert [file.name for file in tmp_path.iterdir()] == ["other.db"]


def _rows(path):
    with sqlite3.connect(path) as db:
        return db.execute("SELECT * FROM events ORDER BY seq").fetchall()


def _version(path):
    with sqlite3.connect(path) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]
