"""The key that opens this installation's machines."""

import os
import stat
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gpuctl.core.errors import GpuctlError

_NAME = "id_ed25519"


@dataclass(frozen=True, slots=True)
class Key:
    """`public_text` is one line, `ssh-ed25519 AAAA… gpuctl`."""

    private: Path
    public_text: str


def ensure_key(directory: Path) -> Key:
    """The ed25519 key of that directory, made when there is none.

    Refuses (`GpuctlError`) a key that others can read or own, or that is a link elsewhere.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    private = directory / _NAME
    if not os.path.lexists(private):
        _make(private)
    _check(private)
    public = _keygen("-y", "-P", "", "-f", str(private)).split()
    return Key(private, " ".join([*public[:2], "gpuctl"]))


def _make(private: Path) -> None:
    # Made aside and linked into place: of two processes at once, both get the first one's key.
    with tempfile.TemporaryDirectory(dir=private.parent, prefix=".key-") as aside:
        made = Path(aside) / _NAME
        _keygen("-q", "-t", "ed25519", "-N", "", "-C", "gpuctl", "-f", str(made))
        with suppress(FileExistsError):
            private.hardlink_to(made)


def _check(private: Path) -> None:
    facts = private.lstat()
    if not stat.S_ISREG(facts.st_mode):
        raise GpuctlError(f"{private} is not a plain file", hint=f"rm {private}")
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise GpuctlError(f"others may read the key {private}", hint=f"rm {private}")


def _keygen(*argv: str) -> str:
    try:
        done = subprocess.run(
            ["ssh-keygen", *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            umask=0o077,
        )
    except FileNotFoundError:
        raise GpuctlError(
            "there is no ssh-keygen on this computer", hint="install the OpenSSH client"
        ) from None
    if done.returncode:
        raise GpuctlError("ssh-keygen failed", detail=done.stderr.strip())
    return done.stdout
