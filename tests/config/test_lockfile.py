"""`images.lock.toml`: what is written comes back; mistakes are told with file, key and line."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.config.lockfile import Built, in_order, lock_text, read_lock, write_lock
from gpuctl.core.errors import ConfigError

AT = datetime(2026, 11, 22, 10, 0, 5, tzinfo=UTC)
FULL = Built(
    name="torch-portable",
    version="2",
    built_at=AT,
    recipe="portable-cu126",
    recipe_sha256="ab" * 32,
    base="ami-0aaaaaaaaaaaaaaaa",
    architecture="x86_64",
    driver="580.95.05",
    module="proprietary",
    cuda="cu126",
    torch="2.10.0",
    python="3.10",
    snapshot_gb=38,
    tested=("g4dn.xlarge", "g6.xlarge"),
    aws={"us-east-2": "ami-0123456789abcdef0", "eu-west-1": "ami-0fedcba9876543210"},
    gcp="projects/mine/global/images/torch-portable-2",
)
LEAST = Built(name="torch-portable", version="10", built_at=AT)


def test_what_is_written_comes_back(tmp_path):
    file = tmp_path / "amis/images.lock.toml"
    write_lock(file, [LEAST, FULL])
    assert read_lock(file) == (FULL, LEAST)
    text = file.read_text()
    assert text == lock_text([FULL, LEAST])
    assert 'aws = { "eu-west-1" = "ami-0fedcba9876543210", "us-east-2"' in text
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in file.parent.iterdir()] == ["images.lock.toml"]
    assert FULL.key == "torch-portable@2"


def test_no_file_is_nothing_built(tmp_path):
    assert read_lock(tmp_path / "none") == ()
    write_lock(tmp_path / "none", [])
    assert read_lock(tmp_path / "none") == ()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.builds(
            FULL._replace,
            name=st.from_regex(r"[a-z0-9][a-z0-9-]{0,29}", fullmatch=True),
            version=st.integers(0, 10**6).map(str),
            built_at=st.just(AT),
            base=st.none() | st.text('aZ09"\\\t\x7f#=[]é ', min_size=1).filter(str.strip),
            snapshot_gb=st.none() | st.integers(1, 64_000),
            aws=st.dictionaries(
                st.sampled_from(["us-east-1", "eu-west-1"]),
                st.from_regex(r"ami-[0-9a-f]{17}", fullmatch=True),
            ),
        ),
        max_size=4,
        unique_by=lambda one: one.key,
    )
)
def test_any_lock_comes_back(tmp_path_factory, images):
    file = tmp_path_factory.mktemp("lock") / "images.lock.toml"
    write_lock(file, images)
    assert read_lock(file) == in_order(images)


def test_every_mistake_with_its_line(tmp_path):
    file = tmp_path / "images.lock.toml"
    file.write_text(
        "form = 2\n"
        '[image."torch@1"]\n'
        'built_at = "yesterday"\n'
        'modul = "open"\n'
        'aws = { us-east-2 = "ami-x", nowhere = "ami-0123456789abcdef0" }\n'
        '[image."torch"]\n'
        '[image."other@2"]\n'
        'cuda = "12.6"\n'
    )
    with pytest.raises(ConfigError) as caught:
        read_lock(file)
    told = [(problem.line, problem.key) for problem in caught.value.problems]
    assert told == [
        (1, "form"),
        (3, 'image."torch@1".built_at'),
        (4, 'image."torch@1".modul'),
        (5, 'image."torch@1".aws.us-east-2'),
        (5, 'image."torch@1".aws.nowhere'),
        (6, "image.torch"),
        (8, 'image."other@2".cuda'),
        (7, 'image."other@2".built_at'),
    ]
    assert all(problem.file == str(file) for problem in caught.value.problems)


def test_what_is_not_toml_is_told(tmp_path):
    file = tmp_path / "images.lock.toml"
    file.write_text("form = \n")
    with pytest.raises(ConfigError, match="not TOML"):
        read_lock(file)


def test_what_could_not_be_read_is_not_written(tmp_path):
    file = tmp_path / "images.lock.toml"
    write_lock(file, [FULL])
    with pytest.raises(ConfigError, match="AMI id"):
        write_lock(file, [FULL._replace(aws={"us-east-2": "latest"})])
    assert read_lock(file) == (FULL,)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / "images.lock.toml").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_lock(tmp_path / "images.lock.toml", [FULL])
    assert [path.name for path in tmp_path.iterdir()] == ["images.lock.toml"]
