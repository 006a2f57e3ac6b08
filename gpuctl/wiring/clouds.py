"""The accounts in use, connected at need."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gpuctl import providers
from gpuctl.config.model import Settings
from gpuctl.core.billed import Bill
from gpuctl.core.checkpoints import Store
from gpuctl.core.errors import UsageProblem
from gpuctl.core.events import Leased
from gpuctl.core.images.facts import ImageFacts
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.names import client_of
from gpuctl.core.ports import Clock, CloudRef, Ledger, NewId, Provider, Sleep
from gpuctl.core.span import Span


class Accounts:
    """Accounts by reference, each connected once."""

    def __init__(
        self,
        environ: Mapping[str, str],
        settings: Settings,
        ledger: Ledger,
        *,
        clock: Clock,
        sleep: Sleep,
        new_id: NewId,
        cache: Path | None = None,
    ) -> None:
        self._environ = environ
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._sleep = sleep
        self._new_id = new_id
        self._cache = cache
        self._lock = threading.Lock()
        self._connected: dict[CloudRef, Provider] = {}

    def accounts(self) -> Sequence[CloudRef]:
        """Those named by settings or environment, and those that leases in the ledger name."""
        refs = [
            CloudRef(name)
            for name in providers.names()
            if providers.cloud(name).in_use(self._settings, self._environ)
        ]
        refs += [
            CloudRef(name, client.name)
            for client in self._settings.clients.values()
            if client.own_account
            for name in providers.names()
            if providers.cloud(name).has_own_account(client)
        ]
        refs += [
            CloudRef(event.provider, event.payer)
            for event in self._ledger.events()
            if isinstance(event, Leased)
            and (event.payer is None or event.payer in self._settings.clients)
        ]
        return list(dict.fromkeys(refs))

    def of(self, provider: str, project: str | None) -> CloudRef:
        """The client's own account where it has one on that cloud."""
        client = self._settings.clients.get(client_of(project)) if project else None
        if client is not None and providers.cloud(provider).has_own_account(client):
            return CloudRef(provider, client.name)
        return CloudRef(provider)

    def connect(self, ref: CloudRef) -> Provider:
        """The same object each time."""
        with self._lock:
            if ref not in self._connected:
                self._connected[ref] = providers.cloud(ref.provider).connect(self._context(ref))
            return self._connected[ref]

    def bucket(self, address: str, payer: str | None) -> Store:
        """By the scheme of its address."""
        scheme, _, rest = address.partition("://")
        for name in providers.names():
            cloud = providers.cloud(name)
            if cloud.scheme == scheme and cloud.bucket is not None:
                return cloud.bucket(self._context(CloudRef(name, payer)), rest.partition("/")[0])
        raise UsageProblem(f"{address} is no bucket of a cloud that is known")

    def image(self, ref: CloudRef, region: str | None, named: str) -> ImageFacts:
        """By the cloud's own listing of images."""
        ask = providers.cloud(ref.provider).image
        if ask is None:
            raise UsageProblem(
                f"{ref.provider} is not asked for images yet: there is no recipe {named} here",
                hint="gpuctl ami list",
            )
        return ask(self._context(ref), region, named)

    def export(self, provider: str, table: str, span: Span) -> Iterator[str]:
        """By the user's own credentials."""
        ask = providers.cloud(provider).export
        if ask is None:
            raise UsageProblem(
                f"{provider} keeps no export that can be asked",
                hint="gpuctl reconcile --from FILE",
            )
        return ask(self._context(CloudRef(provider)), table, span)

    def costs(self, ref: CloudRef, span: Span) -> Bill:
        """By the cloud's own API; the words of its bill mean what they mean in a file."""
        ask = providers.cloud(ref.provider).costs
        if ask is None:
            raise UsageProblem(
                f"{ref.provider} has no API that tells what was billed",
                hint="export the bill and read its files: gpuctl reconcile --from FILE",
            )
        return ask(self._context(ref), span, lambda word: _kind_of(ref.provider, word))

    def _context(self, ref: CloudRef) -> providers.Context:
        return providers.Context(
            settings=self._settings,
            payer=None if ref.payer is None else self._settings.client(ref.payer),
            install=self._ledger.install,
            environ=self._environ,
            clock=self._clock,
            sleep=self._sleep,
            new_id=self._new_id,
            cache=self._cache,
        )


def _kind_of(provider: str, word: str) -> tuple[Kind | None, Market | None]:
    from gpuctl.bills.meaning import meaning

    found = meaning(provider, word, None, None, None, None)
    return (None, None) if found is None else (found.kind, found.market)
