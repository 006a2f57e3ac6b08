"""What the agent on a machine may be told by a metadata service or a driver."""

import json
from collections.abc import Callable, Mapping

from gpuctl.agent import agent


def _as_answer(word: str) -> object:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    try:
        return agent.parse_answer(head + word.encode("utf-8", "surrogateescape")).status == 200
    except OSError:
        return True


def _refused(read: Callable[[bytes], object], word: str) -> bool:
    try:
        read(word.encode("utf-8", "surrogateescape"))
    except OSError:
        return True
    return False


def _known(text: str) -> bool:
    """Whether no GPU is read out of it that could count as idle."""
    gpus = agent.parse_smi(text)
    return gpus.state(1) != "idle"


HEARD: Mapping[str, Callable[[str], object]] = {
    "notice": lambda word: (
        agent.time_in(json.dumps({"action": word, "time": word}), "time") is None
    ),
    "notice's form": lambda word: agent.time_in(word, "time") is None,
    "tag": lambda word: agent.parse_time(word) is None,
    "answer": _as_answer,
    "status line": lambda word: _refused(agent.parse_answer, f"{word}\r\n\r\n"),
    "number": lambda word: agent.number(word) is None,
    "nvidia-smi": _known,
    "nvidia-smi -x": lambda word: _known("<?xml " + word),
    "nvidia-smi -q": lambda word: _known("NVSMI LOG\n" + word),
}
"""What the agent on a machine may be told -> whether it takes it as it should: for nothing."""


def misheard(place: str, word: str) -> list[str]:
    """What is wrong with the agent's own functions when that is said to them."""
    try:
        return [] if HEARD[place](word) else ["it is taken for something"]
    except Exception as error:  # noqa: BLE001 - the agent's loop would go on, without this look
        return [repr(error)[:300]]
