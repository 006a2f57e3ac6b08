"""A provider over HTTP against the emulated AWS, with its requests counted."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from gpuctl.core.kinds import Market
from gpuctl.core.model import Access, DiskSpec, MachineId, Offer, Order
from gpuctl.providers.aws import AwsProvider, AwsSettings
from gpuctl.providers.aws.client import Clients, make_with_boto3
from gpuctl.sandbox.aws import AwsCloud
from gpuctl.sandbox.world import Boot, NoMetal, SandboxClock

REGIONS = ("us-east-1", "us-west-2")
INSTALL = "0123456789abcdef0123456789abcdef"
LEASE = "fedcba9876543210fedcba9876543210"
IMAGE = "ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
ALICE = "203.0.113.7/32"
PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFGsmHWTGRDaG/tjWrN8VRPP2ri1rTJzqk1yp8p4U9pD gpuctl"
)


class Plugs(NoMetal):
    """Machines without a body whose guests can power themselves off."""

    def __init__(self) -> None:
        self._off: dict[str, Callable[[], None]] = {}
        self.printed: dict[str, str] = {}

    def boot(self, boot: Boot, on_poweroff: Callable[[], None]) -> None:
        self._off[boot.id] = on_poweroff

    def pull(self, instance_id: str) -> None:
        self._off.pop(instance_id)()

    def console(self, id: str) -> str:  # noqa: A002 - the port's own word
        return self.printed.get(id, "")


@dataclass
class Rig:
    """The cloud, its clock, a provider on it, and how often each call was sent."""

    cloud: AwsCloud
    clock: SandboxClock
    plugs: Plugs
    url: str
    sent: Counter[str] = field(default_factory=Counter)
    requests: list[tuple[str, Any]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    _raw: Clients | None = None
    counted: dict[tuple[str, str, int], object] = field(default_factory=dict)

    def now(self) -> datetime:
        return self.clock.now().replace(microsecond=0)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(timedelta(seconds=seconds))

    def settings(self, **changes: Any) -> AwsSettings:
        given: dict[str, Any] = {"account_alias": "test", "install": INSTALL, "regions": REGIONS}
        return AwsSettings(**{**given, **changes})

    def clients(self) -> Clients:
        """Each counted client is made once: reading EC2's model takes longer than most tests."""
        make = make_with_boto3(self.settings(), self._environ())
        lock = threading.Lock()

        def count(request: Any, event_name: str, **_: Any) -> None:
            with lock:
                self.sent[event_name.rpartition(".")[2]] += 1

        def note(params: Any, event_name: str, **_: Any) -> None:
            with lock:
                self.requests.append((event_name.rpartition(".")[2], dict(params)))

        def made(service: str, region: str, attempts: int) -> object:
            if (service, region, attempts) in self.counted:
                return self.counted[service, region, attempts]
            client: Any = make(service, region, attempts)
            self.counted[service, region, attempts] = client
            client.meta.events.register("before-send.*", count)
            client.meta.events.register_first("provide-client-params.*", note)
            return client

        return Clients(made)

    def provider(self, **changes: Any) -> AwsProvider:
        settings = self.settings(**changes)
        return AwsProvider(settings, self.clients(), clock=self.now, sleep=self.sleep)

    def request(self, action: str) -> dict[str, Any]:
        """The parameters of the last call of that name."""
        return next(params for name, params in reversed(self.requests) if name == action)

    def settle(self) -> None:
        self.clock.advance(timedelta(seconds=2))

    def power_off(self, instance_id: str) -> None:
        with self.clock.lock:
            self.plugs.pull(instance_id)
        self.settle()

    def running(self) -> int:
        return sum(one.state in ("pending", "running") for one in self.cloud.truth())

    def order(self, **changes: Any) -> Order:
        given: dict[str, Any] = {
            "token": "a" * 32,
            "lease": LEASE,
            "install": INSTALL,
            "name": "vision-1",
            "project": "acme/vision",
            "offer": offer(),
            "image": IMAGE,
            "disk": DiskSpec(gb=50, type="gp3"),
            "access": Access(
                public_key=PUBLIC_KEY,
                user="ubuntu",
                sources=(ALICE,),
                expires=self.now() + timedelta(hours=8),
            ),
            "deadline": self.now() + timedelta(hours=8),
            "max_run": timedelta(hours=24),
            "user_data": b"#!/bin/sh\ntrue\n",
        }
        return Order(**{**given, **changes})

    def rules(self) -> Sequence[dict[str, Any]]:
        """The inbound rules there really are, in all configured regions."""
        found = [
            rule
            for region in REGIONS
            for rule in self.raw(region).describe_security_group_rules()["SecurityGroupRules"]
        ]
        return [rule for rule in found if not rule["IsEgress"] and rule.get("FromPort") == 22]

    def raw(self, region: str = "us-east-1") -> Any:
        """EC2 as anybody may call it, behind the provider's back."""
        if self._raw is None:
            self._raw = Clients(make_with_boto3(self.settings(), self._environ()))
        return self._raw.ec2(region)

    def _environ(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }


def offer(**changes: Any) -> Offer:
    given: dict[str, Any] = {
        "provider": "aws",
        "account": "123456789012",
        "region": "us-east-1",
        "zone": "us-east-1a",
        "type": "g4dn.xlarge",
        "gpu": "T4",
        "gpus": 1,
        "market": Market.SPOT,
        "hourly": Decimal("0.17"),
        "on_demand_hourly": Decimal("0.526"),
        "available": True,
        "vcpus": 4,
    }
    return Offer(**{**given, **changes})


def id_of(native: str = "i-0123456789abcdef0", region: str = "us-east-1") -> MachineId:
    return MachineId("aws", "123456789012", region, f"{region}a", native)


@contextmanager
def serving() -> Iterator[Rig]:
    """One cloud for a module: moto's state is global, and `reset` empties it between tests."""
    clock = SandboxClock()
    plugs = Plugs()
    cloud = AwsCloud(clock, plugs)
    url = cloud.start()
    try:
        yield Rig(cloud=cloud, clock=clock, plugs=plugs, url=url)
    finally:
        cloud.stop()


def fresh(rig: Rig) -> Rig:
    """An empty account again."""
    rig.cloud.reset()
    rig.sent.clear()
    rig.requests.clear()
    rig.slept.clear()
    return rig
