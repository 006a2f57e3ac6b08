"""Asking several accounts at once, and keeping apart who answered and who did not."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from gpuctl.core.errors import GpuctlError, ListingIncomplete
from gpuctl.core.ports import CloudRef, Provider

_THREADS = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """An account, or a region of it, that could not be asked: nothing is known about it."""

    provider: str
    region: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Answers(Generic[T]):
    """What came back, by account, and who is missing."""

    by_cloud: dict[CloudRef, T]
    silent: tuple[Silence, ...]


def ask(
    refs: Sequence[CloudRef],
    connect: Callable[[CloudRef], Provider],
    question: Callable[[Provider], T],
) -> Answers[T]:
    """Put a question to all accounts at once.

    Raises the first error when no account answered at all: then there is nothing to show.
    """

    def one(ref: CloudRef) -> T | GpuctlError:
        try:
            return question(connect(ref))
        except GpuctlError as error:
            return error

    if not refs:
        return Answers({}, ())
    with ThreadPoolExecutor(min(_THREADS, len(refs))) as pool:
        results = list(pool.map(one, refs))
    answered: dict[CloudRef, T] = {}
    silent: list[Silence] = []
    errors: list[GpuctlError] = []
    for ref, result in zip(refs, results, strict=True):
        if isinstance(result, GpuctlError):
            region = result.region if isinstance(result, ListingIncomplete) else None
            silent.append(Silence(provider=str(ref), region=region, reason=result.message))
            errors.append(result)
        else:
            answered[ref] = result
    if errors and not answered:
        raise errors[0]
    return Answers(answered, tuple(silent))
