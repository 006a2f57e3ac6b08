"""The client library's own message types, which say what a request may carry.

Loaded when first asked for: they take over a second, and only a served sandbox needs them.
"""

from typing import Any


def message(name: str) -> Any:
    """An empty protobuf message of the client library by its name, e.g. `InsertInstanceRequest`."""
    from google.cloud import compute_v1  # noqa: PLC0415 - takes over a second

    return getattr(compute_v1, name).pb()()


def fields(name: str) -> frozenset[str]:
    """The JSON names of a message's fields."""
    return frozenset(field.json_name for field in message(name).DESCRIPTOR.fields)


def parse(into: Any, body: dict[str, Any]) -> dict[str, Any]:
    """Fill a message strictly; the body back in Google's spelling: camelCase, int64 as strings.

    ValueError tells of an unknown field or a wrong type.
    """
    from google.protobuf import json_format  # noqa: PLC0415 - part of the same

    try:
        json_format.ParseDict(body, into, ignore_unknown_fields=False)
    except json_format.ParseError as error:
        raise ValueError(str(error)) from None
    parsed: dict[str, Any] = json_format.MessageToDict(into)
    return parsed
