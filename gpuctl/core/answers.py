"""A cloud's answer that lacks a field, or has junk in one, is an error that names both."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from gpuctl.core.errors import Busy, UnknownOutcome

P = ParamSpec("P")
T = TypeVar("T")

_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What reading a field raises that is not there, or is of another kind than was promised."""

_AGAIN = "run the command again; it finds out first"


class Unreadable(Busy):
    """Ask again: what came back cannot be read. After an effect it is an `UnknownOutcome`."""


@contextmanager
def reading(doing: str, cloud: str, *, effect: bool = False) -> Iterator[None]:
    """In the body an answer of `cloud` is read: Busy names `doing` and what is wrong with it.

    `effect`: the call has changed something, which is an `UnknownOutcome` then. The traceback is
    the error's cause, shown with --debug.
    """
    try:
        yield
    except Unreadable as error:
        if not effect:
            raise
        raise UnknownOutcome(error.message, hint=_AGAIN, detail=error.detail) from error
    except _MALFORMED as error:
        said = f"{doing}: the answer of {cloud} cannot be read: {_why(error)}"
        detail = f"{type(error).__name__}: {error}"
        if effect:
            raise UnknownOutcome(said, hint=_AGAIN, detail=detail) from error
        hint = "try again in a minute; --debug tells more"
        raise Unreadable(said, hint=hint, detail=detail) from error


def read_as(
    doing: str, cloud: str, *, effect: bool = False
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`reading` around a whole method."""

    def around(method: Callable[P, T]) -> Callable[P, T]:
        @wraps(method)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            with reading(doing, cloud, effect=effect):
                return method(*args, **kwargs)

        return guarded

    return around


def _why(error: Exception) -> str:
    if isinstance(error, KeyError) and error.args:
        return f"it has no {error.args[0]}"
    return str(error) or type(error).__name__
