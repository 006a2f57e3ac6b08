"""The composition root: the real clock, ids, files, SSH and clouds, put together once."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl.app import App
    from gpuctl.config.model import Settings, Tunnel
    from gpuctl.config.paths import Paths
    from gpuctl.core.events import Leased
    from gpuctl.core.images.facts import ImageFacts
    from gpuctl.core.model import Machine
    from gpuctl.core.ports import Clock, Ledger, Progress, Sleep
    from gpuctl.ledger.postgres import PostgresLedger
    from gpuctl.ledger.store import SqliteLedger


def clock_for(environ: Mapping[str, str]) -> Clock:
    """Real time; under the sandbox the sandbox's, which can be moved while a command runs."""
    if not environ.get("GPUCTL_SANDBOX"):
        return lambda: datetime.now(UTC).replace(microsecond=0)
    from gpuctl.sandbox.safety import sandbox_clock_offset

    def sandboxed() -> datetime:
        moved = datetime.now(UTC) + sandbox_clock_offset(environ)
        return moved.replace(microsecond=0)

    return sandboxed


def sleep_for(environ: Mapping[str, str]) -> Sleep:
    """Real waiting; the sandbox's clouds are quicker than real ones, and so is the waiting."""
    if not environ.get("GPUCTL_SANDBOX"):
        return time.sleep
    return lambda seconds: time.sleep(min(seconds, 0.2))


def new_id() -> str:
    """32 random hex digits."""
    return os.urandom(16).hex()


def open_ledger(paths: Paths) -> SqliteLedger | PostgresLedger:
    """The ledger of these paths, a file or a server; made at first use."""
    if paths.ledger.path is None:
        from gpuctl.ledger.postgres import PostgresLedger

        return PostgresLedger(paths.ledger.url or "", install=new_id())
    from gpuctl.ledger.store import SqliteLedger

    return SqliteLedger(paths.ledger.path, install=new_id())


def build(
    environ: Mapping[str, str],
    settings: Settings,
    paths: Paths,
    ledger: Ledger,
    progress: Progress,
) -> App:
    """Everything a verb needs. No SDK is imported before a cloud is asked something."""
    from gpuctl.app import App
    from gpuctl.wiring.clouds import Accounts
    from gpuctl.wiring.reach import OpenSsh

    clock, sleep = clock_for(environ), sleep_for(environ)
    return App(
        settings=settings,
        ledger=ledger,
        clouds=Accounts(
            environ,
            settings,
            ledger,
            clock=clock,
            sleep=sleep,
            new_id=new_id,
            cache=paths.cache,
        ),
        reach=OpenSsh(environ, paths, lambda machine: _tunnel_of(settings, ledger, machine)),
        boot=_boot,
        clock=clock,
        sleep=sleep,
        new_id=new_id,
        progress=progress,
        images=lambda named: _image(paths, named),
        at_work=lambda builder: _at_work(paths, builder),
        pinned=lambda named, provider, region: _pinned(paths, named, provider, region),
    )


def _at_work(paths: Paths, builder: str) -> bool:
    from gpuctl.wiring.builds import held

    return held(paths, builder)


def _image(paths: Paths, named: str) -> ImageFacts | None:
    from gpuctl.wiring.shelf import known_image

    return known_image(paths, named)


def _pinned(paths: Paths, named: str, provider: str, region: str) -> tuple[str, str] | None:
    from gpuctl.wiring.shelf import pinned

    return pinned(paths, named, provider, region)


def _tunnel_of(settings: Settings, ledger: Ledger, machine: Machine) -> Tunnel:
    """As the template says that the machine was started from; plain SSH when it is not known."""
    from gpuctl.config.model import Tunnel
    from gpuctl.core.books import books

    lease = books(ledger.events()).leases.get(machine.lease or "")
    template = settings.templates.get(lease.template) if lease is not None else None
    return template.tunnel if template is not None else Tunnel.SSH


def _boot(lease: Leased, user: str, gpus: int) -> bytes:
    from gpuctl import providers
    from gpuctl.agent.boot import BootPlan, render

    plan = BootPlan(
        lease=lease.id,
        cloud=lease.provider,
        deadline=lease.deadline,
        ceiling=lease.ceiling,
        user=user,
        idle_stop_s=lease.idle_stop_s,
        gpus=gpus,
        project=lease.project,
        name=lease.name,
        budget=None if lease.budget is None else f"{lease.budget:f}",
    )
    return render(plan, compress=providers.cloud(lease.provider).compressed_boot)
