"""What is known of an image and of a machine type. None = not known, which is never "no"."""

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """Whether an image runs on a machine type."""

    FITS = "fits"
    UNKNOWN = "unknown"
    DOES_NOT_FIT = "does-not-fit"


class Module(StrEnum):
    """The two kinds of NVIDIA's kernel module."""

    PROPRIETARY = "proprietary"
    OPEN = "open"


class Branches(NamedTuple):
    """A range of driver branches (`580`), both ends included; None = without that end."""

    least: int | None = None
    most: int | None = None

    def __str__(self) -> str:
        match self:
            case (None, None):
                return "any"
            case (least, None):
                return f"R{least} or later"
            case (None, most):
                return f"R{most} or earlier"
        return f"R{self.least}" if self.least == self.most else f"R{self.least} to R{self.most}"


class ImageFacts(NamedTuple):
    """One image, as far as it is known; `source` says who told.

    `architecture`: `x86_64`, `arm64`. `boot`: `legacy-bios`, `uefi`, `uefi-preferred`, or `default`
    for an image that leaves it to the type. `driver`: the branch in it, a range where only that is
    known. `cuda` is the build of torch in it (`cu126`), `torch` its version; `bare` = there is no
    torch in it, so that nothing has to fit.
    """

    name: str
    source: str
    provider: str | None = None
    architecture: str | None = None
    boot: str | None = None
    virtualization: str | None = None
    ena: bool | None = None
    nvme: bool | None = None
    driver: Branches | None = None
    module: Module | None = None
    cuda: str | None = None
    torch: str | None = None
    bare: bool = False


class Finding(NamedTuple):
    """What one rule says of an image on a machine; `fix` is what to do where it does not fit or
    cannot be known, `source` where the rule comes from.
    """

    rule: str
    verdict: Verdict
    says: str
    fix: str | None = None
    source: str | None = None


_ORDER = (Verdict.FITS, Verdict.UNKNOWN, Verdict.DOES_NOT_FIT)


def worst(findings: tuple[Finding, ...]) -> Verdict:
    """The verdict of all rules together."""
    return max((finding.verdict for finding in findings), key=_ORDER.index, default=Verdict.FITS)
