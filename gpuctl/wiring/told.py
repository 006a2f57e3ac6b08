"""What was told already, in a small file beside the ledger: nobody wants it each hour."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from gpuctl.core.span import format_time, parse_time
from gpuctl.remote import files


def read_told(path: Path) -> Mapping[str, datetime]:
    """Key -> when. Nothing where the file is missing or not ours: then it is told once more."""
    try:
        read = json.loads(files.read(path) or "{}")
        return {str(key): parse_time(at) for key, at in read.items()}
    except (ValueError, TypeError, AttributeError, OSError):
        return {}


def write_told(path: Path, told: Mapping[str, datetime]) -> None:
    """Whole or not at all. OSError."""
    lines = {key: format_time(at) for key, at in sorted(told.items())}
    files.replace(path, json.dumps(lines, indent=0, ensure_ascii=False) + "\n")
