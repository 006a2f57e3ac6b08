"""What stands on the command line of `run` and `ssh`: a machine, a job, a command behind `--`."""

from collections.abc import Sequence

import click

from gpuctl.core.errors import UsageProblem

_NAMED = "gpuctl.named"


class BehindDashes(click.Command):
    """`[NAME] [-- CMD]`: what stands before `--` is a machine, what stands behind it never is.

    click drops the `--`; without it a word may be either, and who asks has to guess.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, and remember what stood before `--`."""
        if "--" not in args:
            return super().parse_args(ctx, args)
        place = args.index("--")
        given, _, _ = self.make_parser(ctx).parse_args(args[:place])
        named = isinstance(given.get("name"), str)
        if not named:
            # A placeholder in NAME's place keeps the first word of the command from it.
            args = [*args[: place + 1], "", *args[place + 1 :]]
        rest = super().parse_args(ctx, args)
        if not named:
            ctx.params["name"] = None
        ctx.meta[_NAMED] = named
        return rest


def surely_named() -> bool:
    """Whether NAME stood before `--`, and so is no word of the command."""
    return bool(click.get_current_context().meta.get(_NAMED, False))


def words_of(name: str | None, argv: Sequence[str]) -> tuple[str, ...]:
    """The command of `run --up`, which takes no machine's name. UsageProblem where it has one."""
    if surely_named():
        raise UsageProblem(
            f"--up finds the project's machine, or starts it: leave out {name}",
            hint="gpuctl run --up -p CLIENT/PROJECT -- CMD",
        )
    return ((name,) if name else ()) + tuple(argv)


def below_the_tree(path: str) -> None:
    """UsageProblem unless it is below the pushed tree: `..` would bring the machine's keys, too."""
    from pathlib import PurePosixPath

    there = PurePosixPath(path)
    if not path.strip() or there.is_absolute() or ".." in there.parts:
        raise UsageProblem(
            f"{path!r} is not below the pushed tree", hint="a path from there: runs, out/last"
        )


def job_option(_ctx: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    """The callback of an option that takes a job's name: a wrong one is told before any cloud."""
    from gpuctl.core.names import job_name

    try:
        return None if text is None else job_name(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
