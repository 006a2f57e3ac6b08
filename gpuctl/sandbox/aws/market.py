"""The knobs of the emulated AWS: what tests and `gpuctl sandbox` turn."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from gpuctl.sandbox.aws.capacity import Capacity
from gpuctl.sandbox.aws.faults import Drop, Fault, Faults
from gpuctl.sandbox.aws.fleet import Fleet, Instance
from gpuctl.sandbox.aws.instance_types import Shelf
from gpuctl.sandbox.aws.launch import Launches
from gpuctl.sandbox.aws.prices import SpotPrices
from gpuctl.sandbox.aws.quotas import Quotas
from gpuctl.sandbox.world import SandboxClock

KNOBS = (
    "no_capacity", "capacity", "quota", "offer", "retire", "fault", "clear_faults", "lag",
    "latency", "interrupt", "rebalance", "terminate_from_console", "deny", "allow", "spot_price",
)  # fmt: skip
"""The names that `AwsCloud.control` takes."""


class Market:
    """Capacity, quotas, offers, prices, and what goes wrong."""

    def __init__(
        self,
        *,
        clock: SandboxClock,
        capacity: Capacity,
        quotas: Quotas,
        shelf: Shelf,
        prices: SpotPrices,
        faults: Faults,
        fleet: Fleet,
        launches: Launches,
    ) -> None:
        self._clock, self._capacity, self._quotas = clock, capacity, quotas
        self._shelf, self._prices, self._faults = shelf, prices, faults
        self._fleet, self._launches = fleet, launches

    def no_capacity(self, type: str, zone: str | None = None, market: str | None = None) -> None:  # noqa: A002
        """Sold out: in one zone or all, on one market (`spot`, `on-demand`) or both."""
        self._capacity.take(type, zone, market)

    def capacity(self, type: str, zone: str | None = None) -> None:  # noqa: A002
        """To be had again."""
        self._capacity.restore(type, zone)

    def quota(self, code: str, vcpus: int) -> None:
        """Set a vCPU quota (`L-3819A6DF`), in every region."""
        self._quotas.set(code, vcpus)

    def offer(self, type: str, zones: Sequence[str]) -> None:  # noqa: A002
        """Sell a type in exactly these zones."""
        self._shelf.offer(type, zones)

    def retire(self, type: str) -> None:  # noqa: A002
        """Sell a type nowhere."""
        self._shelf.retire(type)

    def fault(
        self,
        action: str,
        code: str | None = None,
        status: int | None = None,
        count: int = 1,
        delay: float | None = None,
        drop: Drop | None = None,
        message: str | None = None,
        *,
        html: bool = False,
    ) -> None:
        """Script the next `count` requests of an action (`*` = any).

        `code` answers with that error and its real HTTP status; `delay` waits so many real
        seconds first; `drop="before"` cuts the connection before anything is done,
        `drop="after"` once the work is done; `html` answers with a web page.
        """
        made = Fault(action, code, status, message, delay, drop, html)
        self._faults.plan(made, count)

    def clear_faults(self) -> None:
        """No more scripted trouble, no latency, nothing denied."""
        self._faults.clear()

    def lag(self, n: int) -> None:
        """A new instance is hidden for the first `n` Describe calls."""
        self._launches.lag = n

    def latency(self, ms: float) -> None:
        """Every request takes this much longer."""
        self._faults.latency = ms / 1000

    def deny(self, action: str) -> None:
        """No policy allows this action."""
        self._faults.denied.add(action)

    def allow(self, action: str) -> None:
        """Allowed again."""
        self._faults.denied.discard(action)

    def spot_price(self, type: str, zone: str, usd: str) -> None:  # noqa: A002
        """The spot price from now on, USD per hour."""
        self._prices.set(type, zone, Decimal(usd), self._clock.now())

    def interrupt(
        self,
        instance_id: str,
        notice_seconds: float = 120,
        code: str = "instance-terminated-no-capacity",
    ) -> None:
        """AWS takes a spot instance back, with notice. ValueError for any other instance."""
        with self._clock.lock:
            instance = self._running(instance_id)
            if instance.spot_request is None:
                raise ValueError(f"{instance_id} is no spot instance")
            self._fleet.interrupt(instance, notice_seconds, code)

    def rebalance(self, instance_id: str) -> None:
        """A rebalance recommendation in its metadata service."""
        with self._clock.lock:
            self._fleet.rebalance(self._running(instance_id))

    def terminate_from_console(self, instance_id: str) -> None:
        """Somebody ends it in the web console: neither gpuctl nor its ledger is told."""
        with self._clock.lock:
            self._fleet.terminate(self._known(instance_id), "console")

    def _known(self, instance_id: str) -> Instance:
        instance = self._fleet.get(instance_id)
        if instance is None:
            raise ValueError(f"no such instance: {instance_id}")
        return instance

    def _running(self, instance_id: str) -> Instance:
        instance = self._known(instance_id)
        if instance.ended is not None:
            raise ValueError(f"{instance_id} has ended")
        return instance

    def turn(self, name: str, arguments: dict[str, Any]) -> None:
        """Turn a knob by name. ValueError for an unknown one."""
        if name not in KNOBS:
            raise ValueError(f"no such knob: {name} (known: {', '.join(KNOBS)})")
        getattr(self, name)(**arguments)
