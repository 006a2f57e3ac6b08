"""The environment of a bare machine's processes: theirs alone, nothing of the caller's."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gpuctl.sandbox.metal.layout import Layout
from gpuctl.sandbox.processes import ROOT, TMUX

_INHERITED = ("LANG", "LC_ALL", "SYSTEMROOT")
_SOCKET_PATH_LIMIT = 100
"""A unix socket's path has at most 104 (macOS) or 108 (Linux) bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all processes of one boot share."""

    layout: Layout
    machine: str
    cloud: str
    metadata_port: int
    api: str
    """Where the shims ask the sandbox, with this boot's secret in its path."""
    clock_file: Path
    tmux: Path

    def environ(self, user: str) -> dict[str, str]:
        """For a process of that user. Times are UTC there."""
        root = self.layout.root
        home = self.layout.home(user)
        system = os.environ.get("PATH", os.defpath)
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return {
            "LANG": "C.UTF-8",
            **inherited,
            **_metadata(self.cloud, self.metadata_port),
            ROOT: str(root),
            "GPUCTL_CLOCK_OFFSET_FILE": str(self.clock_file),
            "GPUCTL_METAL_API": self.api,
            "GPUCTL_METAL_ID": self.machine,
            "HOME": str(home),
            "LOGNAME": user,
            "PATH": os.pathsep.join((f"{root}/usr/local/bin", f"{root}/shims", system)),
            "SHELL": "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh",
            "TMPDIR": str(root / "tmp"),
            "TMUX_TMPDIR": str(self.tmux),
            "TZ": "UTC",
            "USER": user,
            "XDG_RUNTIME_DIR": str(root / "run/user"),
            # No systemctl of this computer may ever hear a machine that powers itself off.
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={root}/run/no-bus",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={root}/run/no-bus",
            "SYSTEMD_OFFLINE": "1",
        }


def tmux_directory(layout: Layout) -> Path:
    """Where tmux keeps its socket: inside the machine, or in /tmp where that path is too long."""
    inside = layout.root / "tmp"
    if len(str(inside / f"tmux-{os.getuid()}/default")) < _SOCKET_PATH_LIMIT:
        return inside
    note = layout.directory / "tmux-directory"
    made = Path(tempfile.mkdtemp(prefix=TMUX, dir="/tmp"))
    note.write_text(str(made), encoding="utf-8")
    return made


def write_profile(surroundings: Surroundings, user: str) -> None:
    """Login shells read /etc/profile, which sets PATH anew: put the machine's own back."""
    environ = surroundings.environ(user)
    profile = surroundings.layout.home(user) / ".profile"
    if not profile.exists():
        profile.write_text(
            f'export PATH="{environ["PATH"]}"\nexport PS1="{user}@$GPUCTL_METAL_ID:\\w\\$ "\n',
            encoding="utf-8",
        )


def _metadata(cloud: str, port: int) -> dict[str, str]:
    if cloud == "gcp":
        return {
            "GCE_METADATA_HOST": f"127.0.0.1:{port}",
            "GCE_METADATA_IP": f"127.0.0.1:{port}",
            "GCE_METADATA_ROOT": f"127.0.0.1:{port}",
        }
    return {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{port}",
    }
