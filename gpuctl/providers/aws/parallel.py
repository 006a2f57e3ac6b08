"""Several calls at once: a round trip to Sydney costs as much as all of them together."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
A = TypeVar("A")

_WORKERS = 16


def together(*calls: Callable[[], Any]) -> Sequence[Any]:
    """The results in the order of the calls; the first error, once all have finished.

    The calls may give different things, so the caller names the types of what it unpacks.
    """
    if len(calls) == 1:
        return [calls[0]()]
    with ThreadPoolExecutor(min(_WORKERS, len(calls) or 1)) as pool:
        futures = [pool.submit(call) for call in calls]
    return [future.result() for future in futures]


def each(items: Iterable[A], call: Callable[[A], T]) -> Sequence[T]:
    """`call` of every item at once, in the order of the items."""
    return together(*[_bound(call, item) for item in items])


def attempts(
    items: Iterable[A], call: Callable[[A], T], errors: type[Exception]
) -> Sequence[tuple[A, T | Exception]]:
    """Like `each`, but an error of that class is the item's result."""

    def attempt(item: A) -> tuple[A, T | Exception]:
        try:
            return item, call(item)
        except errors as error:
            return item, error

    return each(items, attempt)


def _bound(call: Callable[[A], T], item: A) -> Callable[[], T]:
    return lambda: call(item)
