"""JSON Schema for editors, from the table of keys."""

from typing import Literal

from gpuctl.config.keys import TABLES

_TITLES = {"user": "gpuctl: the user's settings", "project": "gpuctl.toml: settings of a project"}


def json_schema(kind: Literal["user", "project"]) -> dict[str, object]:
    """Draft 7, which the TOML language servers of editors read."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": _TITLES[kind],
        **TABLES[kind].schema(),
    }
