"""A job is seen through: whatever the cloud takes, one machine at a time, within its bounds."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gpuctl.app.leg import Actor, find, put
from gpuctl.app.pursue import State, Step, ask, step
from gpuctl.config.template import Checkpoint
from gpuctl.core.jobs import CLAIMED, Claim, Job, Wanted
from gpuctl.core.kinds import EndedBy
from gpuctl.core.span import format_time
from tests.app.conftest import ACME, TEMPLATES, Desk
from tests.app.pursuit import Workshop
from tests.changed import changed

JOB = "0123456789ab"
BUCKET = "s3://box/ckpt"
TABLE = Checkpoint(dir="ck", bucket=BUCKET, interval=timedelta(minutes=1))
ME, OTHER = "anna/1/1", "berta/2/2"
Make = Callable[..., Desk]


@pytest.fixture
def shop(make_desk: Make) -> "Shop":
    return Shop(make_desk)


class Shop:
    """A desk whose machines compute, and one job."""

    def __init__(self, make_desk: Make, **changes: Any) -> None:
        template = changed(TEMPLATES[0], name="saved", fallbacks=(), checkpoint=TABLE)
        desk = make_desk(templates={"saved": template}, **changes)
        self.reach = Workshop(clock=desk.clock, cloud=desk.aws, root=f"ckpt/{ACME}/train")
        desk.app.clouds.buckets[BUCKET, None] = self.reach.bucket
        self.desk = changed(desk, app=desk.app._replace(reach=self.reach))
        self.app, self.aws, self.clock = self.desk.app, desk.aws, desk.clock
        self.actor = Actor(ME, "anna", {}, lambda name: None)

    def wanted(self, **changes: Any) -> Wanted:
        base = Wanted(
            name="train",
            project=ACME,
            template="saved",
            argv=("python", "train.py"),
            directory="work/vision",
            host="anna",
            tree="/tree",
            resume=True,
            keep="train",
        )
        return base._replace(**changes)

    def ask(self, **changes: Any) -> None:
        ask(self.app, JOB, self.wanted(**changes))

    def step(self, actor: Actor | None = None) -> Step:
        return step(self.app, JOB, actor or self.actor)

    @property
    def job(self) -> Job:
        return find(self.app, JOB)

    def until(self, state: State, actor: Actor | None = None) -> Step:
        for _ in range(50):
            done = self.step(actor)
            if done.state is state:
                return done
            self.clock.tick(seconds=done.again_s if done.state is State.WAITING else 0)
        raise AssertionError(done)

    def lose(self) -> None:
        (vm,) = self.aws.running()
        self.aws.interrupt(vm.native)
        self.reach.settle()
        self.clock.tick(minutes=2)


def test_a_job_that_nobody_interrupts(shop: Shop) -> None:
    shop.ask()
    assert shop.step().state is State.RUNNING
    shop.clock.tick(hours=1)
    done = shop.step()
    assert (done.state, done.code) == (State.OVER, 0)
    assert shop.step() == changed_step(done)
    (leg,) = shop.job.legs
    assert leg.begun is not None
    assert leg.ended is not None
    assert (leg.begun.name, leg.begun.remote, leg.ended.how) == ("vision-1", "train", "exit")


def changed_step(done: Step) -> Step:
    return Step(State.OVER, done.says, code=done.code)


def test_an_interruption_is_resumed_elsewhere_with_the_tree_of_the_first_leg(shop: Shop) -> None:
    shop.ask()
    shop.step()
    shop.clock.tick(seconds=150)
    shop.lose()
    taken = shop.step()
    assert taken.state is State.AGAIN
    assert "30 s of work are lost" in taken.says
    assert shop.step().state is State.RUNNING
    first, second = shop.job.legs
    assert first.ended is not None
    assert first.begun is not None
    assert second.begun is not None
    assert (first.ended.how, first.ended.lost_s, first.ended.kept_s) == ("interrupted", 30, 120)
    assert first.begun.zone == "us-east-1a"
    assert second.begun.zone == "us-east-1b"
    assert shop.reach.pushed == [("vision-1", "work/vision")]
    assert shop.reach.starts == [
        f"vision-1 train keeper tree={JOB} fetch=False python train.py",
        f"vision-2 train-2 keeper tree={JOB} fetch=True python train.py",
    ]
    shop.clock.tick(seconds=3600 - 120)
    assert shop.step().code == 0


def test_what_was_saved_at_a_notice_is_not_lost(shop: Shop) -> None:
    """The job ended a minute and more before its machine: of that time nothing is lost."""
    shop.ask()
    shop.step()
    shop.clock.tick(seconds=120)
    shop.reach.settle()
    shop.reach.every = 10**6
    begun = shop.job.legs[0].begun
    assert begun is not None
    key = f"ckpt/{ACME}/train/tree-{JOB}/ended-{begun.lease}"
    shop.reach.bucket.objects[key] = f"{format_time(begun.at + timedelta(seconds=123))}\n".encode()
    shop.clock.tick(seconds=90)
    shop.lose()
    assert "; 3 s of work are lost" in shop.step().says


def test_without_a_checkpoint_all_of_a_leg_is_lost(shop: Shop) -> None:
    shop.ask()
    shop.step()
    shop.clock.tick(seconds=40)
    shop.lose()
    assert "40 s of work are lost" in shop.step().says


def test_where_the_bucket_cannot_be_read_nothing_is_claimed(shop: Shop) -> None:
    shop.ask()
    shop.step()
    shop.clock.tick(seconds=40)
    shop.lose()

    def silent(prefix: str) -> None:
        raise OSError("no route")

    shop.reach.bucket.entries = silent  # type: ignore[assignment,method-assign]
    assert shop.step().says == "the cloud took vision-1 back"
    assert "when train was saved last cannot be told: no route" in shop.desk.said.notes
    assert shop.job.legs[0].ended.lost_s is None  # type: ignore[union-attr]


def test_what_was_computed_while_it_was_uploaded_is_lost(shop: Shop) -> None:
    shop.reach.upload_ms = 20_000
    shop.ask()
    shop.step()
    shop.clock.tick(seconds=150)
    shop.lose()
    assert "50 s of work are lost" in shop.step().says


def test_attempts_are_bounded(shop: Shop) -> None:
    shop.ask(attempts=2)
    for _ in range(2):
        shop.until(State.RUNNING)
        shop.lose()
    done = shop.until(State.OVER)
    assert (done.code, done.says) == (7, "train was interrupted 2 times, and is given up")
    assert shop.aws.running() == []


def test_a_budget_is_a_bound(shop: Shop) -> None:
    shop.ask(budget=Decimal("1.00"))
    shop.until(State.RUNNING)
    (vm,) = shop.aws.running()
    assert vm.deadline - vm.created < timedelta(hours=1, minutes=10)
    shop.clock.tick(minutes=64)
    shop.reach.work = 90_000
    shop.lose()
    assert shop.until(State.OVER).code == 6
    assert len(shop.aws.vms) == 1


def test_a_market_that_is_sold_out_is_asked_again(shop: Shop) -> None:
    shop.ask(attempts=2)
    shop.until(State.RUNNING)
    shop.lose()
    shop.aws.sold_out = {("p3.2xlarge", "*", None)}
    assert shop.step().state is State.AGAIN
    for _ in range(5):
        done = shop.step()
        assert done.state is State.WAITING
        assert "no machine could be had" in done.says
        shop.clock.tick(seconds=done.again_s)
    shop.aws.sold_out = set()
    assert shop.step().state is State.RUNNING
    assert shop.job.attempts == 2


def test_a_first_machine_that_cannot_be_had_ends_the_job(shop: Shop) -> None:
    shop.aws.sold_out = {("p3.2xlarge", "*", None)}
    shop.ask()
    with pytest.raises(Exception, match="no machine could be had"):
        shop.step()
    assert shop.step().code == 5


def test_who_ends_the_machine_ends_the_job(shop: Shop) -> None:
    shop.ask()
    shop.step()
    shop.desk.down("vision-1")
    done = shop.until(State.OVER)
    assert done.code == 125
    assert "was ended before" in done.says


def test_a_lease_that_runs_out_is_a_leg_that_ends(shop: Shop) -> None:
    shop.reach.work = 90_000
    shop.ask()
    shop.step()
    shop.clock.tick(hours=8)
    (vm,) = shop.aws.running()
    shop.aws.end(vm, by=EndedBy.USER, reason="Client.InstanceInitiatedShutdown")
    shop.clock.tick(minutes=1)
    assert shop.step().says.startswith("vision-1 ended at the end of its lease")
    assert shop.step().state is State.RUNNING


def test_a_second_process_waits_and_takes_over_from_the_dead(shop: Shop) -> None:
    shop.ask()
    claim = Claim(1, 1, OTHER, shop.clock(), shop.clock() + CLAIMED, "vision-1")
    put(shop.app, JOB, claim)
    assert "berta/2/2 is starting leg 1" in shop.step().says
    assert shop.aws.vms == []
    knows = shop.actor._replace(alive=lambda name: False)
    assert shop.step(knows).state is State.RUNNING
    assert [c.by for c in shop.job.legs[0].claims] == [OTHER, ME, ME]


def test_a_claim_runs_out(shop: Shop) -> None:
    shop.ask()
    put(shop.app, JOB, Claim(1, 1, OTHER, shop.clock(), shop.clock() + CLAIMED, "vision-1"))
    shop.clock.tick(seconds=CLAIMED.total_seconds())
    assert shop.step().state is State.RUNNING


def test_what_another_computer_lacks_is_told(shop: Shop, tmp_path: Path) -> None:
    shop.ask(environ=("WANDB_API_KEY",))
    assert "export WANDB_API_KEY=…" in shop.step().says
    other = Actor(OTHER, "berta", {"WANDB_API_KEY": "x"})
    assert "began with /tree on anna" in shop.step(other).says
    assert shop.job.legs == ()
    mine = shop.actor._replace(environ={"WANDB_API_KEY": "secret"})
    assert shop.step(mine).state is State.RUNNING
    shop.lose()
    assert shop.until(State.RUNNING, other).remote == "train-2"
    assert "secret" not in repr(shop.app.ledger.events())


def test_a_machine_that_cannot_be_reached_tells_by_its_bucket(shop: Shop) -> None:
    shop.ask()
    shop.step()
    begun = shop.job.legs[0].begun
    assert begun is not None
    shop.reach.fails = 10**6
    assert shop.step().state is State.RUNNING
    shop.reach.bucket.objects[f"ckpt/{ACME}/train/tree-{JOB}/code-{begun.lease}"] = b"3\n"
    assert shop.step().code == 3


def test_the_code_counts_though_the_machine_is_gone(shop: Shop) -> None:
    shop.ask()
    shop.step()
    begun = shop.job.legs[0].begun
    assert begun is not None
    shop.reach.bucket.objects[f"ckpt/{ACME}/train/tree-{JOB}/code-{begun.lease}"] = b"0\n"
    shop.lose()
    assert shop.step().code == 0


def test_down_at_the_end(shop: Shop) -> None:
    shop.ask(down=True)
    shop.step()
    shop.clock.tick(hours=1)
    assert shop.step().code == 0
    assert shop.aws.running() == []
