"""Events as JSON records and back: the public form of section 5, and its private siblings.

One table a type says which fields there are, how each is read and written, and whether it may be
absent; reading is strict about what it knows and keeps what it does not.
"""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from gpuctl.core.events import (
    Adjust,
    Armed,
    Ended,
    Event,
    Extended,
    Intent,
    Json,
    Leased,
    Missed,
    Outcome,
    Price,
    Seen,
    Split,
    Switch,
    Usage,
)
from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, Unit
from gpuctl.core.names import project_name
from gpuctl.core.rules import rule_for
from gpuctl.core.span import format_time, parse_time

VERSION = 1
_ABSENT: Final = object()
_DECIMAL = r"-?[0-9]{1,30}(\.[0-9]{1,30})?\Z"
_LONE_SURROGATE = r"\\u[dD][89a-fA-F]"
_YEARS = range(1970, 3000)


class RecordError(ValueError):
    """A record that is not one: the reason, in words for people."""


Read = Callable[[Any], Any]
Write = Callable[[Any], Json]


class _Form(NamedTuple):
    read: Read
    write: Write


class _Field(NamedTuple):
    name: str
    attribute: str
    form: _Form
    required: bool = True
    null: bool = False


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise RecordError("is a text that is not empty")
    return value


def _decimal(value: Any) -> Decimal:
    if not isinstance(value, str) or not re.match(_DECIMAL, value):
        raise RecordError('is a decimal number in quotes, such as "0.9180"')
    return Decimal(value)


def _size(value: Any) -> Decimal:
    number = _decimal(value)
    if number < 0:
        raise RecordError("is not negative")
    return number


def _time(value: Any) -> Any:
    try:
        return parse_time(_text(value))
    except RecordError:
        raise
    except ValueError as error:
        raise RecordError(f"is a time with a zone: {error}") from None


def _project(value: Any) -> str:
    try:
        return project_name(_text(value))
    except ValueError as error:
        raise RecordError(str(error)) from None


def _one_of(kinds: type[Kind | Market | Unit | EndedBy | Evidence]) -> _Form:
    def read(value: Any) -> Any:
        try:
            return kinds(value)
        except ValueError:
            known = ", ".join(kinds)
            raise RecordError(f"is one of {known}; {value!r} is unknown") from None

    return _Form(read, str)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise RecordError("is a whole number")
    return value


def _object(value: Any) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise RecordError("is an object")
    return value


def _shares(value: Any) -> Mapping[str, Decimal]:
    shares = {_project(name): _size(share) for name, share in _object(value).items()}
    if not any(shares.values()):
        raise RecordError("has at least one share above zero")
    return shares


def _idle_to(value: Any) -> bool:
    if value not in ("absorbed", "proportional"):
        raise RecordError("is absorbed or proportional")
    return bool(value == "absorbed")


_TEXT = _Form(_text, str)
_TIME = _Form(_time, format_time)
_DECIMAL_FORM = _Form(_decimal, lambda number: f"{number:f}")
_SIZE = _Form(_size, lambda number: f"{number:f}")
_PROJECT = _Form(_project, str)
_KIND = _one_of(Kind)
_MARKET = _one_of(Market)
_WHOLE = _Form(_whole, int)
_OBJECT = _Form(_object, dict)

_PUBLIC: dict[str, tuple[type[Event], tuple[_Field, ...]]] = {
    "usage": (
        Usage,
        (
            _Field("provider", "provider", _TEXT),
            _Field("account", "account", _TEXT, required=False, null=True),
            _Field("region", "region", _TEXT, required=False, null=True),
            _Field("zone", "zone", _TEXT, required=False, null=True),
            _Field("resource", "resource", _TEXT),
            _Field("kind", "kind", _KIND),
            _Field("sku", "sku", _TEXT),
            _Field("market", "market", _MARKET),
            _Field("quantity", "quantity", _SIZE),
            _Field("start", "start", _TIME),
            _Field("end", "end", _TIME, required=False, null=True),
            _Field("ended_by", "ended_by", _one_of(EndedBy), required=False, null=True),
            _Field("project", "project", _PROJECT, required=False, null=True),
            _Field("session", "session", _TEXT, required=False, null=True),
            _Field("machine", "machine", _TEXT, required=False, null=True),
            _Field("payer", "payer", _TEXT, required=False, null=True),
            _Field("evidence", "evidence", _one_of(Evidence), required=False, null=True),
        ),
    ),
    "price": (
        Price,
        (
            _Field("provider", "provider", _TEXT),
            _Field("region", "region", _TEXT, required=False, null=True),
            _Field("zone", "zone", _TEXT, required=False, null=True),
            _Field("kind", "kind", _KIND),
            _Field("sku", "sku", _TEXT),
            _Field("market", "market", _MARKET, required=False),
            _Field("unit", "unit", _one_of(Unit)),
            _Field("usd", "usd", _SIZE),
            _Field("from", "since", _TIME),
            _Field("source", "source", _TEXT, required=False, null=True),
        ),
    ),
    "switch": (
        Switch,
        (
            _Field("resource", "resource", _TEXT),
            _Field("project", "project", _PROJECT, null=True),
            _Field("at", "at", _TIME),
        ),
    ),
    "split": (
        Split,
        (
            _Field("resource", "resource", _TEXT),
            _Field("from", "since", _TIME),
            _Field("to", "until", _TIME),
            _Field(
                "shares",
                "shares",
                _Form(
                    _shares, lambda shares: {name: f"{share:f}" for name, share in shares.items()}
                ),
            ),
            _Field("idle", "idle", _SIZE, required=False),
            _Field(
                "idle_to",
                "idle_absorbed",
                _Form(_idle_to, lambda absorbed: "absorbed" if absorbed else "proportional"),
                required=False,
            ),
        ),
    ),
    "adjust": (
        Adjust,
        (
            _Field("project", "project", _PROJECT, required=False, null=True),
            _Field("at", "at", _TIME),
            _Field("usd", "usd", _DECIMAL_FORM),
            _Field("note", "note", _TEXT),
        ),
    ),
}

_DEFAULTS: dict[str, dict[str, Any]] = {
    "price": {"market": Market.ON_DEMAND},
    "split": {"idle": Decimal(0), "idle_absorbed": False},
}

_PRIVATE: dict[str, tuple[type[Event], tuple[_Field, ...]]] = {
    "ended": (
        Ended,
        (
            _Field("usage", "usage", _TEXT),
            _Field("end", "end", _TIME),
            _Field("ended_by", "ended_by", _one_of(EndedBy), required=False, null=True),
            _Field("evidence", "evidence", _one_of(Evidence), required=False, null=True),
            _Field("reason", "reason", _TEXT, required=False, null=True),
        ),
    ),
    "leased": (
        Leased,
        (
            _Field("name", "name", _TEXT),
            _Field("project", "project", _PROJECT),
            _Field("provider", "provider", _TEXT),
            _Field("account", "account", _TEXT),
            _Field("template", "template", _TEXT),
            _Field("at", "at", _TIME),
            _Field("deadline", "deadline", _TIME),
            _Field("ceiling", "ceiling", _TIME),
            _Field("idle_stop_s", "idle_stop_s", _WHOLE, required=False, null=True),
            _Field("budget", "budget", _SIZE, required=False, null=True),
            _Field("payer", "payer", _TEXT, required=False, null=True),
        ),
    ),
    "extended": (
        Extended,
        (
            _Field("lease", "lease", _TEXT),
            _Field("at", "at", _TIME),
            _Field("deadline", "deadline", _TIME),
        ),
    ),
    "intent": (
        Intent,
        (
            _Field("lease", "lease", _TEXT),
            _Field("verb", "verb", _TEXT),
            _Field("at", "at", _TIME),
            _Field("machine", "machine", _TEXT, required=False, null=True),
            _Field("order", "order", _OBJECT, required=False),
        ),
    ),
    "outcome": (
        Outcome,
        (
            _Field("intent", "intent", _TEXT),
            _Field("at", "at", _TIME),
            _Field("result", "result", _TEXT),
            _Field("machine", "machine", _TEXT, required=False, null=True),
            _Field("code", "code", _TEXT, required=False, null=True),
        ),
    ),
    "armed": (
        Armed,
        (
            _Field("lease", "lease", _TEXT),
            _Field("at", "at", _TIME),
            _Field("deadline", "deadline", _TIME),
        ),
    ),
    "seen": (
        Seen,
        (
            _Field("machine", "machine", _TEXT),
            _Field("at", "at", _TIME),
            _Field("snapshot", "snapshot", _OBJECT),
        ),
    ),
    "missed": (Missed, (_Field("machine", "machine", _TEXT), _Field("at", "at", _TIME))),
}

_ALL = {**_PUBLIC, **_PRIVATE}
_TYPE_OF = {kind: name for name, (kind, _) in _ALL.items()}

PUBLIC_TYPES = tuple(_PUBLIC)
"""The types of the public contract."""


def type_of(event: Event) -> str:
    """The record type of an event."""
    return _TYPE_OF[type(event)]


def is_public(event: Event) -> bool:
    """Whether the public contract knows this type of record."""
    return type_of(event) in _PUBLIC


def write_record(event: Event) -> dict[str, Json]:
    """The event as its JSON record, `v`, `type` and `id` first; absent optional fields left out."""
    name = type_of(event)
    record: dict[str, Json] = {"v": VERSION, "type": name, "id": event.id}
    for field in _ALL[name][1]:
        value = getattr(event, field.attribute)
        if value is None:
            if field.name in ("end", "ended_by", "project") and name in _PUBLIC:
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
        record = json.loads(text, parse_float=_no_float, parse_constant=_no_float)
    except RecordError:
        raise
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise RecordError("a record is a JSON object")
    if re.search(_LONE_SURROGATE, text) and not _encodes(record):
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


def read_record(record: Mapping[str, Any]) -> Event:
    """A parsed record -> the event. RecordError names the field and the reason."""
    version = record.get("v")
    if version != VERSION or isinstance(version, bool):
        raise RecordError(f"v: is {VERSION}; this gpuctl does not know version {version!r}")
    name = record.get("type")
    if not isinstance(name, str) or name not in _ALL:
        known = ", ".join(_PUBLIC)
        raise RecordError(f"type: is one of {known}; {name!r} is unknown")
    kind, table = _ALL[name]
    values: dict[str, Any] = {"id": _read_field("id", record.get("id"), _TEXT)}
    for field in table:
        values.update(_read(field, record, name))
    known_names = {"v", "type", "id"} | {field.name for field in table}
    extra = {key: value for key, value in record.items() if key not in known_names}
    if "extra" in kind._fields:
        values["extra"] = extra
    elif extra:
        raise RecordError(f"{min(extra)}: no such field in a record of type {name}")
    event: Event = kind(**values)
    _check(event)
    return event


def _read(field: _Field, record: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = record.get(field.name, _ABSENT)
    if value is _ABSENT or value is None:
        if (value is _ABSENT and field.required) or (value is None and not field.null):
            raise RecordError(f"{field.name}: is missing")
        default = _DEFAULTS.get(name, {}).get(field.attribute, _ABSENT)
        if default is not _ABSENT:
            return {field.attribute: default}
        return {field.attribute: None} if field.null else {}
    return {field.attribute: _read_field(field.name, value, field.form)}


def _read_field(name: str, value: Any, form: _Form) -> Any:
    try:
        return form.read(value)
    except RecordError as error:
        raise RecordError(f"{name}: {error}") from None


def _check(event: Event) -> None:
    match event:
        case Usage():
            if event.end is not None and event.end < event.start:
                raise RecordError("end: is before start")
            for name, at in (("start", event.start), ("end", event.end)):
                if at is not None and at.year not in _YEARS:
                    raise RecordError(f"{name}: no machine ran in {at.year}")
        case Split():
            if event.until <= event.since:
                raise RecordError("to: is not after from")
        case Price():
            unit = rule_for(event.provider, event.kind).unit
            if event.unit is not unit:
                raise RecordError(f"unit: {event.kind} is priced by the {unit}")
        case _:
            pass
