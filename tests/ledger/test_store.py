"""Facts on disk: all or nothing, never changed, nobody else's business."""

import gc
import os
import sqlite3
import stat
import sys
import threading
from decimal import Decimal

import pytest

from gpuctl.core.errors import LedgerError
from gpuctl.ledger import store
from gpuctl.ledger.chain import GENESIS, link
from gpuctl.ledger.store import SqliteLedger
from tests.ledger.facts import INSTALL, fact, ledger_of, raw


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "ledger.db"


@pytest.fixture
def ledger(path):
    ledger = SqliteLedger(path, install=INSTALL)
    yield ledger
    ledger.close()


def test_what_is_appended_is_read_back_in_order_by_anybody(ledger, path):
    facts = [fact(2), fact(0), fact(1, note='März 😀 "x"\n')]
    assert ledger.head == GENESIS
    assert ledger.append(iter(facts)) == 3
    assert ledger.append([]) == 0
    assert ledger.events() == facts
    other = SqliteLedger(path, install="f" * 32)
    assert (other.events(), other.head, other.install) == (facts, ledger.head, INSTALL)
    assert other.location == str(path)
    other.close()


def test_many_are_read_like_few_and_cycles_are_looked_for_again(ledger, monkeypatch):
    monkeypatch.setattr("gpuctl.ledger.chained._MANY", 2)
    monkeypatch.setattr("gc.freeze", lambda: None)  # of this process, for good
    facts = [fact(number) for number in range(3)]
    ledger.append(facts)
    assert ledger.events() == facts
    assert gc.isenabled()


def test_the_head_is_the_hash_of_all(ledger):
    ledger.append([fact(0)])
    first = ledger.head
    ledger.append([fact(1)])
    with raw(ledger.location) as db:
        bodies = [body for (body,) in db.execute("SELECT body FROM events ORDER BY seq")]
    assert first == link(GENESIS, bodies[0])
    assert ledger.head == link(first, bodies[1])
    assert ledger.verify().head == ledger.head


def test_the_same_again_adds_nothing(ledger):
    assert ledger.append([fact(0), fact(1), fact(0)]) == 2
    head = ledger.head
    assert ledger.append([fact(1), fact(2)]) == 1
    assert ledger.append([fact(0), fact(1), fact(2)]) == 0
    assert ledger.head != head
    assert ledger.verify().events == 3


def test_all_or_nothing_when_one_contradicts(ledger):
    ledger.append([fact(0)])
    head = ledger.head
    with pytest.raises(LedgerError, match="event a0 is there already with other content"):
        ledger.append([fact(1), fact(0, note="other"), fact(2)])
    with pytest.raises(LedgerError, match="event a5"):
        ledger.append([fact(5), fact(5, note="other")])
    assert (ledger.events(), ledger.head) == ([fact(0)], head)
    assert ledger.append([fact(1)]) == 1


def test_an_iterable_that_breaks_appends_nothing(ledger):
    def broken():
        yield fact(0)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        ledger.append(broken())
    assert ledger.events() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = '{}'",
        "UPDATE events SET hash = '' WHERE seq = 1",
        "DELETE FROM events",
        "DELETE FROM events WHERE seq = 2",
        "INSERT OR REPLACE INTO events VALUES (2, 'a1', 'adjust', '{}', 'x')",
    ],
)
def test_sqlite_itself_refuses_to_change_the_past(ledger, statement):
    ledger.append([fact(0), fact(1)])
    with raw(ledger.location) as db:
        db.execute("PRAGMA recursive_triggers = ON")
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(statement)
    assert ledger.verify().ok


def test_the_file_is_the_owners_alone_whatever_the_umask(path, tmp_path):
    before = os.umask(0)
    try:
        ledger = ledger_of(path, 1)
        backup = tmp_path / "deep" / "backup.db"
        ledger.backup(backup)
        ledger.close()
    finally:
        os.umask(before)
    for file in (path, backup):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_file_that_others_can_read_is_refused(path, mode):
    ledger = ledger_of(path, 1)
    path.chmod(mode)
    with pytest.raises(LedgerError, match="read or written by others") as caught:
        ledger.events()
    assert caught.value.hint == f"chmod 600 {path}"


def test_a_link_a_directory_and_foreign_files_are_refused(path, tmp_path):
    ledger_of(path, 1)
    link_to_it = tmp_path / "link.db"
    link_to_it.symlink_to(path)
    foreign = tmp_path / "foreign.db"
    with raw(foreign) as db:
        db.execute("CREATE TABLE events (seq INTEGER)")
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to be taken for one\n" * 30)
    for file in (foreign, text):
        file.chmod(0o600)
    for file, says in (
        (link_to_it, "is a symbolic link"),
        (tmp_path, "is not a file"),
        (foreign, "is not a ledger of gpuctl"),
        (text, "file is not a database"),
    ):
        before = file.read_bytes() if file.is_file() else None
        for use in (SqliteLedger.events, SqliteLedger.verify, lambda it: it.append([fact(9)])):
            with pytest.raises(LedgerError, match=says):
                use(SqliteLedger(file, install=INSTALL))
        assert before == (file.read_bytes() if file.is_file() else None)


def test_a_newer_schema_and_another_application_are_refused(path):
    for pragma, says in (
        ("user_version = 3", r"written by a newer gpuctl \(schema 3\)"),
        ("application_id = 7", "is not a ledger of gpuctl"),
    ):
        ledger = ledger_of(path, 1)
        with raw(path) as db:
            db.execute(f"PRAGMA {pragma}")
        with pytest.raises(LedgerError, match=says):
            ledger.events()
        path.unlink()


def test_a_place_that_cannot_be_written_is_said_not_thrown(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "ledger.db", tmp_path / ("x" * 300)):
        with pytest.raises(LedgerError, match="cannot be read"):
            SqliteLedger(place, install=INSTALL).events()
        with pytest.raises(LedgerError, match="cannot be written"):
            SqliteLedger(place, install=INSTALL).append([fact(0)])


def test_a_backup_is_complete_and_overwrites_nothing(ledger, tmp_path):
    ledger.append([fact(0), fact(1)])
    target = tmp_path / "backup.db"
    ledger.backup(target)
    copy = SqliteLedger(target, install="f" * 32)
    assert (copy.events(), copy.head, copy.install) == (ledger.events(), ledger.head, INSTALL)
    assert copy.verify().ok
    copy.close()
    with pytest.raises(LedgerError, match="exists already"):
        ledger.backup(target)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(LedgerError, match="exists already"):
        ledger.backup(tmp_path / "link")
    with pytest.raises(LedgerError, match="cannot be written"):
        ledger.backup(target / "below.db")


def test_a_backup_that_fails_leaves_no_file(path, tmp_path):
    ledger = ledger_of(path, 200)
    good = path.read_bytes()
    path.write_bytes(good[:4096] + bytes(len(good) - 4096))
    with pytest.raises(LedgerError, match="cannot be read: database disk image is malformed"):
        ledger.backup(tmp_path / "backup.db")
    assert not (tmp_path / "backup.db").exists()


@pytest.fixture
def hasty():
    """Threads change as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_threads_share_one_ledger(ledger):
    failed = []

    def write(name):
        try:
            for number in range(20):
                ledger.append([fact(number * 2, name), fact(number * 2 + 1, name)])
                assert fact(number, name) in ledger.events()
        except Exception as error:  # noqa: BLE001 - told by the assertion below
            failed.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "bcde"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    verdict = ledger.verify()
    assert (verdict.events, verdict.ok) == (160, True)


def test_a_full_disk_loses_the_batch_and_nothing_else(ledger, monkeypatch):
    ledger.append([fact(0)])
    ledger.close()
    connect = sqlite3.connect

    def small(*args, **kwargs):
        db = connect(*args, **kwargs)
        db.execute("PRAGMA max_page_count = 12")
        return db

    monkeypatch.setattr(store.sqlite3, "connect", small)
    with pytest.raises(LedgerError, match="cannot be written: database or disk is full"):
        ledger.append([fact(number, note="x" * 500) for number in range(1, 200)])
    assert ledger.events() == [fact(0)]
    assert ledger.append([fact(1)]) == 1
    ledger.close()
    monkeypatch.undo()
    assert ledger.events() == [fact(0), fact(1)]
    assert ledger.verify().ok


def test_amounts_keep_their_digits(ledger):
    exact = fact(0)
    exact = type(exact)(**{n: getattr(exact, n) for n in exact._fields} | {
        "usd": Decimal("-0.123456789012345678901234567890")
    })  # fmt: skip
    ledger.append([exact])
    assert ledger.events() == [exact]


def test_what_could_not_be_read_again_is_not_written(ledger):
    ledger.append([fact(0)])
    with pytest.raises(LedgerError, match=r"event b1 could not be read again \(usd: is a decimal"):
        ledger.append([fact(1), fact(1, prefix="b")._replace(usd=Decimal("1e400"))])
    assert ledger.events() == [fact(0)]
