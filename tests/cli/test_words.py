"""What is typed behind `run`, `ssh`, `down`, `extend`: a wrong word is told, never guessed."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gpuctl.app.fleet import cached
from gpuctl.core.books import books
from gpuctl.core.kinds import Market
from gpuctl.core.model import Check

from .clouds import Account, Clouds
from .desk import NOW

JOB = "1 to 63 of a-z, 0-9 and -"
BELOW = "is not below the pushed tree"


@pytest.fixture
def one(desk: Any) -> Any:
    """acme/vision's machine runs, alone."""
    desk.user("[client.acme.project.vision]\n")
    desk.clouds = Clouds(Account())
    runs(desk, "vision-1", "i-1")
    return desk


def runs(desk: Any, name: str, native: str) -> None:
    """A machine of acme/vision, in the ledger and in the cloud's list."""
    desk.machine(name, "acme/vision", NOW, native=native)
    desk.clouds.only.listed = list(cached(books(desk.ledger.events())))


@pytest.mark.parametrize("command", [("ssh",), ("run",), ("run", "--resume", "auto")], ids=" ".join)
def test_what_stands_before_the_dashes_is_a_machine(one: Any, command: tuple[str, ...]) -> None:
    """A slip of the finger ran the machine's name as a command, on the machine there was."""
    said = one.refused(*command, "trainer", "--", "true", code=3)
    assert 'there is no machine "trainer"; running or stopped: vision-1' in said


def test_what_stands_behind_the_dashes_is_none(one: Any) -> None:
    said = one.refused("run", "--resume", "auto", "--", code=2)
    assert "run what?" in said
    runs(one, "vision-2", "i-2")
    assert "which machine?" in one.refused("ssh", "--", "vision-1")


def test_up_takes_no_machine(one: Any) -> None:
    for more in ((), ("--resume", "auto")):
        said = one.refused("run", "--up", *more, "vision-1", "--", "true")
        assert "--up finds the project's machine, or starts it: leave out vision-1" in said


@pytest.mark.parametrize("name", ["", "Bad Job", "ünï", "a.b", "j" * 64])
def test_what_is_no_name_of_a_job_is_told_before_anything_is_asked(desk: Any, name: str) -> None:
    assert JOB in desk.refused("run", "--name", name, "--", "true")
    assert JOB in desk.refused("run", "--up", "--resume", "auto", "--name", name, "--", "true")
    assert JOB in desk.refused("logs", "--job", name)


@pytest.mark.parametrize("path", ["", "..", "../..", "runs/../../x", "/etc"])
def test_nothing_above_the_tree_is_pulled(desk: Any, path: str) -> None:
    assert BELOW in desk.refused("pull", "vision-1", path)
    assert BELOW in desk.refused("run", "--pull", path, "--", "true")


def test_nothing_is_no_machine(one: Any) -> None:
    """`gpuctl down "$NAME"` with an empty variable ended the only machine."""
    for command in (("down", "-y"), ("ps", "--cached"), ("ssh",), ("extend", "--by", "1h")):
        assert 'there is no machine ""' in one.refused(*command, "", code=3)


def test_all_and_a_name_contradict_each_other(one: Any) -> None:
    assert "--all and a name" in one.refused("down", "--all", "vision-1", "-y")
    assert "--project and a name" in one.refused("down", "-p", "acme/vision", "vision-1")


def test_a_wrong_duration_names_its_flag(one: Any) -> None:
    for flag in ("--ttl", "--wait", "--idle-stop"):
        assert f"{flag} '4x' is not a duration" in one.refused(
            "up", "-p", "acme/vision", "-t", "l4-spot", flag, "4x"
        )
    for flag in ("--by", "--until"):
        assert f"{flag} '' is not" in one.refused("extend", flag, "")


def test_a_file_is_no_tree(desk: Any) -> None:
    (desk.cwd / "train.py").write_text("")
    assert "is a file" in desk.refused("push", "vision-1", str(desk.cwd / "train.py"))


def test_every_without_a_timer_is_told(desk: Any) -> None:
    """It looked once, and a script's author went home."""
    said = desk.refused("audit", "--every", "2h")
    assert "gpuctl audit --install-timer --every 2h" in said


def test_a_dry_run_of_down_is_json_too(one: Any) -> None:
    told = one.json("down", "--dry-run")
    assert told["schema"] == "gpuctl.down/1"
    assert [machine["name"] for machine in told["machines"]] == ["vision-1"]
    assert told["dry_run"] is True


def test_a_life_beyond_the_ceiling_is_said(desk: Any) -> None:
    desk.user("[client.acme.project.vision]\n")
    desk.clouds = Clouds(Account())
    said = desk("up", "-p", "acme/vision", "-t", "l4-spot", "--ttl", "900d", "--dry-run").output
    assert "900d is more than limits.max_lifetime allows: 1d" in said


class Dear(Account):
    """What is offered costs another price in each of five zones, and each is too dear."""

    def offers(self, want: Any) -> list[Any]:
        prices = ("0.90", "0.30", "0.70", "0.50", "0.60")
        return [
            replace(
                offer, available=False, hourly=Decimal(usd), zone=f"z{usd}", reason=f"{usd} is dear"
            )
            for offer in super().offers(want)
            for usd in prices
            if offer.market is Market.SPOT
        ]


def test_what_is_too_dear_everywhere_is_said_once(desk: Any) -> None:
    """Thirty-seven lines hid the one price that was near."""
    desk.user("[client.acme.project.vision]\n")
    desk.clouds = Clouds(Dear())
    said = desk.refused("up", "-p", "acme/vision", "-t", "t4-spot", "-y", code=5)
    assert said[said.index("  g4dn") :].splitlines()[:3] == [
        "  g4dn.xlarge: 0.30 is dear",
        "  g4dn.xlarge: 0.50 is dear",
        "  g4dn.xlarge: and 3 more: gpuctl offers",
    ]
    attempts = desk("up", "-p", "acme/vision", "-t", "t4-spot", "-y", "--json").stdout
    assert attempts.count("is dear") == 10


class Checked(Account):
    """Says of itself what a provider says: its own name first, and one name is long."""

    def checks(self, *_: Any, **__: Any) -> list[Check]:
        return [
            Check(name="aws credentials", ok=True, says="SAYS"),
            Check(name="aws quota on-demand g6 us-east-2", ok=True, says="SAYS"),
        ]


def test_doctors_lines_are_aligned_and_name_a_cloud_once(desk: Any) -> None:
    desk.clouds = Clouds(Checked())
    lines = [line for line in desk("doctor").stdout.splitlines() if "SAYS" in line]
    assert [line.split()[1] for line in lines] == ["aws.credentials", "aws.quota"]
    assert len({line.index("SAYS") for line in lines}) == 1


def test_what_a_job_lacks_here_is_told_before_a_machine_is_started(desk: Any) -> None:
    """It was told after: the machine stayed, and cost."""
    desk.user("[client.acme.project.vision]\n")
    desk.project_file.write_text("[run]\nenv = ['NO_SUCH']\n")
    desk.clouds = Clouds(Account())
    said = desk.refused("run", "--up", "-p", "acme/vision", "-t", "l4-spot", "-y", "--", "true")
    assert "NO_SUCH, which this shell does not have" in said
    assert "Plan for" not in said
