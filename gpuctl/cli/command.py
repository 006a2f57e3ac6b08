"""What every command has: the common flags, and errors told the same way once."""

import functools
import sys
from collections.abc import Callable
from typing import Any

import click

from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError

INTERRUPTED = 130


def command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command function its Session and the global flags, which also work after its name."""

    @click.option(
        "-o", "--output", type=click.Choice(["table", "json", "csv"]), help="Form of data."
    )
    @click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
    @click.option("--debug", is_flag=True, help="Show the cloud's own words and tracebacks.")
    @click.pass_context
    @functools.wraps(function)
    def run(
        ctx: click.Context, /, *args: Any, output: str | None, as_json: bool, debug: bool, **kw: Any
    ) -> Any:
        session = ctx.find_object(Session)
        if session is None:
            session = ctx.obj = Session.here()
        session.flag(
            output="json" if as_json else output,
            debug=debug,
            yes=bool(kw.pop("yes", False)),
        )
        return told(ctx, session, lambda: function(session, *args, **kw))

    return run


def asks(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add -y/--yes to a command that may ask."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(function)


def told(ctx: click.Context, session: Session, work: Callable[[], Any]) -> Any:
    """Run, and turn an error into its message and exit code. Anything unknown is a bug."""
    try:
        if session.environ.get("GPUCTL_SANDBOX"):
            from gpuctl.sandbox.safety import check_environment, keep_awake

            if not _enters_sandbox(ctx):
                check_environment(session.environ)
            keep_awake(session.environ)
        code = work()
    except GpuctlError as error:
        explain(error, debug=session.debug)
        if session.debug:
            raise
        ctx.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted. What runs goes on (and costs): gpuctl ps", err=True)
        ctx.exit(INTERRUPTED)
    except UnicodeEncodeError as error:
        from gpuctl.core.errors import UsageProblem

        given = UsageProblem(f"{error.object!r} is not Unicode text", hint="type it as UTF-8")
        explain(given, debug=session.debug)
        if session.debug:
            raise
        ctx.exit(given.exit_code)
    except BrokenPipeError:
        # The reader (head, less) has gone: that is its right.
        sys.stderr.close()
        ctx.exit(0)
    if isinstance(code, int) and code:
        ctx.exit(code)


def _enters_sandbox(ctx: click.Context) -> bool:
    """`sandbox env` and its like ask no cloud: they are how a half-entered shell is put right."""
    group = ctx.parent.info_name if ctx.parent is not None else None
    return group == "sandbox" and ctx.info_name in ("env", "start", "status", "stop")


def explain(error: GpuctlError, *, debug: bool) -> None:
    """Say what happened and what to type next, on stderr."""
    click.echo(f"Error: {error.message}", err=True)
    if error.detail and debug:
        click.echo(f"  {error.detail}", err=True)
    if error.hint:
        click.echo(f"  Try: {error.hint}", err=True)


def confirmed(session: Session, question: str, *, destroys: bool = False) -> bool:
    """Ask, unless --yes was given. UsageProblem off a terminal: nobody is there to answer."""
    from gpuctl.core.errors import UsageProblem

    if session.said_yes if destroys else session.yes:
        return True
    if not session.stdin_is_terminal:
        raise UsageProblem(
            f"{question} There is no terminal to ask on.", hint="the same with --yes"
        )
    return click.confirm(question, err=True)
