"""Getting to a machine: from another address than before, or another laptop."""

from collections.abc import Sequence
from datetime import datetime

from gpuctl.app import App
from gpuctl.app.fleet import lease_of
from gpuctl.app.sync import Synced
from gpuctl.config.model import MY_IP, Tunnel
from gpuctl.config.template import Template
from gpuctl.core.model import Access, Machine


def access_of(app: App, template: Template, expires: datetime) -> Access:
    """Who may reach a machine: this computer alone (or what `ssh_from` names), until then."""
    tunnel = None if template.tunnel is Tunnel.SSH else template.tunnel.value
    sources: tuple[str, ...] = ()
    if tunnel is None:
        named = [source for source in template.ssh_from if source != MY_IP]
        mine = app.reach.addresses() if MY_IP in template.ssh_from else ()
        sources = tuple(dict.fromkeys([*named, *mine]))
    return Access(
        public_key=app.reach.public_key(),
        user=template.user,
        sources=sources,
        expires=expires,
        tunnel=tunnel,
    )


def open_door(app: App, synced: Synced, machine: Machine) -> None:
    """Where the machine does not answer: let this computer in, and what was let in before out."""
    if app.reach.answers(machine):
        return
    lease = lease_of(synced.books, machine)
    template = app.settings.templates.get(lease.template) if lease is not None else None
    provider = app.clouds.connect(synced.ref_of(machine))
    if lease is not None and template is not None:
        with app.progress.step(f"letting this computer in to {machine.name}"):
            provider.admit(machine.id, access_of(app, template, lease.deadline))
    app.reach.introduce(machine, provider.host_keys(machine.id))


def shell(app: App, synced: Synced, machine: Machine, argv: Sequence[str]) -> int:
    """A shell, or a command, on the user's own terminal; the remote exit code."""
    open_door(app, synced, machine)
    return app.reach.shell(machine, argv)
