"""When this machine ends, as its agent tells: the keeper asks nobody else."""

from __future__ import annotations

import calendar
import json
import os
import time
from typing import Any, NamedTuple

NOTICE_S = {"aws": 120.0, "gcp": 30.0}
"""What the clouds promise: two minutes on EC2, 30 seconds on Compute Engine. Best effort, both."""
UPLOAD_S = {"aws": 45.0, "gcp": 10.0}
"""What of it is left for the upload, behind the detection and the job's own saving."""
HOOK_S = {"aws": 60.0, "gcp": 12.0}
"""The longest that is waited for the job to save itself."""
FRESH_S = 90.0


class End(NamedTuple):
    """`at` is seconds since 1970; None = nothing ends, but now is a good moment to save."""

    kind: str
    at: float | None


class Notices:
    """Reads /run/gpuctl/heartbeat.json and /etc/gpuctl/deadline."""

    def __init__(self, cloud: str, root: str | None = None) -> None:
        self.cloud = cloud
        self.root = os.environ.get("GPUCTL_ROOT", "") if root is None else root
        self.heard: dict[str, float] = {}

    def now(self) -> float:
        """Seconds since 1970; a rehearsal's clock may be ahead of the real one."""
        return time.time() + offset()

    def look(self) -> list[End]:
        """All that is announced now: what ends the machine, and hints."""
        now = self.now()
        found = []
        beat = self.read("/run/gpuctl/heartbeat.json")
        at = seconds(beat.get("time"))
        if at is not None and abs(now - at) < FRESH_S:
            found += self.of_cloud(beat, now)
            stop = seconds(beat.get("stop_at"))
            if stop is not None:
                found.append(End("idle", stop))
        deadline = self.deadline()
        if deadline is not None:
            found.append(End("deadline", deadline))
        return found

    def of_cloud(self, beat: dict[str, Any], now: float) -> list[End]:
        """The cloud's own notice. Google's carries no time: half a minute from when it came."""
        notice = beat.get("notice")
        if not isinstance(notice, dict):
            return []
        kind, at = str(notice.get("kind")), seconds(notice.get("time"))
        if at is None:
            at = self.heard.setdefault(kind, now)
        if kind == "rebalance":
            return [End(kind, None)]
        if kind == "preempted":
            at += NOTICE_S["gcp"]
        return [End(kind, at)]

    def deadline(self) -> float | None:
        """The machine's own."""
        try:
            with open(self.root + "/etc/gpuctl/deadline") as file:
                words = file.read(200).split()
        except OSError:
            return None
        return float(words[0]) if words and words[0].isdigit() else None

    def read(self, path: str) -> dict[str, Any]:
        """A JSON object; {} when it is none."""
        try:
            with open(self.root + path) as file:
                told = json.loads(file.read(1 << 20))
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}


def seconds(text: object) -> float | None:
    """`2026-11-22T10:15:00Z` as seconds since 1970; None for anything else."""
    try:
        return float(calendar.timegm(time.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return None


def offset() -> float:
    """Seconds that a rehearsal's clock is ahead; 0 on a real machine."""
    path = os.environ.get("GPUCTL_CLOCK_OFFSET_FILE")
    if not path:
        return 0.0
    try:
        with open(path) as file:
            return float(json.load(file)["offset_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
