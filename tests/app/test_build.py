"""`ami build` over the fake clouds: its phases, and what is left when each is broken off."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gpuctl.app.audit import audit, fix
from gpuctl.app.build import build
from gpuctl.app.build_image import Made
from gpuctl.app.build_steps import CutOff, StepFailed
from gpuctl.app.builder import Building, BuildPlan
from gpuctl.app.job import Interrupted
from gpuctl.config.builtin import recipes
from gpuctl.config.lockfile import read_lock
from gpuctl.config.recipe import read_recipe
from gpuctl.config.recipe_files import recipe_files, recipe_sha256, step_names
from gpuctl.core.errors import Busy, GpuctlError, NotFound, UnknownOutcome, UsageProblem
from gpuctl.core.events import Leased, Usage
from gpuctl.core.kinds import Kind
from gpuctl.core.overhead import IMAGES
from gpuctl.core.ports import StepEnd
from tests.app.conftest import ACME, Desk
from tests.changed import changed

RECIPE = read_recipe(recipes() / "portable-cu126")
FILES = recipe_files(RECIPE)
KEY, STEPS = recipe_sha256(FILES), step_names(RECIPE)
CLEAN = STEPS[-1]
HOURS = timedelta(hours=3)


@dataclass
class Bench:
    """The desk, and a lock file; `bench()` is one `ami build`."""

    desk: Desk
    lock: Path
    provider: str = "aws"
    log: list[bytes] = field(default_factory=list)
    plans: list[BuildPlan] = field(default_factory=list)
    busy: bool = False

    def __call__(self, **changes: Any) -> Made:
        known = {"recipe": RECIPE, "files": FILES, "key": KEY, "steps": STEPS}
        asked = Building(**known | {"provider": self.provider} | changes)
        app = self.desk.app._replace(at_work=lambda _: self.busy)
        self.busy = True
        try:
            return build(app, asked, self.lock, self._agree, self.log.append)
        finally:
            self.busy = False

    def _agree(self, plan: BuildPlan) -> bool:
        self.plans.append(plan)
        return True

    @property
    def cloud(self) -> Any:
        return self.desk.aws if self.provider == "aws" else self.desk.gcp

    def built(self) -> Any:
        (one,) = read_lock(self.lock)
        return one

    def costing(self) -> list[str]:
        """Machines, disks and images that still cost, images of the lock aside."""
        kept = {i for b in read_lock(self.lock) for i in (*b.aws.values(), b.gcp)}
        vms = [
            vm.native for vm in self.cloud.vms if vm.alive or (self.cloud.stops and not vm.deleted)
        ]
        return [*vms, *(shot.id for shot in self.cloud.shots if shot.id not in kept)]


@pytest.fixture(params=["aws", "gcp"])
def bench(desk: Desk, tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    desk.aws.spot[("c7i.large", "us-east-1a")] = "0.03"
    desk.aws.spot[("m7i.large", "us-east-1b")] = "0.04"
    desk.gcp.spot[("e2-standard-2", "us-central1-a")] = "0.02"
    return Bench(desk, tmp_path / "images.lock.toml", request.param)


def test_a_build_ends_with_an_image_in_the_lock_and_no_builder(bench: Bench) -> None:
    made = bench()
    built = bench.built()
    assert made.built == built
    (shot,) = bench.cloud.shots
    assert shot.id in (*built.aws.values(), built.gcp)
    assert (built.key, built.recipe_sha256, built.torch) == ("torch-portable@1", KEY, "2.10.0")
    assert built.base == bench.cloud.vms[0].order.image
    assert bench.desk.reach.builders.ran == list(STEPS)
    assert bench.desk.reach.builders.environ["GPUCTL_CUDA"] == "cu126"
    assert bench.costing() == []
    assert bench.desk.books.unsettled == ()


def test_what_it_costs_is_overhead_with_a_lease_and_a_deadline(bench: Bench) -> None:
    bench()
    (lease,) = bench.desk.events(Leased)
    assert (lease.project, lease.template) == (IMAGES, "ami-build")
    assert lease.deadline - lease.at == RECIPE.build_timeout + timedelta(minutes=45)
    kinds = {usage.kind for usage in bench.desk.events(Usage) if usage.project == IMAGES}
    assert Kind.DISK in kinds
    assert {Kind.COMPUTE, Kind.VCPU} & kinds
    assert bench.desk.spent(IMAGES) > 0


def test_a_client_pays_for_it_where_one_is_named(bench: Bench) -> None:
    bench(project=ACME)
    assert bench.desk.spent(ACME) > 0
    assert bench.desk.events(Leased)[0].project == ACME
    assert bench.cloud.shots[0].order.project == ACME


def test_the_plan_tells_of_minutes_and_of_the_image(bench: Bench) -> None:
    bench()
    (plan,) = bench.plans
    assert (plan.minutes, plan.steps) == (30, STEPS)
    if bench.provider == "aws":
        assert plan.cost is not None
        assert 0 < plan.cost < 1


def test_a_dry_run_makes_nothing(bench: Bench) -> None:
    assert bench(dry_run=True).built is None
    assert (len(bench.plans), bench.cloud.vms) == (1, [])


def test_who_says_no_starts_nothing(bench: Bench) -> None:
    bench._agree = lambda plan: False  # type: ignore[method-assign]
    assert bench().built is None
    assert bench.cloud.vms == []


def test_what_is_built_is_not_built_again(bench: Bench) -> None:
    bench()
    assert bench().existed
    assert len(bench.cloud.vms) == 1
    with pytest.raises(UsageProblem) as caught:
        bench(key="f" * 64)
    assert "raise version" in (caught.value.hint or "")


def test_a_failing_step_names_file_and_line_and_leaves_no_builder(bench: Bench) -> None:
    where = f"{STEPS[2]}:12: exit 100: apt-get install docker"
    bench.desk.reach.builders.ends[STEPS[2]] = StepEnd(100, where)
    with pytest.raises(StepFailed) as caught:
        bench()
    assert caught.value.message.startswith(where)
    assert f"all of {STEPS[2]}" in caught.value.message
    assert caught.value.exit_code == 1
    assert bench.desk.reach.builders.ran == list(STEPS[:3])
    assert bench.costing() == []
    assert not bench.lock.exists()


def test_a_failed_builder_can_be_kept_for_looking_at(bench: Bench) -> None:
    bench.desk.reach.builders.ends[STEPS[2]] = StepEnd(1)
    with pytest.raises(StepFailed, match=f"{STEPS[2]}: exit 1"):
        bench(keep=True)
    assert len(bench.cloud.running()) == 1
    bench.desk.reach.builders.ends.clear()
    bench()
    assert bench.desk.reach.builders.ran == [*STEPS[:3], *STEPS[2:]]
    assert bench.costing() == []


def test_a_connection_that_breaks_is_made_again_and_nothing_is_said_twice(bench: Bench) -> None:
    bench.desk.reach.builders.breaks[STEPS[1]] = 2
    bench()
    said = b"".join(bench.log).decode()
    assert said.count("half of it") == len(STEPS)
    assert bench.desk.reach.builders.ran == list(STEPS)


def test_a_line_that_stays_broken_leaves_the_builder_and_the_next_build_goes_on(
    bench: Bench,
) -> None:
    bench.desk.reach.builders.breaks[STEPS[3]] = 12
    with pytest.raises(CutOff) as caught:
        bench()
    assert (caught.value.exit_code, caught.value.hint[:29]) == (7, "gpuctl ami build portable-cu1")
    bench()
    assert bench.desk.reach.builders.ran == list(STEPS)
    assert len(bench.cloud.vms) == 1
    assert any("done before" in note for note in bench.desk.said.notes)
    assert bench.costing() == []


def test_a_builder_that_was_restarted_is_told_of(bench: Bench) -> None:
    bench.desk.reach.builders.lost.add(STEPS[1])
    with pytest.raises(CutOff, match="restarted"):
        bench()
    bench.desk.reach.builders.lost.clear()
    bench()
    assert bench.desk.reach.builders.ran == [*STEPS[:2], *STEPS[1:]]


def test_a_builder_that_is_taken_back_is_an_interruption(bench: Bench) -> None:
    bench.desk.reach.builders.breaks[STEPS[1]] = 1
    follow = bench.cloud.interrupt
    said = bench.log.append

    def taken_back(piece: bytes) -> None:
        said(piece)
        follow(bench.cloud.vms[0].native)

    bench.log = type("Log", (list,), {"append": lambda self, piece: taken_back(piece)})()
    with pytest.raises(Interrupted):
        bench()
    assert bench.costing() == []


def test_other_steps_take_another_builder(bench: Bench) -> None:
    bench.desk.reach.builders.breaks[STEPS[1]] = 12
    with pytest.raises(CutOff):
        bench()
    bench(key="0" * 64)
    assert len(bench.cloud.vms) == 2
    assert bench.built().recipe_sha256 == "0" * 64
    assert bench.costing() == []


def test_an_image_that_fails_is_taken_away_with_its_builder(bench: Bench) -> None:
    bench.cloud.image_fails = "the disk could not be read"
    with pytest.raises(GpuctlError, match="could not be read"):
        bench()
    assert bench.costing() == []
    assert bench.desk.books.unsettled == ()


def test_an_image_that_vanishes_has_failed(bench: Bench) -> None:
    making = bench.cloud.making
    seen: list[Any] = []

    def vanish(shot: Any) -> Any:
        seen.append(shot)
        if len(seen) > 1:
            bench.cloud.shots.clear()
        return making(shot)

    bench.cloud.making = vanish
    with pytest.raises(GpuctlError, match="no trace of it"):
        bench()
    assert bench.costing() == []
    assert bench.desk.books.unsettled == ()


def test_an_answer_that_is_lost_makes_one_image(bench: Bench) -> None:
    sent: list[int] = []
    make = bench.cloud.shoot

    def shoot(order: Any) -> Any:
        sent.append(1)
        shot = make(order)
        if len(sent) == 1:
            raise UnknownOutcome("who knows")
        return shot

    bench.cloud.shoot = shoot
    bench()
    assert (len(sent), len(bench.cloud.shots)) == (2, 1)


def test_a_cloud_that_takes_no_order_is_given_up(bench: Bench) -> None:
    bench.cloud.image_error = Busy("not now")
    with pytest.raises(Busy, match="not now"):
        bench()
    bench.cloud.image_error = None
    bench()
    assert len(bench.cloud.vms) == 1
    assert bench.costing() == []


def test_an_image_that_takes_for_ever_is_gone_on_with(bench: Bench) -> None:
    bench.cloud.imaging = timedelta(hours=3)
    with pytest.raises(Busy, match="not ready"):
        bench()
    bench.desk.clock.tick(hours=2)
    bench()
    assert len(bench.cloud.shots) == 1
    assert bench.costing() == []


PHASES: dict[str, Callable[[Bench], None]] = {
    "launch": lambda b: setattr(b.cloud, "launch_error", KeyboardInterrupt()),
    "launched": lambda b: setattr(b.cloud, "crash_after_launch", KeyboardInterrupt()),
    "first step": lambda b: b.desk.reach.builders.crashes.update({STEPS[0]: KeyboardInterrupt()}),
    "last step": lambda b: b.desk.reach.builders.crashes.update({CLEAN: KeyboardInterrupt()}),
    "image": lambda b: setattr(b.cloud, "image_error", KeyboardInterrupt()),
    "imaged": lambda b: setattr(b.cloud, "crash_after_image", KeyboardInterrupt()),
}


def mend(bench: Bench) -> None:
    bench.cloud.launch_error = bench.cloud.crash_after_launch = None
    bench.cloud.image_error = bench.cloud.crash_after_image = None
    bench.desk.reach.builders.crashes.clear()


@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c_ends_the_builder(bench: Bench, phase: str) -> None:
    PHASES[phase](bench)
    with pytest.raises(KeyboardInterrupt):
        bench()
    mend(bench)
    bench.desk.clock.tick(minutes=16)
    bench.desk.sync()
    begun = [shot.id for shot in bench.cloud.shots]
    assert bench.costing() == begun
    bench()
    assert [shot.id for shot in bench.cloud.shots][: len(begun)] == begun
    assert len(bench.cloud.shots) == 1
    assert bench.costing() == []


def test_a_builder_that_cannot_be_ended_now_is_left_to_its_lease(bench: Bench) -> None:
    bench.desk.reach.builders.crashes[STEPS[0]] = KeyboardInterrupt()
    bench.cloud.stop_error = GpuctlError("the network is down")
    with pytest.raises(KeyboardInterrupt):
        bench()
    assert any("its lease ends it" in note for note in bench.desk.said.notes)


def test_an_image_of_the_recipe_as_it_was_is_taken_away(bench: Bench) -> None:
    bench.cloud.crash_after_image = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench()
    mend(bench)
    bench(key="0" * 64)
    assert [shot.order.recipe_sha256 for shot in bench.cloud.shots] == ["0" * 64]
    assert bench.desk.books.unsettled == ()


def test_who_says_no_to_another_builder_has_none(bench: Bench) -> None:
    bench.desk.reach.builders.breaks[STEPS[1]] = 12
    with pytest.raises(CutOff):
        bench()
    bench._agree = lambda plan: False  # type: ignore[method-assign]
    assert bench(key="0" * 64).built is None
    assert bench.costing() == []


def test_a_builder_that_ends_before_its_image_is_an_interruption(bench: Bench) -> None:
    bench.cloud.image_error = NotFound("no such builder")
    with pytest.raises(Interrupted, match="before its image"):
        bench()
    bench.cloud.image_error = None
    bench()
    assert bench.costing() == []


def test_a_builder_reached_from_elsewhere_lets_this_computer_in(bench: Bench) -> None:
    bench.desk.reach.builders.breaks[STEPS[1]] = 12
    with pytest.raises(CutOff):
        bench()
    reach = bench.desk.reach
    admits = len([call for call in bench.cloud.calls if call.startswith("admit")])

    def armed(machine: Any) -> Any:
        told = [call for call in bench.cloud.calls if call.startswith("admit")]
        return machine.deadline if len(told) > admits else None

    reach.armed = armed  # type: ignore[method-assign]
    bench()
    assert any(note.startswith("going on with build-") for note in bench.desk.said.notes)


def test_one_image_of_both_clouds_has_one_entry(bench: Bench) -> None:
    bench()
    bench(provider="gcp" if bench.provider == "aws" else "aws")
    built = bench.built()
    assert (len(built.aws), built.gcp is None) == (1, False)


def test_what_the_builder_says_of_itself_is_in_the_lock(bench: Bench) -> None:
    told = '{"driver": "580.126.16", "torch": "2.10.1"}'
    bench.desk.reach.run = lambda machine, argv: (0, told)  # type: ignore[method-assign]
    bench()
    assert (bench.built().driver, bench.built().torch) == ("580.126.16", "2.10.1")


def test_a_recipe_that_is_not_for_the_cloud_is_refused(bench: Bench) -> None:
    with pytest.raises(UsageProblem, match="not for"):
        bench(recipe=changed(RECIPE, aws_types=(), gcp_types=()))


def test_an_image_that_never_began_is_forgotten_by_any_command(bench: Bench) -> None:
    bench.cloud.image_error = Busy("not now")
    with pytest.raises(Busy):
        bench()
    bench.desk.clock.tick(minutes=16)
    bench.desk.sync()
    assert [intent.verb for intent in bench.desk.books.unsettled] == []
    assert bench.desk.outcomes[-1] == ("failed", "never-taken")


def test_an_image_that_failed_meanwhile_is_taken_away_by_any_command(bench: Bench) -> None:
    bench.cloud.crash_after_image = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench()
    mend(bench)
    bench.cloud.image_fails = "broken"
    bench.desk.clock.tick(minutes=5)
    bench.desk.sync()
    assert bench.cloud.shots == []
    assert bench.desk.outcomes[-1] == ("failed", "image-failed")


def kill(bench: Bench, monkeypatch: pytest.MonkeyPatch, phase: str) -> None:
    """One build that dies there without another word."""
    PHASES[phase](bench)
    with monkeypatch.context() as patch:
        for module in ("build", "build_image", "builder"):
            patch.setattr(f"gpuctl.app.{module}.end_builder", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            bench()
    mend(bench)


@pytest.mark.parametrize("phase", PHASES)
def test_after_a_kill_the_next_build_makes_one_image(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    kill(bench, monkeypatch, phase)
    bench.desk.clock.tick(minutes=2)
    bench()
    assert len(bench.cloud.shots) == 1
    assert bench.costing() == []
    assert [intent for intent in bench.desk.books.unsettled if intent.verb == "image"] == []


@pytest.mark.parametrize("phase", PHASES)
def test_after_a_kill_an_audit_takes_away_what_costs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    kill(bench, monkeypatch, phase)
    bench.desk.clock.tick(minutes=16)
    app = bench.desk.app
    fix(app, audit(app).findings)
    bench.desk.clock.tick(minutes=2)
    assert bench.costing() == []
    assert not bench.lock.exists()


def test_an_audit_leaves_a_build_that_goes_on_alone(bench: Bench) -> None:
    found: list[str] = []
    taken = bench.cloud.making

    def making(shot: Any) -> Any:
        bench.cloud.making = taken
        app = bench.desk.app._replace(at_work=lambda _: True)
        found.extend(finding.resource for finding in audit(app).findings if finding.ours)
        found.append("looked")
        return taken(shot)

    bench.cloud.making = making
    bench()
    assert found == ["looked"]


def test_a_finished_image_is_no_finding_and_a_strangers_is_not_ended(bench: Bench) -> None:
    bench()
    app = bench.desk.app
    assert [one for one in audit(app).findings if one.kind == "image"] == []
    (shot,) = bench.cloud.shots
    shot.order = changed(shot.order, lease="e" * 32)
    (finding,) = [one for one in audit(app).findings if one.kind == "image"]
    assert not finding.ours


def test_the_length_of_earlier_builds_is_the_next_ones_estimate(bench: Bench) -> None:
    bench()
    bench.lock.unlink()
    bench()
    assert [plan.minutes < 30 for plan in bench.plans] == [False, True]
