"""TOML values as text, as they would be written in a file."""

from gpuctl.config.shapes import Fraction


def written(value: object) -> str:
    """One value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(written(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{name} = {written(inner)}" for name, inner in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return value.text if isinstance(value, Fraction) else str(value)


def quoted(text: str) -> str:
    """A basic string, control characters escaped."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    out = "".join(
        escapes.get(char) or (f"\\u{ord(char):04x}" if ord(char) < 32 or ord(char) == 127 else char)  # noqa: PLR2004 - control characters
        for char in text
    )
    return f'"{out}"'
