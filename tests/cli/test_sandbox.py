"""What the program promises, command by command, on the embedded clouds over real SSH."""

from decimal import Decimal
from pathlib import Path

import pytest

from gpuctl.sandbox.control import Control
from gpuctl.sandbox.state import SandboxState
from tests.sandboxed import home_in

from .program import Program

pytestmark = pytest.mark.slow

SPENT = ("spend", "--from", "2020-01-01", "--json")
"""Tests move the clock by hours and days: by its own default it would begin with the month."""


@pytest.fixture
def gpuctl(sandbox: SandboxState, control: Control) -> Program:
    return home_in(sandbox)


def instances(control: Control) -> list[dict[str, object]]:
    return list(control.truth()["aws"]["instances"])


def test_a_retired_type_is_passed_over_and_the_reason_said(gpuctl: Program) -> None:
    done = gpuctl("up", "-p", "acme/vision", "-t", "v100-spot", "-y", "--detach", "--json")
    attempts = done.json["attempts"]
    assert attempts[0]["type"] == "p3.2xlarge"
    assert attempts[0]["outcome"] == "skipped"
    assert "retired" in attempts[0]["reason"]
    assert attempts[-1]["outcome"] == "started"
    assert done.json["machine"]["type"] == "g5.xlarge"
    assert "retired P3" in done.err


def test_with_everything_sold_out_nothing_is_created(gpuctl: Program, control: Control) -> None:
    for kind in ("g5.xlarge", "g6.xlarge", "g4dn.xlarge"):
        control.knob("aws", "no_capacity", type=kind)
    done = gpuctl("up", "-p", "acme/vision", "-y", "--detach", "--json", code=5)
    assert done.json["machine"] is None
    assert {a["code"] for a in done.json["attempts"] if a["outcome"] == "refused"} == {
        "InsufficientInstanceCapacity"
    }
    assert "nothing is billed" in done.err
    assert instances(control) == []
    assert gpuctl("spend", "--json").json["charges"] == []


def test_a_quota_of_nothing_is_named_with_its_code(gpuctl: Program, control: Control) -> None:
    control.knob("aws", "quota", code="L-3819A6DF", vcpus=0)
    done = gpuctl("up", "-p", "acme/vision", "-y", "--detach", code=5)
    assert "L-3819A6DF" in done.err
    assert instances(control) == []


def test_bad_credentials_are_said_to_be_so(gpuctl: Program, control: Control) -> None:
    control.knob("aws", "fault", action="*", code="AuthFailure", status=401, count=1000)
    done = gpuctl("up", "-p", "acme/vision", "-y", "--detach", code=4)
    assert "redential" in done.err


def test_a_machine_is_used_ends_and_leaves_a_receipt(gpuctl: Program, control: Control) -> None:
    gpuctl("up", "-p", "acme/vision", "-y")
    assert gpuctl("ssh", "vision-1", "--", "echo", "hello $HOME").out == "hello $HOME\n"
    assert gpuctl("ssh", "vision-1", "--", "sh", "-c", "exit 7", code=7).out == ""
    control.gpu("vision-1", busy=True)
    gpuctl("sandbox", "advance", "2h")
    machine = gpuctl("down", "vision-1", "--json").json["machines"][0]
    assert machine["state"] == "gone"
    compute = [c for c in machine["charges"] if c["kind"] == "compute"]
    assert 7200 <= sum(c["seconds"] for c in compute) <= 7300
    # Exact inside, printed with 20 decimals: the last of them may be a rounding apart.
    printed = sum(Decimal(c["cost"]) for c in machine["charges"])
    assert abs(Decimal(machine["total"]) - printed) < Decimal("1e-18")
    assert Decimal(machine["on_demand"]) > Decimal(machine["total"])
    assert machine["still"] == []
    again = gpuctl("down", "vision-1")
    assert "already" in again.err
    assert gpuctl("audit", "--json").json["findings"] == []


def test_the_machine_carries_its_own_death(gpuctl: Program, control: Control) -> None:
    gpuctl("up", "-p", "acme/vision", "-y", "--ttl", "3h")
    control.gpu("vision-1", busy=True)
    gpuctl("sandbox", "advance", "30h")
    assert gpuctl("ps", "--json").json["machines"] == []
    usage = [c for c in gpuctl(*SPENT).json["charges"] if c["kind"] == "compute"]
    assert 3 * 3600 - 60 <= sum(c["seconds"] for c in usage) <= 3 * 3600 + 240


def test_an_interruption_in_the_first_hour_is_free(gpuctl: Program, control: Control) -> None:
    gpuctl("up", "-p", "acme/vision", "-y", "--detach")
    gpuctl("sandbox", "advance", "20m")
    gpuctl("sandbox", "interrupt", "vision-1")
    gpuctl("sandbox", "advance", "5m")
    assert gpuctl("ps", "--json").json["machines"] == []
    charges = gpuctl(*SPENT).json["charges"]
    compute = [c for c in charges if c["kind"] == "compute"]
    assert [(c["cost"], c["ended_by"]) for c in compute] == [("0", "provider")]
    assert any(c["kind"] == "disk" and Decimal(c["cost"]) > 0 for c in charges)


def test_a_google_vm_is_the_same_one_after_a_week(gpuctl: Program, control: Control) -> None:
    first = gpuctl("up", "gcp-vm", "-p", "borealis/nlp", "-t", "gcp-t4", "-y", "--json").json
    gpuctl("ssh", "gcp-vm", "--", "sh", "-c", "echo kept > note")
    control.knob("gcp", "pace", factor=1)
    gpuctl("down", "gcp-vm")
    gpuctl("sandbox", "advance", "7d")
    again = gpuctl("up", "gcp-vm", "-p", "borealis/nlp", "-t", "gcp-t4", "-y", "--json").json
    assert again["machine"]["id"] == first["machine"]["id"]
    assert gpuctl("ssh", "gcp-vm", "--", "cat", "note").out == "kept\n"
    vms = control.truth()["gcp"]["vms"]
    assert len(vms) == 1
    disk = [c for c in gpuctl(*SPENT).json["charges"] if c["kind"] == "disk"]
    assert len({c["resource"] for c in disk}) == 1
    assert sum(c["seconds"] for c in disk) > 7 * 86_400


def test_a_machine_is_switched_to_another_project(gpuctl: Program, control: Control) -> None:
    gpuctl("up", "-p", "acme/vision", "-y", "--detach")
    gpuctl("sandbox", "advance", "1h")
    gpuctl("switch", "vision-1", "me/learning")
    gpuctl("sandbox", "advance", "1h")
    gpuctl("down", "vision-1")
    by_project: dict[str, int] = {}
    for charge in gpuctl(*SPENT).json["charges"]:
        if charge["kind"] == "compute":
            seconds = by_project.get(charge["project"], 0) + charge["seconds"]
            by_project[charge["project"]] = seconds
    assert set(by_project) == {"acme/vision", "me/learning"}
    assert abs(by_project["acme/vision"] - by_project["me/learning"]) < 120


def test_without_a_terminal_nothing_is_started_unasked(gpuctl: Program, control: Control) -> None:
    done = gpuctl("up", "-p", "acme/vision", "--detach", code=2)
    assert "--yes" in done.err
    assert instances(control) == []


def test_a_wrong_project_is_answered_with_the_nearest(gpuctl: Program) -> None:
    done = gpuctl("up", "-p", "acme/vison", "-y", code=3)
    assert "acme/vision" in done.err


def test_the_sandbox_refuses_real_credentials(gpuctl: Program) -> None:
    leaky = Program(gpuctl.home, {**gpuctl.environ, "AWS_PROFILE": "real"})
    done = leaky("ps", code=2)
    assert "AWS_PROFILE" in done.err


def test_every_line_for_people_says_that_it_is_the_sandbox(gpuctl: Program) -> None:
    for argv in (["ps"], ["spend"], ["report"], ["offers", "-t", "l4-spot"]):
        done = gpuctl(*argv)
        assert all(line.startswith("[sandbox] ") for line in done.out.splitlines()), argv
    assert not gpuctl("ps", "--json").out.startswith("[sandbox]")


@pytest.mark.parametrize("flags", [["--quota", "L-1=x"], ["--offer", "p3.2xlarge"]])
def test_a_wrong_flag_starts_nothing(tmp_path: Path, flags: list[str]) -> None:
    gpuctl = Program(tmp_path, {})
    assert gpuctl("sandbox", "start", *flags, code=2).out == ""
    gpuctl("sandbox", "status", code=3)
