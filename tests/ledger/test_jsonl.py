"""The interchange file: whole or not at all, and every mistake with its file and line."""

import json

import pytest
from hypothesis import HealthCheck, given, settings

from gpuctl.core.bill import bill, fixed
from gpuctl.core.errors import ConfigError, NotFound
from gpuctl.core.merge import merge
from gpuctl.ledger.jsonl import export, news_of, read_file
from gpuctl.ledger.store import SqliteLedger
from tests.core.stories import now, stories, whole
from tests.ledger.facts import INSTALL

USAGE = {
    "v": 1, "type": "usage", "id": "u1", "provider": "aws", "account": "1", "resource": "i-1",
    "kind": "compute", "sku": "g5", "market": "spot", "quantity": "1",
    "start": "2025-03-10T14:00:00Z", "end": None, "ended_by": None, "project": "acme/vision",
}  # fmt: skip
PRICE = {
    "v": 1, "type": "price", "id": "p1", "provider": "aws", "kind": "compute", "sku": "g5",
    "market": "spot", "unit": "hour", "usd": "0.9", "from": "2025-03-10T09:00:00Z",
}  # fmt: skip
SPLIT = {
    "v": 1, "type": "split", "id": "x1", "resource": "i-1", "from": "2025-03-10T14:00:00Z",
    "to": "2025-03-10T15:00:00Z", "shares": {"acme/vision": "1"},
}  # fmt: skip
CLOSED = USAGE | {"end": "2025-03-10T15:00:00Z", "ended_by": "user"}


@pytest.fixture
def file(tmp_path):
    """Write records (or raw lines) to a file."""

    def write(*records, name="in.jsonl"):
        path = tmp_path / name
        lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write


def refused(path, known=()):
    with pytest.raises(ConfigError) as caught:
        news_of(path, known)
    assert caught.value.exit_code == 2
    assert all(problem.file == str(path) for problem in caught.value.problems)
    return [(problem.line, problem.reason) for problem in caught.value.problems]


def test_every_bad_line_is_named_not_only_the_first(file):
    path = file(
        USAGE,
        "",
        PRICE | {"v": 2},
        "   ",
        PRICE,
        '{"v":1,"type":"adjust","id":"a","at":"2025-03-10T14:00:00Z","usd":1.5,"note":"x"}',
        USAGE | {"id": "u2", "start": "2025-03-10T14:00:00"},
        USAGE | {"id": "u3", "end": "2025-03-10T13:59:59Z"},
        USAGE | {"id": "u4", "kind": "tpu"},
        "{",
    )
    found = refused(path)
    assert [line for line, _ in found] == [3, 6, 7, 8, 9, 10]
    says = [
        "v: is 1", "1.5 is a JSON float", "start: is a time with a zone", "end: is before start",
        "kind: is one of", "not JSON",
    ]  # fmt: skip
    assert all(reason.startswith(say) for (_, reason), say in zip(found, says, strict=True))


def test_a_contradiction_names_the_line_that_came_later(file):
    path = file(PRICE, "", USAGE, USAGE | {"project": "acme/audio"})
    assert refused(path) == [(4, "id 'u1' is in the ledger already with other content")]
    path = file(PRICE, USAGE, PRICE | {"id": "p2", "usd": "1"})
    assert refused(path)[0][0] == 3
    path = file(SPLIT, USAGE, SPLIT | {"id": "x2", "to": "2025-03-10T14:30:00Z"})
    assert refused(path) == [(3, "split 'x2' overlaps split 'x1' on i-1")]


def test_against_what_the_ledger_holds(file):
    known = news_of(file(USAGE, PRICE, SPLIT), [])
    assert refused(file("", USAGE | {"sku": "g6"}), known)[0][0] == 2
    assert refused(file(USAGE, PRICE | {"id": "p2", "usd": "1"}), known)[0][0] == 2
    assert refused(file(SPLIT | {"id": "x2"}), known)[0][0] == 1
    assert news_of(file(USAGE, PRICE, SPLIT), known) == []
    (closing,) = news_of(file(CLOSED), known)
    assert news_of(file(CLOSED, USAGE), [*known, closing]) == []
    later = CLOSED | {"end": "2025-03-10T16:00:00Z"}
    assert refused(file(PRICE, later), [*known, closing])[0][0] == 2


def test_windows_line_ends_and_a_missing_last_one(file, tmp_path):
    path = tmp_path / "crlf.jsonl"
    path.write_bytes(b"\r\n".join(json.dumps(r).encode() for r in (USAGE, PRICE)))
    assert [number for number, _ in read_file(path)] == [1, 2]
    # A line separator of Unicode inside a text does not end the record.
    note = {"v": 1, "type": "adjust", "id": "a", "at": "2025-03-10T14:00:00Z", "usd": "1"}
    path = file(json.dumps(note | {"note": "a\u2028b\x85c"}, ensure_ascii=False))
    assert read_file(path)[0][1].note == "a\u2028b\x85c"


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "none.jsonl", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(NotFound, match=str(path)):
            read_file(path)
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes(b'{"note": "M\xe4rz"}\n')
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read_file(latin)
    (tmp_path / "empty.jsonl").write_text("")
    assert read_file(tmp_path / "empty.jsonl") == []


def test_export_folds_an_end_into_its_run(file):
    known = news_of(file(USAGE, PRICE), [])
    known = [*known, *news_of(file(CLOSED), known)]
    lines = [json.loads(line) for line in export(known)]
    assert lines == [CLOSED, PRICE]
    everything = [json.loads(line)["type"] for line in export(known, everything=True)]
    assert everything == ["usage", "price", "ended"]


@given(stories())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_export_and_import_lose_nothing(tmp_path, story):
    base, events = story
    path = tmp_path / "out.jsonl"
    for everything in (False, True):
        lines = list(export(events, everything=everything))
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        again = news_of(path, [])
        assert list(export(again, everything=everything)) == lines
        window = fixed(whole(base))
        assert bill(again, window, now(base)) == bill(events, window, now(base))
        assert merge(again, events) == merge(events, again) == []


def test_through_a_ledger_on_disk_and_out_again(file, tmp_path):
    one = SqliteLedger(tmp_path / "one.db", install=INSTALL)
    one.append(news_of(file(USAGE, PRICE, SPLIT | {"ticket": "T-7"}), one.events()))
    one.append(news_of(file(CLOSED), one.events()))
    path = file(*export(one.events()), name="out.jsonl")
    two = SqliteLedger(tmp_path / "two.db", install="f" * 32)
    two.append(news_of(path, two.events()))
    assert list(export(two.events())) == list(export(one.events()))
    assert two.append(news_of(path, two.events())) == 0
    assert one.append(news_of(path, one.events())) == 0
    one.close()
    two.close()
