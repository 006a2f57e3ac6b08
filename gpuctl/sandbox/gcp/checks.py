"""The strict reading of a request, against the client library's own message types."""

import re
from typing import Any

from gpuctl.sandbox.gcp import library
from gpuctl.sandbox.gcp.routes import Call, Route
from gpuctl.sandbox.gcp.wire import Json, invalid, malformed, required

NAME = "(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)"
_NAME = re.compile(NAME + r"\Z")
_REQUEST_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_ZERO_ID = "00000000-0000-0000-0000-000000000000"
_STANDARD = frozenset({"alt", "prettyPrint", "quotaUser", "userIp", "key", "$alt", "$prettyPrint"})
_MOST_LABELS = 64
_LONGEST = 63


def read_call(route: Route, path: dict[str, str], query: dict[str, str], body: Json | None) -> Call:
    """A checked call. Refusal (400) for what Google's front end or Compute Engine refuses:
    unknown fields and parameters, wrong types, unknown enum values, a bad request id.
    """
    request = library.message(route.message)
    name = next((f.name for f in request.DESCRIPTOR.fields if f.name.endswith("_resource")), None)
    _check_query(request.DESCRIPTOR, {*path, name}, query)
    content: Json = {}
    nulls: frozenset[str] = frozenset()
    if name is None:
        if body:
            raise malformed("Invalid JSON payload received. The call takes no request body.")
    elif body is None:
        raise required("resource")
    else:
        content = _parse(getattr(request, name), body)
        nulls = frozenset(key for key, value in body.items() if value is None)
    return Call(method=route.method, path=path, query=query, body=content, nulls=nulls)


def _parse(message: Any, body: Json) -> Json:
    """The body in Google's own spelling, enum values checked too."""
    try:
        parsed = library.parse(message, body)
    except ValueError as error:
        raise malformed(_front_end_words(str(error))) from None
    _check_enums(message, "resource")
    return parsed


def _front_end_words(error: str) -> str:
    """The parser's complaint as the JSON front end words it."""
    unknown = re.search(r'no field named "([^"]+)"(?: at "[^"]*?\.([^".]+)")?', error)
    if unknown:
        name = unknown.group(1)
        return f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
    return f"Invalid value in the JSON payload: {error}"


def _check_query(descriptor: Any, taken: set[str | None], query: dict[str, str]) -> None:
    """Every parameter is one of the request's own, with a value of its type."""
    fields = {f.json_name: f for f in descriptor.fields if f.name not in taken}
    for name, value in query.items():
        if name in _STANDARD:
            continue
        field = fields.get(name)
        if field is None:
            raise malformed(
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query '
                f"parameter. Field '{name}' could not be found in request message."
            )
        if field.type == field.TYPE_BOOL and value not in ("true", "false"):
            raise malformed(f"Invalid value at '{name}' (TYPE_BOOL), \"{value}\"")
        if field.type in (field.TYPE_UINT32, field.TYPE_INT32, field.TYPE_INT64) and not (
            value.isdecimal()
        ):
            raise malformed(f"Invalid value at '{name}' (TYPE_UINT32), \"{value}\"")
    _check_request_id(query.get("requestId"))


def _check_request_id(value: str | None) -> None:
    if value is not None and (_REQUEST_ID.match(value) is None or value == _ZERO_ID):
        raise invalid("requestId", value, "The request ID must be a valid, non-zero UUID.")


def _check_enums(message: Any, where: str) -> None:
    """Enum fields are plain strings in the client's types: look their values up beside them."""
    for field, value in message.ListFields():
        at = f"{where}.{field.json_name}"
        values = value if field.is_repeated else (value,)
        if field.type == field.TYPE_STRING:
            enum = message.DESCRIPTOR.enum_types_by_name.get(_camel(field.name))
            for text in values if enum else ():
                if text not in enum.values_by_name or text.startswith("UNDEFINED_"):
                    raise invalid(at, text, f"It is not one of the values of {enum.name}.")
        elif field.type == field.TYPE_MESSAGE and not field.message_type.GetOptions().map_entry:
            for part in values:
                _check_enums(part, at)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def check_name(value: str | None, field: str = "resource.name") -> str:
    """A resource's name, RFC 1035. Refusal (400) otherwise."""
    if not value:
        raise required(field)
    if _NAME.match(value) is None:
        raise invalid(field, value, f"Must be a match of regex '{NAME}'")
    return value


def check_labels(labels: dict[str, str], field: str = "resource.labels") -> dict[str, str]:
    """Labels by Google's grammar: international letters are allowed, capitals never."""
    if len(labels) > _MOST_LABELS:
        raise invalid(field, "", f"The number of labels exceeds the maximum of {_MOST_LABELS}.")
    tail = (
        "can only contain lowercase letters, numeric characters, underscores and dashes. "
        "The {what} can be at most 63 characters long. International characters are allowed."
    )
    for key, value in labels.items():
        if not key or not (key[0].isalpha() and _label_text(key)):
            why = f"Label key '{key}' violates format constraints. The key must start with a "
            raise invalid(field, "", why + "lowercase character, " + tail.format(what="key"))
        if not _label_text(value):
            why = f"Label value '{value}' violates format constraints. The value "
            raise invalid(field, "", why + tail.format(what="value"))
    return labels


def _label_text(text: str) -> bool:
    return len(text) <= _LONGEST and all(
        letter in "-_" or (letter.isalnum() and letter == letter.lower()) for letter in text
    )


def check_metadata(items: list[Json]) -> list[Json]:
    """Metadata items by Google's limits: 128-character keys, 256 KiB a value, 512 KiB in all."""
    seen: set[str] = set()
    total = 0
    for item in items:
        key, value = item.get("key"), item.get("value", "")
        if not key:
            raise required("resource.metadata.items[].key")
        if re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", key) is None:
            raise invalid(
                "resource.metadata.items[].key",
                key,
                "Must be a match of regex '[a-zA-Z0-9-_]{1,128}'",
            )
        if key in seen:
            raise invalid("resource.metadata", key, f"Metadata has duplicate key: {key}")
        seen.add(key)
        total += len(key) + len(value.encode())
        if len(value.encode()) > 256 * 1024:
            raise invalid(
                f"metadata.items[{len(seen) - 1}].value",
                "",
                "Value is too large: maximum size 262144.",
            )
    if total > 512 * 1024:
        raise invalid("resource.metadata", "", "Metadata is too large: maximum size 524288.")
    return items
