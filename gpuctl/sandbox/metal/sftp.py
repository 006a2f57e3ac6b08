"""SFTP into a machine: absolute paths are its own, relative ones start at home."""

import os
from pathlib import Path

import asyncssh


class MachineFiles(asyncssh.SFTPServer):
    """A path that lies inside the machine's directory already is taken as it is."""

    def __init__(self, channel: "asyncssh.SSHServerChannel[bytes]", root: Path, home: Path) -> None:
        super().__init__(channel)
        self._channel = channel
        self._root = os.fsencode(root)
        self._home = os.fsencode(home)

    def map_path(self, path: bytes) -> bytes:
        """Where a path of the client lies on this computer."""
        if not path.startswith(b"/"):
            return os.path.join(self._home, path)  # noqa: PTH118 - bytes
        if path == self._root or path.startswith(self._root + b"/"):
            return path
        return self._root + path

    def exit(self) -> None:
        """Tell the client that all went well: scp takes a missing exit status for a failure."""
        self._channel.exit(0)
