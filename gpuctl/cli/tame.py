"""What is printed cannot drive the terminal, wherever its words came from.

Names, messages and notes come from clouds, files and other people. Tables drop control characters
(`render.plain`); this is the net below: all text that leaves by stdout and stderr.
"""

import io
import re
import sys

_DRIVES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]|\r(?!\n)")
"""Control characters but tab and line end, and what turns the direction of what follows."""


def harmless(text: str) -> str:
    r"""The text with `\u001b` for ESC and the like, which in JSON is the same string."""
    return _DRIVES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class Tamed(io.TextIOWrapper):
    """A stream for people: harmless text, and no error where a character cannot be written."""

    def write(self, text: str, /) -> int:
        """As the stream below does."""
        super().write(harmless(text))
        return len(text)

    def draw(self, text: str) -> None:
        """What may drive the terminal: our own moving lines."""
        super().write(text)


def tame() -> None:
    """Let stdout and stderr be tamed from now on. Bytes go to their `buffer` as before."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, Tamed):
            stream.flush()
            tamed = Tamed(
                stream.buffer,
                encoding=stream.encoding,
                errors="backslashreplace",
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, tamed)
