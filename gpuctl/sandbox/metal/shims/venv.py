"""What `python3 -m venv` makes on a machine of the sandbox, and what its pip installs.

Nothing comes from anywhere: of torch there is a stand-in of that version, of the rest a word.
"""

import json
import shutil
import sys
from pathlib import Path

_PYTHON = """#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd)
PYTHONPATH="$here/lib/python3/site-packages" exec {python} "$@"
"""
_PIP = """#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd)
exec {python} -IS {shim} --pip "$here" "$@"
"""


def make(directory: Path) -> None:
    """`bin/python` and `bin/pip`, which find their own place: an image is started elsewhere."""
    (directory / "bin").mkdir(parents=True, exist_ok=True)
    (directory / "lib/python3/site-packages").mkdir(parents=True, exist_ok=True)
    shim = str(Path(__file__).resolve())
    for name, text in (("python", _PYTHON), ("python3", _PYTHON), ("pip", _PIP)):
        path = directory / "bin" / name
        path.write_text(text.format(python=sys.executable, shim=shim), encoding="utf-8")
        path.chmod(0o755)


def install(directory: Path, words: "list[str]") -> int:
    """What is asked for; torch must be named with its build (`torch==2.10.0+cu126`)."""
    for word in words:
        name, _, version = word.partition("==")
        if name != "torch":
            sys.stderr.write(f"sandbox: {word} is not installed here\n")
            continue
        number, _, cuda = version.partition("+")
        if not cuda.startswith("cu"):
            sys.stderr.write(f"ERROR: No matching distribution found for {word}\n")
            return 1
        into = directory / "lib/python3/site-packages/torch"
        shutil.rmtree(into, ignore_errors=True)
        shutil.copytree(Path(__file__).parent / "standin", into)
        told = {"version": number, "cuda": cuda}
        (into / "build.json").write_text(json.dumps(told), encoding="utf-8")
        sys.stdout.write(f"Successfully installed {word} (the sandbox's stand-in)\n")
    return 0


def main(argv: "list[str]") -> int:
    """A directory to make, or `--pip DIRECTORY install WORD…`."""
    if argv[0] != "--pip":
        make(Path(argv[-1]))
        return 0
    if argv[2:3] != ["install"]:
        return 0
    return install(Path(argv[1]), [word for word in argv[3:] if not word.startswith("-")])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
