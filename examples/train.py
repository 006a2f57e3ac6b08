"""Trains a small classifier, saves itself, and goes on from where it was: the very same numbers.

    python examples/train.py --steps 400 --every 20 --checkpoints checkpoints

Plain Python, no libraries: stochastic gradient descent on a logistic regression over points drawn
from two clouds. What matters is how it saves itself, which is the same for any model:

* everything that the next step depends on goes into the checkpoint: weights, the optimizer's
  velocity, the random generator's state, the step;
* a checkpoint is written under a name that begins with a dot, flushed to the disk, and renamed
  when it is complete: nobody ever sees half of one;
* on SIGTERM it saves itself at the next step and ends.
"""

import argparse
import json
import math
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

DIMENSIONS = 8
KEPT = 3
"""Older checkpoints are removed: the newest is what counts."""


class Model:
    """Weights and everything else that the next step depends on."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.weights = [0.0] * (DIMENSIONS + 1)
        self.velocity = [0.0] * (DIMENSIONS + 1)
        self.step = 0

    def batch(self, size=16):
        """Points of two clouds, and which cloud each is from."""
        for _ in range(size):
            label = self.random.randrange(2)
            centre = 0.5 if label else -0.5
            yield [1.0] + [self.random.gauss(centre, 1.0) for _ in range(DIMENSIONS)], label

    def train(self, rate=0.05, momentum=0.9):
        """One step; the mean loss of its batch."""
        gradient, loss, count = [0.0] * len(self.weights), 0.0, 0
        for point, label in self.batch():
            score = sum(w * x for w, x in zip(self.weights, point, strict=True))
            chance = 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, score))))
            loss -= math.log(max(chance if label else 1.0 - chance, 1e-12))
            gradient = [g + (chance - label) * x for g, x in zip(gradient, point, strict=True)]
            count += 1
        self.velocity = [
            momentum * v - rate * g / count for v, g in zip(self.velocity, gradient, strict=True)
        ]
        self.weights = [w + v for w, v in zip(self.weights, self.velocity, strict=True)]
        self.step += 1
        return loss / count

    def state(self):
        """As JSON: Python writes floats so that they are read back exactly."""
        version, numbers, gauss = self.random.getstate()
        return {
            "step": self.step,
            "weights": self.weights,
            "velocity": self.velocity,
            "random": [version, list(numbers), gauss],
        }

    def load(self, state):
        """The reverse."""
        self.step, self.weights, self.velocity = (
            state["step"],
            state["weights"],
            state["velocity"],
        )
        version, numbers, gauss = state["random"]
        self.random.setstate((version, tuple(numbers), gauss))


def save(model, folder, ballast):
    """Write it beside, flush it, rename it: complete from the first moment anybody sees it."""
    part = folder / f".step_{model.step:06d}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    write(part / "model.json", json.dumps(model.state()).encode())
    if ballast:
        write(part / "ballast.bin", os.urandom(ballast))
    flush(part)
    final = folder / f"step_{model.step:06d}"
    if not final.exists():
        part.rename(final)
        flush(folder)
    for old in sorted(folder.glob("step_*"))[:-KEPT]:
        shutil.rmtree(old)


def write(path, data):
    """A file, down to the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def flush(folder):
    """The names in a directory, down to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def newest(folder):
    """The newest checkpoint there is; None in an empty directory."""
    found = sorted(folder.glob("step_*"))
    return found[-1] if found else None


def main():
    """Train, or go on."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--steps", type=int, default=400)
    options.add_argument("--every", type=int, default=20, help="steps between checkpoints")
    options.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    options.add_argument("--seconds", type=float, default=0.0, help="how long a step takes")
    options.add_argument("--ballast", type=int, default=0, help="bytes to make checkpoints larger")
    options.add_argument("--seed", type=int, default=7)
    asked = options.parse_args()

    told = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    model = Model(asked.seed)
    found = newest(asked.checkpoints)
    if found is not None:
        model.load(json.loads((found / "model.json").read_text()))
        print(f"resumed at step {model.step} from {found.name}", flush=True)
    while model.step < asked.steps:
        loss = model.train()
        print(f"step {model.step} loss {loss:.17g}", flush=True)
        if told or model.step % asked.every == 0 or model.step == asked.steps:
            save(model, asked.checkpoints, asked.ballast)
        if told:
            print(f"told to end: saved at step {model.step}", flush=True)
            return 128 + told[0]
        time.sleep(asked.seconds)
    print("weights " + " ".join(f"{weight:.17g}" for weight in model.weights), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
