"""`ami`: images of one's own, and which type they run on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.ami_build import build, test
from gpuctl.cli.ami_list import list_
from gpuctl.cli.ami_shelf import copy, promote, prune, share
from gpuctl.cli.command import command
from gpuctl.cli.render import emit, emit_json, plain, say
from gpuctl.cli.session import Session

if TYPE_CHECKING:
    from gpuctl.app.images import Checked
    from gpuctl.core.images.facts import ImageFacts


@click.group()
def ami() -> None:
    """Images of your own: what there is, what runs on what, and what it costs.

    Also: `gpuctl image`.
    """


@ami.command()
@click.argument("name", metavar="NAME|AMI-ID")
@click.option(
    "--for", "types", metavar="TYPE", multiple=True, help="On this type; else those of its recipe."
)
@click.option("--region", help="Where to look for an AMI that is not known here.")
@command
def check(session: Session, name: str, types: tuple[str, ...], region: str | None) -> int:
    """Whether an image runs on a type, why not, and what cannot be known. Costs nothing.

    NAME is an image or recipe of `ami list`, the directory of a recipe, or what a template may
    name. Only an AMI that this computer does not know is asked for, by DescribeImages. A GPU that
    is attached on Google follows a plus sign: --for n1-standard-4+nvidia-tesla-t4.

    Exit 8 where it does not fit; 0 where it fits or nobody can know.
    """
    from gpuctl.app import images
    from gpuctl.cli.ami_shelf import check_region
    from gpuctl.core.errors import ChecksFailed, UsageProblem
    from gpuctl.core.images.facts import Verdict
    from gpuctl.wiring.shelf import shelf

    if region is not None:
        check_region(region, "--region")
    known = shelf(session.paths)
    wanted = types or images.targets(known, name)
    if not wanted:
        raise UsageProblem(f"on which type? {name} has no recipe here", hint="--for g6.xlarge")
    facts = images.facts(known, name, lambda named: _ask(session, named, region))
    found = images.checks(facts, wanted)
    match session.output:
        case "json":
            checks = [check_shape(one) for one in found]
            emit_json("ami.check", {"image": facts_shape(facts), "checks": checks})
        case "csv":
            rows = [{"type": one.type, **rule} for one in found for rule in findings_of(one)]
            emit(session, "ami.check", "checks", rows, [])
        case _:
            say(session, "\n".join(_told(facts, found)))
    bad = any(one.verdict is Verdict.DOES_NOT_FIT for one in found)
    return ChecksFailed.exit_code if bad else 0


def _ask(session: Session, name: str, region: str | None) -> "ImageFacts":
    """What AWS tells of it. NotFound for a name that no account in use could have."""
    from gpuctl.app.images import nowhere

    clouds = session.app.clouds
    if not name.startswith(("ami-", "ssm:")):
        refs = () if "/" in name else clouds.accounts()
        if not any(ref.provider == "aws" for ref in refs):
            raise nowhere(name)
    return clouds.image(clouds.of("aws", None), region, name)


def _told(facts: "ImageFacts", found: "Sequence[Checked]") -> list[str]:
    from gpuctl.core.images.facts import Verdict

    marks = {Verdict.FITS: "ok", Verdict.UNKNOWN: "?", Verdict.DOES_NOT_FIT: "NO"}
    words = {
        Verdict.FITS: "fits",
        Verdict.UNKNOWN: "cannot be known from here",
        Verdict.DOES_NOT_FIT: "does not fit",
    }
    lines = [f"{facts.name}, by {facts.source}"]
    for one in found:
        lines.append(f"{one.type}: {words[one.verdict]}")
        for finding in one.findings:
            if finding.verdict is Verdict.FITS and finding.rule != "bfloat16":
                continue
            mark = "!" if finding.verdict is Verdict.FITS else marks[finding.verdict]
            lines.append(f"{mark:>4}  {finding.rule:<12} {finding.says}")
            if finding.fix is not None:
                lines.append(f"      {'do':<12} {finding.fix}")
    return [plain(line) for line in lines]


def facts_shape(facts: "ImageFacts") -> dict[str, Any]:
    """What is known of an image; null = not known."""
    return {
        "name": facts.name,
        "source": facts.source,
        "provider": facts.provider,
        "architecture": facts.architecture,
        "boot": facts.boot,
        "virtualization": facts.virtualization,
        "ena": facts.ena,
        "nvme": facts.nvme,
        "driver": None if facts.driver is None else str(facts.driver),
        "module": facts.module,
        "cuda": facts.cuda,
        "torch": facts.torch,
    }


def check_shape(one: "Checked") -> dict[str, Any]:
    """One type: its verdict, and what each rule says."""
    return {"type": one.type, "verdict": one.verdict, "findings": findings_of(one)}


def findings_of(one: "Checked") -> list[dict[str, Any]]:
    """What each rule says of a type."""
    return [
        {
            "rule": finding.rule,
            "verdict": finding.verdict,
            "says": finding.says,
            "fix": finding.fix,
            "source": finding.source,
        }
        for finding in one.findings
    ]


for _command in (list_, build, test, copy, promote, prune, share):
    ami.add_command(_command)
