"""Statements and accounts as JSON and back, nothing lost: how a closing keeps what was sent.

Money is a string, a time RFC 3339 with `Z`, an exact ratio `n/d`; the form follows from the
types of the values themselves, so a field that is added is written and read by itself.
"""

import types
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from typing import Any, Union, get_args, get_origin, get_type_hints

from gpuctl.core.events import Json
from gpuctl.core.report import Account
from gpuctl.core.span import format_time, parse_time
from gpuctl.core.statement import Statement


class UnreadableStatement(ValueError):
    """A record that is no statement: the field, and why."""


def statement_record(statement: Statement) -> dict[str, Json]:
    """The statement as JSON."""
    return _fields(statement)


def read_statement(record: Mapping[str, Any]) -> Statement:
    """The reverse. Fields of a later version are passed over. UnreadableStatement otherwise."""
    found: Statement = _read(Statement, record, "statement")
    return found


def account_record(account: Account) -> dict[str, Json]:
    """A project's figures of `report` as JSON."""
    return _fields(account)


def read_account(record: Mapping[str, Any]) -> Account:
    """The reverse. UnreadableStatement when it is none."""
    found: Account = _read(Account, record, "account")
    return found


def record_of(value: Any) -> dict[str, Json]:
    """Any named tuple of such values as JSON."""
    return _fields(value)


def read_as(kind: Any, record: Mapping[str, Any], where: str) -> Any:
    """The reverse, of that kind. UnreadableStatement, naming `where`, when it is none."""
    return _read(kind, record, where)


def _fields(value: Any) -> dict[str, Json]:
    return {name: _write(getattr(value, name)) for name in value._fields}


def _write(value: Any) -> Json:
    match value:
        case None | bool() | int():
            return value
        case StrEnum() | str():
            return str(value)
        case Decimal():
            return f"{value:f}"
        case Fraction():
            return f"{value.numerator}/{value.denominator}"
        case datetime():
            return format_time(value)
        case date():
            return value.isoformat()
        case Mapping():
            return {str(key): _write(item) for key, item in value.items()}
        case tuple() if hasattr(value, "_fields"):
            return _fields(value)
        case tuple():
            return [_write(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no form in a record")


_TEXTS: dict[type, Callable[[str], Any]] = {
    str: str,
    Decimal: Decimal,
    Fraction: Fraction,
    datetime: parse_time,
    date: date.fromisoformat,
}


def _read(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = next(part for part in get_args(kind) if part is not type(None))
        return None if value is None else _read(inner, value, where)
    if origin is tuple:
        item = get_args(kind)[0]
        parts = _of_type(list, value, where)
        return tuple(_read(item, part, f"{where}[{at}]") for at, part in enumerate(parts))
    if origin is Mapping:
        found = _of_type(dict, value, where)
        return {key: _of_type(str, text, f"{where}.{key}") for key, text in found.items()}
    if hasattr(kind, "_fields"):
        return _read_fields(kind, _of_type(dict, value, where), where)
    if kind in (int, bool):
        return _of_type(kind, value, where)
    try:
        return _TEXTS.get(kind, kind)(_of_type(str, value, where))
    except UnreadableStatement:
        raise
    except (ValueError, InvalidOperation, ZeroDivisionError) as error:
        raise UnreadableStatement(f"{where}: {str(error) or 'not a number'}") from None


def _read_fields(kind: Any, record: Mapping[str, Any], where: str) -> Any:
    missing = [
        name for name in kind._fields if name not in record and name not in kind._field_defaults
    ]
    if missing:
        raise UnreadableStatement(f"{where}.{missing[0]}: is missing")
    hints = get_type_hints(kind)
    return kind(
        **{
            name: _read(hints[name], record[name], f"{where}.{name}")
            for name in kind._fields
            if name in record
        }
    )


def _of_type(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UnreadableStatement(f"{where}: {value!r} is no {kind.__name__}")
    return value
