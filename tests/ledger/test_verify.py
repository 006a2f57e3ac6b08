"""Damage: whatever happened to the file, it is found or it changed nothing; nothing is thrown."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuctl.core.errors import LedgerError
from gpuctl.ledger.store import SqliteLedger
from tests.ledger.facts import INSTALL, fact, ledger_of, raw

FACTS = [fact(number) for number in range(30)]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ledger.db"
    ledger_of(path, len(FACTS))
    return path


def tampered(path, *statements):
    """What `verify` says after somebody with SQLite at hand has done this."""
    with raw(path) as db:
        for name in ("events_are_never_changed", "events_are_never_deleted"):
            db.execute(f"DROP TRIGGER IF EXISTS {name}")
        for statement in statements:
            db.execute(statement)
    verdict = SqliteLedger(path, install=INSTALL).verify()
    assert verdict.ok is (not verdict.problems)
    return list(verdict.problems)


def test_an_untouched_ledger_has_no_problems(path):
    verdict = SqliteLedger(path, install=INSTALL).verify()
    assert (verdict.ok, verdict.events, verdict.problems) == (True, 30, ())


def test_an_edited_amount(path):
    problems = tampered(
        path, """UPDATE events SET body = replace(body, '"3"', '"4"') WHERE id = 'a3'"""
    )
    assert problems == ["event 4 (a3): its hash does not follow from the chain"]


def test_a_forged_hash_breaks_the_next_link(path):
    problems = tampered(path, "UPDATE events SET hash = '0' WHERE seq = 4")
    assert problems == [
        "event 4 (a3): its hash does not follow from the chain",
        "event 5 (a4): its hash does not follow from the chain",
    ]


def test_a_gap_is_said_once(path):
    problems = tampered(path, "DELETE FROM events WHERE seq BETWEEN 4 AND 6")
    assert problems == [
        "before event 7 (a6) some are missing",
        "event 7 (a6): its hash does not follow from the chain",
    ]


def test_a_gap_that_was_closed_up(path):
    problems = tampered(
        path, "DELETE FROM events WHERE seq = 30", "UPDATE events SET seq = 31 WHERE seq = 29"
    )
    assert problems == ["before event 31 (a28) some are missing"]


def test_two_facts_that_changed_places(path):
    problems = tampered(
        path,
        "UPDATE events SET seq = 99 WHERE seq = 4",
        "UPDATE events SET seq = 4 WHERE seq = 5",
        "UPDATE events SET seq = 5 WHERE seq = 99",
    )
    assert len(problems) == 3


def test_another_name_or_type_outside_than_inside(path):
    problems = tampered(
        path,
        "UPDATE events SET id = 'z' WHERE seq = 4",
        "UPDATE events SET type = 'usage' WHERE seq = 5",
    )
    assert problems == [
        "event 4: is called adjust z but says adjust a3",
        "event 5: is called usage a4 but says adjust a4",
    ]


def test_a_body_that_is_no_record(path):
    problems = tampered(path, "UPDATE events SET body = '{}' WHERE seq = 30")
    assert problems[0] == "event 30 (a29): v: is 1; this gpuctl does not know version None"
    with pytest.raises(LedgerError, match=r"event 30 cannot be read: v: is 1"):
        SqliteLedger(path, install=INSTALL).events()


def test_another_installation(path):
    for statement in (
        "UPDATE facts SET value = 'f' WHERE name = 'install'",
        "DELETE FROM facts WHERE name = 'install-hash'",
    ):
        with raw(path) as db:
            db.execute(statement)
        (problem,) = SqliteLedger(path, install=INSTALL).verify().problems
        assert "installation's id was changed" in problem


def test_a_cut_end_is_told_by_the_head_that_was_printed(path):
    printed = SqliteLedger(path, install=INSTALL).head
    assert tampered(path, "DELETE FROM events WHERE seq > 20") == [
        "which months an event belongs to does not follow from the events"
    ]
    assert tampered(path, "DELETE FROM months WHERE seq > 20") == []
    assert SqliteLedger(path, install=INSTALL).head != printed


def outcome(path):
    """`found`, or whether everything that gpuctl reads is still what it was."""
    ledger = SqliteLedger(path, install=INSTALL)
    try:
        if not ledger.verify().ok:
            return "found"
        return ledger.events() == FACTS and ledger.install == INSTALL
    except LedgerError:
        return "found"
    finally:
        ledger.close()


@given(st.data())
@settings(
    max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_flipped_bytes_are_found_or_harmless(path, data):
    good = path.read_bytes()
    # Most of a page is empty; pages of rows and the header are hit often enough to matter.
    used = [at for at, byte in enumerate(good) if byte]
    spots = data.draw(st.lists(st.sampled_from(used), min_size=1, max_size=3))
    bad = bytearray(good)
    for spot in spots:
        bad[spot] ^= data.draw(st.integers(1, 255))
    try:
        path.write_bytes(bad)
        assert outcome(path) in ("found", True)
    finally:
        for file in path.parent.glob("ledger.db-*"):
            file.unlink()
        path.write_bytes(good)


@pytest.mark.parametrize("part", [0.99, 0.75, 0.5, 0.3, 0.1, 0.01])
def test_a_truncated_file_is_found(path, part):
    good = path.read_bytes()
    path.write_bytes(good[: int(len(good) * part)])
    assert outcome(path) == "found"


def test_a_page_of_zeros_is_found(path):
    good = path.read_bytes()
    for start in range(0, len(good), 4096):
        path.write_bytes(good[:start] + bytes(4096) + good[start + 4096 :])
        assert outcome(path) == "found"
