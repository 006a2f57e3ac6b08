"""One machine's SSH server: real commands, real exit codes, keys only, loopback only."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from gpuctl.sandbox.metal.layout import Layout
from gpuctl.sandbox.metal.sessions import serve
from gpuctl.sandbox.metal.sftp import MachineFiles

_GONE_TRIES, _GONE_PAUSE_S = 100, 0.01
_LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))


@dataclass(slots=True)
class SshServer:
    """A listening server and who is connected to it."""

    acceptor: asyncssh.SSHAcceptor
    connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.acceptor.get_port())

    async def close(self) -> None:
        """Stop listening and drop every connection, as a machine without power does."""
        self.acceptor.close()
        for connection in tuple(self.connections):
            connection.abort()
        await self.acceptor.wait_closed()
        for _ in range(_GONE_TRIES):
            if not self.connections:
                return
            await asyncio.sleep(_GONE_PAUSE_S)


def host_key(path: Path) -> asyncssh.SSHKey:
    """The machine's own ed25519 key, made at its first boot."""
    if path.exists():
        return asyncssh.read_private_key(path)
    key = asyncssh.generate_private_key("ssh-ed25519", comment="root@sandbox")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.export_private_key("openssh"))
    return key


async def listen(
    layout: Layout,
    user: str,
    environ: Mapping[str, str],
    on_connection: Callable[[], None],
) -> SshServer:
    """Start it on a free port of 127.0.0.1; only `user`'s authorized keys open it."""
    connections: set[asyncssh.SSHServerConnection] = set()

    async def handle(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        await serve(process, environ, layout.home(user))

    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: _Door(layout, user, connections, on_connection),
        server_host_keys=[host_key(layout.host_key)],
        process_factory=handle,
        sftp_factory=lambda channel: MachineFiles(channel, layout.root, layout.home(user)),
        encoding=None,
        line_editor=False,
        agent_forwarding=False,
        gss_host=None,
    )
    return SshServer(acceptor, connections)


class _Door(asyncssh.SSHServer):
    """Who may come in, and what they may reach from there."""

    def __init__(
        self,
        layout: Layout,
        user: str,
        connections: set[asyncssh.SSHServerConnection],
        on_connection: Callable[[], None],
    ) -> None:
        self._layout = layout
        self._user = user
        self._connections = connections
        self._on_connection = on_connection
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncssh's shape
        if self._connection is not None:
            self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        if username != self._user:
            return False
        with contextlib.suppress(OSError):
            text = self._layout.authorized_keys(username).read_text(encoding="utf-8")
            if any(_same(line, key) for line in text.splitlines()):
                self._on_connection()
                return True
        return False

    def connection_requested(
        self,
        dest_host: str,
        dest_port: int,  # noqa: ARG002
        orig_host: str,  # noqa: ARG002
        orig_port: int,  # noqa: ARG002
    ) -> bool:
        return dest_host in _LOOPBACK


def _same(line: str, key: asyncssh.SSHKey) -> bool:
    """Whether a line of authorized_keys, options before the key allowed, names this key."""
    return key.export_public_key("openssh").split()[1].decode() in line.split()
