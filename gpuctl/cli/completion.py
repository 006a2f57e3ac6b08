"""`completion`: the shell's own script, printed or put in its place."""

from pathlib import Path

import click

from gpuctl.cli.command import command
from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError, UsageProblem

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_GPUCTL_COMPLETE"
_BEGIN = "# >>> gpuctl completion >>>"
_END = "# <<< gpuctl completion <<<"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.option("--install", is_flag=True, help="Put it where the shell reads it, once.")
@click.option("--print", "printed", is_flag=True, help="Print it (as without any flag).")
@click.pass_context
@command
def completion(
    session: Session, ctx: click.Context, shell: str | None, install: bool, printed: bool
) -> int:
    """Completion for your shell; without a name, the one that $SHELL names.

    Machines, projects and templates are completed from settings and ledger, never from a cloud.
    """
    if install and printed:
        raise UsageProblem("--install and --print exclude each other", hint="leave one out")
    named = shell or _shell_of(session)
    script = _script(ctx.find_root().command, named)
    if not install:
        click.echo(script)
        return 0
    try:
        file, hint = _install(session, named, script)
    except OSError as error:
        raise GpuctlError(
            f"{error.filename} cannot be written: {error.strerror}",
            hint=f'eval "$(gpuctl completion {named})" in your shell\'s own file',
        ) from None
    click.echo(f"{named}: {file}. {hint}", err=True)
    return 0


def _shell_of(session: Session) -> str:
    name = Path(session.environ.get("SHELL", "")).name
    if name not in SHELLS:
        what = f"{name} is not one of" if name else "for which shell? One of"
        raise UsageProblem(f"{what} {', '.join(SHELLS)}", hint="gpuctl completion bash")
    return name


def _script(root: click.Command, shell: str) -> str:
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise LookupError(shell)
    made = found(root, {}, "gpuctl", _VARIABLE)
    # Not `source()`: for bash that would start one only to ask for its version.
    return (made.source_template % made.source_vars()).strip() + "\n"


def _install(session: Session, shell: str, script: str) -> tuple[Path, str]:
    from gpuctl.cli.ssh_config import home_of
    from gpuctl.remote import files

    home = home_of(session)
    data = _directory(session, "XDG_DATA_HOME", home / ".local/share")
    config = _directory(session, "XDG_CONFIG_HOME", home / ".config")
    again = "Open a new shell to have it."
    if shell == "fish":
        file = config / "fish/completions/gpuctl.fish"
    elif shell == "bash":
        file = data / "bash-completion/completions/gpuctl"
        again += f" Without the package bash-completion, add to ~/.bashrc: source {file}"
    else:
        file = session.paths.config.parent / "completion.zsh"
        _source_from(_directory(session, "ZDOTDIR", home) / ".zshrc", file)
    files.change(file, lambda _: script, 0o644, beside=session.paths.config)
    return file, again


def _source_from(zshrc: Path, file: Path) -> None:
    """Have zsh read the script: a marked block at the end, made once, renewed in place."""
    import re

    from gpuctl.remote import files
    from gpuctl.remote.target import quoted

    needs = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }"
    block = f"{_BEGIN}\n{needs}\nsource {quoted(file).replace('%%', '%')}\n{_END}\n"
    old = re.compile(rf"^{re.escape(_BEGIN)}\n.*?^{re.escape(_END)}\n", re.MULTILINE | re.DOTALL)

    def put(text: str) -> str:
        if old.search(text):
            return old.sub(lambda _: block, text, count=1)
        return f"{text.rstrip()}\n\n{block}" if text.strip() else block

    mode = zshrc.stat().st_mode & 0o777 if zshrc.exists() else 0o644
    files.change(zshrc, put, mode, beside=file)


def _directory(session: Session, variable: str, default: Path) -> Path:
    named = session.environ.get(variable, "")
    return Path(named) if named.startswith("/") else default
