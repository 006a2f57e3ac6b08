"""A click group that knows its commands by name only, and imports one when it is run.

`gpuctl --help` and completion must cost about what importing click costs.
"""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import click
from click.shell_completion import CompletionItem

Section = Mapping[str, tuple[str, str]]
"""Command name -> (module:attribute, one line of help)."""


class LazyGroup(click.Group):
    """Commands in sections, imported at need. A wrong name is answered with the nearest."""

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Section],
        aliases: Mapping[str, str] = MappingProxyType({}),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._sections = sections
        self._aliases = aliases
        """Second names, which no list shows."""
        self._places = {
            name: place for section in sections.values() for name, (place, _) in section.items()
        }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return [*self._places, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return it."""
        place = self._places.get(self._aliases.get(cmd_name, cmd_name))
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name in the error."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not near:
                raise
            message = f"{error.message}\nDid you mean {near[0]}?"
            raise click.UsageError(message, ctx) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names and one-liners from the table alone: TAB imports no command."""
        names = [
            CompletionItem(name, help=says)
            for section in self._sections.values()
            for name, (_, says) in section.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Sections with their one-liners, from the table alone."""
        for title, section in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, says) for name, (_, says) in section.items()])
