"""Homes in a sandbox, to run the real program from. The sandbox itself: `tests/conftest.py`."""

import os
import tempfile
from pathlib import Path

from gpuctl.cli.embedded import HOME
from gpuctl.sandbox.state import SandboxState, environment
from tests.cli.program import Program, write_config


def home_in(sandbox: SandboxState, more: str = "", **environ: str) -> Program:
    """A computer of its own: the sandbox's config and `more` of it, no ledger, no keys."""
    home = Path(tempfile.mkdtemp(dir=sandbox.directory, prefix="h"))
    write_config(home, HOME + more)
    inside = environment(sandbox).over(dict(os.environ)) | {"GPUCTL_HOME": str(home)}
    return Program(home, inside | environ)
