"""Google's price list of the day: asked for at most once a day, kept in the cache directory."""

import contextlib
import json
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from gpuctl.core.kinds import Market
from gpuctl.core.model import PricePoint
from gpuctl.core.ports import Clock
from gpuctl.core.span import format_time, parse_time
from gpuctl.providers.gcp.client import loopback
from gpuctl.providers.gcp.errors import Json
from gpuctl.providers.gcp.skus import COMPUTE_ENGINE, Listed, read_all

ENDPOINT = "https://cloudbilling.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/cloud-billing.readonly"
FRESH = timedelta(days=1)
"""Spot prices change at most once a day (Google, "Spot VMs pricing")."""
_VERSION = 1
_PAGE = 5000
_TIMEOUT = 30.0
_MOST_PAGES = 40

_log = logging.getLogger(__name__)

Key = tuple[str | None, str, Market]


class Catalog:
    """The list as last read. Nothing here raises: without a list the bundled prices hold."""

    def __init__(self, file: Path, granted: Any, endpoint: str | None, clock: Clock) -> None:
        self._file = file
        self._granted = granted
        self._endpoint = (endpoint or ENDPOINT).rstrip("/")
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: datetime | None = None
        self._prices: Mapping[Key, Listed] | None = None
        self._tried = False
        self.problem: str | None = None
        """Why the list could not be asked for, the last time that was tried."""

    @property
    def source(self) -> str | None:
        """`Google's price list of 2026-11-22`; None when there is none."""
        self._load()
        return None if self._asked is None else f"Google's price list of {self._asked:%Y-%m-%d}"

    def rate(self, region: str | None, sku: str, market: Market) -> Decimal | None:
        """USD per unit as the list at hand has it; never asks Google."""
        listed = self._find(region, sku, market)
        return None if listed is None else listed.usd

    def point(self, region: str | None, sku: str, market: Market) -> PricePoint | None:
        """The same as a price point, from the day it became effective."""
        listed = self._find(region, sku, market)
        if listed is None:
            return None
        return PricePoint(at=listed.since, usd=listed.usd, source=self.source or ENDPOINT)

    def refresh(self) -> None:
        """Ask for the list unless that of the last day is at hand; once a process at most."""
        with self._lock:
            self._load()
            now = self._clock()
            if self._tried or (self._asked is not None and now - self._asked < FRESH):
                return
            self._tried = True
            try:
                prices = index(read_all(self._skus()))
            except Exception as error:  # noqa: BLE001 - whatever it is, prices are at hand
                self.problem = f"Google's price list could not be read: {error}"
                _log.warning("%s", self.problem)
                return
            if prices:
                self._prices, self._asked, self.problem = prices, now, None
                self._keep(prices, now)

    def _find(self, region: str | None, sku: str, market: Market) -> Listed | None:
        self._load()
        prices = self._prices or {}
        return prices.get((region, sku, market)) or prices.get((None, sku, market))

    def _skus(self) -> Iterator[Json]:
        from google.auth.transport.requests import AuthorizedSession

        here = loopback(self._endpoint)
        with contextlib.closing(AuthorizedSession(self._granted())) as session:  # type: ignore[no-untyped-call]
            session.trust_env = not here
            token = ""
            for _ in range(_MOST_PAGES):
                answer = session.get(
                    f"{self._endpoint}/v1/services/{COMPUTE_ENGINE}/skus",
                    params={"currencyCode": "USD", "pageSize": str(_PAGE), "pageToken": token},
                    timeout=_TIMEOUT,
                )
                answer.raise_for_status()
                page = answer.json()
                yield from page.get("skus") or ()
                token = page.get("nextPageToken") or ""
                if not token:
                    return
        raise ValueError(f"the list has more than {_MOST_PAGES} pages")

    def _load(self) -> None:
        if self._prices is not None:
            return
        self._prices = {}
        try:
            kept = json.loads(self._file.read_text("utf-8"))
            if kept["version"] == _VERSION:
                self._prices = index(
                    Listed(region, sku, Market(market), Decimal(usd), parse_time(since))
                    for region, sku, market, usd, since in kept["prices"]
                )
                self._asked = parse_time(kept["asked"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, ArithmeticError) as error:
            _log.warning("%s is not readable and is made again: %s", self._file, error)

    def _keep(self, prices: Mapping[Key, Listed], asked: datetime) -> None:
        rows = [
            [one.region, one.sku, one.market.value, f"{one.usd:f}", format_time(one.since)]
            for one in prices.values()
        ]
        text = json.dumps({"version": _VERSION, "asked": format_time(asked), "prices": rows})
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            unfinished = self._file.with_name(f"{self._file.name}.{os.getpid()}")
            unfinished.touch(mode=0o600)
            unfinished.write_text(text, "utf-8")
            unfinished.replace(self._file)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._file, error)


def index(prices: Iterable[Listed]) -> Mapping[Key, Listed]:
    """By region, thing and market; of several entries for one, the one effective last."""
    found: dict[Key, Listed] = {}
    for listed in prices:
        key = (listed.region, listed.sku, listed.market)
        known = found.get(key)
        if known is None or known.since <= listed.since:
            found[key] = listed
    return found
