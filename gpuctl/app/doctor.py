"""`doctor`: is everything there that `up` will need, and what to do where it is not."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuctl.app import App
from gpuctl.core.errors import GpuctlError
from gpuctl.core.model import Check, Want
from gpuctl.core.ports import CloudRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The checks of one part: this computer, or an account."""

    name: str
    checks: tuple[Check, ...]


def doctor(app: App, here: Sequence[Check] = ()) -> Sequence[Section]:
    """Check this computer and every account; raises nothing, a failure is a check that failed.

    `here` are further checks of this computer, made by whoever knows how.
    """
    sections = [Section(name="here", checks=(*_here(app), *here))]
    try:
        refs = app.clouds.accounts()
    except GpuctlError as error:
        refused = Check(name="accounts", ok=False, says=error.message, fix=error.hint)
        return [*sections, Section(name="accounts", checks=(refused,))]
    if not refs:
        says = "no cloud account is in use"
        nowhere = Check(name="accounts", ok=False, says=says, fix="gpuctl init")
        return [*sections, Section(name="accounts", checks=(nowhere,))]
    for ref in refs:
        with app.progress.step(f"checking {ref}"):
            sections.append(Section(name=str(ref), checks=tuple(_cloud(app, ref))))
    return sections


def _here(app: App) -> Sequence[Check]:
    checks = []
    try:
        count = len(app.ledger.events())
        says = f"{app.ledger.location}, {count} events"
        checks.append(Check(name="ledger", ok=True, says=says))
    except GpuctlError as error:
        checks.append(Check(name="ledger", ok=False, says=error.message, fix=error.hint))
    settings = app.settings
    projects = len(settings.projects)
    checks.append(
        Check(
            name="projects",
            ok=True if projects else None,
            says=f"{projects} projects of {len(settings.clients)} clients",
            fix=None if projects else "gpuctl project add CLIENT/PROJECT",
        )
    )
    try:
        app.reach.public_key()
        checks.append(Check(name="ssh", ok=True, says="the installation has its own key"))
    except GpuctlError as error:
        checks.append(Check(name="ssh", ok=False, says=error.message, fix=error.hint))
    return checks


def _cloud(app: App, ref: CloudRef) -> Sequence[Check]:
    try:
        return app.clouds.connect(ref).checks(_want(app, ref))
    except GpuctlError as error:
        return [Check(name="access", ok=False, says=error.message, fix=error.hint)]


def _want(app: App, ref: CloudRef) -> Want | None:
    """What the templates in use ask of this provider: the default one, and the projects' own."""
    settings = app.settings
    names = [settings.defaults.template]
    names += [policy.template for policy in settings.projects.values() if policy.template]
    for name in names:
        template = settings.templates.get(name)
        if template is not None and template.provider == ref.provider:
            return template.want()
    first = [t for t in settings.templates.values() if t.provider == ref.provider]
    return first[0].want() if first else None
