"""EC2's filters and pages over answers in the SDK's shapes."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from gpuctl.sandbox.aws.refusals import Refusal
from gpuctl.sandbox.aws.wire import Shape

Getter = Callable[[Shape], Any]
"""Finds a filter's value in an item: one, several, or None."""


def path(*keys: str) -> Getter:
    """A getter that walks keys; a list on the way gives the values of all its members."""

    def get(item: Shape) -> Any:
        found: list[Any] = [item]
        for key in keys:
            step = [one.get(key) for one in found if isinstance(one, Mapping)]
            found = [leaf for value in step for leaf in _each(value)]
        return found

    return get


def _each(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return str(value)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    parts = re.findall(r"\\.|.", text, re.DOTALL)
    made = "".join(
        {"*": ".*", "?": "."}.get(part) or re.escape(part[-1] if len(part) > 1 else part)
        for part in parts
    )
    return re.compile(made + r"\Z", re.DOTALL)


def fits(value: str, patterns: Iterable[str]) -> bool:
    """Whether a value is like one of the patterns: `*` any text, `?` one character."""
    return any(_pattern(pattern).match(value) for pattern in patterns)


def _tag_values(item: Shape, name: str) -> list[str] | None:
    tags = item.get("Tags") or []
    if name.startswith("tag:"):
        return [tag["Value"] for tag in tags if tag["Key"] == name[4:]]
    if name == "tag-key":
        return [tag["Key"] for tag in tags]
    if name == "tag-value":
        return [tag["Value"] for tag in tags]
    return None


def select(
    items: Sequence[Shape], filters: Sequence[Shape] | None, getters: Mapping[str, Getter]
) -> list[Shape]:
    """The items that pass all filters. Refusal `InvalidParameterValue` for an unknown one."""
    chosen = list(items)
    for one in filters or ():
        name, wanted = one.get("Name"), one.get("Values", [])
        if name is None or (
            name not in getters and not name.startswith("tag:") and name not in _TAG_FILTERS
        ):
            raise Refusal("InvalidParameterValue", f"The filter '{name or 'null'}' is invalid")
        chosen = [item for item in chosen if _passes(item, name, wanted, getters)]
    return chosen


_TAG_FILTERS = {"tag-key", "tag-value"}


def _passes(item: Shape, name: str, wanted: Sequence[str], getters: Mapping[str, Getter]) -> bool:
    values = _tag_values(item, name)
    if values is None:
        values = [_text(value) for value in _each(getters[name](item))]
    return any(fits(value, wanted) for value in values)


def page(items: Sequence[Shape], params: Shape, default: int) -> tuple[list[Shape], str | None]:
    """One page and the token of the next. Refusal `InvalidParameterValue` for a foreign token."""
    start = 0
    token = params.get("NextToken")
    if token:
        try:
            start = int(base64.urlsafe_b64decode(token).decode().removeprefix("sandbox:"))
        except (ValueError, binascii.Error):
            raise Refusal(
                "InvalidParameterValue", f"Unable to parse pagination token: {token}"
            ) from None
    end = start + int(params.get("MaxResults") or default)
    after = base64.urlsafe_b64encode(f"sandbox:{end}".encode()).decode()
    return list(items[start:end]), after if end < len(items) else None


def paged(name: str, items: Sequence[Shape], params: Shape, default: int = 1000) -> Shape:
    """An answer with one page of `items` under `name`."""
    chosen, token = page(items, params, default)
    answer: Shape = {name: chosen}
    if token:
        answer["NextToken"] = token
    return answer
