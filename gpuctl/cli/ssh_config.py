"""`ssh-config`: machines by name for ssh, scp, git, VS Code."""

from collections.abc import Callable
from pathlib import Path

import click

from gpuctl.cli.command import command
from gpuctl.cli.render import emit_json
from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError


@click.group("ssh-config")
def ssh_config() -> None:
    """Make `ssh MACHINE` and VS Code work, by one Include line in ~/.ssh/config."""


@ssh_config.command()
@click.option("--dry-run", is_flag=True, help="Show the line, write nothing.")
@command
def install(session: Session, dry_run: bool) -> int:
    """Put the Include line on top of ~/.ssh/config. Doing it again changes nothing."""
    from gpuctl.remote import hosts

    users, ours = user_config(session), our_config(session)
    if dry_run:
        click.echo(f"would put on top of {users}: {hosts.include_line(ours)}", err=True)
        return 0
    added = _change(users, lambda: hosts.install(users, ours))
    if added:
        click.echo(f"{users} now begins with: {hosts.include_line(ours)}", err=True)
    else:
        click.echo(f"{users} has the line already", err=True)
    click.echo("Next: gpuctl up, then ssh MACHINE", err=True)
    return 0


@ssh_config.command()
@command
def show(session: Session) -> int:
    """The machines that ssh knows by name. Says whether the Include line is in place."""
    from gpuctl.remote import files, hosts

    users, ours = user_config(session), our_config(session)
    line = hosts.include_line(ours)
    there = line in files.read(users).splitlines()
    names = list(hosts.aliases(ours))
    if session.output == "json":
        emit_json(
            "ssh-config.show",
            {"file": str(ours), "include": line, "installed": there, "machines": names},
        )
        return 0
    if session.output == "csv":
        click.echo("\n".join(["machine", *names]))
        return 0
    click.echo(files.read(ours).rstrip() or f"# no machines yet: {ours}")
    if there:
        click.echo(f"{users} includes it", err=True)
    else:
        click.echo(f"{users} does not include it. Next: gpuctl ssh-config install", err=True)
    return 0


@ssh_config.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, write nothing.")
@command
def remove(session: Session, dry_run: bool) -> int:
    """Take the Include line out of ~/.ssh/config. The rest of it stays as it is."""
    from gpuctl.remote import hosts

    users, ours = user_config(session), our_config(session)
    if dry_run:
        click.echo(f"would take out of {users}: {hosts.include_line(ours)}", err=True)
        return 0
    gone = _change(users, lambda: hosts.uninstall(users, ours))
    click.echo(f"{users} {'no longer has' if gone else 'does not have'} the line", err=True)
    return 0


def user_config(session: Session) -> Path:
    """The user's own `~/.ssh/config`."""
    return home_of(session) / ".ssh/config"


def our_config(session: Session) -> Path:
    """The file with the machines, which gpuctl writes."""
    return session.paths.ssh / "config"


def home_of(session: Session) -> Path:
    """The user's home directory."""
    named = session.environ.get("HOME")
    return Path(named) if named else Path.home()


def _change(users: Path, how: Callable[[], bool]) -> bool:
    try:
        return how()
    except OSError as error:
        raise GpuctlError(
            f"{error.filename or users} cannot be changed: {error.strerror}",
            hint="gpuctl ssh-config show prints what to include by hand",
        ) from None
