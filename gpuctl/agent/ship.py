"""The keeper as one file for a machine: a zip that Python runs, the same bytes each time."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from gpuctl.core.keeping import Keep

_MAIN = """\
import sys
from gpuctl.agent.checkpoint.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
_PACKAGES = ("gpuctl", "gpuctl/core", "gpuctl/agent")
_DATE = (2020, 1, 1, 0, 0, 0)


@cache
def keeper() -> bytes:
    """`python3 -I -S FILE run SETTINGS -- CMD...` runs it; see agent/checkpoint/__main__.py."""
    made = {"__main__.py": _MAIN, **{f"{name}/__init__.py": "" for name in _PACKAGES}}
    core = files("gpuctl.core").joinpath("checkpoints.py")
    made["gpuctl/core/checkpoints.py"] = core.read_text("utf-8")
    for file in files("gpuctl.agent.checkpoint").iterdir():
        if file.name.endswith(".py"):
            made[f"gpuctl/agent/checkpoint/{file.name}"] = file.read_text("utf-8")
    return _zipped(made)


def _zipped(made: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(made):
            archive.writestr(zipfile.ZipInfo(name, _DATE), made[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()


def order(
    path: str, keep: Keep, cloud: str, lease: str, endpoint: str | None, argv: Sequence[str]
) -> tuple[str, ...]:
    """The command that runs argv under the keeper that lies at `path`; no secret is in it."""
    told = keep._asdict() | {"cloud": cloud, "lease": lease, "endpoint": endpoint}
    return ("python3", "-I", "-S", path, "run", json.dumps(told, sort_keys=True), "--", *argv)
