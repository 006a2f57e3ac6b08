"""One emulated AWS for all tests here, empty before each; clients are unmodified boto3."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from gpuctl.sandbox.aws import AwsCloud
from gpuctl.sandbox.world import Boot, Notice, SandboxClock

DLAMI = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
RECORDED = Path(__file__).parents[4] / "shared" / "data" / "recorded" / "aws"


@dataclass
class RecordingMetal:
    """Machines that only note what is done to them."""

    boots: list[Boot] = field(default_factory=list)
    off: list[str] = field(default_factory=list)
    destroyed: list[str] = field(default_factory=list)
    notices: dict[str, Notice | None] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    images: list[tuple[str, str]] = field(default_factory=list)
    guests: dict[str, Callable[[], None]] = field(default_factory=dict)

    def boot(self, boot: Boot, on_poweroff: Callable[[], None]) -> None:
        self.boots.append(boot)
        self.guests[boot.id] = on_poweroff

    def power_off(self, id: str) -> None:  # noqa: A002
        self.off.append(id)

    def destroy(self, id: str) -> None:  # noqa: A002
        self.destroyed.append(id)

    def notify(self, id: str, notice: Notice | None) -> None:  # noqa: A002
        self.notices[id] = notice

    def set_tags(self, id: str, tags: Mapping[str, str]) -> None:  # noqa: A002
        self.tags[id] = dict(tags)

    def authorize(self, id: str, keys: Sequence[str]) -> None:  # noqa: A002
        raise AssertionError("Google only")

    def keep_image(self, id: str, image: str) -> None:  # noqa: A002
        self.images.append((id, image))

    def copy_image(self, image: str, copy: str) -> None:
        self.images.append((image, copy))

    def console(self, id: str) -> str:  # noqa: A002
        return f"ssh-ed25519 AAAAkey-of-{id}"

    def host_keys(self, id: str) -> Sequence[str]:  # noqa: A002
        return ()


class StillClock(SandboxClock):
    """Time that passes only when a test says so, however busy the computer is."""

    def __init__(self) -> None:
        super().__init__()
        self._still: datetime | None = super().now()

    def now(self) -> datetime:
        return self._frozen_at or self._still or super().now()

    def advance(self, by: timedelta) -> None:
        target = self.now() + by
        super().advance(by)
        self._still = target

    def hold(self) -> None:
        self._still = self.now()

    def let_go(self) -> None:
        self._still = None


class World:
    """The cloud, its clock, and real clients of it."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.metal = RecordingMetal()
        self.cloud = AwsCloud(self.clock, self.metal, seed=7)
        self.market = self.cloud.market
        self.url = self.cloud.start()
        self.client = cache(self._client)

    def _client(
        self, service: str, region: str = "us-east-1", key: str = "sandbox", tries: int = 1
    ):
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key="sandbox",
            config=Config(retries={"mode": "standard", "total_max_attempts": tries}),
        )

    @property
    def ec2(self):
        return self.client("ec2")

    def image(self, region: str = "us-east-1") -> str:
        return self.client("ssm", region).get_parameter(Name=DLAMI)["Parameter"]["Value"]

    def order(self, *, spot: bool = False, price: str | None = None, **changes):
        """Parameters of a small, valid launch."""
        params = {
            "ImageId": self.image(changes.pop("region", "us-east-1")),
            "InstanceType": "g6.xlarge",
            "MinCount": 1,
            "MaxCount": 1,
        }
        if spot:
            options = {"SpotInstanceType": "one-time"} | ({"MaxPrice": price} if price else {})
            params["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
        return params | changes

    def launch(self, **changes) -> str:
        return self.ec2.run_instances(**self.order(**changes))["Instances"][0]["InstanceId"]

    def see(self, instance_id: str, region: str = "us-east-1"):
        found = self.client("ec2", region).describe_instances(InstanceIds=[instance_id])
        return found["Reservations"][0]["Instances"][0]

    def state(self, instance_id: str) -> str:
        return self.see(instance_id)["State"]["Name"]

    def truth(self, instance_id: str):
        return next(one for one in self.cloud.truth() if one.id == instance_id)

    def subnet(self, zone: str) -> str:
        query = [{"Name": "availability-zone", "Values": [zone]}]
        return self.ec2.describe_subnets(Filters=query)["Subnets"][0]["SubnetId"]

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def running(self, **changes) -> str:
        made = self.launch(**changes)
        self.pass_seconds(1)
        return made


@pytest.fixture(scope="session")
def _world():
    world = World()
    yield world
    world.cloud.stop()


@pytest.fixture
def aws(_world):
    _world.clock.hold()
    _world.cloud.reset()
    _world.metal.__init__()
    return _world


@pytest.fixture
def refused():
    """Calls something and returns AWS's refusal: (code, HTTP status, message)."""

    def call(action, **params):
        with pytest.raises(ClientError) as caught:
            action(**params)
        error = caught.value.response
        status = error["ResponseMetadata"]["HTTPStatusCode"]
        return error["Error"]["Code"], status, error["Error"]["Message"]

    return call


@pytest.fixture(scope="session")
def quoted():
    """Refusals of the real service as people quoted them."""
    file = RECORDED / "quoted_launch_errors.json"
    if not file.exists():
        pytest.skip("the recorded answers of real services are not beside this checkout")
    return json.loads(file.read_text())
