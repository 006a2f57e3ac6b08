"""A shim: what nvidia-smi says of the machine's GPUs, busy or idle as a file tells."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(os.environ.get("GPUCTL_ROOT", "/"))
_CUDA = "12.8"
_NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that "
    "the latest NVIDIA driver is installed and running.\n\n"
)


def _driver() -> str:
    """The driver of the machine's image, where that is known."""
    try:
        return (_ROOT / "etc/sandbox-driver").read_text(encoding="utf-8").split()[0]
    except (OSError, IndexError):
        return "570.172.08"


_DRIVER = _driver()
_GENERATIONS = {
    "T4": "7.5",
    "A100": "8.0",
    "A10G": "8.6",
    "L40S": "8.9",
    "L4": "8.9",
    "H100": "9.0",
    "H200": "9.0",
}


@dataclass(frozen=True)
class Gpus:
    """The machine's GPUs, all alike, and how loaded they are (percent)."""

    name: str
    count: int
    memory_mib: int
    load: int

    @property
    def used_mib(self) -> int:
        """Memory in use."""
        return self.memory_mib * 4 // 5 if self.load else 3


def read(root: Path) -> Gpus | None:
    """From the machine's own files; None = it has no GPU."""
    try:
        told = json.loads((root / "etc/sandbox-gpu.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    try:
        word = (root / "run/sandbox-gpu").read_text(encoding="utf-8").strip()
    except OSError:
        word = "idle"
    load = int(word) if word.isdigit() else {"busy": 97}.get(word, 0)
    return Gpus(told["name"], int(told["count"]), int(told["memory_mib"]), load)


def _generation(name: str) -> str:
    """Compute capability, by the GPU's name."""
    return next((sm for key, sm in _GENERATIONS.items() if key in name.upper()), "7.0")


def fields(gpus: Gpus, index: int) -> "dict[str, tuple[str, str]]":
    """Each query field: its value and its unit."""
    busy = gpus.load > 0
    mib = "MiB"
    return {
        "index": (str(index), ""),
        "name": (gpus.name, ""),
        "gpu_name": (gpus.name, ""),
        "count": (str(gpus.count), ""),
        "uuid": (uuid(index), ""),
        "gpu_uuid": (uuid(index), ""),
        "serial": (f"15601190000{index:02}", ""),
        "pci.bus_id": (f"00000000:00:{0x1E - index:02X}.0", ""),
        "gpu_bus_id": (f"00000000:00:{0x1E - index:02X}.0", ""),
        "driver_version": (_DRIVER, ""),
        "pstate": ("P0" if busy else "P8", ""),
        "persistence_mode": ("Enabled", ""),
        "compute_mode": ("Default", ""),
        "timestamp": ("2026/01/01 00:00:00.000", ""),
        "fan.speed": ("[N/A]", ""),
        "temperature.gpu": ("64" if busy else "31", ""),
        "utilization.gpu": (str(gpus.load), "%"),
        "utilization.memory": (str(gpus.load // 2), "%"),
        "memory.total": (str(gpus.memory_mib), mib),
        "memory.used": (str(gpus.used_mib), mib),
        "memory.free": (str(gpus.memory_mib - gpus.used_mib), mib),
        "memory.reserved": ("0", mib),
        "power.draw": ("243.10" if busy else "24.51", "W"),
        "power.limit": ("300.00", "W"),
        "clocks.sm": ("1530" if busy else "135", "MHz"),
        "clocks.gr": ("1530" if busy else "135", "MHz"),
        "clocks.mem": ("877", "MHz"),
        "compute_cap": (_generation(gpus.name), ""),
        "mig.mode.current": ("[N/A]", ""),
        "ecc.errors.uncorrected.volatile.total": ("0", ""),
    }


def uuid(index: int) -> str:
    """A GPU's identity."""
    return f"GPU-5a9db0c5-0000-4000-8000-{index:012}"


def table(names: "list[str]", rows: "list[dict[str, tuple[str, str]]]", form: str) -> str:
    """As --format=csv[,noheader][,nounits] prints it; an unknown field is an error, as there."""
    unknown = [name for name in names for row in rows[:1] if name not in row]
    if unknown:
        sys.stdout.write(f'Field "{unknown[0]}" is not a valid field to query.\n\n')
        raise SystemExit(2)
    parts = form.split(",")
    bare = "nounits" in parts
    lines: list[str] = []
    if "noheader" not in parts:
        units = {name: unit for row in rows[:1] for name, (_, unit) in row.items()}
        lines.append(
            ", ".join(f"{n} [{units[n]}]" if units.get(n) and not bare else n for n in names)
        )
    for row in rows:
        values = (row[name] for name in names)
        lines.append(", ".join(v if bare or not unit else f"{v} {unit}" for v, unit in values))
    return "".join(f"{line}\n" for line in lines)


def processes(gpus: Gpus) -> "list[dict[str, tuple[str, str]]]":
    """What computes on the GPUs: one process each, while busy."""
    if not gpus.load:
        return []
    return [
        {
            "pid": ("4242", ""),
            "process_name": ("python3", ""),
            "name": ("python3", ""),
            "gpu_name": (gpus.name, ""),
            "gpu_uuid": (uuid(index), ""),
            "used_memory": (str(gpus.used_mib), "MiB"),
            "used_gpu_memory": (str(gpus.used_mib), "MiB"),
        }
        for index in range(gpus.count)
    ]


def summary(gpus: Gpus) -> str:
    """The table without options, and enough of -q to be searched."""
    head = f"| NVIDIA-SMI {_DRIVER}    Driver Version: {_DRIVER}    CUDA Version: {_CUDA} |\n"
    return head + "".join(
        f"| {index}  {gpus.name} | {gpus.used_mib}MiB / {gpus.memory_mib}MiB | {gpus.load}% |\n"
        for index in range(gpus.count)
    )


def details(gpus: Gpus) -> str:
    """What -q prints, in part."""
    lines = [f"Driver Version : {_DRIVER}", f"CUDA Version : {_CUDA}"]
    lines.append(f"Attached GPUs : {gpus.count}")
    for index in range(gpus.count):
        row = fields(gpus, index)
        lines += [
            f"GPU {row['pci.bus_id'][0]}",
            f"    Product Name : {gpus.name}",
            f"    GPU UUID : {uuid(index)}",
            "    FB Memory Usage",
            f"        Total : {gpus.memory_mib} MiB",
            f"        Used : {gpus.used_mib} MiB",
            "    Utilization",
            f"        Gpu : {gpus.load} %",
        ]
    return "".join(f"{line}\n" for line in lines)


def main(argv: "list[str]", root: Path) -> int:
    """Answer one call."""
    gpus = read(root)
    if gpus is None:
        sys.stdout.write(_NO_DRIVER)
        return 9
    options = dict(word.partition("=")[::2] for word in argv)
    form = options.get("--format", "csv")
    rows = [fields(gpus, index) for index in range(gpus.count)]
    chosen = options.get("--id") or options.get("-i") or ""
    if chosen.isdigit():
        rows = rows[int(chosen) : int(chosen) + 1]
    if "--query-gpu" in options:
        sys.stdout.write(table(options["--query-gpu"].split(","), rows, form))
    elif "--query-compute-apps" in options:
        names = options["--query-compute-apps"].split(",")
        sys.stdout.write(table(names, processes(gpus), form))
    elif "-L" in options or "--list-gpus" in options:
        for index in range(gpus.count):
            sys.stdout.write(f"GPU {index}: {gpus.name} (UUID: {uuid(index)})\n")
    elif "-q" in options or "--query" in options:
        sys.stdout.write(details(gpus))
    elif "--version" in options:
        sys.stdout.write(f"NVIDIA-SMI version  : {_DRIVER}\nDRIVER version      : {_DRIVER}\n")
    else:
        sys.stdout.write(summary(gpus))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], _ROOT))
