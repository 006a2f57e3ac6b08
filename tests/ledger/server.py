"""A PostgreSQL server of the tests' own, on a socket in a directory of its own."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


def programs() -> Path | None:
    """Where `initdb` and `postgres` are, of the newest version there is."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return places[-1].parent if places else None


@contextlib.contextmanager
def running() -> Iterator[str]:
    """A server for as long as the block lasts: `postgresql://…` of its first database."""
    place = programs()
    assert place is not None
    folder = Path(tempfile.mkdtemp(prefix="gpuctl-pg-"))
    user = _servant(folder)
    data, log = folder / "data", folder / "log"

    def run(*argv: str) -> None:
        subprocess.run(argv, check=True, cwd=folder, user=user, capture_output=True, timeout=60)

    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    control = (str(place / "pg_ctl"), "-D", str(data), "-l", str(log), "-w", "-t", "30")
    try:
        initdb = (str(place / "initdb"), "-D", str(data), "-U", "gpuctl", "-A", "trust")
        run(*initdb, "-E", "UTF8", "--no-sync", "--locale", "C")
        run(*control, "-o", options, "start")
        try:
            yield f"postgresql://gpuctl:s3cret%2Fword@/postgres?host={folder}"
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _servant(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: then as the user its package made."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            os.chown(folder, pwd.getpwnam(name).pw_uid, -1)
            return name
    raise AssertionError("no user to run a server as")
