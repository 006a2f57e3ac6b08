"""Which fields each type of record has, how each is read and written, and what may be absent."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from gpuctl.core.events import (
    Adjust,
    Armed,
    Close,
    Ended,
    Event,
    Extended,
    Insured,
    Intent,
    JobNote,
    Json,
    Leased,
    Missed,
    Outcome,
    Price,
    PricesKnown,
    Quoted,
    Seen,
    Settle,
    Split,
    Switch,
    Usage,
)
from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, Unit
from gpuctl.core.names import project_name
from gpuctl.core.span import Month, format_time, parse_time

_DECIMAL = r"-?[0-9]{1,30}(\.[0-9]{1,30})?\Z"
_RATIO = r"-?[0-9]+/0*[1-9][0-9]*\Z"


class RecordError(ValueError):
    """A record that is not one: the reason, in words for people."""


Read = Callable[[Any], Any]
Write = Callable[[Any], Json]


class Form(NamedTuple):
    """How a value is read from JSON and written to it."""

    read: Read
    write: Write


class Field(NamedTuple):
    """One field: its name in the record, the attribute of the event, and whether it may lack."""

    name: str
    attribute: str
    form: Form
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


def _above_zero(value: Any) -> Decimal:
    number = _decimal(value)
    if number <= 0:
        raise RecordError("is above zero")
    return number


def _month(value: Any) -> str:
    try:
        return str(Month.parse(_text(value)))
    except RecordError:
        raise
    except ValueError as error:
        raise RecordError(str(error)) from None


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


def _one_of(kinds: type[Kind | Market | Unit | EndedBy | Evidence]) -> Form:
    def read(value: Any) -> Any:
        try:
            return kinds(value)
        except ValueError:
            known = ", ".join(kinds)
            raise RecordError(f"is one of {known}; {value!r} is unknown") from None

    return Form(read, str)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise RecordError("is a whole number")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise RecordError("is true or false")
    return value


def _object(value: Any) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise RecordError("is an object")
    return value


def _ratios(value: Any) -> Mapping[str, Json]:
    """Project -> an exact amount of USD, a ratio of two whole numbers."""
    for name, ratio in _object(value).items():
        _project(name)
        if not isinstance(ratio, str) or not re.match(_RATIO, ratio):
            raise RecordError(f'{name}: is a ratio in quotes, such as "63/50"')
    return _object(value)


def _corrects(value: Any) -> Mapping[str, Json]:
    for month, ratios in _object(value).items():
        _month(month)
        _ratios(ratios)
    return _object(value)


def _shares(value: Any) -> Mapping[str, Decimal]:
    shares = {_project(name): _size(share) for name, share in _object(value).items()}
    if not any(shares.values()):
        raise RecordError("has at least one share above zero")
    return shares


def _idle_to(value: Any) -> bool:
    if value not in ("absorbed", "proportional"):
        raise RecordError("is absorbed or proportional")
    return bool(value == "absorbed")


TEXT = Form(_text, str)
_TIME = Form(_time, format_time)
_DECIMAL_FORM = Form(_decimal, lambda number: f"{number:f}")
_SIZE = Form(_size, lambda number: f"{number:f}")
_PROJECT = Form(_project, str)
_KIND = _one_of(Kind)
_MARKET = _one_of(Market)
_WHOLE = Form(_whole, int)
_OBJECT = Form(_object, dict)
_POSITIVE = Form(_above_zero, lambda number: f"{number:f}")
_MONTH = Form(_month, str)

PUBLIC: dict[str, tuple[type[Event], tuple[Field, ...]]] = {
    "usage": (
        Usage,
        (
            Field("provider", "provider", TEXT),
            Field("account", "account", TEXT, required=False, null=True),
            Field("region", "region", TEXT, required=False, null=True),
            Field("zone", "zone", TEXT, required=False, null=True),
            Field("resource", "resource", TEXT),
            Field("kind", "kind", _KIND),
            Field("sku", "sku", TEXT),
            Field("market", "market", _MARKET),
            Field("quantity", "quantity", _SIZE),
            Field("start", "start", _TIME),
            Field("end", "end", _TIME, required=False, null=True),
            Field("ended_by", "ended_by", _one_of(EndedBy), required=False, null=True),
            Field("project", "project", _PROJECT, required=False, null=True),
            Field("session", "session", TEXT, required=False, null=True),
            Field("machine", "machine", TEXT, required=False, null=True),
            Field("payer", "payer", TEXT, required=False, null=True),
            Field("evidence", "evidence", _one_of(Evidence), required=False, null=True),
        ),
    ),
    "price": (
        Price,
        (
            Field("provider", "provider", TEXT),
            Field("region", "region", TEXT, required=False, null=True),
            Field("zone", "zone", TEXT, required=False, null=True),
            Field("kind", "kind", _KIND),
            Field("sku", "sku", TEXT),
            Field("market", "market", _MARKET, required=False),
            Field("unit", "unit", _one_of(Unit)),
            Field("usd", "usd", _SIZE),
            Field("from", "since", _TIME),
            Field("source", "source", TEXT, required=False, null=True),
        ),
    ),
    "switch": (
        Switch,
        (
            Field("resource", "resource", TEXT),
            Field("project", "project", _PROJECT, null=True),
            Field("at", "at", _TIME),
        ),
    ),
    "split": (
        Split,
        (
            Field("resource", "resource", TEXT),
            Field("from", "since", _TIME),
            Field("to", "until", _TIME),
            Field(
                "shares",
                "shares",
                Form(
                    _shares, lambda shares: {name: f"{share:f}" for name, share in shares.items()}
                ),
            ),
            Field("idle", "idle", _SIZE, required=False),
            Field(
                "idle_to",
                "idle_absorbed",
                Form(_idle_to, lambda absorbed: "absorbed" if absorbed else "proportional"),
                required=False,
            ),
        ),
    ),
    "adjust": (
        Adjust,
        (
            Field("project", "project", _PROJECT, required=False, null=True),
            Field("at", "at", _TIME),
            Field("usd", "usd", _DECIMAL_FORM),
            Field("note", "note", TEXT),
        ),
    ),
    "settle": (
        Settle,
        (
            Field("provider", "provider", TEXT),
            Field("account", "account", TEXT, required=False, null=True),
            Field("resource", "resource", TEXT),
            Field("kind", "kind", _KIND),
            Field("from", "since", _TIME),
            Field("to", "until", _TIME),
            Field("billed", "billed", _DECIMAL_FORM),
            Field("at", "at", _TIME),
            Field("source", "source", TEXT),
            Field("currency", "currency", TEXT, required=False),
            Field("per_usd", "per_usd", _POSITIVE, required=False),
            Field("invoice", "invoice", TEXT, required=False, null=True),
        ),
    ),
    "close": (
        Close,
        (
            Field("client", "client", TEXT),
            Field("month", "month", _MONTH),
            Field("at", "at", _TIME),
            Field("invoice", "invoice", TEXT, required=False, null=True),
            Field("costs", "costs", Form(_ratios, dict)),
            Field("corrects", "corrects", Form(_corrects, dict)),
            Field("statement", "statement", _OBJECT),
            Field("accounts", "accounts", _OBJECT, required=False, null=True),
            Field("overhead", "overhead", Form(_flag, bool), required=False),
        ),
    ),
}

DEFAULTS: dict[str, dict[str, Any]] = {
    "close": {"overhead": False},
    "price": {"market": Market.ON_DEMAND},
    "split": {"idle": Decimal(0), "idle_absorbed": False},
    "settle": {"currency": "USD", "per_usd": Decimal(1)},
}

PRIVATE: dict[str, tuple[type[Event], tuple[Field, ...]]] = {
    "ended": (
        Ended,
        (
            Field("usage", "usage", TEXT),
            Field("end", "end", _TIME),
            Field("ended_by", "ended_by", _one_of(EndedBy), required=False, null=True),
            Field("evidence", "evidence", _one_of(Evidence), required=False, null=True),
            Field("reason", "reason", TEXT, required=False, null=True),
        ),
    ),
    "leased": (
        Leased,
        (
            Field("name", "name", TEXT),
            Field("project", "project", _PROJECT),
            Field("provider", "provider", TEXT),
            Field("account", "account", TEXT),
            Field("template", "template", TEXT),
            Field("at", "at", _TIME),
            Field("deadline", "deadline", _TIME),
            Field("ceiling", "ceiling", _TIME),
            Field("idle_stop_s", "idle_stop_s", _WHOLE, required=False, null=True),
            Field("budget", "budget", _SIZE, required=False, null=True),
            Field("payer", "payer", TEXT, required=False, null=True),
        ),
    ),
    "extended": (
        Extended,
        (
            Field("lease", "lease", TEXT),
            Field("at", "at", _TIME),
            Field("deadline", "deadline", _TIME),
        ),
    ),
    "intent": (
        Intent,
        (
            Field("lease", "lease", TEXT),
            Field("verb", "verb", TEXT),
            Field("at", "at", _TIME),
            Field("machine", "machine", TEXT, required=False, null=True),
            Field("order", "order", _OBJECT, required=False),
        ),
    ),
    "outcome": (
        Outcome,
        (
            Field("intent", "intent", TEXT),
            Field("at", "at", _TIME),
            Field("result", "result", TEXT),
            Field("machine", "machine", TEXT, required=False, null=True),
            Field("code", "code", TEXT, required=False, null=True),
        ),
    ),
    "armed": (
        Armed,
        (
            Field("lease", "lease", TEXT),
            Field("at", "at", _TIME),
            Field("deadline", "deadline", _TIME),
        ),
    ),
    "insured": (
        Insured,
        (
            Field("lease", "lease", TEXT),
            Field("at", "at", _TIME),
            Field("why", "why", TEXT, required=False, null=True),
        ),
    ),
    "seen": (
        Seen,
        (
            Field("machine", "machine", TEXT),
            Field("at", "at", _TIME),
            Field("snapshot", "snapshot", _OBJECT),
        ),
    ),
    "missed": (
        Missed,
        (
            Field("machine", "machine", TEXT),
            Field("at", "at", _TIME),
            Field("found", "found", Form(_flag, bool), required=False, null=True),
        ),
    ),
    "prices-known": (
        PricesKnown,
        (Field("usage", "usage", TEXT), Field("at", "at", _TIME)),
    ),
    "job": (
        JobNote,
        (
            Field("job", "job", TEXT),
            Field("what", "what", TEXT),
            Field("at", "at", _TIME),
            Field("said", "said", _OBJECT),
        ),
    ),
    "quoted": (
        Quoted,
        (
            Field("project", "project", _PROJECT),
            Field("template", "template", TEXT),
            Field("at", "at", _TIME),
            Field("quote", "quote", _OBJECT),
        ),
    ),
}
