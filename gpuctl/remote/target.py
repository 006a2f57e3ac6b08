"""Whom to talk to."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A machine as OpenSSH sees it.

    `host_key_alias` is the cloud's own id of the machine, for spot addresses are used again by
    strangers. `pinned` says that `known_hosts` holds keys the cloud vouched for: no other key is
    then accepted. `proxy` is a command (argv) that speaks to the machine's port 22 on its
    standard streams, where no inbound port is open.
    """

    alias: str
    host: str
    user: str
    host_key_alias: str
    identity: Path
    known_hosts: Path
    port: int = 22
    pinned: bool = False
    control: Path | None = None
    """A private directory for connection sockets; None = every command connects anew."""
    proxy: tuple[str, ...] = ()
