"""Jobs with a deadline: spot while there is time, on-demand when it is time, never two at once."""

import os
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from gpuctl.app import timely
from gpuctl.app.launch import NothingStarted
from gpuctl.app.leg import Actor
from gpuctl.app.pursue import State, Step
from gpuctl.app.timely import parse_progress, refuse_infeasible
from gpuctl.core.deadline import view
from gpuctl.core.deadline.policy import decide
from gpuctl.core.deadline.view import Why
from gpuctl.core.errors import UsageProblem
from gpuctl.core.kinds import Market
from gpuctl.core.span import parse_time
from tests.app.conftest import Desk
from tests.app.test_pursue import ME, Shop
from tests.changed import changed

Make = Callable[..., Desk]
SPOT_GONE = {("p3.2xlarge", "*", Market.SPOT)}
HOUR = 3600


@pytest.fixture
def shop(make_desk: Make, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(make_desk)
    made.reach.work = 4 * HOUR
    made.patch = monkeypatch.setattr
    return made


def ask(shop: Shop, hours: float, **changes: Any) -> None:
    deadline = shop.clock() + timedelta(hours=hours)
    shop.ask(deadline=deadline, work_s=int(shop.reach.work), attempts=100, **changes)


def drive(shop: Shop, each: Callable[[Step], None] = lambda _: None, hours: float = 40) -> Step:
    """Step after step, as `run` and `watch` take them, until the job is over."""
    until = shop.clock() + timedelta(hours=hours)
    while shop.clock() < until:
        done = shop.step()
        alone(shop)
        each(done)
        if done.state is State.OVER:
            return done
        if done.state is not State.AGAIN:
            shop.clock.tick(seconds=int(min(done.again_s, 60)) + 1)
    raise AssertionError(done)


def alone(shop: Shop) -> None:
    """One machine, and one process of the job, at most."""
    assert len(shop.aws.running()) <= 1
    alive = {vm.native for vm in shop.aws.running()}
    going = [
        key
        for key, process in shop.reach.processes.items()
        if key[0] in alive and process.ended is None
    ]
    assert len(going) <= 1


def markets(shop: Shop) -> list[str]:
    return [leg.begun.market for leg in shop.job.legs if leg.begun is not None]


def finished(shop: Shop) -> Any:
    """When the work was done, to the second."""
    process = list(shop.reach.processes.values())[-1]
    return process.at + timedelta(seconds=shop.reach.work - process.before)


def test_spot_while_nobody_takes_it(shop: Shop) -> None:
    ask(shop, 8)
    said: list[str] = []
    assert drive(shop, lambda s: said.append(s.explains or "")).code == 0
    assert markets(shop) == ["spot"]
    first = next(text for text in said if text)
    assert "p3.2xlarge spot in us-east-1a at $0.918/h: spot costs less" in first
    assert "4.0 h of work and 8.0 h left" in first


def test_a_market_without_spot_is_left_at_the_last_safe_moment(shop: Shop) -> None:
    shop.aws.sold_out = SPOT_GONE
    ask(shop, 8)
    began = shop.clock()
    drive(shop)
    whys = {decided.why for decided in shop.job.decided}
    assert finished(shop) <= shop.job.wanted.deadline
    assert markets(shop) == ["on-demand"]
    (begun,) = (leg.begun for leg in shop.job.legs if leg.begun is not None)
    assert begun.at > began + timedelta(minutes=30)
    assert whys & {"the job is behind its plan", str(Why.SAFETY)}
    refused = {zone for decided in shop.job.decided for zone in decided.refused}
    assert refused == {"us-east-1a", "us-east-1b", "us-west-2a"}
    assert shop.job.attempts == 1


def test_what_spot_takes_is_gone_on_with_and_in_time(shop: Shop) -> None:
    ask(shop, 5.5)
    state = {"next": shop.clock() + timedelta(minutes=40)}

    def each(done: Step) -> None:
        if shop.clock() >= state["next"] and done.state is State.RUNNING:
            (vm,) = shop.aws.running()
            if vm.order.offer.market is Market.SPOT:
                shop.lose()
                state["next"] = shop.clock() + timedelta(minutes=40)

    assert drive(shop, each).code == 0
    assert finished(shop) <= shop.job.wanted.deadline
    assert shop.job.attempts > 2
    lost = {d.lost for d in shop.job.decided if d.lost}
    assert lost <= {"us-east-1a", "us-east-1b", "us-west-2a"}
    assert lost


def test_spot_that_comes_back_is_had_before_on_demand_is_left(shop: Shop) -> None:
    shop.aws.sold_out = SPOT_GONE
    shop.reach.work = 10 * HOUR
    ask(shop, 15)

    def each(done: Step) -> None:
        if markets(shop) and shop.clock() > shop.job.legs[0].claim.at + timedelta(minutes=40):
            shop.aws.sold_out = set()

    # The policy leaves on-demand for spot only with slack to spare: it must begin early.
    policy_begins_at_once(shop)
    assert drive(shop, each).code == 0
    assert markets(shop) == ["on-demand", "spot"]
    ends = [leg.ended.how for leg in shop.job.legs if leg.ended and leg.begun]
    assert ends == ["moved", "exit"]
    assert shop.reach.ran[-1][1][0] in ("kill", "cat")
    first = shop.job.legs[0]
    assert finished(shop) <= shop.job.wanted.deadline
    assert first.begun is not None


def policy_begins_at_once(shop: Shop) -> None:
    def choose(observation: view.Observation) -> view.Decision:
        memory = decide(observation).memory
        if observation.held == view.IDLE:
            return view.Decision(view.ON_DEMAND, view.Why.BEHIND, memory)
        if observation.held == view.ON_DEMAND:
            return view.Decision(0, view.Why.TAKE, memory, (1, 2))
        return view.Decision(observation.held, view.Why.HOLD, memory)

    shop.patch(timely, "decide", choose)


def test_a_move_that_is_refused_changes_nothing(shop: Shop) -> None:
    shop.aws.sold_out = SPOT_GONE
    shop.reach.work = 2 * HOUR
    policy_begins_at_once(shop)
    ask(shop, 8)
    assert drive(shop).code == 0
    assert markets(shop) == ["on-demand"]
    hows = sorted({leg.ended.how for leg in shop.job.legs if leg.ended})
    assert hows == ["exit", "refused"]
    assert shop.job.attempts == 1
    assert len(shop.aws.vms) == 1


def test_progress_counts_as_the_job_tells_it(shop: Shop) -> None:
    assert parse_progress("0.25\n", 4 * HOUR) == HOUR
    assert parse_progress(" 1.5h ", 4 * HOUR) == 5400
    assert parse_progress("9h", 4 * HOUR) == 4 * HOUR
    for text in ("", "half", "-1", "nan", "1e999999999h", "inf"):
        assert parse_progress(text, 4 * HOUR) is None, text
    ask(shop, 12)
    shop.step()
    told = {"text": "0.75"}
    shop.reach.run = lambda machine, argv: (0, told["text"])  # type: ignore[method-assign]
    shop.clock.tick(minutes=31)
    done = shop.step()
    assert "1.0 h of work" in (done.explains or "")


def test_a_deadline_that_cannot_be_kept_is_refused_with_one_that_can(shop: Shop) -> None:
    wanted = shop.wanted(deadline=shop.clock() + timedelta(hours=4), work_s=4 * HOUR)
    template = shop.app.settings.template("saved")
    with pytest.raises(UsageProblem, match=r"4\.0 h of work and 13 min for a start do not") as told:
        refuse_infeasible(shop.app, wanted, template)
    assert "3.8 h would" in told.value.message
    assert told.value.hint is not None
    fits = parse_time(told.value.hint.removeprefix("--deadline "))
    refuse_infeasible(shop.app, wanted._replace(deadline=fits), template)
    bare = changed(template, checkpoint=None)
    with pytest.raises(UsageProblem, match="no checkpoint table with a bucket"):
        refuse_infeasible(shop.app, wanted._replace(deadline=fits), bare)


def test_overhead_is_what_starts_have_taken(shop: Shop) -> None:
    template = shop.app.settings.template("saved")
    assert timely.overhead_s(shop.app, template) == timely.START_S + 60 + timely.NOTICED_S
    shop.desk.up(template="saved")
    armed = timely.overhead_s(shop.app, template)
    assert armed < 600
    shop.desk.down("vision-1")
    shop.aws.booting = timedelta(minutes=8)
    ask(shop, 12)
    shop.step()
    assert 480 + 180 <= timely.overhead_s(shop.app, template) < 560 + 180


def test_what_the_policy_learnt_is_learnt_again_from_the_ledger(shop: Shop) -> None:
    shop.aws.sold_out = SPOT_GONE
    seen: list[Any] = []

    def watched(observation: Any) -> Any:
        answer = decide(observation)
        seen.append((observation.memory, answer.memory))
        return answer

    shop.patch(timely, "decide", watched)
    ask(shop, 8)
    for _ in range(12):
        done = shop.step()
        shop.clock.tick(seconds=int(done.again_s) + 1)
    assert len(seen) > 2
    for (_, handed_back), (given, _) in pairwise(seen):
        assert given == handed_back


def test_another_process_goes_on_where_the_first_died(shop: Shop) -> None:
    ask(shop, 8)
    shop.step()
    shop.lose()
    shop.actor = Actor("anna/9/9", "anna", {}, lambda name: name != ME)
    assert drive(shop).code == 0
    assert finished(shop) <= shop.job.wanted.deadline


class Killed(BaseException):
    """The process is gone, at this very moment."""


class Mortal:
    """A ledger whose process dies right before or right after the n-th time it writes."""

    def __init__(self, ledger: Any) -> None:
        self.ledger = ledger
        self.left: int | None = None
        self.after = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    def append(self, events: Any) -> int:
        dies = self.left == 0
        if self.left is not None:
            self.left -= 1
        if dies and not self.after:
            raise Killed
        added = int(self.ledger.append(events))
        if dies:
            raise Killed
        return added


class Story:
    """Random markets and deaths; the clock goes on whatever happens."""

    def __init__(self, shop: Shop, draw: Any) -> None:
        self.shop, self.draw = shop, draw
        self.ledger = Mortal(shop.app.ledger)
        shop.app = shop.app._replace(ledger=self.ledger)
        self.births = 1
        self.late_by_deaths = 0

    def dies(self) -> None:
        """Another process goes on; it can tell that the one before is dead."""
        self.births += 1
        self.ledger.left = None
        now = f"anna/{self.births}/{self.births}"
        self.shop.actor = Actor(now, "anna", {}, lambda name: name == now)

    def step(self) -> Step | None:
        try:
            return self.shop.step()
        except Killed:
            self.dies()
            return None

    def happens(self) -> None:
        """The market and the fates, before each step."""
        shop, draw = self.shop, self.draw
        what = draw.randrange(12)
        running = shop.aws.running()
        if what == 0 and running and running[0].order.offer.market is Market.SPOT:
            shop.aws.interrupt(running[0].native)
            shop.reach.settle()
        elif what == 1:
            self.ledger.left, self.ledger.after = draw.randrange(7), draw.random() < 0.5
        elif what == 2:
            shop.aws.sold_out = {
                ("p3.2xlarge", f"us-{zone}", Market.SPOT)
                for zone in ("east-1a", "east-1b", "west-2a")
                if draw.random() < 0.5
            }
        elif what == 3:
            shop.reach.fails = draw.randrange(3)

    def play(self) -> Step:
        shop = self.shop
        for _ in range(400):
            self.happens()
            done = self.step()
            moving = shop.job.leaving is not None
            assert len(shop.aws.running()) <= (2 if moving else 1)
            going = {
                key
                for key, process in shop.reach.processes.items()
                if process.ended is None and shop.aws.vm(key[0]).alive
            }
            assert len(going) <= 1
            assert shop.job.attempts <= shop.job.wanted.attempts
            if done is not None and done.state is State.OVER:
                return done
            if done is None or done.state is not State.AGAIN:
                pause = 5 if done is None else min(done.again_s, 300)
                shop.clock.tick(seconds=int(pause) + 1)
        raise AssertionError(shop.job)


SEEDS = int(os.environ.get("GPUCTL_TEST_STORIES", "5"))
"""More of them: GPUCTL_TEST_STORIES=200."""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_happens_there_is_one_machine_and_an_end(make_desk: Make, seed: int) -> None:
    draw = Random(seed)
    shop = Shop(make_desk)
    shop.reach.work = 2 * HOUR
    attempts = draw.randrange(1, 7)
    shop.ask(attempts=attempts)
    try:
        done = Story(shop, draw).play()
    except NothingStarted:
        assert shop.step().code == 5
        return
    assert done.code in (0, 7)
    assert done.code == 0 or shop.job.attempts == attempts
    assert done.code == 0 or shop.aws.running() == []


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_spot_does_the_deadline_is_kept(
    make_desk: Make, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Random(seed)
    shop = Shop(make_desk)
    shop.reach.work = 2 * HOUR
    shop.patch = monkeypatch.setattr
    if seed % 2:
        policy_begins_at_once(shop)
    ask(shop, 2 + (0.3, 1.0, 2.0)[seed % 3])
    done = Story(shop, draw).play()
    assert done.code == 0
    assert finished(shop) <= shop.job.wanted.deadline
