"""Where a bare machine keeps what: its own filesystem, and what only the sandbox sees."""

from dataclasses import dataclass
from pathlib import Path

_DIRECTORIES = (
    "data",
    "etc/ssh",
    "etc/systemd/system",
    "home",
    "root",
    "run/user",
    "shims",
    "tmp",
    "usr/local/bin",
    "var/lib/cloud/instance",
    "var/log",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """One machine's directory. `root` is what the machine takes for `/`."""

    directory: Path

    @property
    def root(self) -> Path:
        """The machine's filesystem (GPUCTL_ROOT)."""
        return self.directory / "root"

    @property
    def endpoint(self) -> Path:
        """Where SSH answers, while the machine is on."""
        return self.directory / "endpoint.json"

    @property
    def console(self) -> Path:
        """What its serial console printed."""
        return self.directory / "console.log"

    @property
    def host_key(self) -> Path:
        """Its private SSH host key: the same over all its boots."""
        return self.directory / "ssh_host_ed25519_key"

    @property
    def units(self) -> Path:
        """Unit files."""
        return self.root / "etc/systemd/system"

    @property
    def shims(self) -> Path:
        """Commands that a bare machine has and this computer may not."""
        return self.root / "shims"

    @property
    def instance(self) -> Path:
        """What cloud-init remembers of this instance."""
        return self.root / "var/lib/cloud/instance"

    @property
    def gpu_load(self) -> Path:
        """`busy` or `idle`, or a percentage: what nvidia-smi will say."""
        return self.root / "run/sandbox-gpu"

    def home(self, user: str) -> Path:
        """A user's home directory."""
        return self.root / "root" if user == "root" else self.root / "home" / user

    def authorized_keys(self, user: str) -> Path:
        """Who may log in as that user."""
        return self.home(user) / ".ssh/authorized_keys"

    def journal(self, unit: str) -> Path:
        """What a unit's processes printed."""
        return self.root / "var/log" / f"{unit}.log"

    def make(self, user: str) -> None:
        """Create what is missing of it."""
        for name in _DIRECTORIES:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        ssh = self.authorized_keys(user).parent
        ssh.mkdir(mode=0o700, parents=True, exist_ok=True)
