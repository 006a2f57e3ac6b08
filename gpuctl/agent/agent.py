#!/usr/bin/env python3
"""gpuctl-agent: keeps a machine's lease, tells whether it is busy, listens for its end.

One file, standard library only, Python 3.8 or later, few imports: it must cost a training job
nothing. What it cannot know counts as busy; what it cannot read of the deadline counts as soon.
Commands: run, status [--json], armed, extend TIME, hold [SECONDS], unhold.
"""

# pathlib, contextlib and urllib would double its memory; Python 3.8 has no strict zip.
# ruff: noqa: PTH101, PTH103, PTH105, PTH108, PTH110, PTH111, PTH112, PTH116, PTH118, PTH120, PTH123, PTH208
# ruff: noqa: SIM105, B905, UP031
# Its numbers are those of HTTP, NVML and /proc, named where they are used.
# ruff: noqa: PLR2004

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time

VERSION = "1"
UNREADABLE_AFTER_S = 3600
WARN_BEFORE_S = 600
BUSY_UTIL = 5
BUSY_LOAD_A_CORE = 0.3
BUSY_LOAD = 0.8
BUSY_IO = 1_000_000
BUSY_CPU = 0.02
IO_MEAN_S = 30
HOST_EVERY_S = 5
SMI_EVERY_S = 20
TAG_EVERY_S = 30
HEARTBEAT_S = 30
POLL_S = 2
GAP_S = 60
ROOT = os.environ.get("GPUCTL_ROOT", "")

# --- time -----------------------------------------------------------------------------------


def offset() -> float:
    """Seconds that a rehearsal's clock is ahead of the real one; 0 on a real machine."""
    path = os.environ.get("GPUCTL_CLOCK_OFFSET_FILE")
    if not path:
        return 0.0
    try:
        with open(path) as file:
            return float(json.load(file)["offset_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def wall_now() -> float:
    """Seconds since 1970."""
    return time.time() + offset()


def parse_time(text: str) -> int | None:
    """`2026-11-22T10:15:00Z` as seconds since 1970; None for anything else."""
    shape = "dddd-dd-ddTdd:dd:ddZ"
    text = text.strip()
    if len(text) != len(shape):
        return None
    for char, want in zip(text, shape):
        if (char not in "0123456789") if want == "d" else (char != want):
            return None
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        return None
    # Days since 1970 with March as the first month, so that leap days come last.
    year -= month < 3
    months = (month + 9) % 12
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * months + 2) // 5 + day - 1
    seconds = (days - 719468) * 86400 + hour * 3600 + minute * 60 + second
    return seconds if format_time(seconds)[:10] == text[:10] else None


def format_time(moment: float) -> str:
    """Seconds since 1970 as RFC 3339 with Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def uptime() -> float:
    """Seconds since boot; a machine that does not say has been up for long."""
    try:
        with open("/proc/uptime") as file:
            return float(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return float(UNREADABLE_AFTER_S)


# --- files ----------------------------------------------------------------------------------


def read_text(path: str) -> str | None:
    """A small file under the root; None when it cannot be read."""
    try:
        with open(ROOT + path, errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return None


def read_json(path: str) -> dict[str, object]:
    """A JSON object; {} when it is none."""
    try:
        value = json.loads(read_text(path) or "")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def write_text(path: str, text: str) -> None:
    """Replace a file in one step, so that no reader ever sees half of it."""
    path = ROOT + path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = "%s.%d.new" % (path, os.getpid())
    with open(new, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(new, 0o644)
    os.replace(new, path)


def remove(path: str) -> None:
    """Delete a file under the root, if it is there."""
    try:
        os.unlink(ROOT + path)
    except FileNotFoundError:
        pass


def log(text: str) -> None:
    """To the journal."""
    print("gpuctl-agent: " + text, file=sys.stderr, flush=True)


def call(argv: list[str], timeout: float = 10) -> tuple[int, str]:
    """Run a program of the system; (127, '') when it is missing or does not end."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 127, ""
    return done.returncode, done.stdout.decode("utf-8", "replace")


def launch(argv: list[str]) -> None:
    """Start a program that outlives this one."""
    subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)


def wall(text: str) -> None:
    """Tell everybody who is logged in."""
    log(text)
    call(["wall", "gpuctl: " + text], timeout=5)


# --- lease and deadline -----------------------------------------------------------------------


class Lease:
    """What the boot script wrote, and the deadline as it stands."""

    def __init__(self) -> None:
        given = read_json("/etc/gpuctl/lease.json")
        self.id = text_of(given.get("lease")) or ""
        self.cloud = text_of(given.get("cloud")) or ""
        self.project = text_of(given.get("project"))
        self.user = text_of(given.get("user")) or "root"
        self.budget = text_of(given.get("budget"))
        self.first = parse_time(text_of(given.get("deadline")) or "")
        self.ceiling = parse_time(text_of(given.get("ceiling")) or "")
        self.idle_stop_s = int_of(given.get("idle_stop_s"))
        self.grace_s = int_of(given.get("grace_s"), 600) or 0
        self.gpus = int_of(given.get("gpus"))
        self.hook_timeout_s = int_of(given.get("hook_timeout_s"), 60) or 60
        hook = given.get("hook")
        self.hook = [str(part) for part in hook] if isinstance(hook, list) else []

    def deadline(self) -> int | None:
        """The file's moment, never later than the ceiling; None = unreadable."""
        words = (read_text("/etc/gpuctl/deadline") or "").split()
        moment = self.first
        if words and words[0].isdecimal() and len(words[0]) == 10:
            moment = int(words[0])
        if moment is None or self.ceiling is None:
            return moment
        return min(moment, self.ceiling)

    def move(self, moment: int) -> bool:
        """Write it and start the timer anew; whether the timer took it."""
        write_text("/etc/gpuctl/deadline", "%d %s\n" % (moment, format_time(moment)))
        return arm()

    def heed(self, tag: str | None) -> int | None:
        """The tag's moment when it asks for an earlier end than the file does, else None.

        A tag that was already there when the deadline was last moved by hand is old news: on
        Xen types (P3) the metadata service shows tags as they were at launch, for ever.
        """
        moment = parse_time(tag or "")
        current = self.deadline()
        if moment is None or (self.ceiling is not None and moment > self.ceiling):
            return None
        if (read_text("/etc/gpuctl/superseded") or "").strip() == str(moment):
            return None
        return moment if current is None or moment < current else None


def text_of(value: object) -> str | None:
    """A string that says something, or None."""
    return value if isinstance(value, str) and value else None


def int_of(value: object, default: int | None = None) -> int | None:
    """An integer, or the default."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def arm() -> bool:
    """Start the timer for the moment in the file, and say that it is set."""
    switch = ROOT + "/usr/local/sbin/gpuctl-deadline"
    code, _ = call(["/bin/sh", switch, "arm"], timeout=30)
    if code == 0:
        call(["/bin/sh", switch, "mark"])
    else:
        log("the deadline timer could not be started")
    return code == 0


def armed() -> bool:
    """Whether the timer is set and running."""
    if not read_json("/run/gpuctl/armed.json"):
        return False
    return call(["systemctl", "is-active", "gpuctl-deadline.timer"])[0] == 0


# --- metadata -------------------------------------------------------------------------------


class Answer:
    """What a metadata service said."""

    __slots__ = ("body", "etag", "status")

    def __init__(self, status: int, body: str, etag: str) -> None:
        self.status = status
        self.body = body
        self.etag = etag


def fetch(
    address: tuple[str, int], method: str, path: str, headers: dict[str, str], timeout: float = 1.0
) -> Answer:
    """One request, at most 64 KiB of answer, `timeout` for all of it. OSError when it fails.

    Written out because urllib would cost 10 MB of memory.
    """
    end = time.monotonic() + timeout
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: %s" % address[0], "Connection: close"]
    lines += ["%s: %s" % pair for pair in headers.items()]
    if method == "PUT":
        lines.append("Content-Length: 0")
    data = b""
    with socket.create_connection(address, timeout=timeout) as link:
        link.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
        while len(data) < 65536:
            left = end - time.monotonic()
            if left <= 0:
                raise OSError("no answer in time")
            link.settimeout(left)
            piece = link.recv(8192)
            if not piece:
                break
            data += piece
            if complete(data):
                break
    return parse_answer(data)


def complete(data: bytes) -> bool:
    """Whether the answer is all there, by its Content-Length."""
    head, found, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if found and line.startswith(b"content-length:"):
            length = line[15:].strip()
            return length.isdigit() and len(body) >= int(length)
    return False


def parse_answer(data: bytes) -> Answer:
    """Status line, headers, body (chunked or not). OSError for what is not HTTP."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdecimal():
        raise OSError("not an HTTP answer")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = unchunk(body)
    return Answer(int(words[1]), body.decode("utf-8", "replace"), headers.get("etag", ""))


def unchunk(body: bytes) -> bytes:
    """The parts of a chunked body, joined."""
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        try:
            count = int(size.split(b";")[0], 16)
        except ValueError:
            raise OSError("a broken chunk") from None
        if not count:
            break
        whole, body = whole + body[:count], body[count + 2 :]
    return whole


def address_of(text: str) -> tuple[str, int]:
    """`http://host:port/`, `host:port` or `host` as (host, port)."""
    text = text.rpartition("//")[2].partition("/")[0]
    host, colon, port = text.rpartition(":")
    return (host, int(port)) if colon and port.isdigit() else (text, 80)


class Aws:
    """IMDSv2. Every failure is None: silence is never a notice."""

    def __init__(self) -> None:
        given = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "169.254.169.254"
        self.address = address_of(given)
        self.token = ""
        self.token_until = 0.0

    def get(self, path: str) -> Answer | None:
        """The answer, or None; a refused token is renewed once."""
        try:
            for _ in range(2):
                if time.monotonic() >= self.token_until:
                    self.renew()
                answer = self.ask("GET", path, {"X-aws-ec2-metadata-token": self.token})
                if answer.status != 401:
                    return answer
                self.token_until = 0.0
        except (OSError, ValueError):
            pass
        return None

    def renew(self) -> None:
        """A token for six hours, used for five."""
        header = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
        answer = self.ask("PUT", "/latest/api/token", header)
        if answer.status != 200 or not answer.body or not answer.body.isascii():
            raise OSError("no token")
        self.token = answer.body.strip()
        self.token_until = time.monotonic() + 18000

    def ask(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        """One request within a second."""
        return fetch(self.address, method, path, headers)

    def tag(self) -> str | None:
        """The instance's deadline tag; None when it is not shown."""
        answer = self.get("/latest/meta-data/tags/instance/gpuctl:deadline")
        return answer.body if answer and answer.status == 200 else None

    def poll(self, notices: Notices) -> None:
        """Look for notices, once."""
        for kind, path, key in (
            ("spot", "/latest/meta-data/spot/instance-action", "time"),
            ("rebalance", "/latest/meta-data/events/recommendations/rebalance", "noticeTime"),
        ):
            answer = self.get(path)
            if answer is None:
                continue
            if answer.status == 404:
                notices.withdraw(kind)
            elif answer.status == 200:
                notices.heard(kind, time_in(answer.body, key))


def time_in(body: str, key: str) -> int | None:
    """The moment under that key of a JSON object; None when the body is something else."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return parse_time(str(value.get(key))) if isinstance(value, dict) else None


class Gcp:
    """Google's metadata server; a hanging GET tells of preemption the moment it happens."""

    def __init__(self) -> None:
        self.address = address_of(os.environ.get("GCE_METADATA_HOST") or "169.254.169.254")
        self.etag = ""
        self.hang_s = 30

    def get(self, path: str, timeout: float = 1.0) -> Answer | None:
        """The answer, or None."""
        headers = {"Metadata-Flavor": "Google"}
        try:
            return fetch(self.address, "GET", "/computeMetadata/v1" + path, headers, timeout)
        except (OSError, ValueError):
            return None

    def tag(self) -> str | None:
        """The deadline in the instance's metadata; None when it is not there."""
        answer = self.get("/instance/attributes/gpuctl-deadline")
        return answer.body if answer and answer.status == 200 else None

    def poll(self, notices: Notices) -> None:
        """Wait for a change, half a minute at most; returns at once the first time."""
        path, timeout = "/instance/preempted", 1.0
        if self.etag:
            path += "?wait_for_change=true&timeout_sec=%d&last_etag=%s" % (self.hang_s, self.etag)
            timeout = self.hang_s + 5.0
        answer = self.get(path, timeout)
        if answer is None or answer.status != 200:
            self.etag = ""
            return
        self.etag = answer.etag if answer.etag.isalnum() else ""
        if answer.body.strip() == "TRUE":
            notices.heard("preempted", int(wall_now()))
        elif answer.body.strip() == "FALSE":
            notices.withdraw("preempted")
        self.maintenance(notices)

    def maintenance(self, notices: Notices) -> None:
        """GPU hosts are maintained with an hour's notice; a GPU VM ends with them."""
        answer = self.get("/instance/maintenance-event")
        if answer is None or answer.status != 200:
            return
        if answer.body.strip() == "TERMINATE_ON_HOST_MAINTENANCE":
            notices.heard("maintenance", int(wall_now()) + 3600)
        elif answer.body.strip() == "NONE":
            notices.withdraw("maintenance")


class Notices:
    """What has been announced; each announcement is new once."""

    ORDER = ("spot", "preempted", "maintenance", "rebalance")

    def __init__(self, on_new: object = None) -> None:
        self.current: dict[str, int] = {}
        self.seen: set[tuple[str, int]] = set()
        self.on_new = on_new

    def heard(self, kind: str, moment: int | None) -> None:
        """An announcement was read; one without a time that can be read is not one."""
        if moment is None:
            log("a %s notice could not be read" % kind)
            return
        standing = kind in self.current
        if standing and kind in ("preempted", "maintenance"):
            return  # these carry no time of their own
        new = not standing and (kind, moment) not in self.seen
        self.current[kind] = moment
        self.seen.add((kind, moment))
        if new and callable(self.on_new):
            self.on_new(kind, moment)

    def withdraw(self, kind: str) -> None:
        """It was taken back."""
        self.current.pop(kind, None)

    def gravest(self) -> dict[str, str] | None:
        """The one to tell of."""
        for kind in self.ORDER:
            moment = self.current.get(kind)
            if moment is not None:
                return {"kind": kind, "time": format_time(moment)}
        return None


def run_hook(lease: Lease, kind: str, moment: int) -> None:
    """The user's own command, as the user, for a bounded time."""
    if not lease.hook:
        return
    argv = lease.hook
    if not ROOT and os.geteuid() == 0 and lease.user != "root":
        argv = ["runuser", "-u", lease.user, "--", *argv]
    home = ROOT + "/home/" + lease.user if ROOT else os.path.expanduser("~" + lease.user)
    env = dict(os.environ, GPUCTL_NOTICE=kind, GPUCTL_NOTICE_TIME=format_time(moment))
    env.update(HOME=home, USER=lease.user, LOGNAME=lease.user)
    limit = min(lease.hook_timeout_s, 25) if kind == "preempted" else lease.hook_timeout_s
    try:
        hook = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            env=env,
            cwd=home if os.path.isdir(home) else "/",
            start_new_session=True,
        )
    except OSError as error:
        log("the hook cannot be run: %s" % error)
        return
    try:
        log("the hook ended with %d" % hook.wait(limit))
    except subprocess.TimeoutExpired:
        log("the hook was stopped after %d s" % limit)
        for signal in (15, 9):
            try:
                os.killpg(hook.pid, signal)
                hook.wait(5)
            except (OSError, subprocess.TimeoutExpired):
                continue


# --- GPUs -----------------------------------------------------------------------------------


class Gpu:
    """One GPU now: percent and MiB, None where the driver does not say."""

    __slots__ = ("index", "mem_total", "mem_used", "name", "util")

    def __init__(
        self, index: int, name: str, util: int | None, used: int | None, total: int | None
    ) -> None:
        self.index = index
        self.name = name
        self.util = util
        self.mem_used = used
        self.mem_total = total

    def state(self) -> str:
        """`busy`, `idle`, or `unknown` where there is no gauge (MIG).

        A gauge read while the driver wakes up can say 100 % (seen on an L40S): a GPU that holds
        no memory at all runs nothing, for every process on it holds some.
        """
        if self.util is None:
            return "unknown"
        return "busy" if self.util >= BUSY_UTIL and self.mem_used != 0 else "idle"


class Gpus:
    """All of them, and who computes on them; `error` when they could not be asked."""

    __slots__ = ("error", "list", "pids")

    def __init__(self, gpus: list[Gpu], pids: list[int], error: str = "") -> None:
        self.list = gpus
        self.pids = pids
        self.error = error

    def state(self, expected: int | None = None) -> str:
        """`busy` when one is, `unknown` when one is not known or missing, else `idle`."""
        states = [gpu.state() for gpu in self.list]
        if expected == 0 and not states:
            return "idle"
        if "busy" in states:
            return "busy"
        missing = not states or (expected is not None and len(states) < expected)
        return "unknown" if self.error or missing or "unknown" in states else "idle"


def number(text: str | None) -> int | None:
    """`97 %`, `1032 MiB`, `0` -> the number; `[N/A]`, `Not Supported`… -> None."""
    word = (text or "").strip().split(" ")[0]
    plain = word.isascii() and word.isdigit() and len(word) < 16
    return int(word) if plain else None


def parse_csv(text: str) -> list[dict[str, str]]:
    """nvidia-smi's CSV with its header; units in the header are dropped. [] for anything else."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or "," not in lines[0]:
        return []
    names = [name.strip().split(" [")[0] for name in lines[0].split(",")]
    rows = [[value.strip() for value in line.split(",")] for line in lines[1:]]
    return [dict(zip(names, row)) for row in rows if len(row) == len(names)]


def parse_smi(text: str) -> Gpus:
    """Whatever nvidia-smi printed: `--query-gpu` CSV, `-q`, or `-q -x`; else an error."""
    if text.lstrip().startswith("<?xml"):
        return parse_xml(text)
    if "NVSMI LOG" in text[:200]:
        return parse_q(text)
    rows = [row for row in parse_csv(text) if number(row.get("index")) is not None]
    if not rows:
        return Gpus([], [], (text.strip().splitlines() or ["no answer"])[0][:200])
    gpus = []
    for row in rows:
        used, total = number(row.get("memory.used")), number(row.get("memory.total"))
        util = number(row.get("utilization.gpu"))
        if row.get("mig.mode.current") == "Enabled":
            util = None
        gpus.append(Gpu(int(row["index"]), row.get("name", ""), util, used, total))
    return Gpus(gpus, [])


def parse_apps(text: str) -> list[int]:
    """The process ids in a `--query-compute-apps` answer."""
    pids = [number(row.get("pid")) for row in parse_csv(text)]
    return [pid for pid in pids if pid is not None]


def parse_xml(text: str) -> Gpus:
    """`nvidia-smi -q -x`."""
    import xml.etree.ElementTree as ET  # noqa: PLC0415 - only old drivers need it

    try:
        root = ET.fromstring(text)  # noqa: S314 - the driver's own tool wrote it
    except (ET.ParseError, ValueError):
        return Gpus([], [], "broken XML")
    gpus, pids = [], []
    for index, gpu in enumerate(root.findall("gpu")):
        util = number(gpu.findtext("utilization/gpu_util"))
        if gpu.findtext("mig_mode/current_mig") == "Enabled":
            util = None
        used = number(gpu.findtext("fb_memory_usage/used"))
        total = number(gpu.findtext("fb_memory_usage/total"))
        gpus.append(Gpu(index, gpu.findtext("product_name") or "", util, used, total))
        for process in gpu.findall("processes/process_info"):
            pid = number(process.findtext("pid"))
            if pid is not None and "C" in (process.findtext("type") or ""):
                pids.append(pid)
    return Gpus(gpus, pids, "" if gpus else "no GPU in the answer")


def parse_q(text: str) -> Gpus:
    """`nvidia-smi -q`, by its indentation: sections at 4 spaces, their values at 8."""
    gpus: list[Gpu] = []
    pids: list[int] = []
    values: dict[str, str] = {}
    section = ""
    for line in [*text.splitlines(), "GPU "]:
        depth = len(line) - len(line.lstrip())
        key, _, value = (part.strip() for part in line.partition(" :"))
        if depth == 0 and line.startswith("GPU "):
            if values:
                gpus.append(gpu_of_q(len(gpus), values))
            values, section = {}, ""
        elif depth == 4:
            section = key
            values[key] = value
        elif section == "Processes" and key == "Type" and "C" in value:
            pid = number(values.get("Processes/Process ID"))
            pids += [] if pid is None else [pid]
        elif section:
            values[section + "/" + key] = value
    return Gpus(gpus, pids, "" if gpus else "no GPU in the answer")


def gpu_of_q(index: int, values: dict[str, str]) -> Gpu:
    """One GPU of `-q`; older drivers write `Gpu` for `GPU`."""
    util = number(values.get("Utilization/GPU", values.get("Utilization/Gpu")))
    if values.get("MIG Mode/Current") == "Enabled":
        util = None
    used, total = values.get("FB Memory Usage/Used"), values.get("FB Memory Usage/Total")
    return Gpu(index, values.get("Product Name", ""), util, number(used), number(total))


def ask_smi() -> Gpus:
    """By nvidia-smi: a process a time, so not every second."""
    fields = "index,name,utilization.gpu,memory.used,memory.total,mig.mode.current"
    code, text = call(["nvidia-smi", "--query-gpu=" + fields, "--format=csv"])
    gpus = parse_smi(text)
    if code != 0 or gpus.error:
        # Drivers older than MIG do not know its field.
        code, text = call(["nvidia-smi", "-q", "-x"])
        return parse_smi(text) if code == 0 else Gpus([], [], gpus.error or "nvidia-smi failed")
    apps = call(["nvidia-smi", "--query-compute-apps=pid,name", "--format=csv"])[1]
    gpus.pids = parse_apps(apps)
    return gpus


class Nvml:
    """The driver's own library, kept open: a fraction of a millisecond a question."""

    def __init__(self) -> None:
        import ctypes  # noqa: PLC0415 - only where there is a driver

        self.c = ctypes
        self.lib = ctypes.CDLL("libnvidia-ml.so.1")
        self.want(self.lib.nvmlInit_v2(), "init")
        count = ctypes.c_uint()
        self.want(self.lib.nvmlDeviceGetCount_v2(ctypes.byref(count)), "count")
        self.handles = []
        self.names = []
        for index in range(count.value):
            handle = ctypes.c_void_p()
            self.want(self.lib.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)), "gpu")
            name = ctypes.create_string_buffer(96)
            self.lib.nvmlDeviceGetName(handle, name, 96)
            self.handles.append(handle)
            self.names.append(name.value.decode("utf-8", "replace"))

    def want(self, code: int, what: str) -> None:
        """OSError unless the call succeeded."""
        if code:
            raise OSError("NVML error %d (%s)" % (code, what))

    def read(self) -> Gpus:
        """Every GPU; OSError when one is lost."""
        gpus, pids = [], []
        for index, handle in enumerate(self.handles):
            rates = (self.c.c_uint * 2)()
            code = self.lib.nvmlDeviceGetUtilizationRates(handle, rates)
            if code not in (0, 3):  # 3: not supported, as with MIG
                raise OSError("NVML error %d (utilization)" % code)
            mode, pending = self.c.c_uint(), self.c.c_uint()
            refs = self.c.byref(mode), self.c.byref(pending)
            mig = self.lib.nvmlDeviceGetMigMode(handle, *refs) == 0 and mode.value == 1
            util = None if code or mig else int(rates[0])
            memory = (self.c.c_ulonglong * 3)()  # total, free, used
            used = total = None
            if self.lib.nvmlDeviceGetMemoryInfo(handle, memory) == 0:
                # This older call counts the driver's own reserve as used, so 0 means nothing here.
                used, total = int(memory[2]) >> 20, int(memory[0]) >> 20
            gpus.append(Gpu(index, self.names[index], util, used, total))
            pids += self.processes(handle)
        return Gpus(gpus, pids)

    def processes(self, handle: object) -> list[int]:
        """Who computes on it."""
        size = self.c.c_uint(64)
        # pid, memory, GPU instance, compute instance: 24 bytes, the pid in the first four.
        rows = (self.c.c_uint * (6 * 64))()
        code = self.lib.nvmlDeviceGetComputeRunningProcesses_v3(handle, self.c.byref(size), rows)
        return [int(rows[6 * row]) for row in range(size.value)] if code == 0 else []


class Eye:
    """Looks at the GPUs in the cheapest way there is."""

    def __init__(self) -> None:
        self.nvml: Nvml | None = None
        self.last: Gpus | None = None
        self.next = 0.0

    def look(self, now: float) -> Gpus:
        """By NVML each time; by nvidia-smi, or after an NVML error, only now and then."""
        if self.nvml is not None:
            try:
                return self.nvml.read()
            except (OSError, AttributeError) as error:
                log("NVML: %s" % error)
                self.nvml, self.last, self.next = None, Gpus([], [], str(error)), now + SMI_EVERY_S
        if self.last is None or now >= self.next:
            self.next = now + SMI_EVERY_S
            self.last = self.first_look()
        return self.last

    def first_look(self) -> Gpus:
        """By NVML when there is one and this is no rehearsal, else by nvidia-smi."""
        if not ROOT:
            try:
                self.nvml = Nvml()
                return self.nvml.read()
            except (OSError, AttributeError):
                self.nvml = None
        return ask_smi()


# --- the rest of the machine ------------------------------------------------------------------


class Host:
    """Load, disk, network, terminals, GPU processes: what else says that somebody works.

    In a rehearsal (GPUCTL_ROOT) the files of /proc are those under the root, and one that is
    not there is quiet; on a real machine one that cannot be read means busy.
    """

    def __init__(self) -> None:
        self.cores = os.cpu_count() or 1
        self.io: list[tuple[float, int]] = []
        self.cpu: dict[int, tuple[float, int]] = {}

    def reasons(self, now: float, window: float, pids: list[int]) -> list[str]:
        """Why it counts as busy now; [] = nothing stirs."""
        found = [self.load(), self.traffic(now), self.typed(window), self.held()]
        found.append(self.computing(now, pids))
        return [reason for reason in found if reason]

    def load(self) -> str:
        """The one-minute load against 0.3 of the cores, and against one process at full speed:
        on many cores that is little load, and yet somebody's preprocessing.
        """
        words = (read_text("/proc/loadavg") or "").split()
        try:
            load = float(words[0])
        except (IndexError, ValueError):
            return "" if ROOT else "load unknown"
        return "load %.1f" % load if load >= min(BUSY_LOAD, BUSY_LOAD_A_CORE * self.cores) else ""

    def traffic(self, now: float) -> str:
        """Disk and network together, the mean of half a minute."""
        total = self.bytes_moved()
        if total is None:
            return "" if ROOT else "traffic unknown"
        self.io = [(at, sum_) for at, sum_ in self.io if now - at <= 2 * IO_MEAN_S]
        self.io.append((now, total))
        before = [pair for pair in self.io if now - pair[0] >= IO_MEAN_S]
        at, count = before[-1] if before else self.io[0]
        if now <= at:
            return ""
        rate = (total - count) / (now - at)
        return "disk and network %.1f MB/s" % (rate / 1e6) if rate >= BUSY_IO else ""

    def bytes_moved(self) -> int | None:
        """Of all real disks and network cards since boot."""
        disks, cards = read_text("/proc/diskstats"), read_text("/proc/net/dev")
        if disks is None or cards is None:
            return None
        total = 0
        for line in disks.splitlines():
            words = line.split()
            if len(words) > 9 and whole_disk(words[2]):
                total += 512 * (int(words[5]) + int(words[9]))
        for line in cards.splitlines()[2:]:
            name, _, rest = line.partition(":")
            words = rest.split()
            if len(words) > 8 and name.strip().startswith(("e", "w", "ib")):
                total += int(words[0]) + int(words[8])
        return total

    def typed(self, window: float) -> str:
        """A terminal that somebody typed into within the window."""
        folder = ROOT + "/dev/pts"
        try:
            names = os.listdir(folder)
        except OSError:
            return ""
        for name in names:
            try:
                age = wall_now() - os.stat(os.path.join(folder, name)).st_atime
            except OSError:
                continue
            if name.isdigit() and age < window:
                return "terminal pts/" + name
        return ""

    def held(self) -> str:
        """The hold file, until the moment in it (0 = until it is removed)."""
        text = read_text("/run/gpuctl/hold")
        if text is None:
            return ""
        until = number(text)
        return "hold" if not until or wall_now() < until else ""

    def computing(self, now: float, pids: list[int]) -> str:
        """A GPU process whose processor time grows: a notebook that only holds memory has none."""
        hertz = os.sysconf("SC_CLK_TCK")
        reason = ""
        fresh = {}
        for pid in pids:
            stat = read_text("/proc/%d/stat" % pid)
            if stat is None:
                continue
            words = stat.rpartition(")")[2].split()
            ticks = int(words[11]) + int(words[12])
            at, before = self.cpu.get(pid, (now, ticks))
            if pid not in self.cpu:
                reason = "new GPU process %d" % pid
            elif now > at and (ticks - before) / hertz / (now - at) >= BUSY_CPU:
                reason = "GPU process %d" % pid
            fresh[pid] = (now, ticks)
        self.cpu = fresh
        return reason


def whole_disk(name: str) -> bool:
    """Not a partition, loop, or mapped device, which would count the same bytes twice."""
    if name.startswith("nvme"):
        return "p" not in name[4:]
    return name.startswith(("sd", "vd", "xvd", "hd")) and not name[-1].isdigit()


class Idle:
    """When to warn and when to stop, on any clock that only goes forward.

    `feed` takes what was seen and answers `busy`, `idle`, `warn` (once) or `stop`.
    """

    def __init__(self, stop_s: int | None, grace_s: int, now: float) -> None:
        self.stop_s = stop_s
        self.grace_s = grace_s
        self.active_at = now
        self.warned_at: float | None = None

    def feed(self, now: float, *, active: bool) -> str:
        """One look; the whole window must be quiet, so one busy second starts it anew."""
        if active:
            self.active_at, self.warned_at = now, None
            return "busy"
        if self.stop_s is None or now - self.active_at < self.stop_s:
            return "idle"
        if self.warned_at is None:
            self.warned_at = now
            return "warn"
        return "stop" if now - self.warned_at >= self.grace_s else "idle"


# --- daemon ---------------------------------------------------------------------------------


class Daemon:
    """One look a second, one line of thought: deadline, activity, notices."""

    def __init__(self) -> None:
        self.lease = Lease()
        self.eye = Eye()
        self.host = Host()
        self.notices = Notices(self.announce)
        self.cloud = Gcp() if self.lease.cloud == "gcp" else Aws()
        self.tag: str | None = None
        self.gpus = Gpus([], [], "not looked yet")
        self.reasons: list[str] = ["just started"]
        self.host_reasons: list[str] = []
        self.next_host = 0.0
        self.next_beat = 0.0
        self.looked_at = time.monotonic()
        self.idle = Idle(self.lease.idle_stop_s, self.lease.grace_s, self.clock())
        self.stopping_at: float | None = None
        self.warned_of: int | None = None
        self.verdict = "busy"

    def clock(self) -> float:
        """Forward only, a rehearsal's jumps included."""
        return time.monotonic() + offset()

    def announce(self, kind: str, moment: int) -> None:
        """A new notice: tell people and files, then the hook."""
        wall("the cloud takes this machine back: %s at %s" % (kind, format_time(moment)))
        self.next_beat = 0.0
        self.hook(kind, moment)

    def hook(self, kind: str, moment: int) -> None:
        """Beside the loop, which must go on looking."""
        threading.Thread(target=run_hook, args=(self.lease, kind, moment), daemon=True).start()

    def listen(self) -> None:
        """The metadata service, in a thread of its own for it may hang."""
        next_tag = 0.0
        while True:
            began = time.monotonic()
            try:
                if began >= next_tag:
                    self.tag, next_tag = self.cloud.tag(), began + TAG_EVERY_S
                self.cloud.poll(self.notices)
            except Exception as error:  # noqa: BLE001 - a guard that dies guards nothing
                log("metadata: %r" % error)
            time.sleep(max(0.1, POLL_S - (time.monotonic() - began)))

    def tick(self) -> None:
        """One look."""
        now = self.clock()
        self.mind_deadline()
        self.look(now)
        if now >= self.next_beat:
            self.next_beat = now + HEARTBEAT_S
            write_text("/run/gpuctl/heartbeat.json", json.dumps(self.heartbeat(now)) + "\n")

    def mind_deadline(self) -> None:
        """Heed an earlier tag, warn ten minutes ahead, and power off beside the timer."""
        earlier = self.lease.heed(self.tag)
        if earlier is not None:
            log("the tag moves the deadline to " + format_time(earlier))
            self.lease.move(earlier)
        deadline = self.lease.deadline()
        if deadline is None:
            if uptime() >= UNREADABLE_AFTER_S:
                self.power_off("deadline unreadable")
            return
        left = deadline - wall_now()
        if left <= 0:
            self.power_off("deadline")
        elif left <= WARN_BEFORE_S and self.warned_of != deadline:
            self.warned_of = deadline
            wall("this machine ends at %s; gpuctl extend moves that" % format_time(deadline))
            self.hook("deadline", deadline)

    def look(self, now: float) -> None:
        """Gather reasons to call it busy; warn and stop when there are none for long."""
        slept = time.monotonic() - self.looked_at
        self.looked_at = time.monotonic()
        self.gpus = self.eye.look(time.monotonic())
        if now >= self.next_host:
            self.next_host = now + HOST_EVERY_S
            self.host_reasons = self.host.reasons(now, HOST_EVERY_S * 4, self.gpus.pids)
        self.reasons = list(self.host_reasons)
        state = self.gpus.state(self.lease.gpus)
        if state != "idle":
            self.reasons.insert(0, "GPU %s" % state)
        if slept > GAP_S:
            self.reasons.append("not looked for %d s" % slept)
        self.judge(self.idle.feed(now, active=bool(self.reasons)), now)

    def judge(self, verdict: str, now: float) -> None:
        """Act on what idleness says."""
        if verdict == "warn":
            stop_at = int(wall_now()) + self.lease.grace_s
            wall("idle: this machine ends at %s unless it is used" % format_time(stop_at))
            self.hook("idle", stop_at)
        elif verdict == "stop" and "spot" not in self.notices.current:
            # What AWS takes back in its first hour is free; what ends itself is not.
            self.power_off("idle for %d s" % (now - self.idle.active_at))
        if verdict != self.verdict:
            self.verdict, self.next_beat = verdict, 0.0

    def power_off(self, reason: str) -> None:
        """Once; again after ten minutes if that did nothing."""
        now = time.monotonic()
        if self.stopping_at is not None and now - self.stopping_at < 600:
            return
        self.stopping_at = now
        log("powering off: " + reason)
        try:
            last = {"reason": reason, "time": format_time(wall_now()), "lease": self.lease.id}
            write_text("/var/lib/gpuctl/stopped.json", json.dumps(last) + "\n")
        except OSError as error:
            log("a full disk does not stop the end: %s" % error)
        off = ["/bin/sh", ROOT + "/usr/local/sbin/gpuctl-deadline", "now"]
        if not os.path.exists(off[1]):
            off = ["systemctl", "poweroff"]
        launch(off)

    def heartbeat(self, now: float) -> dict[str, object]:
        """What `status` and others read."""
        state = self.gpus.state(self.lease.gpus)
        if self.host_reasons or state == "busy":
            state = "busy"
        elif state == "idle" and self.reasons:
            state = "unknown"
        warned = self.idle.warned_at
        stop_at = None
        if warned is not None:
            stop_at = format_time(wall_now() + self.lease.grace_s - (now - warned))
        return {
            "time": format_time(wall_now()),
            "state": state,
            "idle_for_s": int(now - self.idle.active_at),
            "why": self.reasons,
            "stop_at": stop_at,
            "notice": self.notices.gravest(),
            "gpu_error": self.gpus.error or None,
            "version": VERSION,
        }

    def run(self) -> None:
        """For ever. Whatever goes wrong in one look is told, and the next look is taken."""
        arm()
        threading.Thread(target=self.listen, daemon=True).start()
        tell_systemd("READY=1")
        while True:
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001 - a guard that dies guards nothing
                log("%r" % error)
            tell_systemd("WATCHDOG=1")
            time.sleep(1)


def tell_systemd(text: str) -> None:
    """sd_notify, where systemd listens."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    if path.startswith("@"):
        path = "\0" + path[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        try:
            link.sendto(text.encode(), path)
        except OSError:
            pass


# --- commands -------------------------------------------------------------------------------


def status() -> dict[str, object]:
    """The machine as it is now; without a fresh heartbeat nobody knows whether it is busy."""
    lease = Lease()
    beat = read_json("/run/gpuctl/heartbeat.json")
    at = parse_time(text_of(beat.get("time")) or "")
    age = wall_now() - at if at is not None else None
    fresh = age is not None and age < 3 * HEARTBEAT_S
    deadline = lease.deadline()
    idle_for = (int_of(beat.get("idle_for_s"), 0) or 0) if fresh else 0
    gpus = Eye().look(0.0)
    return {
        "armed": armed(),
        "lease": lease.id,
        "deadline": None if deadline is None else format_time(deadline),
        "ceiling": None if lease.ceiling is None else format_time(lease.ceiling),
        "project": lease.project,
        "budget": lease.budget,
        "state": beat.get("state") if fresh else "unknown",
        "why": beat.get("why") if fresh else ["no heartbeat"],
        "gpus": [
            {
                "index": gpu.index,
                "name": gpu.name,
                "util": gpu.util,
                "mem_used": gpu.mem_used,
                "mem_total": gpu.mem_total,
            }
            for gpu in gpus.list
        ],
        "gpu_error": gpus.error or None,
        "idle_for_s": idle_for,
        "idle_stop_s": lease.idle_stop_s,
        "stop_at": beat.get("stop_at") if fresh else None,
        "hold": bool(Host().held()),
        "notice": beat.get("notice"),
        "heartbeat": None if at is None else format_time(at),
        "stopped": read_json("/var/lib/gpuctl/stopped.json") or None,
        "version": VERSION,
    }


def print_status(*, as_json: bool) -> int:
    """For people, or one JSON object."""
    now = status()
    if as_json:
        print(json.dumps(now))
        return 0
    for key, value in now.items():
        print("%-12s %s" % (key, "-" if value is None else value))
    return 0


def print_armed() -> int:
    """Exit 0 and the facts when the switch is set, else 3."""
    lease = Lease()
    deadline = lease.deadline()
    if not armed() or deadline is None:
        print("gpuctl-agent: not armed", file=sys.stderr)
        return 3
    facts = {"armed": True, "lease": lease.id, "deadline": format_time(deadline)}
    facts["ceiling"] = format_time(lease.ceiling if lease.ceiling is not None else deadline)
    facts["version"] = VERSION
    print(json.dumps(facts))
    return 0


def extend(text: str) -> int:
    """Move the deadline: 4 when it is past or beyond the ceiling, 1 when the timer refused."""
    moment = parse_time(text)
    if moment is None:
        print("gpuctl-agent: %r is no time such as 2026-11-22T10:15:00Z" % text, file=sys.stderr)
        return 2
    lease = Lease()
    if lease.ceiling is None or moment > lease.ceiling:
        limit = "unreadable" if lease.ceiling is None else format_time(lease.ceiling)
        print("gpuctl-agent: past the lease's ceiling (%s)" % limit, file=sys.stderr)
        return 4
    if moment <= wall_now():
        print("gpuctl-agent: that moment has passed", file=sys.stderr)
        return 4
    tag = parse_time((Gcp() if lease.cloud == "gcp" else Aws()).tag() or "")
    if tag is None:
        remove("/etc/gpuctl/superseded")
    else:
        write_text("/etc/gpuctl/superseded", "%d\n" % tag)
    if not lease.move(moment):
        return 1
    print(json.dumps({"deadline": format_time(moment)}))
    return 0


def hold(seconds: str) -> int:
    """Count as busy, for so long or until `unhold`; the deadline stands."""
    if not seconds.isdigit():
        print("gpuctl-agent: hold [SECONDS]", file=sys.stderr)
        return 2
    until = int(wall_now()) + int(seconds) if int(seconds) else 0
    write_text("/run/gpuctl/hold", "%d\n" % until)
    return 0


def main(argv: list[str]) -> int:
    """The command line."""
    verb, rest = (argv[0] if argv else ""), argv[1:]
    try:
        if verb == "run" and not rest:
            Daemon().run()
        if verb == "status" and rest in ([], ["--json"]):
            return print_status(as_json=bool(rest))
        if verb == "armed" and not rest:
            return print_armed()
        if verb == "extend" and len(rest) == 1:
            return extend(rest[0])
        if verb == "hold" and len(rest) < 2:
            return hold(rest[0] if rest else "0")
        if verb == "unhold" and not rest:
            remove("/run/gpuctl/hold")
            return 0
    except OSError as error:
        print("gpuctl-agent: %s" % error, file=sys.stderr)
        return 1
    print("usage: gpuctl-agent run|status|armed|extend|hold|unhold", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
