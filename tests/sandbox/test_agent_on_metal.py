"""The first script that real machines get, on a machine of the sandbox."""

import json
from datetime import timedelta

import pytest

from gpuctl.agent.boot import BootPlan, render


@pytest.fixture
def armed(room):
    """Boots a machine with a lease of so many hours; its deadline."""

    def boot(hours: float, cloud: str = "aws", **more):
        deadline = (room.clock.now() + timedelta(hours=hours)).replace(microsecond=0)
        plan = BootPlan(
            lease="0" * 32,
            cloud=cloud,
            deadline=deadline,
            ceiling=deadline + timedelta(hours=4),
            user="ubuntu",
            gpus=1,
            **more,
        )
        room.boot(user_data=render(plan, compress=cloud == "aws"), cloud=cloud)
        assert room.metal.settle(timedelta(seconds=30)), room.metal.console("i-0abc")
        return deadline

    return boot


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_the_lease_ends_the_machine_at_its_deadline(room, armed, cloud):
    deadline = armed(8, cloud)
    assert room.sh("systemctl is-active gpuctl-deadline.timer").returncode == 0
    room.clock.advance(timedelta(hours=7, minutes=59))
    assert room.ended == []
    room.clock.advance(timedelta(days=20))
    ((_, at),) = room.ended
    assert abs(at - deadline) <= timedelta(seconds=2)


def test_a_machine_says_that_it_is_armed_and_its_agent_runs(room, armed, wait_for):
    armed(8)
    told = json.loads((room.root() / "run/gpuctl/armed.json").read_text())
    assert told["deadline"] > told["armed_at"]
    wait_for(lambda: room.sh("systemctl is-active gpuctl-agent").returncode == 0)
    status = room.sh('"$GPUCTL_ROOT/usr/local/bin/gpuctl-agent" status --json')
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)["armed"] is True
