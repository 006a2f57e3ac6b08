"""The ECB's rates, fetched at need and kept."""

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from gpuctl.bills.ecb import ALL, RECENT, ROOT, Table, Unreadable, rate_in, read_table
from gpuctl.core.errors import GpuctlError
from gpuctl.core.ports import Clock
from gpuctl.core.statements_facts import Rate

_RECENT_DAYS = 80
_TIMEOUT_S = 10.0
_LARGEST = 8 << 20
_FRESH = timedelta(hours=6)

Get = Callable[[str], bytes]
"""The body at an address. OSError when it cannot be had."""


def fetch(address: str) -> bytes:
    """The body, over HTTPS (or from this computer), not more than rates can be. OSError."""
    with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - checked below
        came = urlsplit(answer.geturl())
        if came.scheme != "https" and came.hostname not in ("127.0.0.1", "::1"):
            raise OSError(f"{came.hostname} answers without encryption")
        body: bytes = answer.read(_LARGEST + 1)
    if len(body) > _LARGEST:
        raise OSError(f"{address} is larger than rates can be")
    return body


class Ecb:
    """Rates from the ECB, kept in a directory; asked for only where what is kept is too old."""

    def __init__(self, cache: Path, clock: Clock, get: Get | None, root: str = ROOT) -> None:
        """`get` None = nothing is fetched: the sandbox never leaves this computer."""
        self._cache = cache
        self._clock = clock
        self._get = get
        self._root = root

    def rate(self, currency: str, day: date) -> Rate:
        """What a dollar was worth on a day. GpuctlError with what to type where nobody knows."""
        recent = self._clock().date() - day < timedelta(days=_RECENT_DAYS)
        name = RECENT if recent else ALL
        kept = self._kept(name)
        if kept is not None and self._covers(*kept, day):
            rate = rate_in(kept[0], currency, day, "ECB")
            if rate is not None:
                return rate
        try:
            table = self._fetched(name)
        except (OSError, Unreadable) as error:
            return self._from_kept(kept, currency, day, error)
        rate = rate_in(table, currency, day, "ECB")
        if rate is None:
            raise _nobody_knows(currency, f"the ECB has no rate of it on {day} or before")
        return rate

    def _covers(self, table: Table, fetched: datetime, day: date) -> bool:
        """Whether nothing newer for that day can have come since it was fetched."""
        if table.first > day:
            return False
        final = table.last >= day or fetched.date() > day
        return final or self._clock() - fetched < _FRESH

    def _kept(self, name: str) -> tuple[Table, datetime] | None:
        """The copy and when it was fetched; None where there is none that can be read."""
        path = self._cache / name
        try:
            table = read_table(path.read_bytes())
            return table, datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except (OSError, Unreadable):
            return None

    def _fetched(self, name: str) -> Table:
        if self._get is None:
            raise OSError("nothing is fetched from here")
        data = self._get(self._root + name)
        table = read_table(data)
        self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._cache / f"{name}.{os.getpid()}"
        fresh.write_bytes(data)
        moment = self._clock().timestamp()
        os.utime(fresh, (moment, moment))
        fresh.replace(self._cache / name)
        return table

    def _from_kept(
        self,
        kept: tuple[Table, datetime] | None,
        currency: str,
        day: date,
        error: Exception,
    ) -> Rate:
        rate = None if kept is None else rate_in(kept[0], currency, day, "ECB")
        if kept is None or rate is None:
            raise _nobody_knows(currency, _reason(error)) from error
        told = (
            f"the exchange rate is of {rate.day}, from a copy fetched on {kept[1]:%Y-%m-%d}: "
            "no newer one could be had"
        )
        return rate._replace(notes=(told,))


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the ECB answers {error.code}"
    if isinstance(error, urllib.error.URLError):
        return f"the ECB cannot be reached: {error.reason}"
    return str(error)


def _nobody_knows(currency: str, reason: str) -> GpuctlError:
    return GpuctlError(
        f"what a dollar was worth in {currency} is not known: {reason}",
        hint=f"the same with --rate 0.92 ({currency} for one USD), or --rates FILE ({ALL})",
    )
