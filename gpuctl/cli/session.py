"""One run of the program: flags, environment, and what is built from them at first need."""

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.app import App
    from gpuctl.app.stubborn import StubbornLedger
    from gpuctl.config.load import Config
    from gpuctl.config.model import Settings
    from gpuctl.config.paths import Paths
    from gpuctl.core.ports import Clock, Ledger
    from gpuctl.ledger.postgres import PostgresLedger
    from gpuctl.ledger.store import SqliteLedger


class Session:
    """What commands share. Everything is lazy: a command pays only for what it uses."""

    def __init__(
        self,
        environ: Mapping[str, str],
        cwd: Path,
        *,
        stdin_is_terminal: bool,
        stderr_is_terminal: bool,
        stdout_is_terminal: bool = False,
    ) -> None:
        self.environ = dict(environ)
        self.cwd = cwd
        self.stdin_is_terminal = stdin_is_terminal
        self.stderr_is_terminal = stderr_is_terminal
        self.stdout_is_terminal = stdout_is_terminal
        self._flags: dict[str, str | bool | None] = {}
        self._config: Config | None = None
        self._lenient: Config | None = None
        self._app: App | None = None
        self._ledger: SqliteLedger | PostgresLedger | None = None
        self._clock: Clock | None = None

    @classmethod
    def here(cls) -> "Session":
        """The process as it is."""
        return cls(
            os.environ,
            Path.cwd(),
            stdin_is_terminal=sys.stdin is not None and sys.stdin.isatty(),
            stderr_is_terminal=sys.stderr is not None and sys.stderr.isatty(),
            stdout_is_terminal=sys.stdout is not None and sys.stdout.isatty(),
        )

    def flag(
        self,
        *,
        config: str | None = None,
        output: str | None = None,
        yes: bool = False,
        debug: bool = False,
        project: str | None = None,
        template: str | None = None,
    ) -> None:
        """Take flags over, from before or after the command's name; later ones win."""
        if config is not None:
            self.environ["GPUCTL_CONFIG"] = config
        given = {
            "output": output,
            "yes": yes or None,
            "debug": debug or None,
            "project": project,
            "template": template,
        }
        self._flags |= {name: value for name, value in given.items() if value is not None}
        self._config = self._lenient = None

    @property
    def debug(self) -> bool:
        """Whether to show tracebacks; known even when the configuration is broken."""
        named = self.environ.get("GPUCTL_DEBUG", "")
        return bool(self._flags.get("debug")) or named.lower() not in ("", "0", "false", "no")

    @property
    def config(self) -> "Config":
        """The configuration with origins. ConfigError with every mistake."""
        if self._config is None:
            from gpuctl.config.load import Sources, load

            self._config = load(Sources.find(self.environ, self.cwd, self._flags))
        return self._config

    @property
    def lenient_config(self) -> "Config":
        """The same, but references to what does not exist (yet) are let through."""
        if self._lenient is None:
            from gpuctl.config.load import Sources, load

            sources = Sources.find(self.environ, self.cwd, self._flags)
            self._lenient = load(sources, references=False)
        return self._lenient

    @property
    def settings(self) -> "Settings":
        """What is set."""
        return self.config.settings

    @property
    def paths(self) -> "Paths":
        """Where files are."""
        from gpuctl.config.paths import paths

        return paths(self.environ, self.cwd)

    @property
    def output(self) -> str:
        """`table`, `json` or `csv`."""
        flag = self._flags.get("output")
        return str(flag) if flag else self.lenient_config.settings.defaults.output.value

    @property
    def yes(self) -> bool:
        """Whether prompts are answered with yes (never those before data is destroyed)."""
        return bool(self._flags.get("yes")) or self.lenient_config.settings.defaults.yes

    @property
    def said_yes(self) -> bool:
        """Whether --yes was typed: the environment does not count where data is destroyed."""
        return bool(self._flags.get("yes"))

    def project(self, given: str | None) -> str:
        """The project meant, checked. UsageProblem when none is named anywhere."""
        name = given or self.settings.defaults.project
        if name is None:
            raise UsageProblem(
                "for which project? Name it with -p CLIENT/PROJECT",
                hint="gpuctl project list, or set project in gpuctl.toml",
            )
        return self.settings.project(name).name

    @property
    def clock(self) -> "Clock":
        """The time; the sandbox's under the sandbox."""
        if self._clock is None:
            from gpuctl.wiring import clock_for

            self._clock = clock_for(self.environ)
        return self._clock

    def now(self) -> datetime:
        """The time now, UTC."""
        return self.clock()

    @property
    def ledger(self) -> "SqliteLedger | PostgresLedger":
        """The ledger; no cloud is needed for it."""
        if self._ledger is None:
            from gpuctl.wiring import open_ledger

            self._ledger = open_ledger(self.paths)
        return self._ledger

    @property
    def app(self) -> "App":
        """Everything wired together; SDKs are imported when a cloud is first asked."""
        if self._app is None:
            self._app = self._build(self.ledger)
        return self._app

    def stubborn(self) -> "tuple[App, StubbornLedger]":
        """The same on a ledger whose failures keep no machine alive; whoever uses it tells them."""
        from gpuctl.app.stubborn import StubbornLedger

        ledger = StubbornLedger(self.ledger)
        self._app = self._build(ledger)
        return self.app, ledger

    def on(self, ledger: "Ledger") -> "App":
        """The same on another ledger, for this once."""
        return self._build(ledger)

    def _build(self, ledger: "Ledger") -> "App":
        from gpuctl.cli.logs import set_up
        from gpuctl.cli.progress import progress_for
        from gpuctl.wiring import build

        set_up(self.paths.logs, debug=self.debug)
        progress = progress_for(self.environ, terminal=self.stderr_is_terminal)
        return build(self.environ, self.settings, self.paths, ledger, progress)

    @property
    def in_sandbox(self) -> bool:
        """Whether this is the sandbox: every line says so."""
        return bool(self.environ.get("GPUCTL_SANDBOX"))

    def close(self) -> None:
        """Let go of files."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None
