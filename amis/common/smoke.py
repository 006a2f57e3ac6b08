#!/usr/bin/env python3
"""Whether this machine computes: one JSON object on stdout, exit 0 when nothing is wrong.

Run on a machine of the image under test, with the Python that has torch. Each part that fails
is told in `problems`; the others are still measured. Standard library only, besides torch.
"""

# ruff: noqa: PLC0415 - torch may be absent or broken, and that is one of the findings

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GIB = 1 << 30
DISK_BYTES = 256 << 20
MATRIX = 4096
MOST_ERROR = 0.02
FIRST_WITH_BFLOAT16 = 8  # compute capability 8.0, Ampere
MARK = 7

Report = dict[str, object]


def nvidia_smi() -> Report:
    """Driver and GPUs as `nvidia-smi` sees them; VRAM in MiB."""
    query = "name,driver_version,memory.total,compute_cap"
    done = subprocess.run(
        ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line]
    if not rows:
        raise RuntimeError("nvidia-smi lists no GPU")
    return {
        "driver": rows[0][1],
        "gpus": [{"name": row[0], "vram_mib": int(row[2]), "sm": row[3]} for row in rows],
    }


def torch_build() -> Report:
    """What torch was built for, and whether it has code for each GPU that is here."""
    import torch

    archs = torch.cuda.get_arch_list()
    found = {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "available": torch.cuda.is_available(),
        "archs": archs,
    }
    if not found["available"]:
        raise RuntimeError(f"torch {torch.__version__} sees no GPU")
    found["devices"] = [device(index, archs) for index in range(torch.cuda.device_count())]
    return found


def device(index: int, archs: list[str]) -> Report:
    """One GPU; `native` = torch has code for it or for an older one of its generation."""
    import torch

    major, minor = torch.cuda.get_device_capability(index)
    codes = [arch.removeprefix("sm_") for arch in archs if arch.startswith("sm_")]
    pairs = [(int(code[:-1]), int(code[-1])) for code in codes if code.isdigit()]
    return {
        "name": torch.cuda.get_device_name(index),
        "sm": f"{major}{minor}",
        "native": any(a == major and b <= minor for a, b in pairs),
        "vram_gib": round(torch.cuda.get_device_properties(index).total_memory / GIB, 2),
    }


def matmul(name: str) -> Report:
    """TFLOP/s of a square product, checked against the same product in float32."""
    import torch

    dtype = getattr(torch, name)
    torch.manual_seed(0)
    left = torch.randn(MATRIX, MATRIX, device="cuda")
    right = torch.randn(MATRIX, MATRIX, device="cuda")
    exact = left @ right
    a, b = left.to(dtype), right.to(dtype)
    product = a @ b
    error = ((product.float() - exact).norm() / exact.norm()).item()
    if not error < MOST_ERROR:
        raise RuntimeError(f"{name} matmul is off by {error:.4f}")
    torch.cuda.synchronize()
    start = time.perf_counter()
    rounds = 20
    for _ in range(rounds):
        a @ b
    torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    return {"tflops": round(2 * MATRIX**3 * rounds / seconds / 1e12, 2), "error": round(error, 6)}


def bfloat16() -> Report:
    """The product in bfloat16; `hardware` False (V100, T4) = it works, slowly, by other means."""
    import torch

    hardware = torch.cuda.get_device_capability()[0] >= FIRST_WITH_BFLOAT16
    return {**matmul("bfloat16"), "hardware": hardware}


def vram() -> Report:
    """Fill nine tenths of what is free, read it back."""
    import torch

    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    block = torch.full((int(free * 0.9),), MARK, dtype=torch.uint8, device="cuda")
    # In pieces: comparing it whole would need as much memory again.
    if not all(bool((piece == MARK).all()) for piece in block.split(256 << 20)):
        raise RuntimeError("VRAM does not hold what was written")
    return {"free_gib": round(free / GIB, 2), "total_gib": round(total / GIB, 2)}


def disk() -> Report:
    """MB/s written through to the disk, and what is left of it."""
    block = os.urandom(1 << 20)
    with tempfile.NamedTemporaryFile(dir=Path.home()) as file:
        start = time.perf_counter()
        for _ in range(DISK_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        seconds = time.perf_counter() - start
    room = os.statvfs(Path.home())
    free = room.f_bavail * room.f_frsize
    return {
        "write_mb_s": round(DISK_BYTES / seconds / 1e6, 1),
        "free_gib": round(free / GIB, 1),
    }


def image() -> object:
    """What the image says of itself; absent on an image that gpuctl did not make."""
    try:
        root = Path(os.environ.get("GPUCTL_ROOT") or "/")
        return json.loads((root / "etc/gpuctl/image.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def main() -> int:
    """Run every part, tell all of it."""
    parts = {
        "image": image,
        "nvidia_smi": nvidia_smi,
        "torch": torch_build,
        "float16": lambda: matmul("float16"),
        "bfloat16": bfloat16,
        "vram": vram,
        "disk": disk,
    }
    problems: list[str] = []
    found: Report = {}
    seconds: Report = {}
    for name, part in parts.items():
        start = time.perf_counter()
        try:
            found[name] = part()
        except Exception as error:  # noqa: BLE001 - every part is told, whatever it died of
            found[name] = None
            problems.append(f"{name}: {type(error).__name__}: {error}")
        seconds[name] = round(time.perf_counter() - start, 2)
    problems += without_code(found["torch"])
    head = {"schema": "gpuctl.smoke/1", "ok": not problems, "problems": problems}
    json.dump({**head, **found, "seconds": seconds}, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 1 if problems else 0


def without_code(build: object) -> list[str]:
    """GPUs that this torch would answer with "no kernel image is available"."""
    devices = build["devices"] if isinstance(build, dict) else []
    return [f"torch has no code for {d['name']} (sm_{d['sm']})" for d in devices if not d["native"]]


if __name__ == "__main__":
    sys.exit(main())
