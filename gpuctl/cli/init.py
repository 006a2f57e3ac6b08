"""`init`: two small files, and nothing in a cloud; `--undo` removes what was made in clouds."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import click

from gpuctl.cli.command import asks, command, confirmed
from gpuctl.cli.completions import clients, templates
from gpuctl.cli.flags import client_and_project, values_of
from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError, UsageProblem


@click.command()
@click.option("--client", shell_complete=clients, help="Your first client: acme, or 'ACME Inc.'.")
@click.option("-p", "--project", help="Its project: vision, or acme/vision.")
@click.option("--currency", metavar="CODE", help="What the client is billed in: EUR.")
@click.option("--markup", metavar="PERCENT", help="Added to cloud costs: 15%.")
@click.option("--budget", metavar="USD", help="What the project may spend a month: 120.00.")
@click.option("-t", "--template", shell_complete=templates, help="The project's template.")
@click.option("--aws-profile", metavar="PROFILE", help="The AWS profile to use, by name.")
@click.option("--gcp-project", metavar="ID", help="The Google project that pays.")
@click.option("--non-interactive", is_flag=True, help="Ask nothing; what no flag says is left out.")
@click.option(
    "--reaper/--no-reaper",
    default=None,
    help="Have AWS end a machine that hangs: makes one IAM role.",
)
@click.option("--undo", is_flag=True, help="Remove what gpuctl made in the clouds.")
@asks
@command
def init(session: Session, undo: bool, reaper: bool | None, **flags: Any) -> int:
    """Set up this computer: writes config.toml and ./gpuctl.toml.

    What is there already is kept. Credentials stay where the AWS and Google SDKs keep them. In a
    cloud nothing is made but, after a question or with --reaper, the role by which AWS ends a
    machine whose guest hangs; with --reaper and nothing else to write, that alone.
    """
    from gpuctl.cli import reaper as role

    if undo:
        from gpuctl.cli.undo import undo as verb

        return verb(session)
    settled = session.paths.config.exists() or not session.stdin_is_terminal
    if reaper and settled and not any(flags.values()):
        return role.make(session)
    on_aws = _say_found(session)
    with _settings_file(session) as said:
        quiet = flags.pop("non_interactive") or session.yes
        answers = flags if quiet else _asked(session, flags)
        plan = _plan(session, answers)
        if plan.project is not None:
            _may_point_here(session, plan.project)
        said.extend(plan.write(session))
    for line in said:
        click.echo(line, err=True)
    if reaper:
        role.make(session)
    elif reaper is None and on_aws:
        role.offer(session, ask=session.stdin_is_terminal and not quiet)
    click.echo("Next: gpuctl doctor. To see it without spending: gpuctl sandbox demo", err=True)
    return 0


class _Plan:
    """What will be written, checked before anything is."""

    def __init__(
        self,
        client: str | None,
        project: str | None,
        client_values: dict[str, str],
        project_values: dict[str, str],
        account_values: dict[str, str],
    ) -> None:
        self.client = client
        self.project = project
        self.client_values = client_values
        self.project_values = project_values
        self.account_values = account_values

    def write(self, session: Session) -> list[str]:
        """Write what is missing; what was done, line by line."""
        from gpuctl.config import edit

        file, known = session.paths.config, session.lenient_config.settings
        said = []
        for key, text in self.account_values.items():
            edit.set_key(file, key, text)
            said.append(f"{key} = {text}")
        if self.client is not None and self.client not in known.clients:
            edit.add_client(file, self.client, self.client_values)
            said.append(f"added client {self.client}")
        elif self.client_values:
            said.append(f"client {self.client} is there already and stays as it is")
        if self.project is not None and self.project not in known.projects:
            edit.add_project(file, self.project, self.project_values)
            said.append(f"added project {self.project}")
        elif self.project_values:
            said.append(f"project {self.project} is there already and stays as it is")
        if self.project is not None:
            here = session.cwd / "gpuctl.toml"
            edit.set_key(here, "project", self.project, which="project")
            said.append(f"wrote {here}: work here is for {self.project}")
        return said


@contextlib.contextmanager
def _settings_file(session: Session) -> Iterator[list[str]]:
    """Make config.toml where there is none; it goes again when nothing comes of the rest."""
    from gpuctl.config import edit

    file = session.paths.config
    if file.exists():
        yield [f"{file} is there already: only what is missing is added"]
        return
    edit.write_new(file, _first_text(), which="user")
    try:
        yield [f"wrote {file}"]
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _plan(session: Session, answers: dict[str, Any]) -> _Plan:
    from gpuctl.config.keys import CLIENT_POLICY, PROJECT_POLICY, USER

    client, title, project = _names(answers["client"], answers["project"])
    if answers["template"] is not None:
        session.lenient_config.settings.template(answers["template"])
    billing = {
        "name": ("--client", title),
        "currency": ("--currency", answers["currency"]),
        "markup": ("--markup", answers["markup"]),
    }
    policy = {
        "template": ("--template", answers["template"]),
        "budget.month": ("--budget", answers["budget"]),
    }
    accounts = {
        "aws.profile": ("--aws-profile", answers["aws_profile"]),
        "gcp.project": ("--gcp-project", answers["gcp_project"]),
    }
    made = _Plan(
        client,
        project,
        values_of(CLIENT_POLICY, billing),
        values_of(PROJECT_POLICY, policy),
        values_of(USER, accounts),
    )
    for owner, what, values in (
        (client, "--client", made.client_values),
        (project, "--project", made.project_values),
    ):
        if owner is None and values:
            raise UsageProblem(f"for whom? Name {what} too", hint=_EXAMPLE)
    return made


_EXAMPLE = "gpuctl init --client acme --project vision -y"


def _names(client: str | None, project: str | None) -> tuple[str | None, str | None, str | None]:
    """(short name, name for people, client/project), each None where nothing says it."""
    if project is not None and "/" in project:
        owner, _ = client_and_project(project)
        if client is not None and _short(client) != owner:
            raise UsageProblem(f"{project} is not a project of {client}", hint=_EXAMPLE)
        return owner, _title(client, owner), project
    if client is None:
        if project is None:
            return None, None, None
        raise UsageProblem(f"whose project is {project!r}? Name --client too", hint=_EXAMPLE)
    owner = _short(client)
    name = None if project is None else f"{owner}/{_short(project)}"
    if name is not None:
        client_and_project(name)
    return owner, _title(client, owner), name


def _short(text: str) -> str:
    """`ACME Robotics` -> `acme-robotics`."""
    short = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:30].rstrip("-")
    if not short:
        raise UsageProblem(f"{text!r} has no letter of a-z to make a short name of", hint=_EXAMPLE)
    return short


def _title(client: str | None, short: str) -> str | None:
    return client if client is not None and client != short else None


def _asked(session: Session, flags: dict[str, Any]) -> dict[str, Any]:
    """The flags, and answers to the questions that they leave open."""
    if not session.stdin_is_terminal:
        if flags["project"] is None or (flags["client"] is None and "/" not in flags["project"]):
            raise UsageProblem(
                "Your first client and project? There is no terminal to ask on.", hint=_EXAMPLE
            )
        return flags
    answers = dict(flags)
    named = answers["project"] or ""
    if answers["client"] is None and "/" not in named:
        answers["client"] = _ask("Your first client (empty: none yet)")
    if answers["client"] is None and not named:
        return answers
    if not named:
        answers["project"] = _ask("Project")
    for key, question in (
        ("currency", "Bill in (costs stay in USD)"),
        ("markup", "Markup on cloud costs, such as 15%"),
        ("budget", "Monthly budget in USD (empty: none)"),
    ):
        if answers[key] is None:
            default = {"currency": "USD", "markup": "0%"}.get(key)
            answers[key] = _ask(question, default)
    return answers


def _ask(question: str, default: str | None = None) -> str | None:
    answer: str = click.prompt(
        question, default=default or "", show_default=bool(default), err=True, type=str
    )
    return answer.strip() or None


def _say_found(session: Session) -> bool:
    """What there is to sign in with; whether it is AWS."""
    from gpuctl.cli import surroundings
    from gpuctl.cli.ssh_config import home_of

    home = home_of(session)
    aws, gcp = surroundings.aws(session.environ, home), surroundings.gcp(session.environ, home)
    if aws.found:
        what = f"profile {aws.profile}" if aws.profile else "keys in the environment"
        region = f", region {aws.region}" if aws.region else ""
        others = [name for name in aws.profiles if name != aws.profile]
        more = f" (also {', '.join(others[:5])})" if others else ""
        click.echo(f"AWS     {what}{region}{more}", err=True)
    else:
        known = f", profiles {', '.join(aws.profiles)}" if aws.profiles else ""
        click.echo(f"AWS     nothing to sign in with{known}: aws configure", err=True)
    if gcp.found:
        credentials = "credentials" if gcp.credentials else "no application default credentials"
        click.echo(f"Google  {credentials}, project {gcp.project or 'not set'}", err=True)
    else:
        click.echo("Google  nothing: gcloud auth application-default login", err=True)
    return aws.found


def _may_point_here(session: Session, project: str) -> None:
    """Ask before ./gpuctl.toml is made to name another project. Abort on no."""
    here = session.cwd / "gpuctl.toml"
    if not here.exists():
        return
    import tomllib

    try:
        named = tomllib.loads(here.read_text("utf-8")).get("project")
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise GpuctlError(
            f"{here} cannot be read: {error}", hint="gpuctl config validate"
        ) from None
    if named in (None, project):
        return
    if not confirmed(session, f"{here} says {named}. Change it to {project}?"):
        raise GpuctlError("nothing was changed", hint="gpuctl init in another directory")


def _first_text() -> str:
    """The defaults that come with gpuctl, without what their first lines say of themselves."""
    from itertools import dropwhile

    from gpuctl.config.builtin import defaults_text

    lines = dropwhile(lambda line: line.startswith("#"), defaults_text().splitlines(keepends=True))
    return "# Your settings. What may stand here: gpuctl config schema, docs/config.md\n" + "".join(
        lines
    )
