"""What can go wrong, named by the caller's next step; each class knows its exit code."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple


class GpuctlError(Exception):
    """Told to the user as `Error: message`, then `hint` (the command to type next).

    `detail` is the vendor's own words (code, request id): shown with --debug, always logged.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail


class UsageProblem(GpuctlError):
    """Ask differently: a flag or a combination that makes no sense, or a prompt off a terminal."""

    exit_code = 2


class Problem(NamedTuple):
    """One mistake in one file: where it is, what is wrong, and the nearest right thing."""

    file: str
    line: int | None
    key: str | None
    reason: str
    suggestion: str | None = None

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f" {self.key}:" if self.key else ""
        hint = f" (did you mean {self.suggestion!r}?)" if self.suggestion else ""
        return f"{where}:{key} {self.reason}{hint}"


class ConfigError(GpuctlError):
    """Fix the files: carries every problem found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], *, hint: str | None = None) -> None:
        super().__init__("\n".join(str(problem) for problem in problems), hint=hint)
        self.problems = tuple(problems)


class InvalidRequest(GpuctlError):
    """Fix the template: the cloud refused a parameter (unknown subnet, bad disk size…)."""

    exit_code = 2


class NameTaken(InvalidRequest):
    """Look again: a machine of that name was started since the clouds were asked."""


class NotFound(GpuctlError):
    """Look at `gpuctl ps`: no such machine, project, image or template."""

    exit_code = 3


class Denied(GpuctlError):
    """Fix credentials or permissions."""

    exit_code = 4


class CannotFill(GpuctlError):
    """This offer cannot be had; another may."""

    exit_code = 5

    def __init__(
        self,
        message: str,
        *,
        code: str,
        hint: str | None = None,
        detail: str | None = None,
        zones: Sequence[str] = (),
    ) -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.code = code
        self.zones = tuple(zones)
        """Zones that the cloud's own text says have capacity now; may be empty."""


class NoZoneCapacity(CannotFill):
    """Try another zone, then another type."""


class TypeNotOffered(CannotFill):
    """Try another type: this one is not sold here, or not with this image."""


class PriceTooLow(CannotFill):
    """Raise the maximum price, or try another zone."""


class QuotaReached(CannotFill):
    """Ask the cloud for more quota, or try another family or region.

    `code` is the quota's own code where known (AWS `L-3819A6DF`), else the error's.
    """


class Busy(GpuctlError):
    """Wait: throttled or not ready, after all retries were used."""


class BudgetExceeded(GpuctlError):
    """Raise the budget or stop spending."""

    exit_code = 6


class ChecksFailed(GpuctlError):
    """A check found problems."""

    exit_code = 8


class UnknownOutcome(GpuctlError):
    """Nobody knows yet whether it happened; the intent stays and the next command settles it."""

    exit_code = 75


class RemoteFailed(GpuctlError):
    """ssh, rsync or tar failed before the user's command could speak for itself."""

    exit_code = 125


class LedgerError(GpuctlError):
    """Touch nothing: the ledger cannot be read or written as it must be."""


class ListingIncomplete(GpuctlError):
    """A region or provider could not be listed, so nothing can be concluded about it."""

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        region: str | None,
        hint: str | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.provider = provider
        self.region = region
