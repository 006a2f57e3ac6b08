"""The team's ledger keeps every promise of the file's, for several laptops at once."""

import threading
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gpuctl.config.paths import ledger_place
from gpuctl.core.bill import bill, fixed
from gpuctl.core.errors import LedgerError, UsageProblem
from gpuctl.core.interchange import read_line
from gpuctl.core.span import Month
from gpuctl.ledger.chain import GENESIS
from gpuctl.ledger.postgres import PostgresLedger
from gpuctl.ledger.store import SqliteLedger
from tests.cli.program import Program
from tests.ledger import server
from tests.ledger.facts import INSTALL, fact

CASES = Path(__file__).parents[3] / "shared/data/billing/cases"

psycopg = pytest.importorskip("psycopg", reason="the extra [postgres] is not installed")
pytestmark = pytest.mark.skipif(
    server.programs() is None, reason="no PostgreSQL server is installed"
)


@pytest.fixture(scope="module")
def url():
    with server.running() as url:
        yield url


@pytest.fixture
def clean(url):
    """The address of an empty database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS gpuctl CASCADE")
    return url


@pytest.fixture
def ledger(clean):
    ledger = PostgresLedger(clean, install=INSTALL)
    yield ledger
    ledger.close()


def test_what_is_appended_is_read_back_in_order_by_another_laptop(ledger, clean):
    facts = [fact(2), fact(0), fact(1, note='März 😀 "x"\n% ? \\')]
    assert ledger.head == GENESIS
    assert ledger.append(iter(facts)) == 3
    assert ledger.append([]) == 0
    other = PostgresLedger(clean, install="f" * 32)
    assert (other.events(), other.head, other.install) == (facts, ledger.head, INSTALL)
    assert other.append([fact(0), fact(3)]) == 1
    assert ledger.events() == [*facts, fact(3)]
    assert ledger.verify().ok
    other.close()


def test_the_chain_is_the_file_s(ledger, tmp_path):
    file = SqliteLedger(tmp_path / "ledger.db", install=INSTALL)
    for some in ([fact(0)], [fact(1), fact(2)]):
        file.append(some)
        ledger.append(some)
    assert ledger.head == file.head
    assert ledger.verify() == file.verify()
    file.close()


def test_other_content_under_a_known_id_is_refused_and_nothing_of_it_kept(ledger):
    ledger.append([fact(0)])
    with pytest.raises(LedgerError, match="event a0 is there already with other content"):
        ledger.append([fact(1), fact(0, note="other")])
    assert ledger.events() == [fact(0)]


def test_twelve_laptops_at_once_make_one_chain(clean):
    errors = []

    def write(number):
        ledger = PostgresLedger(clean, install=INSTALL)
        try:
            for step in range(8):
                ledger.append([fact(step, prefix=f"w{number}-"), fact(step, prefix="all-")])
        except LedgerError as error:
            errors.append(error)
        finally:
            ledger.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    ledger = PostgresLedger(clean, install=INSTALL)
    assert len(ledger.events()) == 12 * 8 + 8
    assert ledger.verify().ok
    ledger.close()


def test_nothing_can_be_changed_or_deleted_and_who_forces_it_is_found(ledger, clean):
    ledger.append([fact(number) for number in range(4)])
    with psycopg.connect(clean, autocommit=True) as raw:
        for statement in (
            "UPDATE gpuctl.events SET body = '{}' WHERE seq = 2",
            "DELETE FROM gpuctl.events WHERE seq = 2",
            "TRUNCATE gpuctl.events",
        ):
            with pytest.raises(psycopg.Error, match="append-only"):
                raw.execute(statement)
        raw.execute("ALTER TABLE gpuctl.events DISABLE TRIGGER ALL")
        raw.execute("UPDATE gpuctl.events SET body = replace(body, 'hand', 'foot') WHERE seq = 2")
    (problem, *_) = ledger.verify().problems
    assert "event 2 (a1): its hash does not follow" in problem


@pytest.mark.skipif(not CASES.exists(), reason="the worked cases are not at hand")
def test_a_bill_from_the_server_is_the_bill_from_the_file(ledger, tmp_path):
    file = SqliteLedger(tmp_path / "ledger.db", install=INSTALL)
    events = {}
    for case in sorted(CASES.glob("*.jsonl")):
        for line in case.read_text().splitlines():
            event = read_line(line)
            event = event._replace(id=f"{case.stem}/{event.id}")
            if event.id not in events and not case.stem.startswith(("02b", "03b", "03c", "09b")):
                events[event.id] = event
    file.append(events.values())
    ledger.append(events.values())
    for month in (Month(2025, 3), Month(2025, 4), Month(2025, 11)):
        span = month.span(ZoneInfo("UTC"))
        assert ledger.events_about(span) == file.events_about(span)
        whole = bill(file.events(), fixed(span), span.end)
        assert bill(ledger.events_about(span), fixed(span), span.end) == whole
    assert ledger.touched(Month(2025, 3), next(iter(events)))
    assert ledger.verify().ok
    file.close()


def test_a_server_that_does_not_answer_is_said_without_the_password(tmp_path):
    ledger = PostgresLedger(f"postgresql://me:s3cret@/books?host={tmp_path}", install=INSTALL)
    with pytest.raises(LedgerError, match="cannot be read") as caught:
        ledger.events()
    assert "s3cret" not in f"{caught.value} {caught.value.hint} {caught.value.detail}"
    with pytest.raises(LedgerError, match="cannot be written"):
        ledger.append([fact(0)])


def test_a_connection_that_was_cut_is_made_again(ledger, clean):
    ledger.append([fact(0)])
    with psycopg.connect(clean, autocommit=True) as raw:
        raw.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'gpuctl' AND pid <> pg_backend_pid()"
        )
    with pytest.raises(LedgerError):
        ledger.events()
    assert ledger.events() == [fact(0)]


def test_another_schema_is_refused(ledger, clean):
    assert ledger.events() == []
    ledger.close()
    with psycopg.connect(clean, autocommit=True) as raw:
        raw.execute("UPDATE gpuctl.facts SET value = '3' WHERE name = 'schema'")
    with pytest.raises(LedgerError, match=r"written by another gpuctl \(schema 3\)"):
        ledger.events()


def test_a_backup_is_the_server_s_own_affair(ledger, tmp_path):
    with pytest.raises(UsageProblem, match="is a server") as caught:
        ledger.backup(tmp_path / "copy")
    assert "pg_dump" in caught.value.hint


def test_the_program_keeps_its_ledger_there(clean, tmp_path):
    gpuctl = Program(tmp_path, {"GPUCTL_LEDGER": clean})
    file = tmp_path / "in.jsonl"
    file.write_text(
        '{"v":1,"type":"adjust","id":"a1","project":"acme/vision","at":"2025-03-10T00:00:00Z",'
        '"usd":"-1.20","note":"credit"}\n'
    )
    gpuctl("ledger", "import", str(file))
    assert gpuctl("spend", "--month", "2025-03", "-o", "json").json["total"] == "-1.2"
    gpuctl("ledger", "verify")
    assert not list(tmp_path.rglob("ledger.db"))
    assert "s3cret" not in str(ledger_place(clean, tmp_path))
