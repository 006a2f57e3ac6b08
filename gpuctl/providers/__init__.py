"""The clouds: one package each behind the Protocol in core/ports.py, found by name.

A cloud is a `Cloud` value under the entry point group `gpuctl.providers`; the two of this
package are known without looking.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpuctl.config.model import ClientPolicy, Settings
from gpuctl.core.billed import Bill, KindOf
from gpuctl.core.checkpoints import Store
from gpuctl.core.errors import UsageProblem
from gpuctl.core.images.facts import ImageFacts
from gpuctl.core.ports import Clock, NewId, Provider, Sleep
from gpuctl.core.span import Span

GROUP = "gpuctl.providers"

_BUILT_IN = {
    "aws": "gpuctl.providers.aws.cloud:CLOUD",
    "gcp": "gpuctl.providers.gcp.cloud:CLOUD",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a cloud is connected with. `payer` is the client whose own account is meant."""

    settings: Settings
    payer: ClientPolicy | None
    install: str
    environ: Mapping[str, str]
    clock: Clock
    sleep: Sleep
    new_id: NewId
    cache: Path | None = None
    """Where what can be asked for again is kept; None = nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """A provider before it is connected; nothing here imports its SDK."""

    name: str
    connect: Callable[[Context], Provider]
    in_use: Callable[[Settings, Mapping[str, str]], bool]
    """Whether anything in the settings or environment names this cloud."""
    has_own_account: Callable[[ClientPolicy], bool]
    """Whether a client has an account of its own there."""
    compressed_boot: bool
    """Whether the first script may be gzip'ed (cloud-init unpacks it)."""
    scheme: str | None = None
    """How addresses of its buckets begin, such as `s3`."""
    bucket: Callable[[Context, str], Store] | None = None
    """A bucket by its name, for reading."""
    image: Callable[[Context, str | None, str], ImageFacts] | None = None
    """What it tells of an image (region, name), free of charge. Optional."""
    export: Callable[[Context, str, Span], Iterator[str]] | None = None
    """The rows of a billing export (its name) with usage in a span: JSON, one a line. Optional."""
    costs: Callable[[Context, Span, KindOf], Bill] | None = None
    """What the account was billed over whole days, where the cloud tells it by API; each call
    may cost money. Optional: None = a bill is read from its files."""


def names() -> Sequence[str]:
    """All clouds there are, the built-in ones first."""
    return [*_BUILT_IN, *(name for name in _plugins() if name not in _BUILT_IN)]


def cloud(name: str) -> Cloud:
    """The cloud of that name. UsageProblem when there is none."""
    place = _BUILT_IN.get(name) or _plugins().get(name)
    if place is None:
        raise UsageProblem(f"there is no provider {name!r}", hint=f"known: {', '.join(names())}")
    module, _, attribute = place.partition(":")
    found: Cloud = getattr(importlib.import_module(module), attribute)
    return found


@cache
def _plugins() -> dict[str, str]:
    """Looked for once: every installed package is read for it."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - 10 ms that few commands need

    return {point.name: point.value for point in entry_points(group=GROUP)}
