"""Whom to talk to, in the words of ssh_config(5)."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from gpuctl.core.names import given_name, user_name

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A machine as OpenSSH sees it; ValueError for names that ssh could take for options.

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

    def __post_init__(self) -> None:
        given_name(self.alias)
        user_name(self.user)
        for name in (self.host, self.host_key_alias):
            if not _HOST.match(name):
                raise ValueError(f"{name!r} is no host name, address or id")
        if not 0 < self.port <= 65_535:  # noqa: PLR2004 - the largest port there is
            raise ValueError(f"{self.port} is no port")

    def options(self) -> tuple[tuple[str, str], ...]:
        """Keyword and value, quoted as ssh_config wants it; the same for a file and for `-o`."""
        strict = "yes" if self.pinned else "accept-new"
        options = [
            ("HostName", self.host),
            ("Port", str(self.port)),
            ("User", self.user),
            ("HostKeyAlias", self.host_key_alias),
            ("IdentityFile", quoted(self.identity)),
            ("IdentitiesOnly", "yes"),
            ("PreferredAuthentications", "publickey"),
            ("UserKnownHostsFile", quoted(self.known_hosts)),
            ("GlobalKnownHostsFile", "none"),
            ("StrictHostKeyChecking", strict),
            ("CheckHostIP", "no"),
            ("UpdateHostKeys", "no"),
            ("ForwardAgent", "no"),
            ("ForwardX11", "no"),
            ("PermitLocalCommand", "no"),
            ("ConnectTimeout", "10"),
            ("ServerAliveInterval", "15"),
            ("ServerAliveCountMax", "4"),
        ]
        if self.proxy:
            options.append(("ProxyCommand", shlex.join(self.proxy).replace("%", "%%")))
        if self.control is not None:
            options += [
                ("ControlMaster", "auto"),
                ("ControlPath", quoted(self.control, "%C")),
                ("ControlPersist", "60"),
            ]
        return tuple(options)


def quoted(path: Path, token: str | None = None) -> str:
    """A path for ssh_config: spaces kept together, percent signs not taken for tokens.

    `token` is appended as a last component that ssh itself fills in.
    """
    text = str(path)
    if '"' in text or "\n" in text:
        raise ValueError(f"ssh cannot be told of a path such as {text!r}")
    text = text.replace("%", "%%")
    return f'"{text}/{token}"' if token else f'"{text}"'
