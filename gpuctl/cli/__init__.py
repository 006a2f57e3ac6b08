"""The command line: the only place that knows click. Commands are imported when they are run."""

import click

from gpuctl.cli.lazy import LazyGroup

_START = {
    "init": ("gpuctl.cli.init:init", "Set up this computer, or undo it (--undo)."),
    "doctor": ("gpuctl.cli.doctor:doctor", "Check that everything `up` needs is there."),
    "sandbox": ("gpuctl.cli.sandbox:sandbox", "Embedded clouds: try everything, pay nothing."),
}
_DAILY = {
    "offers": ("gpuctl.cli.offers:offers", "What can be had now, where, at what price."),
    "up": ("gpuctl.cli.up:up", "Give a project a machine."),
    "ps": ("gpuctl.cli.machines:ps", "Machines, their state and their cost."),
    "ssh": ("gpuctl.cli.machines:ssh", "A shell or a command on a machine."),
    "run": ("gpuctl.cli.run:run", "Push the working tree, run a command, follow its log."),
    "watch": ("gpuctl.cli.watch:watch", "Resume jobs when the cloud takes their machines."),
    "jobs": ("gpuctl.cli.jobs:jobs", "What was run, where, and what was lost."),
    "logs": ("gpuctl.cli.run:logs", "Follow a job's log."),
    "checkpoint": (
        "gpuctl.cli.checkpoint:checkpoint",
        "Checkpoints of jobs that outlive machines.",
    ),
    "push": ("gpuctl.cli.run:push", "Copy the working tree to a machine."),
    "pull": ("gpuctl.cli.run:pull", "Copy files from a machine."),
    "extend": ("gpuctl.cli.machines:extend", "Move the moment at which a machine ends itself."),
    "down": ("gpuctl.cli.machines:down", "End what costs, and print the receipt."),
    "audit": ("gpuctl.cli.audit:audit", "What still costs money and is not in use."),
}
_MONEY = {
    "spend": ("gpuctl.cli.spend:spend", "Charges, exact, of a time or a month."),
    "report": ("gpuctl.cli.money:report", "What each client pays, rounded once."),
    "budget": ("gpuctl.cli.budget:budget", "Budgets, and what is left of them."),
    "reconcile": ("gpuctl.cli.reconcile:reconcile", "Settle the ledger against the real bill."),
    "close": ("gpuctl.cli.close:close", "Freeze a client's month as it is sent."),
    "simulate": ("gpuctl.cli.simulate:simulate", "What policies would have cost on recorded spot."),
    "quote": ("gpuctl.cli.quote:quote", "What a job will cost, and when it will be done."),
    "price": ("gpuctl.cli.price:price", "Prices the ledger knows, with their age and source."),
    "switch": ("gpuctl.cli.attribution:switch", "From now on a machine runs for another project."),
    "assign": ("gpuctl.cli.attribution:assign", "Say whose a resource's cost is."),
    "split": ("gpuctl.cli.attribution:split", "Share a machine's cost between projects."),
    "adjust": ("gpuctl.cli.attribution:adjust", "A correction by hand, with its reason."),
    "ledger": ("gpuctl.cli.ledger:ledger", "Export, import, verify, back up, rebuild the ledger."),
}
_SETUP = {
    "project": ("gpuctl.cli.project:project", "Projects: whom the money is for."),
    "client": ("gpuctl.cli.client:client", "Clients, and how they are billed."),
    "template": ("gpuctl.cli.template:template", "Recipes for machines."),
    "ami": ("gpuctl.cli.ami:ami", "Images of your own, and which type they run on."),
    "config": ("gpuctl.cli.config:config", "Show, check and change the configuration."),
    "ssh-config": ("gpuctl.cli.ssh_config:ssh_config", "Make `ssh MACHINE` and VS Code work."),
    "completion": ("gpuctl.cli.completion:completion", "Completion for your shell."),
}


@click.group(
    cls=LazyGroup,
    sections={"Get started": _START, "Daily": _DAILY, "Money": _MONEY, "Set up": _SETUP},
    aliases={"image": "ami"},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.option("--config", "config_file", metavar="FILE", help="The user's config file.")
@click.option("-o", "--output", type=click.Choice(["table", "json", "csv"]), help="Form of data.")
@click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--debug", is_flag=True, help="Show the cloud's own words and tracebacks.")
@click.version_option(package_name=None, version="0.1.0", prog_name="gpuctl")
@click.pass_context
def main(
    ctx: click.Context,
    config_file: str | None,
    output: str | None,
    as_json: bool,
    yes: bool,
    debug: bool,
) -> None:
    """GPU machines on demand, and to the cent which client each cent was for."""
    from gpuctl.cli.session import Session

    if ctx.obj is None:
        ctx.obj = Session.here()
    session: Session = ctx.find_object(Session)  # type: ignore[assignment]
    session.flag(config=config_file, output="json" if as_json else output, yes=yes, debug=debug)
    ctx.call_on_close(session.close)
    if ctx.invoked_subcommand is None:
        from gpuctl.cli.board import board

        ctx.invoke(board)
