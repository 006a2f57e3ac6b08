"""Events as JSON records and back: the public form of section 5, and its private siblings.

Reading is strict about what it knows and keeps what it does not; the tables are in records.py.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from gpuctl.core.events import Event, Json, Price, Settle, Split, Usage
from gpuctl.core.records import DEFAULTS, PRIVATE, PUBLIC, TEXT, RecordError
from gpuctl.core.rules import rule_for

__all__ = [
    "PUBLIC_TYPES",
    "VERSION",
    "RecordError",
    "canonical",
    "is_public",
    "read_line",
    "read_record",
    "type_of",
    "write_line",
    "write_record",
]

VERSION = 1
_ABSENT: Final = object()
_LONE_SURROGATE = r"\\u[dD][89a-fA-F]"
_YEARS = range(1970, 3000)


_ALL = {**PUBLIC, **PRIVATE}
_NAMES = {
    name: {"v", "type", "id", *(field.name for field in table)} for name, (_, table) in _ALL.items()
}
_TYPE_OF = {kind: name for name, (kind, _) in _ALL.items()}

PUBLIC_TYPES = tuple(PUBLIC)
"""The types of the public contract."""


def type_of(event: Event) -> str:
    """The record type of an event."""
    return _TYPE_OF[type(event)]


def is_public(event: Event) -> bool:
    """Whether the public contract knows this type of record."""
    return type_of(event) in PUBLIC


def write_record(event: Event) -> dict[str, Json]:
    """The event as its JSON record, `v`, `type` and `id` first; absent optional fields left out."""
    name = type_of(event)
    record: dict[str, Json] = {"v": VERSION, "type": name, "id": event.id}
    for field in _ALL[name][1]:
        value = getattr(event, field.attribute)
        if value is None:
            if field.name in ("end", "ended_by", "project") and name in PUBLIC:
                record[field.name] = None
        else:
            record[field.name] = field.form.write(value)
    record.update(getattr(event, "extra", {}))
    return record


def write_line(event: Event) -> str:
    """One line of JSON Lines."""
    return json.dumps(write_record(event), ensure_ascii=False, separators=(",", ":"))


def canonical(event: Event) -> str:
    """The record in the one form that is hashed: keys sorted, no spaces."""
    return json.dumps(
        write_record(event), ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )


def read_line(text: str) -> Event:
    """One line of JSON Lines -> the event. RecordError names what is wrong."""
    try:
        record = _DECODER.decode(text)
    except RecordError:
        raise
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise RecordError("a record is a JSON object")
    if "\\u" in text and re.search(_LONE_SURROGATE, text) and not _encodes(record):
        raise RecordError("not JSON: half of a surrogate pair is no character")
    return read_record(record)


def _encodes(record: Mapping[str, Any]) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_float(text: str) -> Any:
    raise RecordError(f'{text} is a JSON float: write numbers in quotes, "{text}"')


_DECODER = json.JSONDecoder(parse_float=_no_float, parse_constant=_no_float)


def read_record(record: Mapping[str, Any]) -> Event:
    """A parsed record -> the event. RecordError names the field and the reason."""
    version = record.get("v")
    if version != VERSION or isinstance(version, bool):
        raise RecordError(f"v: is {VERSION}; this gpuctl does not know version {version!r}")
    name = record.get("type")
    if not isinstance(name, str) or name not in _ALL:
        known = ", ".join(PUBLIC)
        raise RecordError(f"type: is one of {known}; {name!r} is unknown")
    # Ledgers hold hundreds of thousands of these, and each is read by most commands.
    kind, table = _ALL[name]
    values: dict[str, Any] = {}
    defaults = DEFAULTS.get(name, {})
    field = "id"
    try:
        values["id"] = TEXT.read(record.get("id"))
        for field, attribute, form, required, null in table:
            value = record.get(field, _ABSENT)
            if value is not _ABSENT and value is not None:
                values[attribute] = form.read(value)
                continue
            _absent(value, required=required, null=null)
            if null or attribute in defaults:
                values[attribute] = defaults.get(attribute)
    except RecordError as error:
        raise RecordError(f"{field}: {error}") from None
    names = _NAMES[name]
    extra = {} if record.keys() <= names else {k: v for k, v in record.items() if k not in names}
    if "extra" in kind._fields:
        values["extra"] = extra
    elif extra:
        raise RecordError(f"{min(extra)}: no such field in a record of type {name}")
    event: Event = kind(**values)
    _check(event)
    return event


def _absent(value: Any, *, required: bool, null: bool) -> None:
    if (value is _ABSENT and required) or (value is None and not null):
        raise RecordError("is missing")


def _check(event: Event) -> None:
    match event:
        case Usage():
            if event.end is not None and event.end < event.start:
                raise RecordError("end: is before start")
            for name, at in (("start", event.start), ("end", event.end)):
                if at is not None and at.year not in _YEARS:
                    raise RecordError(f"{name}: no machine ran in {at.year}")
        case Split() | Settle():
            if event.until <= event.since:
                raise RecordError("to: is not after from")
        case Price():
            unit = rule_for(event.provider, event.kind).unit
            if event.unit is not unit:
                raise RecordError(f"unit: {event.kind} is priced by the {unit}")
        case _:
            pass
