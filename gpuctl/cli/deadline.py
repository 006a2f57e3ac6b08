"""`run --deadline`: what was asked for, checked."""

from typing import Any

from gpuctl.cli.session import Session
from gpuctl.config.template import Template
from gpuctl.core.errors import UsageProblem
from gpuctl.core.jobs import Wanted


def with_deadline(
    session: Session, wanted: Wanted, template: Template, flags: dict[str, Any]
) -> Wanted:
    """The job with its deadline."""
    raise UsageProblem("--deadline is not there yet")
