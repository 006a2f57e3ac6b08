"""What is random, made from a seed: the same seed draws the same, on every computer."""

import random
from collections.abc import Callable


def chance(seed: str) -> Callable[[], float]:
    """Numbers from [0, 1); for sampling, never for secrets."""
    return random.Random(seed).random  # noqa: S311 - no secret hangs on it
