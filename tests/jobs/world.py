"""A job over fakes, with engines that can be killed, or overtaken, at any effect they have."""

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

from gpuctl.app import App
from gpuctl.app.leg import Actor
from gpuctl.app.pursue import State, Step
from gpuctl.core.books import books
from gpuctl.core.errors import GpuctlError
from gpuctl.core.keeping import code_key
from gpuctl.core.kinds import EndedBy, Kind
from gpuctl.core.ports import CloudRef
from gpuctl.ledger.store import SqliteLedger
from tests.app.conftest import ON_DEMAND, SPOT, Desk, settings_with
from tests.app.test_pursue import JOB, TABLE, Shop
from tests.conftest import HandClock
from tests.fake_cloud import Vm
from tests.fakes import FakeCloud, FakeProvider, FakeReach, ListedClouds, Quiet

ATTEMPTS, BUDGET = 6, Decimal("2.50")
GRACE = Decimal("0.10")
"""USD: a machine that has reached the end of its lease is billed for a minute at least."""
TROUBLES = ("lost_answers", "lost_requests", "fails", "silent")
WORK_S, HOUR_S = 2400, 3600
ZONES = ("us-east-1a", "us-east-1b", "us-west-2a", "*")


class Killed(BaseException):
    """`kill -9`: no handler of the program's catches it."""


class World:
    """The cloud, the job's machines, and two computers with an engine each."""

    def __init__(self) -> None:
        # In memory where there is such a place: nothing here is about disks.
        memory = Path("/dev/shm")
        self.root = Path(tempfile.mkdtemp(prefix="gw-", dir=memory if memory.is_dir() else None))
        self.clock = HandClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
        self.numbers = count(1)
        self.shop = Shop(self._desk)
        self.aws, self.reach, self.app = self.shop.aws, self.shop.reach, self.shop.app
        self.engines = [self._engine("anna"), self._engine("berta")]
        self.left: int | None = None
        """Effects until something happens to the engine that has them."""
        self.happens: Callable[[], None] = lambda: None
        self.kills = 0
        self._watch_effects()
        self.reach.work = WORK_S
        self.shop.ask(attempts=ATTEMPTS, budget=BUDGET, down=True)

    def close(self) -> None:
        self.app.ledger.close()  # type: ignore[attr-defined]
        shutil.rmtree(self.root)

    def _desk(self, **changes: Any) -> Desk:
        aws = FakeCloud(self.clock, spot=dict(SPOT), on_demand=dict(ON_DEMAND))
        gcp = FakeCloud(self.clock, stops=True)
        reach, said = FakeReach(), Quiet()
        app = App(
            settings=settings_with(**changes),
            ledger=SqliteLedger(self.root / "ledger.db", install="1f" * 16),
            clouds=ListedClouds({CloudRef("aws"): FakeProvider(aws)}),
            reach=reach,
            boot=lambda lease, user, gpus: f"{lease.id} {user} {gpus}".encode(),
            clock=self.clock,
            sleep=self.clock.sleep,
            new_id=lambda: f"{next(self.numbers):032x}",
            progress=said,
        )
        return Desk(app=app, aws=aws, gcp=gcp, clock=self.clock, reach=reach, said=said)

    def _engine(self, host: str) -> Actor:
        """A process that is new on its computer; of another computer's it cannot tell."""
        name = f"{host}/{next(self.numbers)}/1"

        def alive(other: str) -> bool | None:
            mine = other.startswith(f"{host}/")
            return other in {engine.name for engine in self.engines} if mine else None

        return Actor(name, host, {}, alive)

    # --- effects ------------------------------------------------------------------------------

    def _watch_effects(self) -> None:
        self._around(self.app.ledger, "append")
        self._around(self.aws, "call")
        for name in ("start_job", "signal_job", "push", "jobs", "job_phase"):
            self._around(self.reach, name)

    def _around(self, thing: Any, name: str) -> None:
        before = getattr(thing, name)

        def watched(*args: Any, **how: Any) -> Any:
            self._moment()
            told = before(*args, **how)
            self._moment()
            return told

        setattr(thing, name, watched)

    def _moment(self) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left <= 0:
            self.left = None
            self.happens()

    # --- what may happen ----------------------------------------------------------------------

    def step(self, engine: int = 0) -> Step | None:
        """None when it was killed, or the cloud refused it with an error."""
        self._end_of_leases()
        try:
            return self.shop.step(self.engines[engine])
        except Killed:
            host = self.engines[engine].host
            self.kills += 1
            self.engines[engine] = self._engine(host)
            return None
        except GpuctlError:
            return None
        finally:
            self.left = None

    def killed(self, engine: int, at: int) -> None:
        def die() -> None:
            raise Killed

        self.left, self.happens = at, die
        self.step(engine)

    def overtaken(self, engine: int, at: int) -> None:
        """The other engine takes a whole step in the middle of this one's."""
        self.left, self.happens = at, lambda: (self.step(1 - engine), None)[1]
        self.step(engine)

    def interrupted(self) -> None:
        self.pass_time(1 / 60)  # none is taken in the very second of its start
        for vm in self.aws.running():
            self.aws.interrupt(vm.native)
        self._compute()

    def ended_by_hand(self) -> None:
        self.pass_time(1 / 60)
        for vm in self.aws.running():
            self.aws.terminate(vm.native)
        self._compute()

    def drought(self, zone: str) -> None:
        self.aws.sold_out = {(kind, zone, None) for kind, _ in SPOT}

    def trouble(self, kind: str) -> None:
        if kind == "fails":
            self.reach.fails = 2
        elif kind == "silent":
            self.aws.broken_region = "us-east-1"
        else:
            setattr(self.aws, kind, 3)

    def rain(self) -> None:
        self.aws.sold_out, self.aws.broken_region = set(), None
        self.aws.lost_answers = self.aws.lost_requests = self.reach.fails = 0

    def pass_time(self, minutes: float) -> None:
        self.clock.tick(minutes=minutes)
        self._end_of_leases()

    def _end_of_leases(self) -> None:
        """A machine ends itself at its deadline, whoever is dead by then."""
        now = self.clock.now
        for vm in self.aws.running():
            if vm.deadline <= now:
                self.clock.now = vm.deadline
                self.aws.end(vm, EndedBy.USER, "Client.InstanceInitiatedShutdown")
                self.clock.now = now
        self._compute()

    def _compute(self) -> None:
        """What was computed is saved; of a job that is done its keeper stores the code."""
        self.reach.settle()
        for (native, _), process in self.reach.processes.items():
            vm = self.aws.vm(native)
            if self.reach.done(process, vm.run.end) >= WORK_S:
                key = code_key(self.reach.root, JOB, vm.order.lease)
                self.reach.bucket.objects.setdefault(key, b"0\n")

    # --- what holds always --------------------------------------------------------------------

    def holds(self) -> None:
        job = self.shop.job
        running = self.aws.running()
        assert len(running) <= 1, "two machines"
        assert len(self.reach.starts) == len(set(self.reach.starts)), "a command was started twice"
        seen = set(self.spans())
        assert len(seen) <= len(job.legs), "a leg had two machines"
        assert job.attempts <= ATTEMPTS
        assert sum(self._usd(vm) for vm in self.aws.vms if vm.native in seen) <= BUDGET + GRACE
        for leg in job.legs:
            if leg.begun is not None and leg.ended is not None:
                assert leg.ended.lost_s is not None, "lost work that nobody recorded"
                assert 0 <= leg.ended.lost_s <= TABLE.interval.total_seconds() + 5, leg

    def _usd(self, vm: Vm) -> Fraction:
        """What the cloud charges for it until now: machine, disk, address."""
        seconds = int(((vm.run.end or self.clock.now) - vm.run.start).total_seconds())
        beside = Fraction("0.005") + Fraction(8, 31 * 24)
        spot = Fraction(SPOT[vm.order.offer.type, vm.order.offer.zone])
        free = vm.run.end is not None and vm.run.by is EndedBy.PROVIDER and seconds < HOUR_S
        return seconds * (beside if free else spot + beside) / HOUR_S

    def to_the_end(self) -> Step:
        """The weather is fair from now on, and somebody looks every few minutes."""
        self.rain()
        for _ in range(300):
            done = self.step()
            self.holds()
            if done is not None and done.state is State.OVER:
                return done
            self.pass_time(0 if done is not None and done.state is State.AGAIN else 3)
        raise AssertionError(done)

    def spans(self) -> list[str]:
        """The machines that the ledger has a run of, as often as it has one.

        This cloud tells nothing of a run that was over before anybody looked.
        """
        usages = books(self.app.ledger.events()).usages
        return sorted(one.resource for one in usages if one.kind is Kind.COMPUTE)
