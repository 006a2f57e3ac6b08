"""`audit`."""

import click

from gpuctl.cli.command import asks, command, confirmed
from gpuctl.cli.render import Column, emit
from gpuctl.cli.session import Session
from gpuctl.cli.text import dollars, project_text
from gpuctl.core.errors import ChecksFailed, UsageProblem


@click.command()
@click.option("--fix", is_flag=True, help="End what is ours of it.")
@asks
@command
def audit(session: Session, fix: bool) -> int:
    """What still costs money and is not in use, in every region and cloud; exit 8 on findings."""
    from gpuctl.app import audit as verb
    from gpuctl.cli.shapes import finding_shape, incomplete

    if not session.app.clouds.accounts():
        raise UsageProblem(
            "no cloud account is in use, so there is nowhere to look", hint="gpuctl init"
        )
    found = verb.audit(session.app)
    records = [finding_shape(finding) for finding in found.findings]
    columns = [
        Column("WHERE", lambda r: r["region"]),
        Column("WHAT", lambda r: f"{r['kind']} {r['resource']}"),
        Column("PROJECT", lambda r: project_text(r["project"])),
        Column("$/MONTH", lambda r: dollars(r["monthly"]), right=True),
        Column("WHY", lambda r: r["reason"]),
        Column("FIX", lambda r: r["fix"]),
    ]
    emit(
        session,
        "audit",
        "findings",
        records,
        columns,
        extra=incomplete(found.silent),
        empty="nothing is left over",
    )
    for item in found.silent:
        click.echo(f"{item.provider} could not be looked at: {item.reason}", err=True)
    ours = [finding for finding in found.findings if finding.ours]
    if fix and ours:
        listed = ", ".join(finding.resource for finding in ours)
        if confirmed(session, f"End {listed}?", destroys=True):
            verb.fix(session.app, ours)
            return 1 if found.silent else 0
    if found.silent:
        return 1
    return ChecksFailed.exit_code if records else 0
