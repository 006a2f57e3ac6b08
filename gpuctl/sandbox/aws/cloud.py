"""The emulated AWS as one thing: start it, ask it over HTTP, turn its knobs, read its truth."""

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from werkzeug.serving import BaseWSGIServer, make_server

from gpuctl.sandbox.aws import inside as moto_inside
from gpuctl.sandbox.aws.addresses import AddressPool
from gpuctl.sandbox.aws.capacity import Capacity
from gpuctl.sandbox.aws.disks import Disks, TrueVolume
from gpuctl.sandbox.aws.faults import Faults
from gpuctl.sandbox.aws.firewall import Firewall, Violation
from gpuctl.sandbox.aws.fleet import Fleet, TrueInstance
from gpuctl.sandbox.aws.front import Front
from gpuctl.sandbox.aws.images import Images, PublicParameters
from gpuctl.sandbox.aws.instance_types import Shelf
from gpuctl.sandbox.aws.instances import Instances
from gpuctl.sandbox.aws.launch import Account, Launches
from gpuctl.sandbox.aws.market import Market
from gpuctl.sandbox.aws.pricelist import PriceList
from gpuctl.sandbox.aws.prices import SpotPrices
from gpuctl.sandbox.aws.quotas import Quotas
from gpuctl.sandbox.aws.schedules import Schedules
from gpuctl.sandbox.aws.spot import SpotHistory, SpotRequests
from gpuctl.sandbox.aws.tokens import Tokens
from gpuctl.sandbox.aws.trail import Trail
from gpuctl.sandbox.aws.wire import Call, Handler, Moto, Shape
from gpuctl.sandbox.world import Metal, SandboxClock


class AwsCloud:
    """An AWS account on loopback. One may run in a process at a time: moto's state is global.

    Whoever owns the clock keeps it going (`SandboxClock.run_forever`); what is due is also run
    at every request.
    """

    def __init__(
        self, clock: SandboxClock, metal: Metal, *, seed: int = 0, account: str = "123456789012"
    ) -> None:
        moto_inside.prepare()
        self._clock, self._account = clock, account
        self._inside = moto_inside.Inside(account)
        self._moto = Moto(account)
        self._faults, self._capacity, self._quotas = Faults(), Capacity(), Quotas()
        self._tokens, self._shelf = Tokens(), Shelf()
        self._prices = SpotPrices(seed)
        self._trail = Trail(clock, account)
        self._spot = SpotRequests(clock, self._inside)
        self._disks = Disks(clock, self._inside, self._tokens, account)
        self._images = Images(clock, self._inside, self._moto, metal)
        self._firewall = Firewall(clock, self._inside)
        self._fleet = Fleet(clock, metal, self._inside, self._spot, self._trail, self._disks)
        self._schedules = Schedules(clock, self._inside, self._fleet, self._trail, account)
        self._launches = Launches(
            Account(
                clock=clock,
                moto=self._moto,
                inside=self._inside,
                images=self._images,
                shelf=self._shelf,
                capacity=self._capacity,
                quotas=self._quotas,
                prices=self._prices,
                spot=self._spot,
                tokens=self._tokens,
                disks=self._disks,
                trail=self._trail,
                fleet=self._fleet,
            )
        )
        self.market = Market(
            clock=clock,
            capacity=self._capacity,
            quotas=self._quotas,
            shelf=self._shelf,
            prices=self._prices,
            faults=self._faults,
            fleet=self._fleet,
            launches=self._launches,
        )
        self._addresses = AddressPool(self._addresses_in_use)
        self._undo = ExitStack()
        self._front: Front | None = None
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> str:
        """Serve on 127.0.0.1, any free port; returns the endpoint URL."""
        self._undo.enter_context(moto_inside.moto_clock(self._clock.now))
        self._undo.enter_context(moto_inside.public_addresses(self._addresses.give))
        self._undo.enter_context(moto_inside.image_mappings())
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._front = Front(
            clock=self._clock,
            moto=self._moto,
            faults=self._faults,
            handlers=self._handlers(),
            prepare=self._images.stock,
            schedules=self._schedules,
            account=self._account,
        )
        self.reset()
        self._server = make_server("127.0.0.1", 0, self._front, threaded=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Stop serving and end every machine. Idempotent."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None
            with self._clock.lock:
                self._fleet.reset()
        self._undo.close()

    def reset(self) -> None:
        """An empty account again: no instances, no faults, usual quotas, offers and prices."""
        with self._clock.lock:
            self._fleet.reset()
            self._schedules.reset()
            self._moto.reset()
            for part in (
                self._spot, self._disks, self._images, self._firewall, self._tokens,
                self._trail, self._capacity, self._quotas, self._shelf, self._prices,
            ):  # fmt: skip
                part.reset()
            self._faults.clear()
            self._launches.lag = 0

    def control(self, name: str, **arguments: Any) -> None:
        """Turn one of `market`'s knobs by name. ValueError for an unknown one."""
        self.market.turn(name, arguments)

    def truth(self) -> Sequence[TrueInstance]:
        """Every instance that ever existed since the last reset, oldest first."""
        with self._clock.lock:
            self._clock.run_due()
            return self._fleet.truth()

    def volumes(self) -> Sequence[TrueVolume]:
        """Every volume that ever existed since the last reset, oldest first."""
        with self._clock.lock:
            self._clock.run_due()
            return self._disks.truth()

    @property
    def violations(self) -> Sequence[Violation]:
        """Ingress rules that let everybody in, made since the last reset."""
        return tuple(self._firewall.violations)

    @property
    def requests(self) -> int:
        """How many requests have come over HTTP since the start."""
        return self._front.requests if self._front else 0

    def _addresses_in_use(self) -> set[str]:
        return self._inside.addresses_in_use()

    def _handlers(self) -> Mapping[str, Handler]:
        instances = Instances(
            clock=self._clock,
            moto=self._moto,
            inside=self._inside,
            fleet=self._fleet,
            capacity=self._capacity,
            quotas=self._quotas,
            launches=self._launches,
            trail=self._trail,
        )
        parts = (
            self._launches, instances, self._spot, self._disks, self._images, self._firewall,
            self._trail, self._quotas, self._shelf, PublicParameters(self._images),
            PriceList(self._shelf), SpotHistory(self._clock, self._prices, self._shelf),
        )  # fmt: skip
        handlers = {key: one for part in parts for key, one in part.handlers().items()}
        handlers["sts.GetCallerIdentity"] = self._who
        return handlers

    def _who(self, call: Call) -> Shape:  # noqa: ARG002 - a handler
        return {
            "UserId": "AIDASANDBOXSANDBOXSAN",
            "Account": self._account,
            "Arn": f"arn:aws:iam::{self._account}:user/sandbox",
        }
