"""Manifests: what was written is read, and nothing else is."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.core import checkpoints
from gpuctl.core.checkpoints import Damaged, File, Manifest, Part, read_manifest, write_manifest

HASH = "a" * 64


def manifest(**changes) -> Manifest:
    part = Part("00000007/aaaa-1/0000-000", 5, HASH)
    made = Manifest(
        job="train",
        sequence=7,
        name="step_9",
        step=9,
        lease="f" * 32,
        saved_at="2026-11-22T10:15:00Z",
        attempt="aaaa-1",
        milliseconds=1500,
        directories=("opt",),
        files=(File("opt/a", 5, HASH, 0o644, (part,)),),
    )
    return made._replace(**changes)


def signed(body: dict[str, object]) -> bytes:
    """A manifest of somebody who knows how they are made."""
    digest = checkpoints.hashlib.sha256(checkpoints._canonical(body)).hexdigest()
    return json.dumps({"checkpoint": body, "sha256": digest}).encode()


def body_of(data: bytes) -> dict[str, object]:
    return json.loads(data)["checkpoint"]


@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(
        lambda name: name not in (".", "..")
    ),
    step=st.none() | st.integers(0, 10**15),
)
def test_what_is_written_is_read(name: str, step: int | None) -> None:
    made = manifest(name=name, step=step)
    assert read_manifest(write_manifest(made)) == made


def test_its_size_and_rate() -> None:
    assert (manifest().size, manifest(milliseconds=0).rate) == (5, 5000.0)
    assert round(manifest().rate, 2) == 3.33


@given(st.data())
def test_a_flipped_bit_is_seen_or_means_nothing(data) -> None:
    made = write_manifest(manifest())
    at = data.draw(st.integers(0, len(made) - 1))
    bit = data.draw(st.integers(0, 7))
    broken = made[:at] + bytes([made[at] ^ (1 << bit)]) + made[at + 1 :]
    with contextlib.suppress(Damaged):
        assert read_manifest(broken) == manifest()


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"7", b"null", b"{}", b"\xff", b"{" * 100_000, b'{"checkpoint": {}, "sha256": 7}'],
)
def test_what_is_no_manifest(data: bytes) -> None:
    with pytest.raises(Damaged):
        read_manifest(data)


EVIL = [
    ("name", "../../etc"),
    ("name", ""),
    ("name", "a\0b"),
    ("directories", ["/etc"]),
    ("directories", ["a/../../b"]),
    ("step", -1),
    ("step", True),
    ("sequence", "7"),
    ("job", "../x"),
    ("schema", "gpuctl.checkpoint.manifest/2"),
    ("files", [{}]),
    ("files", 7),
]


@pytest.mark.parametrize(("key", "value"), EVIL)
def test_one_that_would_write_elsewhere_is_damaged(key: str, value: object) -> None:
    with pytest.raises(Damaged):
        read_manifest(signed(body_of(write_manifest(manifest())) | {key: value}))


FILES = [
    ("path", "../x"),
    ("size", 6),
    ("size", -1),
    ("sha256", "x"),
    ("parts", [{"key": "../../x", "size": 5, "sha256": HASH}]),
    ("parts", []),
]


@pytest.mark.parametrize(("key", "value"), FILES)
def test_a_file_that_is_not_what_it_says(key: str, value: object) -> None:
    body = body_of(write_manifest(manifest()))
    body["files"] = [body["files"][0] | {key: value}]
    with pytest.raises(Damaged):
        read_manifest(signed(body))


class Given:
    """A store of what is given."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    def entries(self, prefix: str):
        return [
            checkpoints.Stored(key, len(data), 0.0)
            for key, data in self.objects.items()
            if key.startswith(prefix)
        ]

    def read(self, key: str):
        if key not in self.objects:
            raise FileNotFoundError(key)
        yield self.objects[key]


def store_with(made: Manifest, **changes: bytes) -> Given:
    objects = {"r/00000007/manifest.json": write_manifest(made)}
    objects |= {f"r/{part.key}": b"12345" for file in made.files for part in file.parts}
    return Given(objects | changes)


def true_to_content() -> Manifest:
    digest = checkpoints.hashlib.sha256(b"12345").hexdigest()
    part = Part("00000007/aaaa-1/0000-000", 5, digest)
    return manifest(files=(File("opt/a", 5, digest, 0o644, (part,)),))


def test_a_checkpoint_is_judged_by_names_and_sizes_then_by_every_byte() -> None:
    store = store_with(true_to_content(), **{"r/readme": b"", "r/00000009/x/0000-000": b""})
    newest, good = checkpoints.found(store, "r")
    assert (newest.sequence, newest.manifest, newest.problem) == (9, None, "not finished")
    assert good.problem is None
    assert good.manifest is not None
    assert checkpoints.damage(store, "r", good.manifest) == []
    (key,) = [f"r/{part.key}" for part in good.manifest.files[0].parts]
    for data, problem in ((b"1234", "4 bytes instead of 5"), (b"123456", "6 bytes instead")):
        store.objects[key] = data
        assert problem in (checkpoints.found(store, "r")[1].problem or "")
        assert "not what was saved" in checkpoints.damage(store, "r", good.manifest)[0]
    del store.objects[key]
    assert "missing" in (checkpoints.found(store, "r")[1].problem or "")
    assert "missing" in checkpoints.damage(store, "r", good.manifest)[0]


def test_parts_in_another_order_are_seen() -> None:
    """Each is what it says, and the file is not."""
    other = true_to_content()
    file = other.files[0]._replace(sha256=HASH)
    store = store_with(other)
    assert "parts do not make" in checkpoints.damage(store, "r", other._replace(files=(file,)))[0]


def test_a_manifest_of_another_number_and_one_that_goes_away() -> None:
    moved = store_with(true_to_content()._replace(sequence=8))
    assert "that of 8" in (checkpoints.found(moved, "r")[0].problem or "")

    class Racing(Given):
        def read(self, key: str):
            raise FileNotFoundError(key)

    racing = Racing(store_with(true_to_content()).objects)
    assert "damaged" in (checkpoints.found(racing, "r")[0].problem or "")


def test_what_is_too_large_for_a_manifest(monkeypatch) -> None:
    monkeypatch.setattr(checkpoints, "_LARGEST", 3)
    with pytest.raises(Damaged, match="too large"):
        checkpoints.whole(Given({"a": b"1234"}), "a")


@pytest.mark.parametrize("name", ["", "A", "../x", "-a", "a/b", "a" * 81, "a b"])
def test_no_name_of_a_job(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        checkpoints.job_name(name)
