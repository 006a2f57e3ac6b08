"""What a machine's serial console prints, in the clouds' own form."""

import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path


class Console:
    """An append-only log, kept over boots."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.Lock()

    def say(self, text: str) -> None:
        """Append lines."""
        with self._mutex, self.path.open("a", encoding="utf-8") as file:
            file.write(text if text.endswith("\n") else f"{text}\n")

    def read(self) -> str:
        """All of it; "" before the first boot."""
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def boot(self, name: str, at: datetime, keys: Sequence[str]) -> None:
        """The kernel's first lines, and the host keys between the marks that cloud-init prints."""
        self.say(
            "\n".join(
                (
                    "[    0.000000] Linux version 6.8.0-sandbox (gpuctl) #1 SMP",
                    f"[    0.000000] Booting {name} at {at:%Y-%m-%dT%H:%M:%SZ}",
                    "[    1.417233] systemd[1]: Reached target multi-user.target.",
                    "-----BEGIN SSH HOST KEY KEYS-----",
                    *keys,
                    "-----END SSH HOST KEY KEYS-----",
                    f"{name} login: ",
                )
            )
        )
