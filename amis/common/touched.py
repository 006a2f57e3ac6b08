#!/usr/bin/env python3
"""Which files the start of a training touches: one a line, in the order of the first touch.

Run at the build with the Python that has torch, on a machine without a GPU. What Python opens is
told by its audit hook, and what the loader maps by /proc/self/maps, so neither strace nor root is
needed. A part that fails touches less; what the parts before it touched is told all the same.
"""

# ruff: noqa: PLC0415 - torch may be absent or broken, and that is no reason to tell nothing

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

STEPS = 3
WIDTH = 64
_NOT_KEPT = ("/proc/", "/sys/", "/dev/", "/run/", "/tmp/", "/var/")  # noqa: S108 - left out


def import_torch() -> None:
    """What every job does first."""
    import torch

    _ = torch.__version__


def train() -> None:
    """A few steps of a small network: forward, backward, optimizer, data loader, checkpoint."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))
    optimizer = torch.optim.AdamW(model.parameters())
    data = TensorDataset(torch.randn(WIDTH, WIDTH), torch.randn(WIDTH, 1))
    for batch, wanted in [*DataLoader(data, batch_size=WIDTH // 2)] * STEPS:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(batch), wanted).backward()
        optimizer.step()
    with tempfile.TemporaryFile() as file:
        torch.save(model.state_dict(), file)


def mapped(maps: str) -> Iterator[str]:
    """The files that a process has mapped, by its /proc/PID/maps."""
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith("/"):  # noqa: PLR2004 - address to path
            yield fields[5]


def touched(parts: tuple[Callable[[], None], ...]) -> list[str]:
    """Run the parts; the regular files that they opened or mapped and that an image keeps."""
    seen: dict[str, None] = {}

    def note(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and isinstance(args[0], str | bytes):
            seen.setdefault(os.path.realpath(os.fsdecode(args[0])))

    sys.addaudithook(note)
    for part in parts:
        with contextlib.suppress(Exception):
            part()
        for path in mapped(Path("/proc/self/maps").read_text(encoding="utf-8")):
            seen.setdefault(os.path.realpath(path))
    for module in list(sys.modules.values()):
        for name in ("__cached__", "__file__"):  # those of before the hook
            seen.setdefault(os.path.realpath(getattr(module, name, None) or "/dev/null"))
    return [path for path in list(seen) if _kept(path)]


def _kept(path: str) -> bool:
    return not path.startswith(_NOT_KEPT) and "\n" not in path and Path(path).is_file()


if __name__ == "__main__":
    found = touched((import_torch, train))
    sys.stdout.write("".join(f"{path}\n" for path in found if path != os.path.realpath(__file__)))
