"""`python -m gpuctl` and the console script."""

import gc

# What is imported stays: looking through it for garbage again and again is a tenth of start-up.
gc.disable()

from gpuctl.cli import main as cli  # noqa: E402 - see above
from gpuctl.cli.tame import tame  # noqa: E402


def main() -> None:
    """Run the command line."""
    gc.freeze()
    gc.set_threshold(50_000)
    gc.enable()
    tame()
    cli(prog_name="gpuctl")


if __name__ == "__main__":
    main()
