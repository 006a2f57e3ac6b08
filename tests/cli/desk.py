"""The real command line on real files and a real ledger; only the terminal is made up."""

import json
import textwrap
from datetime import UTC, datetime
from decimal import Decimal

from click.testing import CliRunner

from gpuctl.cli import main
from gpuctl.cli.session import Session
from gpuctl.core.events import Leased, Price, Seen, Usage
from gpuctl.core.jobs import Wanted
from gpuctl.core.kinds import Kind, Market, State, Unit
from gpuctl.core.model import Machine, MachineId
from gpuctl.core.snapshot import write_machine
from gpuctl.ledger.store import SqliteLedger

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
WANTED = Wanted(
    name="train",
    project="acme/vision",
    template="l4-spot",
    argv=("python", "train.py"),
    directory="work/vision",
    host="anna",
    tree="/tree",
    resume=False,
)
"""What `run` asks for."""


class FixedSession(Session):
    """A session at a moment of the test's choosing."""

    moment = NOW
    clouds = None

    @property
    def clock(self):
        return lambda: self.moment

    @property
    def app(self):
        made = super().app
        clouds = self.clouds or made.clouds
        return made._replace(clouds=clouds, clock=self.clock, sleep=lambda _: None)


class Desk:
    """`desk("project", "list")` runs `gpuctl project list` and returns click's result."""

    def __init__(self, root):
        self.root = root
        self.cwd = root / "work"
        self.home = root / "me"
        self.cwd.mkdir()
        self.home.mkdir()
        self.environ = {
            "GPUCTL_HOME": str(root / "gpuctl"),
            "HOME": str(self.home),
            "AWS_EC2_METADATA_DISABLED": "true",
            "PATH": "/usr/bin:/bin",
        }
        self.config = root / "gpuctl/config/config.toml"
        self.project_file = self.cwd / "gpuctl.toml"
        self.clouds = None
        self._ledger = None

    def __call__(self, *argv, terminal=False, answers=None, charset="utf-8", **environ):
        session = FixedSession(
            self.environ | environ,
            self.cwd,
            stdin_is_terminal=terminal,
            stderr_is_terminal=False,
        )
        session.clouds = self.clouds
        runner = CliRunner(charset=charset)
        return runner.invoke(main, argv, obj=session, input=answers, catch_exceptions=False)

    def ok(self, *argv, **how):
        """The same; it must succeed. Its standard output."""
        result = self(*argv, **how)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *argv, **how):
        """What it prints as JSON."""
        return json.loads(self.ok(*argv, "--json", **how))

    def refused(self, *argv, code=2, **how):
        """What it says on standard error when it must fail with this code."""
        result = self(*argv, **how)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result.stderr

    def user(self, text):
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(textwrap.dedent(text), encoding="utf-8")
        self.config.chmod(0o600)

    @property
    def ledger_path(self):
        return self.root / "gpuctl/data/ledger.db"

    @property
    def ledger(self):
        if self._ledger is None:
            self._ledger = SqliteLedger(self.ledger_path, install="f" * 32)
        return self._ledger

    def close(self):
        if self._ledger is not None:
            self._ledger.close()

    def price(self, usd, since, *, sku="g6.xlarge", zone="us-east-2a", region="us-east-2", **more):
        values = {
            "id": f"price/{sku}/{zone or region}/{since.isoformat()}",
            "provider": "aws",
            "region": region,
            "zone": zone,
            "kind": Kind.COMPUTE,
            "sku": sku,
            "market": Market.SPOT,
            "unit": Unit.HOUR,
            "usd": Decimal(usd),
            "since": since,
            "source": "spot-history",
        }
        self.ledger.append([Price(**(values | more))])

    def machine(self, name, project, since, *, native="i-0abc", state=State.RUNNING):
        """One that runs since then, as the ledger last saw it."""
        machine = Machine(
            id=MachineId("aws", "111122223333", "us-east-2", "us-east-2a", native),
            name=name,
            type="g6.xlarge",
            gpu="L4",
            gpus=1,
            market=Market.SPOT,
            state=state,
            launched_at=since,
            project=project,
            lease=f"lease-{native}" if project else None,
        )
        if project is not None:
            lease = Leased(
                id=f"lease-{native}",
                name=name,
                project=project,
                provider="aws",
                account="111122223333",
                template="l4-spot",
                at=since,
                deadline=since.replace(hour=23),
                ceiling=since.replace(hour=23),
            )
            self.ledger.append([lease])
        self.ledger.append(
            [
                Usage(
                    id=f"run-{native}",
                    provider="aws",
                    account="111122223333",
                    region="us-east-2",
                    zone="us-east-2a",
                    resource=native,
                    kind=Kind.COMPUTE,
                    sku="g6.xlarge",
                    market=Market.SPOT,
                    quantity=Decimal(1),
                    start=since,
                    end=None,
                    ended_by=None,
                    project=project,
                    session=f"lease-{native}",
                    machine=str(machine.id),
                ),
                Seen(
                    id=f"seen-{native}",
                    machine=str(machine.id),
                    at=since,
                    snapshot=write_machine(machine),
                ),
            ]
        )
