"""A clock, bare machines, and the real ssh client to reach them."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpuctl.sandbox.state import endpoint
from gpuctl.sandbox.world import Boot, SandboxClock

if TYPE_CHECKING:
    from gpuctl.sandbox.metal import LoopbackMetal


@dataclass
class Ssh:
    """OpenSSH's own client with a key of its own."""

    identity: Path
    public_key: str

    def argv(self, port: int, *options: str, user: str = "ubuntu") -> list[str]:
        fixed = (
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
        )
        opts = [word for option in fixed for word in ("-o", option)]
        return [
            *("ssh", "-F", "none", "-i", str(self.identity), "-p", str(port)),
            *opts,
            *options,
            f"{user}@127.0.0.1",
        ]

    def run(
        self, port: int, command: str, *, stdin: bytes = b"", user: str = "ubuntu"
    ) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [*self.argv(port, user=user), command],
            input=stdin,
            check=False,
            capture_output=True,
            timeout=60,
        )


@dataclass
class Room:
    """Metal on a clock, with the machines' ends noted."""

    metal: "LoopbackMetal"
    clock: SandboxClock
    directory: Path
    ssh: Ssh
    ended: list[tuple[str, object]] = field(default_factory=list)

    def boot(self, machine: str = "i-0abc", script: str = "", **kwargs) -> Boot:
        values = {
            "id": machine,
            "cloud": "aws",
            "name": "vision-1",
            "region": "us-east-1",
            "zone": "us-east-1a",
            "type": "p3.2xlarge",
            "user_data": script.encode(),
            "user": "ubuntu",
            "authorized_keys": (self.ssh.public_key,),
            "gpu": "Tesla V100-SXM2-16GB",
            "gpus": 1,
        }
        boot = Boot(**(values | kwargs))
        self.metal.boot(boot, lambda: self.ended.append((machine, self.clock.now())))
        return boot

    def port(self, machine: str = "i-0abc") -> int:
        found = endpoint(self.directory, machine)
        assert found is not None
        return found.port

    def root(self, machine: str = "i-0abc") -> Path:
        return self.directory / "metal" / machine / "root"

    def sh(self, command: str, machine: str = "i-0abc", **kwargs):
        return self.ssh.run(self.port(machine), command, **kwargs)


@pytest.fixture(scope="session")
def ssh(tmp_path_factory) -> Ssh:
    identity = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(identity)], check=True)
    return Ssh(identity, identity.with_suffix(".pub").read_text().strip())


@pytest.fixture
def room(tmp_path: Path, ssh: Ssh) -> Iterator[Room]:
    """Machines are off and their thread is gone after each test."""
    # Here, for tests/sandbox/aws and gcp need no asyncssh.
    from gpuctl.sandbox.metal import LoopbackMetal  # noqa: PLC0415

    def write(offset) -> None:
        told = json.dumps({"offset_seconds": offset.total_seconds()})
        (tmp_path / "clock.json").write_text(told)

    clock = SandboxClock(on_change=write)
    write(clock.offset)
    metal = LoopbackMetal(tmp_path / "metal", clock)
    stop = threading.Event()
    runner = threading.Thread(target=clock.run_forever, args=(stop,))
    runner.start()
    yield Room(metal, clock, tmp_path, ssh)
    stop.set()
    clock.call_in(0, lambda: None)  # wakes its thread
    metal.close()
    runner.join()


@pytest.fixture
def wait_for() -> Callable[..., None]:
    def wait(condition: Callable[[], object], limit: float = 10.0) -> None:
        end = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < end, "it did not come true in time"
            time.sleep(0.02)

    return wait
