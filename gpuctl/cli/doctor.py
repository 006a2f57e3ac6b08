"""`doctor`."""

import click

from gpuctl.cli.command import command
from gpuctl.cli.render import emit_json
from gpuctl.cli.session import Session
from gpuctl.core.errors import ChecksFailed


@click.command()
@command
def doctor(session: Session) -> int:
    """Check that everything `up` needs is there; what to do where it is not. Exit 8 on problems."""
    from gpuctl.app.doctor import doctor as verb
    from gpuctl.cli import timer

    sections = verb(session.app, timer.checks(session))
    # A provider's own checks begin with its name, and so does their section.
    checks = [
        (f"{section.name}.{check.name.removeprefix(f'{section.name.split()[0]} ')}", check)
        for section in sections
        for check in section.checks
    ]
    failed = sum(check.ok is False for _, check in checks)
    warned = sum(check.ok is None for _, check in checks)
    if session.output == "json":
        emit_json(
            "doctor",
            {
                "checks": [
                    {
                        "name": name,
                        "ok": check.ok,
                        "says": check.says,
                        "why": check.why,
                        "fix": check.fix,
                    }
                    for name, check in checks
                ]
            },
        )
        return ChecksFailed.exit_code if failed else 0
    width = max(len(name) for name, _ in checks)
    for name, check in checks:
        mark = {True: "ok", None: "!", False: "NO"}[check.ok]
        click.echo(f"{mark:>3}  {name:<{width}}  {check.says}")
        if check.ok is not True:
            for label, text in (("why", check.why), ("do", check.fix)):
                if text:
                    click.echo(f"       {label:<4} {text}")
    click.echo(f"{failed} problems, {warned} warnings", err=True)
    return ChecksFailed.exit_code if failed else 0
