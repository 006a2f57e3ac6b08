"""A desk: real ledger, fake clouds, time by hand; the verbs are called as the commands do."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gpuctl.app import App
from gpuctl.app.down import Ended, chosen, down
from gpuctl.app.sync import Synced, sync
from gpuctl.app.up import Asked, Up, up
from gpuctl.config.model import BudgetPolicy, ClientPolicy, Limits, Ports, ProjectPolicy, Settings
from gpuctl.config.template import Template
from gpuctl.core.bill import Bill, bill, fixed
from gpuctl.core.books import Books, books
from gpuctl.core.events import Event, Outcome
from gpuctl.core.kinds import MarketPolicy
from gpuctl.core.model import DiskSpec, Down, Machine
from gpuctl.core.ports import CloudRef, NewId
from gpuctl.core.span import Span
from gpuctl.ledger.store import SqliteLedger
from tests.changed import changed
from tests.fakes import FakeCloud, FakeProvider, FakeReach, ListedClouds, Quiet

ACME, BOREALIS = "acme/vision", "borealis/nlp"
SPOT = {
    ("p3.2xlarge", "us-east-1a"): "0.918",
    ("p3.2xlarge", "us-east-1b"): "0.95",
    ("p3.2xlarge", "us-west-2a"): "0.93",
    ("g5.xlarge", "us-east-1a"): "0.40",
    ("g5.xlarge", "us-west-2a"): "0.38",
}
ON_DEMAND = {"p3.2xlarge": "3.06", "g5.xlarge": "1.006"}
MACHINE_HOUR = Fraction("0.918") + Fraction("0.005") + Fraction("0.08") * 100 / (31 * 24)
"""The first offer with 100 GB of gp3 and an address, in a month of 31 days."""

TEMPLATES = [
    Template(
        name="v100",
        provider="aws",
        type="p3.2xlarge",
        fallbacks=("g5.xlarge",),
        disk=DiskSpec(gb=100, type="gp3"),
    ),
    Template(
        name="dear",
        provider="aws",
        type="p3.2xlarge",
        market=MarketPolicy.SPOT_THEN_ON_DEMAND,
        disk=DiskSpec(gb=100, type="gp3"),
    ),
    Template(
        name="t4",
        provider="gcp",
        type="n1-standard-8",
        market=MarketPolicy.ON_DEMAND,
        disk=DiskSpec(gb=100, type="pd-balanced"),
    ),
]

_OF_THE_TEMPLATE = ("ttl", "budget", "zones", "image", "fallbacks")

E = TypeVar("E")


def settings_with(**changes: Any) -> Settings:
    """Two clients with a project each, and the templates above."""
    base = Settings(
        templates={template.name: template for template in TEMPLATES},
        clients={name: ClientPolicy(name=name) for name in ("acme", "borealis")},
        projects={name: ProjectPolicy(name=name) for name in (ACME, BOREALIS)},
        ports=Ports(by_name={}),
        limits=Limits(),
    )
    return changed(base, **changes)


def budget(project: str, **limits: Any) -> dict[str, Any]:
    """A change for `settings_with`: one project's budget."""
    policy = ProjectPolicy(name=project, budget=BudgetPolicy(**limits))
    projects = {name: ProjectPolicy(name=name) for name in (ACME, BOREALIS)}
    return {"projects": projects | {project: policy}}


@dataclass
class Desk:
    """One user's end: an App and short words for what its commands do."""

    app: App
    aws: FakeCloud
    gcp: FakeCloud
    clock: Any
    reach: FakeReach
    said: Quiet

    def up(self, project: str = ACME, template: str = "v100", **asked: Any) -> Up:
        changes = {key: asked.pop(key) for key in _OF_THE_TEMPLATE if key in asked}
        confirm = asked.pop("confirm", lambda plan: True)
        recipe = changed(self.app.settings.template(template), **changes)
        return up(self.app, Asked(project=project, template=recipe, **asked), confirm)

    def machine(self, project: str = ACME, template: str = "v100", **asked: Any) -> Machine:
        shown = self.up(project, template, **asked).machine
        assert shown is not None
        return shown.machine

    def sync(self, **options: Any) -> Synced:
        return sync(self.app, **options)

    def down(
        self,
        *names: str,
        project: str | None = None,
        everything: bool = False,
        how: Down = Down.END,
    ) -> Sequence[Ended]:
        synced = self.sync()
        machines = chosen(synced, names, project, everything=everything, how=how)
        return down(self.app, synced, machines, how)

    def events(self, kind: type[E] = Event) -> list[E]:  # type: ignore[assignment]
        return [event for event in self.app.ledger.events() if isinstance(event, kind)]

    @property
    def books(self) -> Books:
        return books(self.app.ledger.events())

    @property
    def outcomes(self) -> list[tuple[str, str | None]]:
        return [(event.result, event.code) for event in self.events(Outcome)]

    def bill(self) -> Bill:
        now = self.clock()
        return bill(self.app.ledger.events(), fixed(Span(now - timedelta(days=20), now)), now)

    def spent(self, project: str | None = ACME) -> Fraction:
        costs = [c.cost for c in self.bill().charges if c.project == project]
        assert None not in costs
        return sum((cost for cost in costs if cost is not None), Fraction(0))

    def starts(self) -> list[str]:
        """The launches that the clouds were asked for, in order."""
        calls = [*self.aws.calls, *self.gcp.calls]
        return [call.removeprefix("start ") for call in calls if call.startswith("start ")]


@pytest.fixture
def clouds(clock: Any) -> tuple[FakeCloud, FakeCloud]:
    """AWS-like and Google-like."""
    aws = FakeCloud(clock, spot=dict(SPOT), on_demand=dict(ON_DEMAND))
    gcp = FakeCloud(
        clock,
        stops=True,
        spot={("n1-standard-8", f"us-central1-{z}"): "0.2" for z in "ab"},
        on_demand={"n1-standard-8": "0.59"},
    )
    return aws, gcp


MakeDesk = Callable[..., Desk]


@pytest.fixture
def make_desk(
    tmp_path: Path, clock: Any, ids: NewId, clouds: tuple[FakeCloud, FakeCloud]
) -> Iterator[MakeDesk]:
    """`make_desk(limits=Limits(…))`; `own=True` gives acme an account of its own on AWS."""
    aws, gcp = clouds

    def make(*, own: bool = False, name: str = "desk", **changes: Any) -> Desk:
        accounts = {CloudRef("aws"): FakeProvider(aws)}
        if own:
            theirs = FakeCloud(clock, first=100, spot=dict(SPOT), on_demand=dict(ON_DEMAND))
            accounts[CloudRef("aws", "acme")] = FakeProvider(theirs, account="444455556666")
        accounts[CloudRef("gcp")] = FakeProvider(gcp, account="my-project")
        ledger = SqliteLedger(tmp_path / f"{name}.db", install="1f" * 16)
        reach, said = FakeReach(), Quiet()
        app = App(
            settings=settings_with(**changes),
            ledger=ledger,
            clouds=ListedClouds(accounts),
            reach=reach,
            boot=lambda lease, user, gpus: f"{lease.id} {user} {gpus}".encode(),
            clock=clock,
            sleep=clock.sleep,
            new_id=ids,
            progress=said,
        )
        opened.append(ledger)
        return Desk(app=app, aws=aws, gcp=gcp, clock=clock, reach=reach, said=said)

    opened: list[SqliteLedger] = []
    yield make
    for ledger in opened:
        ledger.close()


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """One user with one account on each cloud."""
    return make_desk()
