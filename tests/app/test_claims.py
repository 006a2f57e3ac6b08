"""Several at once, and what goes wrong between a claim and its effect."""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gpuctl.app.begin import lacking
from gpuctl.app.job import Job as Command
from gpuctl.app.leg import Actor, claim, find, put
from gpuctl.app.leg_costs import leg_costs
from gpuctl.app.pursue import State, ask, failed, open_jobs, step
from gpuctl.app.record import record
from gpuctl.config.model import Limits
from gpuctl.core.errors import BudgetExceeded, Busy, GpuctlError, NotFound
from gpuctl.core.interchange import canonical, read_line
from gpuctl.core.jobs import Claim, Ended, Over, jobs, note
from tests.app.conftest import Desk
from tests.app.pursuit import Process
from tests.app.test_pursue import JOB, ME, OTHER, Shop
from tests.changed import changed

Make = Callable[..., Desk]
SECOND = "ba9876543210"


@pytest.fixture
def shop(make_desk: Make) -> Shop:
    return Shop(make_desk)


def test_facts_are_read_as_they_were_written(shop: Shop) -> None:
    now = shop.clock()
    wanted = shop.wanted(budget=Decimal("1.50"), deadline=now, work_s=60, environ=("A", "B"))
    held = Claim(1, 1, ME, now, now, "vision-1", market="spot", zones=("a", "b"))
    for fact in (wanted, held, Ended(1, now, "exit", code=0), Over(now, 0, "done")):
        event = note(JOB, fact, now)
        assert read_line(canonical(event)) == event
    ask(shop.app, JOB, wanted, held)
    known = jobs(shop.app.ledger.events())[JOB]
    assert (known.wanted, known.legs[0].claim) == (wanted, held)
    assert jobs([note(JOB, held, now)]) == {}


def test_of_two_claims_one_is_first(shop: Shop) -> None:
    shop.ask()
    mine = claim(shop.app, shop.actor, 1, 1, "vision-1")
    theirs = mine._replace(by=OTHER)
    assert put(shop.app, JOB, theirs)
    assert not put(shop.app, JOB, mine)
    assert find(shop.app, JOB).legs[0].claim == theirs
    with pytest.raises(NotFound, match="no job"):
        find(shop.app, SECOND)


def test_two_jobs_have_two_machines(shop: Shop) -> None:
    shop.ask()
    ask(shop.app, SECOND, shop.wanted(name="other"))
    assert [job.id for job in open_jobs(shop.app)] == [JOB, SECOND]
    first = claim(shop.app, shop.actor, 1, 1, "vision-1")
    put(shop.app, JOB, first)
    done = step(shop.app, SECOND, shop.actor)
    assert done.machine is not None
    assert done.machine.name == "vision-2"
    assert shop.step().machine.name == "vision-1"  # type: ignore[union-attr]


def test_a_name_that_another_job_took_first_is_given_up(shop: Shop) -> None:
    shop.ask()
    ask(shop.app, SECOND, shop.wanted(name="other"))
    before = shop.app.ledger.append

    def racing(events: Any) -> int:
        shop.app.ledger.append = before  # type: ignore[method-assign]
        put(shop.app, SECOND, claim(shop.app, shop.actor._replace(name=OTHER), 1, 1, "vision-1"))
        return int(before(events))

    def only_claims(events: Any) -> int:
        some = list(events)
        if some and getattr(some[0], "what", None) == "claim":
            return racing(some)
        return int(before(some))

    shop.app.ledger.append = only_claims  # type: ignore[method-assign]
    assert shop.until(State.RUNNING).machine.name == "vision-2"  # type: ignore[union-attr]
    assert [one.machine for one in find(shop.app, JOB).legs[0].claims][:2] == [
        "vision-1",
        "vision-2",
    ]


def test_a_job_on_a_machine_that_runs_goes_on_without_it(shop: Shop) -> None:
    shop.desk.up(template="saved")
    held = claim(shop.app, shop.actor, 1, 1, "vision-1")._replace(existing=True)
    ask(shop.app, JOB, shop.wanted(), held)
    assert shop.step().state is State.RUNNING
    shop.lose()
    assert shop.until(State.RUNNING).machine.name == "vision-2"  # type: ignore[union-attr]
    costs = leg_costs(shop.app, shop.job)
    assert [cost.waived > 0 for cost in costs] == [True, False]
    assert all(cost.cost > 0 for cost in costs)


def test_what_was_not_charged_is_the_same_at_once_and_later(shop: Shop) -> None:
    shop.ask()
    shop.until(State.RUNNING)
    shop.clock.tick(seconds=6)
    (vm,) = shop.aws.running()
    shop.aws.interrupt(vm.native)
    shop.step()
    at_once = leg_costs(shop.app, shop.job)[0].waived
    shop.clock.tick(hours=2)
    assert leg_costs(shop.app, shop.job)[0].waived == at_once > 0


def test_nothing_was_free_where_nothing_was_taken(shop: Shop) -> None:
    shop.ask()
    shop.step()
    shop.clock.tick(hours=1)
    shop.step()
    (cost,) = leg_costs(shop.app, shop.job)
    assert (cost.waived, cost.cost > 0) == (0, True)


def test_a_machine_that_never_gets_ready_is_a_leg_that_was_lost(shop: Shop) -> None:
    shop.ask(attempts=2)
    shop.reach.arms = False
    assert "did not report its dead-man's switch" in shop.step().says
    assert shop.until(State.OVER).code == 7
    assert shop.aws.running() == []
    assert shop.job.attempts == 2


def test_an_answer_that_was_lost_is_waited_for(shop: Shop) -> None:
    shop.ask()
    shop.aws.lost_answers = 3
    assert shop.step().state is State.WAITING
    assert shop.until(State.RUNNING).machine.name == "vision-1"  # type: ignore[union-attr]
    assert len(shop.aws.vms) == 1


def test_a_machine_that_is_lost_before_the_command_began(shop: Shop) -> None:
    shop.ask()
    shop.reach.start_job = broken  # type: ignore[method-assign]
    with pytest.raises(GpuctlError, match="no such thing"):
        shop.step()
    shop.lose()
    del shop.reach.start_job
    assert shop.step().says == "vision-1 ended before the job began"
    assert shop.until(State.RUNNING).machine.name == "vision-2"  # type: ignore[union-attr]


def test_what_became_of_a_machine_is_waited_for_before_another_is_had(shop: Shop) -> None:
    """It is about to go, and nobody knows yet how: the leg has no second one meanwhile."""
    shop.ask()
    shop.reach.start_job = broken  # type: ignore[method-assign]
    with pytest.raises(GpuctlError, match="no such thing"):
        shop.step()
    (vm,) = shop.aws.running()
    vm.visible = shop.clock() + timedelta(minutes=2)
    del shop.reach.start_job
    assert shop.step().says == "what became of vision-1 is not known yet"
    assert len(shop.aws.vms) == 1
    shop.clock.tick(minutes=3)
    assert shop.step().state is State.RUNNING
    assert len(shop.aws.vms) == 1


def test_who_is_killed_while_the_job_ends_leaves_it_to_the_next(shop: Shop) -> None:
    """The leg's end is in the ledger, its machine runs: somebody ends that, and then the job."""
    shop.ask(down=True)
    shop.step()
    shop.clock.tick(hours=1)
    end, shop.aws.call = shop.aws.call, killed_at_the_end  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        shop.step()
    shop.aws.call = end  # type: ignore[method-assign]
    assert shop.job.legs[0].ended.how == "exit"  # type: ignore[union-attr]
    assert (shop.job.open, len(shop.aws.running())) == (True, 1)
    done = shop.step()
    assert (done.code, shop.aws.running()) == (0, [])
    assert len(shop.job.legs) == 1


def killed_at_the_end(what: str) -> None:
    if what.startswith("end"):
        raise KeyboardInterrupt


def broken(*_: object) -> None:
    raise GpuctlError("no such thing")


def test_a_line_that_breaks_at_the_start_is_tried_again(shop: Shop) -> None:
    shop.ask()
    shop.reach.fails = 1
    done = shop.step()
    assert (done.state, "the line is dead" in done.says) == (State.WAITING, True)
    assert shop.step().state is State.RUNNING
    assert len(shop.reach.starts) == 1


def test_what_was_started_in_the_same_moment_is_not_started_twice(shop: Shop) -> None:
    shop.ask()

    def somebody_else(machine: Any, name: str, *_: object) -> None:
        shop.reach.processes[machine.id.native, name] = Process(shop.clock(), 0)
        raise GpuctlError(f"there is a job {name}")

    shop.reach.start_job = somebody_else  # type: ignore[method-assign]
    assert shop.step().state is State.RUNNING


def test_a_claim_that_was_taken_meanwhile_is_not_acted_on(shop: Shop) -> None:
    shop.ask()

    def slow(machine: Any) -> Any:
        held = shop.job.legs[0].claim
        put(shop.app, JOB, held._replace(turn=held.turn + 1, by=OTHER))
        return ()

    shop.reach.jobs = slow  # type: ignore[method-assign]
    done = shop.step()
    assert (done.state, done.says) == (State.AGAIN, "another process took the leg over")
    assert shop.reach.starts == []


def test_a_cloud_that_is_silent_proves_nothing(shop: Shop) -> None:
    shop.ask()
    shop.step()
    shop.aws.broken_region = "us-east-1"
    assert shop.step().says == "us-east-1 did not answer"


def test_an_end_that_is_not_known_yet_is_waited_for(shop: Shop) -> None:
    shop.ask()
    shop.step()
    shop.aws.vms[0].visible = shop.clock() + timedelta(hours=1)
    assert "what became of vision-1 is not known yet" in shop.step().says


def test_a_budget_that_a_machine_would_break_ends_the_job(make_desk: Make) -> None:
    shop = Shop(make_desk, limits=Limits(max_machines=0))
    shop.ask()
    assert shop.step().code == BudgetExceeded.exit_code


def test_who_says_no_starts_nothing(shop: Shop) -> None:
    shop.ask()
    done = shop.step(shop.actor._replace(confirm=lambda plan: False))
    assert (done.code, shop.aws.vms) == (1, [])


@pytest.mark.parametrize("kind", ["deadline", "idle"])
def test_a_job_that_was_told_to_end_goes_on_elsewhere(shop: Shop, kind: str) -> None:
    shop.ask()
    told = shop.step()
    assert told.machine is not None
    shop.reach.signal_job(told.machine, "train", "TERM")
    shop.reach.run = lambda *_: (0, json.dumps({"notice": kind}))  # type: ignore[method-assign]
    assert shop.step().says == "vision-1 is at the end of its lease"
    assert shop.aws.running() == []
    assert shop.job.legs[0].ended.how == "lease"  # type: ignore[union-attr]


def test_a_job_that_saved_itself_before_an_interruption_is_not_over(shop: Shop) -> None:
    shop.ask()
    told = shop.step()
    assert told.machine is not None
    shop.reach.signal_job(told.machine, "train", "TERM")
    shop.reach.run = lambda *_: (0, json.dumps({"notice": "spot"}))  # type: ignore[method-assign]
    done = shop.step()
    assert (done.state, len(shop.aws.running())) == (State.WAITING, 1)
    shop.reach.run = lambda *_: (0, "[]")  # type: ignore[method-assign]
    assert shop.step().code == 143


def test_a_machine_that_was_started_anew_has_lost_the_job(shop: Shop) -> None:
    shop.ask()
    shop.step()
    shop.reach.job_phase = lambda *_: "lost"  # type: ignore[method-assign]
    assert "left no exit code" in shop.step().says
    del shop.reach.job_phase
    done = shop.step()
    assert (done.machine.name, done.remote) == ("vision-1", "train-2")  # type: ignore[union-attr]
    assert len(shop.aws.vms) == 1


def test_without_a_bucket_the_tree_is_pushed_again(make_desk: Make) -> None:
    shop = Shop(make_desk)
    template = shop.app.settings.templates["saved"]
    plain = changed(template, checkpoint=changed(template.checkpoint, bucket=None), setup="make")
    settings = changed(shop.app.settings, templates={"saved": plain})
    shop.app = shop.app._replace(settings=settings)
    shop.ask()
    shop.until(State.RUNNING)
    shop.reach.fails = 3
    assert "cannot be reached" in shop.step().says
    shop.reach.fails = 0
    shop.lose()
    assert "began with /tree on anna" in (
        lacking(shop.app, shop.job, Actor(OTHER, "berta", {})) or ""
    )
    shop.until(State.RUNNING)
    assert [name for name, _ in shop.reach.pushed] == ["vision-1", "vision-2"]


def test_a_single_run_is_recorded_with_its_commit(shop: Shop) -> None:
    shop.desk.up(template="saved")
    synced = shop.desk.sync()
    command = Command(name="once", argv=("true",), directory="work/vision", environ={"KEY": "x"})
    done = record(
        shop.app, synced, synced.machines[0], command, ["true"], commit="c0ffee", dirty=True
    )
    (job,) = jobs(shop.app.ledger.events()).values()
    assert (job.wanted.commit, job.wanted.dirty, job.wanted.environ) == ("c0ffee", True, ("KEY",))
    assert not job.open
    done.ended(3)
    assert find(shop.app, job.id).over.code == 3  # type: ignore[union-attr]


def test_a_single_run_that_was_interrupted(shop: Shop) -> None:
    shop.desk.up(template="saved")
    synced = shop.desk.sync()
    command = Command(name="once", argv=("true",), directory="work/vision")
    done = record(shop.app, synced, synced.machines[0], command, ["true"], commit=None, dirty=False)
    shop.clock.tick(seconds=30)
    shop.lose()
    shop.desk.sync()
    done.interrupted("the cloud took it back")
    (job,) = jobs(shop.app.ledger.events()).values()
    assert job.over is not None and job.legs[0].ended is not None  # noqa: PT018
    assert (job.over.code, job.legs[0].ended.lost_s) == (7, 30)


def test_an_error_is_a_step_that_waits() -> None:
    assert failed(Busy("later")).state is State.WAITING


def test_ended_in_the_console_is_ended(shop: Shop) -> None:
    shop.ask()
    shop.step()
    shop.aws.terminate("i-000001")
    shop.clock.tick(minutes=1)
    assert shop.until(State.OVER).code == 125
