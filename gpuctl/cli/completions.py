"""What the shell offers after TAB: from settings and ledger here, never from a cloud."""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from gpuctl.cli.session import Session

Pair = tuple[str, str | None]
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _offering(names: Callable[[Session], Iterable[Pair]]) -> Complete:
    def complete(
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG001 - click's signature
        incomplete: str,
    ) -> list[CompletionItem]:
        session = ctx.find_object(Session) or Session.here()
        session.flag(config=ctx.find_root().params.get("config_file"))
        try:
            found = [
                CompletionItem(name, help=says)
                for name, says in names(session)
                if name.startswith(incomplete)
            ]
        except Exception:  # noqa: BLE001 - a traceback amid a half typed line helps nobody
            return []
        finally:
            session.close()
        return found

    return complete


def _projects(session: Session) -> Iterable[Pair]:
    for policy in session.lenient_config.settings.projects.values():
        if not policy.archived:
            yield policy.name, policy.title


def _clients(session: Session) -> Iterable[Pair]:
    for policy in session.lenient_config.settings.clients.values():
        yield policy.name, policy.title


def _templates(session: Session) -> Iterable[Pair]:
    for template in session.lenient_config.settings.templates.values():
        yield template.name, f"{template.type} {template.market}"


def _keys(session: Session) -> Iterable[Pair]:
    for row in session.lenient_config.rows():
        yield row.key, row.value


def _machines(session: Session) -> Iterable[Pair]:
    if not _at_hand(session):
        return
    from gpuctl.app.fleet import cached
    from gpuctl.core.books import books

    for machine in cached(books(session.ledger.events())):
        yield machine.name, f"{machine.project or 'unattributed'} {machine.state}"


def _skus(session: Session) -> Iterable[Pair]:
    if not _at_hand(session):
        return
    from gpuctl.core.events import Price

    prices = [event for event in session.ledger.events() if isinstance(event, Price)]
    yield from {price.sku: str(price.kind) for price in prices}.items()


def has_ledger(session: Session) -> bool:
    """Whether there is a ledger already: looking at it must not make a file."""
    return session.paths.ledger.path is None or _at_hand(session)


def _at_hand(session: Session) -> bool:
    """Whether it is a file on this computer: a key pressed must not wait for a server."""
    path = session.paths.ledger.path
    return path is not None and path.exists()


projects = _offering(_projects)
clients = _offering(_clients)
templates = _offering(_templates)
keys = _offering(_keys)
machines = _offering(_machines)
skus = _offering(_skus)
