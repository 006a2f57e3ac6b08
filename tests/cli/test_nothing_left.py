"""Nothing is left running, by the real program on emulated clouds: lost ledgers, hung guests."""

from datetime import datetime
from typing import Any

import pytest

from gpuctl.sandbox.control import Control
from gpuctl.sandbox.state import SandboxState
from tests.sandboxed import home_in

from .program import Program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def control(control: Control) -> Control:
    control.knob("gcp", "pace", factor=1)
    return control


@pytest.fixture
def gpuctl(sandbox: SandboxState, control: Control) -> Program:
    return home_in(sandbox)


def seconds(start: str, end: str | None) -> int:
    assert end is not None
    whole = [datetime.fromisoformat(moment).replace(microsecond=0) for moment in (start, end)]
    return int((whole[1] - whole[0]).total_seconds())


def truth(control: Control) -> dict[str, int]:
    """Seconds on the clock by resource, by the emulators' own word. All has ended."""
    told: dict[str, Any] = dict(control.truth())
    found = {
        one["id"]: sum(seconds(run["started"], run["ended"]) for run in one["runs"])
        for one in told["aws"]["instances"]
    }
    found |= {one["id"]: seconds(one["created"], one["deleted"]) for one in told["aws"]["volumes"]}
    found |= {
        vm["id"]: sum(seconds(run["start"], run["stop"]) for run in vm["runs"])
        for vm in told["gcp"]["vms"]
    }
    return found | {
        disk["id"]: seconds(disk["created"], disk["deleted"]) for disk in told["gcp"]["disks"]
    }


def billed(gpuctl: Program) -> dict[str, int]:
    """The same by the ledger; of a machine's parts each tells the same. Addresses left out."""
    found: dict[str, int] = {}
    charges = gpuctl("spend", "--from", "2020-01-01", "--json").json["charges"]
    parts = {(c["resource"], c["kind"], c["sku"]) for c in charges if c["kind"] != "ipv4"}
    for resource, kind, sku in parts:
        found[resource] = sum(
            c["seconds"]
            for c in charges
            if (c["resource"], c["kind"], c["sku"]) == (resource, kind, sku)
        )
    return found


def test_a_lost_ledger_is_made_again_and_the_bill_is_the_truth(
    sandbox: SandboxState, gpuctl: Program, control: Control
) -> None:
    gpuctl("up", "-p", "acme/vision", "-y", "--detach")
    gpuctl("up", "gcp-vm", "-p", "borealis/nlp", "-t", "gcp-t4", "-y", "--detach")
    gpuctl("up", "gone", "-p", "acme/vision", "-y", "--detach")
    gpuctl("sandbox", "advance", "90m")
    gpuctl("down", "gone")
    before = gpuctl("ps", "--json").json["machines"]
    mine = {m["name"]: m["deadline"] for m in before}

    later = home_in(sandbox)
    planned = later("ledger", "rebuild", "--dry-run", "--json").json
    assert planned["schema"] == "gpuctl.ledger.rebuild/1"
    assert planned["dry_run"] is True
    assert {lease["name"] for lease in planned["leases"]} == {"vision-1", "gcp-vm", "gone"}
    assert later("spend", "--json").json["charges"] == []

    assert "--yes" in later("ledger", "rebuild", code=2).err
    done = later("ledger", "rebuild", "-y", "--json").json
    assert done["install"] != done["install_before"]
    leases = {lease["name"]: lease["deadline"] for lease in done["leases"]}
    assert {name: leases[name] for name in mine} == mine
    assert {m["template"] for m in done["leases"]} == {"v100-spot", "gcp-t4"}
    assert done["runs"]["ended"] == 1
    assert any("switches" in line for line in done["not_restored"])
    assert later("ledger", "rebuild", "-y", "--json").json["events"] == 0
    assert later("ledger", "verify").code == 0

    assert later("audit", "--json").json["findings"] == []
    shown = later("ps", "--json").json["machines"]
    kept = ("name", "project", "launched_at", "deadline", "hourly", "image")
    assert [[m[k] for k in kept] for m in shown] == [[m[k] for k in kept] for m in before]
    later("down", "--all", "--delete", "-y")
    told, really = billed(later), truth(control)
    # The disk of what had ended before is the one thing that AWS does not list any more.
    assert len(set(really) - set(told)) == 1
    assert set(told) <= set(really)
    for resource, length in told.items():
        # EC2 deletes a machine's disk a moment after the end that it tells of the machine.
        assert really[resource] - length in ((0, 1) if resource.startswith("vol-") else (0,))


def test_of_several_installations_one_must_be_named(
    sandbox: SandboxState, gpuctl: Program, control: Control
) -> None:
    gpuctl("up", "-p", "acme/vision", "-y", "--detach")
    other = home_in(sandbox)
    other("up", "second", "-p", "acme/vision", "-y", "--detach")

    later = home_in(sandbox)
    said = later("ledger", "rebuild", "-y", code=2).err
    assert "second" in said
    install = next(line.split()[0] for line in said.splitlines() if line.endswith("second"))
    done = later("ledger", "rebuild", "--install", install, "--json").json
    assert [lease["name"] for lease in done["leases"]] == ["second"]
    assert done["install"] == install
    later("down", "second")


def test_a_machine_whose_guest_hangs_is_ended_by_aws(gpuctl: Program, control: Control) -> None:
    said = gpuctl("up", "bare", "-p", "acme/vision", "-y", "--detach", "--ttl", "1h").err
    assert "nothing ends it at its deadline: gpuctl init --reaper" in said
    gpuctl("down", "bare")
    assert "made role gpuctl-reaper" in gpuctl("init", "--reaper").err
    gpuctl("up", "-p", "acme/vision", "-y", "--ttl", "1h")
    control.gpu("vision-1", busy=True)
    for unit in ("gpuctl-deadline.timer", "gpuctl-agent.service"):
        gpuctl("ssh", "vision-1", "--", "systemctl", "stop", unit)
    gpuctl("sandbox", "advance", "70m")
    assert [m["state"] for m in gpuctl("ps", "--json").json["machines"]] == ["running"]

    gpuctl("sandbox", "advance", "10m")

    assert gpuctl("ps", "--json").json["machines"] == []
    told, really = billed(gpuctl), truth(control)
    for resource, length in told.items():
        assert max(really[resource], 60) - length in (0, 1)
    (one,) = (i for i in control.truth()["aws"]["instances"] if i["tags"]["Name"] == "vision-1")
    assert 75 * 60 - 5 <= seconds(one["started"], one["ended"]) <= 76 * 60
    assert gpuctl("audit", "--json").json["findings"] == []
    assert "gpuctl-reaper" in gpuctl("init", "--undo", "-y").out
