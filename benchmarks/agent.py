"""What the agent takes of a machine that trains: its own process, by /proc, as it runs there.

The machine is a directory: its GPU is told by a `nvidia-smi` of shell (asked every 20 s, its cost
counted as the agent's), its metadata service by a server here that has no notice. Where there is
NVML the agent starts no process at all.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.table import Row
from gpuctl.agent import agent

TITLE = "the agent on a machine"
WARM_S, MEASURED_S = 5, 60
SHARE_GOAL, MEMORY_GOAL = 0.5, 30.0
"""Percent of one core, and MB."""

_SMI = """\
#!/bin/sh
case $* in *compute-apps*) echo "pid, process_name"; exit ;; esac
echo "index, name, utilization.gpu [%], memory.used [MiB], memory.total [MiB], mig.mode.current"
echo "0, Tesla T4, 97 %, 9000 MiB, 16160 MiB, [N/A]"
"""


class _Silent(BaseHTTPRequestHandler):
    """A metadata service that gives a token and has nothing to say."""

    def do_PUT(self) -> None:
        self._say(200, b"token")

    def do_GET(self) -> None:
        self._say(404, b"")

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def measure() -> Sequence[Row]:
    """Over a minute, after it has settled."""
    share, memory = _lived()
    unit = f"% of a core, over {MEASURED_S} s"
    return [
        Row(name="processor time", unit=unit, value=share, goal=SHARE_GOAL),
        Row(name="memory, at most", unit="MB", value=memory, goal=MEMORY_GOAL),
    ]


def _lived() -> tuple[float, float]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        environ = _machine(root) | {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{server.server_port}/"
        }
        command = [sys.executable, "-I", "-S", agent.__file__, "run"]
        daemon = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
        try:
            time.sleep(WARM_S)
            before, began = _cpu(daemon.pid), time.monotonic()
            time.sleep(MEASURED_S)
            used, took = _cpu(daemon.pid) - before, time.monotonic() - began
            return 100 * used / took, _peak(daemon.pid)
        finally:
            daemon.kill()
            daemon.wait()
            server.shutdown()
            server.server_close()


def _machine(root: Path) -> dict[str, str]:
    ends = {name: agent.format_time(time.time() + 36_000) for name in ("deadline", "ceiling")}
    lease = {"lease": "0" * 32, "cloud": "aws", "gpus": 1, "idle_stop_s": 1800, **ends}
    agent_files = {"etc/gpuctl/lease.json": json.dumps(lease), "bin/nvidia-smi": _SMI}
    for name in ("loadavg", "diskstats", "net/dev"):
        agent_files[f"proc/{name}"] = Path("/proc", name).read_text()
    for name, text in agent_files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "bin/nvidia-smi").chmod(0o755)
    return {"GPUCTL_ROOT": str(root), "PATH": f"{root}/bin:/usr/bin:/bin"}


def _cpu(pid: int) -> float:
    """Seconds of processor time, of it and of what it has run and waited for."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000
