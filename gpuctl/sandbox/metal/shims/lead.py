"""A step of an image's recipe writes below /etc, /opt, /var: here those are the machine's own.

The words of the step stay what they are, line for line; only paths that begin at the root are led
into the machine, so that no recipe, however written, touches this computer.
"""

import re
import sys
from pathlib import Path

_BEFORE = r"^|[\s=<>(;|&:!,\[]|:-"
_TOP = "boot|data|etc|home|lib/systemd|mnt|opt|root|run|srv|tmp|usr|var"
_PROGRAMS = "usr/s?bin/"
_PATH = re.compile(rf"(?m)({_BEFORE})([\"']?)/(?!{_PROGRAMS})(?=(?:{_TOP})(?![\w.-]))")


def led(text: str, root: str) -> str:
    """The step with its paths led into `root`; its first line names this computer's bash."""
    head, newline, rest = text.partition("\n")
    return head + newline + _PATH.sub(lambda found: f"{found[1]}{found[2]}{root}/", rest)


if __name__ == "__main__":
    step = Path(sys.argv[1])
    step.write_text(led(step.read_text(encoding="utf-8"), sys.argv[2]), encoding="utf-8")
