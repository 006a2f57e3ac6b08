"""A frozen value with other fields, whichever of Python's two kinds of record it is."""

import dataclasses
from typing import Any, TypeVar

T = TypeVar("T")


def changed(value: T, **fields: Any) -> T:
    """`changed(order, lease="…")`."""
    if isinstance(value, tuple):
        return value._replace(**fields)  # type: ignore[attr-defined,no-any-return]
    return dataclasses.replace(value, **fields)  # type: ignore[type-var]
