"""`-p` and `--client` of commands that only look: a name that nobody has is no empty sum."""

from gpuctl.cli.session import Session
from gpuctl.core.errors import UsageProblem
from gpuctl.core.names import client_of


def check_together(project: str | None, client: str | None) -> None:
    """UsageProblem where a project and a client are named that do not belong together."""
    if project is not None and client is not None and client_of(project) != client:
        raise UsageProblem(f"{project} is not a project of {client}", hint=f"-p {project} alone")


def check_whose(session: Session, project: str | None, client: str | None) -> None:
    """NotFound, too, for a name that neither settings nor ledger know.

    The whole ledger is read only for names that the settings lack.
    """
    check_together(project, client)
    if project is None and client is None:
        return
    settings = session.lenient_config.settings
    if client is not None and client not in settings.clients:
        from gpuctl.app.statement import known_client

        known_client(session.ledger.events(), settings, client)
    if project is not None and project not in settings.projects:
        from gpuctl.app.statement import projects_known

        if project not in projects_known(session.ledger.events()):
            settings.project(project)
