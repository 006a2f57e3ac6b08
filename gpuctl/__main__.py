"""`python -m gpuctl` and the console script."""

from gpuctl.cli import main as cli


def main() -> None:
    """Run the command line."""
    cli(prog_name="gpuctl")


if __name__ == "__main__":
    main()
