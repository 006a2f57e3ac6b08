"""What was named on the command line -> the files to read, each with its form and header."""

import codecs
import csv
import gzip
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple, cast

from gpuctl.core.errors import ConfigError, Problem, UsageProblem

CSV, FEED, PARQUET, JSON = "csv", "feed", "parquet", "json"

_IN_FOLDERS = (".csv", ".csv.gz", ".gz", ".parquet", ".json", ".jsonl", ".ndjson", ".json.gz")
_HEAD = 1 << 20
_GZIP, _PARQUET, _ZIP, _ZSTD = b"\x1f\x8b", b"PAR1", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"
_FIELDS = re.compile(r"^#Fields:\s*(.+?)\s*$", re.MULTILINE)


class File(NamedTuple):
    """One file: its form, and for text its header (names as they stand) and delimiter."""

    path: Path
    form: str
    gzipped: bool = False
    header: tuple[str, ...] = ()
    delimiter: str = ","
    copied_from: Path | None = None

    @property
    def named(self) -> Path:
        """The file as its owner knows it."""
        return self.copied_from or self.path


class Found(NamedTuple):
    """Files to read, and how many are left out: earlier versions of the same report, copies."""

    files: list[File]
    earlier: int
    copies: int = 0


def find(paths: Sequence[Path]) -> Found:
    """The files of these paths, each once; folders are read through, manifests left alone.

    UsageProblem for what does not exist, ConfigError for what is no bill by its first bytes.
    """
    found: dict[Path, None] = {}
    earlier = 0
    for path in paths:
        if path.is_dir():
            inside = [one for one in sorted(path.rglob("*")) if _belongs(one)]
            current = _current(path, inside)
            earlier += len(inside) - len(current)
            if not inside:
                raise UsageProblem(f"there is no bill in {path}: no {', '.join(_IN_FOLDERS)} file")
            found.update((one.resolve(), None) for one in current)
        elif path.exists():
            found[path.resolve()] = None
        else:
            raise UsageProblem(f"there is no file {path}")
    if not found:
        raise UsageProblem("no bill was named", hint="name a file or a folder of one export")
    once = _without_copies(found)
    return Found([_look(path) for path in once], earlier, len(found) - len(once))


def _without_copies(paths: Collection[Path]) -> list[Path]:
    """Of files in one folder that are the same byte for byte, the first.

    No two parts of an export are alike, but what a browser fetched twice is (`bill (1).csv`), and
    would count twice.
    """
    alike: dict[tuple[Path, int], list[Path]] = {}
    for path in paths:
        alike.setdefault((path.parent, path.stat().st_size), []).append(path)
    kept: dict[object, Path] = {}
    for key, group in alike.items():
        for path in group:
            kept.setdefault((key, _digest(path)) if len(group) > 1 else path, path)
    there = set(kept.values())
    return [path for path in paths if path in there]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _belongs(path: Path) -> bool:
    name = path.name.lower()
    hidden = name.startswith((".", "_"))
    return path.is_file() and not hidden and "manifest" not in name and name.endswith(_IN_FOLDERS)


def _current(folder: Path, files: list[Path]) -> list[Path]:
    """Without the earlier versions of a legacy CUR, each of which holds the whole month.

    The manifest of a billing period names the files of its last version in `reportKeys`; the
    versions lie in folders beside it (CUR user guide, "Creating a new report version").
    """
    for manifest in sorted(folder.rglob("*-Manifest.json")):
        try:
            keys = json.loads(manifest.read_bytes()).get("reportKeys")
        except (OSError, ValueError, AttributeError):
            continue
        if not isinstance(keys, list):
            continue
        last = {"/".join(str(key).split("/")[-2:]) for key in keys}
        beside = [one for one in files if one.is_relative_to(manifest.parent)]
        named = [one for one in beside if f"{one.parent.name}/{one.name}" in last]
        if named:
            files = [one for one in files if one not in beside or one in named]
    return files


def _look(path: Path) -> File:
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic == _PARQUET:
        return File(path, PARQUET)
    if magic == _ZIP:
        raise refused(path, "is a ZIP archive: unpack it first")
    if magic == _ZSTD:
        raise refused(path, "is compressed with zstd: unpack it first")
    gzipped = magic.startswith(_GZIP)
    try:
        with _open(path, gzipped=gzipped) as stream:
            head = stream.read(_HEAD)
    except (OSError, EOFError) as error:
        raise refused(path, f"cannot be read: {error}") from None
    return _text(path, head, gzipped=gzipped)


def _text(path: Path, head: bytes, *, gzipped: bool) -> File:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise refused(path, "is UTF-16: save it as UTF-8")
    start = head.decode("utf-8-sig", "replace")
    if start.lstrip().startswith("#"):
        fields = _FIELDS.search(start)
        if fields is None:
            raise refused(
                path, "begins with # but has no #Fields: line, so it is no spot data feed"
            )
        return File(path, FEED, gzipped, tuple(fields[1].split()), "\t")
    if start.lstrip().startswith(("{", "[")):
        return File(path, JSON, gzipped)
    line = start.partition("\n")[0]
    delimiter = max(",;\t|", key=line.count)
    try:
        header = next(csv.reader(_lines(start), delimiter=delimiter), [])
    except csv.Error as error:
        raise refused(path, f"its header cannot be read: {error}", line=1) from None
    if not any(name.strip() for name in header):
        raise refused(path, "is empty: there is no header")
    return File(path, CSV, gzipped, tuple(name.strip() for name in header), delimiter)


def _lines(start: str) -> Iterator[str]:
    yield from start.splitlines(keepends=True)


def _open(path: Path, *, gzipped: bool) -> IO[bytes]:
    opened = gzip.GzipFile(path) if gzipped else path.open("rb")
    return cast("IO[bytes]", opened)


def one_newline(file: File, directory: Path) -> File:
    r"""The file, or where its lines end now in `\n` and now in `\r\n` a copy with `\n` alone.

    DuckDB refuses such a mixture, wherever it meets it.
    """
    if file.form not in (CSV, FEED) or not _mixed(file):
        return file
    copy = directory / f"{len(list(directory.iterdir()))}-{file.path.name}"
    with copy.open("wb") as target:
        for chunk in _chunks(file):
            target.write(chunk.replace(b"\r\n", b"\n"))
    return file._replace(path=copy, gzipped=False, copied_from=file.path)


def _mixed(file: File) -> bool:
    both = lines = 0
    for chunk in _chunks(file):
        both += chunk.count(b"\r\n")
        lines += chunk.count(b"\n")
    return 0 < both < lines


def _chunks(file: File) -> Iterator[bytes]:
    r"""Its bytes in pieces, none of which ends between `\r` and `\n`."""
    held = b""
    with _open(file.path, gzipped=file.gzipped) as source:
        while read := source.read(_HEAD):
            chunk = held + read
            held = b"\r" if chunk.endswith(b"\r") else b""
            yield chunk[: len(chunk) - len(held)]
    yield held


def line_of_row(file: File, row: int) -> int | None:
    """The line where a data row (counted from 1) of a text file begins, if it can be had."""
    if file.form in (PARQUET, JSON):
        return None
    limit = csv.field_size_limit(1 << 30)
    try:
        with _open(file.path, gzipped=file.gzipped) as stream:
            reader = csv.reader(
                codecs.getreader("utf-8-sig")(stream, "replace"), delimiter=file.delimiter
            )
            begins = 1
            count = 0 if file.form == FEED else -1
            for record in reader:
                comment = file.form == FEED and record and record[0].startswith("#")
                if record and not comment:
                    count += 1
                    if count == row:
                        return begins
                begins = reader.line_num + 1
    except (csv.Error, OSError):
        return None
    finally:
        csv.field_size_limit(limit)
    return None


def refused(
    path: Path,
    reason: str,
    *,
    line: int | None = None,
    key: str | None = None,
    hint: str | None = None,
) -> ConfigError:
    """This file cannot be read as a bill."""
    return ConfigError([Problem(str(path), line, key, reason)], hint=hint)
