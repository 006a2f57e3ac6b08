"""The keeper's command line. SETTINGS is JSON (see settings.py).

run SETTINGS -- CMD...   restore, run the command, save its checkpoints
"""

from __future__ import annotations

import sys

from gpuctl.agent.checkpoint.keeper import FAILED, Keeper, say
from gpuctl.agent.checkpoint.notices import Notices
from gpuctl.agent.checkpoint.settings import read, shelf_of


def main(argv: list[str]) -> int:
    """The exit code: the job's own, or 125."""
    usage = "usage: run SETTINGS -- CMD..."
    if len(argv) < 4 or argv[0] != "run" or argv[2] != "--":  # noqa: PLR2004 - see above
        print(usage, file=sys.stderr)
        return 2
    try:
        settings = read(argv[1])
        keeper = Keeper(settings, shelf_of(settings), Notices(settings.cloud))
    except (ValueError, OSError) as error:
        say("the job is not started: %s" % error)
        return FAILED
    return keeper.run(argv[3:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
