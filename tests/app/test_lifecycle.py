"""Any order of commands, misfortunes and looks: the ledger tells what the clouds did, no more.

The model is the fake clouds' own truth: every run of every machine. What the first laptop was
ever shown must be in its ledger to the second: a machine that ran with its disk, one that had
ended by then with its computing, and with its disk too where the laptop had ordered it. What a
command was shown that died before it wrote it was not shown to anybody. Neither ledger may hold
anything that never was.
"""

import functools
import itertools
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gpuctl.app import App
from gpuctl.app.launch import NothingStarted
from gpuctl.core.errors import GpuctlError, ListingIncomplete, UnknownOutcome
from gpuctl.core.events import Event, Usage
from gpuctl.core.model import Down, Kind, State
from gpuctl.core.ports import CloudRef
from gpuctl.ledger import chained
from gpuctl.ledger.store import SqliteLedger
from tests.app.conftest import ACME, BOREALIS, ON_DEMAND, SPOT, Desk, settings_with
from tests.conftest import HandClock
from tests.fake_cloud import FakeCloud, Vm
from tests.fakes import FakeProvider, FakeReach, ListedClouds, Quiet

NOW = datetime.fromisoformat("2026-03-02T09:00:00+00:00")
CLOUDS = st.sampled_from(["aws", "gcp"])
MEMORY = Path("/dev/shm")
"""Nobody pulls the plug here: a ledger in memory takes a tenth of the time."""


class Crash(BaseException):
    """The command is no more; what it has done stays done."""


class Brittle(SqliteLedger):
    """A ledger at whose n-th writing from now the command dies, before or after it."""

    fuse = 0
    """0 = it does not die."""
    after = False

    def append(self, events: Iterable[Event]) -> int:
        self.fuse = max(0, self.fuse - 1) if (lit := self.fuse) else 0
        if lit == 1 and not self.after:
            raise Crash
        added = super().append(events)
        if lit == 1:
            raise Crash
        return added


@pytest.fixture(autouse=True)
def _read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same line is the same event: it is read once and not at every look."""
    monkeypatch.setattr(chained, "read_line", functools.cache(chained.read_line))


@dataclass(frozen=True, order=True)
class Stretch:
    """One thing on the clock, as the cloud has it or as a ledger does."""

    provider: str
    resource: str
    start: datetime
    end: datetime | None
    sure: bool = field(default=True, compare=False)
    """The ledger does not mark it as a guess."""


class Lives(RuleBasedStateMachine):
    """Two laptops, two clouds, and whatever happens to them."""

    def __init__(self) -> None:
        super().__init__()
        where = MEMORY if os.access(MEMORY, os.W_OK) else None
        self.home = tempfile.TemporaryDirectory(prefix="gpuctl-lives-", dir=where)
        self.clock = HandClock(NOW)
        ids = (f"{n:032x}" for n in itertools.count(1))
        aws = FakeCloud(self.clock, spot=dict(SPOT), on_demand=dict(ON_DEMAND))
        places = {("n1-standard-8", "us-central1-a"): "0.2"}
        gcp = FakeCloud(self.clock, stops=True, spot=places, on_demand={"n1-standard-8": "0.59"})
        self.clouds = {"aws": aws, "gcp": gcp}
        self.mine, self.other = (
            Desk(
                app=App(
                    settings=settings_with(),
                    ledger=Brittle(Path(self.home.name, f"{name}.db"), install=name * 32),
                    clouds=ListedClouds(
                        {CloudRef(name): FakeProvider(cloud) for name, cloud in self.clouds.items()}
                    ),
                    reach=FakeReach(),
                    boot=lambda lease, user, gpus: b"",
                    clock=self.clock,
                    sleep=self.clock.sleep,
                    new_id=ids.__next__,
                    progress=Quiet(),
                ),
                aws=aws,
                gcp=gcp,
                clock=self.clock,
                reach=FakeReach(),
                said=Quiet(),
            )
            for name in "ab"
        )

    def teardown(self) -> None:
        try:
            self.all_is_found_in_the_end()
        finally:
            for desk in (self.mine, self.other):
                desk.app.ledger.close()
            self.home.cleanup()

    # -- the two laptops

    @rule(cloud=CLOUDS, detach=st.booleans(), name=st.sampled_from([None, "box"]))
    def up(self, cloud: str, detach: bool, name: str | None) -> None:
        """Names are used again on AWS alone: on Google the name is all that tells VMs apart."""
        template, name = ("v100", name) if cloud == "aws" else ("t4", None)
        self.tolerant(lambda: self.mine.up(ACME, template, detach=detach, name=name))

    @rule(cloud=CLOUDS)
    def up_elsewhere(self, cloud: str) -> None:
        template = "v100" if cloud == "aws" else "t4"
        self.tolerant(lambda: self.other.up(BOREALIS, template, detach=True))
        self.look_between_runs(cloud)

    @rule(how=st.sampled_from(list(Down)))
    def down(self, how: Down) -> None:
        self.tolerant(lambda: self.mine.down(project=ACME, everything=True, how=how))

    @rule()
    def sync(self) -> None:
        self.tolerant(self.mine.sync)

    @rule()
    def sync_elsewhere(self) -> None:
        self.tolerant(self.other.sync)

    # -- what happens to machines and clouds

    @precondition(lambda self: self.clouds["aws"].running())
    @rule(data=st.data(), interrupted=st.booleans())
    def end_outside(self, data: st.DataObject, interrupted: bool) -> None:
        vm = data.draw(st.sampled_from(self.clouds["aws"].running()))
        end = self.clouds["aws"].interrupt if interrupted else self.clouds["aws"].terminate
        end(vm.native)

    @precondition(lambda self: self.clouds["gcp"].running())
    @rule(data=st.data(), interrupted=st.booleans())
    def stop_outside(self, data: st.DataObject, interrupted: bool) -> None:
        vm = data.draw(st.sampled_from(self.clouds["gcp"].running()))
        end = self.clouds["gcp"].interrupt if interrupted else self.clouds["gcp"].terminate
        end(vm.native)

    @precondition(lambda self: self.stopped() and not self.clouds["gcp"].broken_region)
    @rule(data=st.data())
    def start_outside(self, data: st.DataObject) -> None:
        vm = data.draw(st.sampled_from(self.stopped()))
        self.clouds["gcp"].begin(vm.order, vm.native)
        self.look_between_runs("gcp")

    def look_between_runs(self, cloud: str) -> None:
        """Google tells of one run: whoever does not look between two takes them for one.

        The other laptop may, and then bills the pause; the first is held to each run, and looks
        again where its look died.
        """
        if cloud == "gcp" and not self.tolerant(self.mine.sync):
            self.tolerant(self.mine.sync)

    @precondition(lambda self: self.stopped())
    @rule(data=st.data())
    def delete_outside(self, data: st.DataObject) -> None:
        self.clouds["gcp"].delete(data.draw(st.sampled_from(self.stopped())))

    def stopped(self) -> list[Vm]:
        gcp = self.clouds["gcp"]
        return [vm for vm in gcp.vms if vm.deleted is None and gcp.state(vm) is State.STOPPED]

    @rule(cloud=CLOUDS, arrives=st.booleans())
    def lose(self, cloud: str, arrives: bool) -> None:
        """The next launch's answer is lost, or it never arrives."""
        self.clouds[cloud].lost_answers = 3 if arrives else 0
        self.clouds[cloud].lost_requests = 0 if arrives else 3

    @rule(at=st.integers(1, 6), after=st.booleans())
    def crash(self, at: int, after: bool) -> None:
        """The first laptop's command dies at that writing of its ledger, whichever it is."""
        self.mine.app.ledger.fuse, self.mine.app.ledger.after = at, after

    @rule(cloud=CLOUDS)
    def crash_at_launch(self, cloud: str) -> None:
        """It dies when the machine is there and before it was told."""
        self.clouds[cloud].crash_after_launch = Crash()

    @rule(cloud=CLOUDS, broken=st.booleans())
    def listing(self, cloud: str, broken: bool) -> None:
        self.clouds[cloud].broken_region = "somewhere" if broken else None

    @rule(seconds=st.sampled_from([0, 20, 50]))
    def hide(self, seconds: int) -> None:
        """EC2 shows what is new when it likes; Google shows it at once."""
        self.clouds["aws"].hidden = timedelta(seconds=seconds)

    @rule(by=st.sampled_from([1, 30, 61, 600, 3_600, 4 * 3_600]))
    def time_goes_by(self, by: int) -> None:
        self.clock.tick(seconds=by)

    def tolerant(self, verb: object) -> bool:
        """What a user would shrug at passes; anything else is a bug. Whether it lived."""
        before = {ref: (set(p.listed), set(p.recounted)) for ref, p in self.sights()}
        try:
            verb()  # type: ignore[operator]
        except (NothingStarted, UnknownOutcome, ListingIncomplete):
            pass
        except Crash:
            for cloud in self.clouds.values():
                cloud.crash_after_launch = None
            for name, provider in self.sights():
                listed, recounted = before[name]
                provider.listed &= listed | self.written(name)
                provider.recounted &= recounted | self.written(name)
            return False
        except GpuctlError as error:
            if "no machine runs for" not in error.message:
                raise
        return True

    def sights(self) -> list[tuple[str, FakeProvider]]:
        """What the first laptop is shown, by cloud."""
        return [(ref.provider, cloud) for ref, cloud in self.mine.app.clouds.providers.items()]

    def written(self, name: str) -> set[tuple[int, int]]:
        """Runs whose computing is in the first laptop's ledger: each batch is whole or absent."""
        told = {(s.provider, s.resource, s.start) for s in self.told(self.mine)}
        return {
            (number, run)
            for (provider, number, run), (stretch, *_) in self.truth().items()
            if provider == name and (name, stretch.resource, stretch.start) in told
        }

    # -- what must hold

    def truth(self) -> dict[tuple[str, int, int], list[Stretch]]:
        """By run: its compute; by machine (run 0): its disk."""
        found: dict[tuple[str, int, int], list[Stretch]] = {}
        for name, cloud in self.clouds.items():
            for vm in cloud.vms:
                resource = f"vm-{vm.number}" if cloud.stops else vm.native
                for count, run in enumerate(vm.runs, start=1):
                    stretch = Stretch(name, resource, run.start, run.end)
                    found[name, vm.number, count] = [stretch]
                end = vm.deleted if cloud.stops else vm.run.end
                found[name, vm.number, 0] = [Stretch(name, f"disk-{vm.number}", vm.created, end)]
        return found

    def told(self, desk: Desk) -> list[Stretch]:
        kinds = (Kind.COMPUTE, Kind.VCPU, Kind.DISK)
        return [
            Stretch(
                usage.provider,
                self.named(usage),
                usage.start,
                usage.end,
                sure=usage.evidence is None or usage.evidence.certain,
            )
            for usage in desk.books.usages
            if usage.kind in kinds
        ]

    def named(self, usage: Usage) -> str:
        """A disk that was gone before anybody looked is told by its machine's name."""
        native, lost, _ = usage.resource.partition("/disk")
        return f"disk-{self.clouds['aws'].vm(native).number}" if lost else usage.resource

    @invariant()
    def nothing_is_told_that_never_was(self) -> None:
        true = {s for stretches in self.truth().values() for s in stretches}
        began = {(s.provider, s.resource, s.start) for s in true}
        ends = {(s.provider, s.resource, s.end) for s in true}
        for desk in (self.mine, self.other):
            told = self.told(desk)
            assert len({(s.provider, s.resource, s.start) for s in told}) == len(told)
            for s in told:
                assert (s.provider, s.resource, s.start) in began
                assert s.end is None or not s.sure or (s.provider, s.resource, s.end) in ends
                assert s.end is None or s in true or desk is self.other

    def all_is_found_in_the_end(self) -> None:
        self.mine.app.ledger.fuse = 0
        for cloud in self.clouds.values():
            cloud.broken_region = cloud.crash_after_launch = None
        for minutes in (16, 2):
            self.clock.tick(minutes=minutes)
            self.mine.sync()
            self.other.sync()
        self.nothing_is_told_that_never_was()
        truth, told = self.truth(), set(self.told(self.mine))
        for name, provider in self.sights():
            for number, run in provider.listed | provider.recounted:
                assert set(truth[name, number, run]) <= told
            ordered = {(vm.number, 1) for vm in provider.cloud.vms if vm.order.install == "a" * 32}
            for number, _ in provider.listed | (provider.recounted & ordered):
                assert set(truth[name, number, 0]) <= told
        alive = {s for stretches in truth.values() for s in stretches if s.end is None}
        for desk in (self.mine, self.other):
            assert {s for s in self.told(desk) if s.end is None} == alive
            assert desk.books.unsettled == ()


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=200,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
