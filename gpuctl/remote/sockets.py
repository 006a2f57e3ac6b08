"""Where shared connections keep their sockets."""

import os
import stat
from pathlib import Path

from gpuctl.core.errors import GpuctlError

_LONGEST = 104 - len("/") - 40 - len(".0123456789abcdef")
"""sun_path on macOS, less ssh's %C and the suffix it adds while it connects."""


def control_directory(*choices: Path) -> Path | None:
    """The first of `choices` whose path is short enough, made private to this user.

    None when none is. `GpuctlError` when one exists and somebody else could put sockets there.
    """
    for directory in choices:
        if len(os.fsencode(directory)) > _LONGEST:
            continue
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        facts = directory.lstat()
        private = stat.S_ISDIR(facts.st_mode) and not facts.st_mode & 0o077
        if facts.st_uid != os.getuid() or not private:
            raise GpuctlError(f"{directory} is not private", hint=f"rm -r {directory}")
        return directory
    return None
