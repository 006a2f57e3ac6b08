"""A recipe's steps on its builder: each begun once, and going on when the connection does not."""

import io
import re
import shlex
import tarfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from importlib.resources import files

from gpuctl.core.errors import NotFound, RemoteFailed
from gpuctl.core.images.making import OtherRecipe
from gpuctl.core.ports import StepEnd
from gpuctl.remote import ssh
from gpuctl.remote.target import Target

_KEY = re.compile(r"[0-9a-f]{12,64}\Z")
_STEP = re.compile(r"[a-z]+/\d\d-[a-z0-9-]+\.sh\Z")
_TIMEOUT_S = 120.0
_END = b"\0exit "
_BEGUN, _MISSING, _OTHER = 17, 44, 45


class Workbench:
    """`core.ports.Workbench` over OpenSSH. `key` names the recipe that lies there, in hex."""

    def __init__(self, target: Target, key: str) -> None:
        if not _KEY.match(key):
            raise ValueError(f"{key!r} is no hash of a recipe")
        self._target = target
        self._key = key

    def lay(self, recipe: Mapping[str, bytes], pip: bytes | None) -> None:
        """As one tar, unpacked in memory."""
        packed = {f"recipe/{name}": data for name, data in recipe.items()}
        packed["trap.bash"] = _text("trap.bash").encode()
        if pip is not None:
            packed["pip.conf"] = pip
        done = self._ask("lay", stdin=_tar(packed))
        if done.code == _OTHER:
            raise OtherRecipe(f"another recipe lies on {self._target.alias}")
        _checked(done, self._target, "the recipe could not be put there")

    def begun(self) -> Mapping[str, int | None]:
        """By one look at the builder's memory."""
        done = self._ask("state")
        if done.code == _MISSING:
            return {}
        _checked(done, self._target, "it does not tell what was done")
        lines = (line.split() for line in done.out.decode().splitlines())
        told = {step: word for step, word in lines if word != "lost"}
        return {step: None if word == "running" else int(word) for step, word in told.items()}

    def begin(self, step: str, environ: Mapping[str, str]) -> None:
        """In a session of its own."""
        given = "".join(f"export {name}={shlex.quote(text)}\n" for name, text in environ.items())
        done = self._ask("begin", _step(step), stdin=given.encode())
        if done.code != _BEGUN:
            _checked(done, self._target, f"{step} could not be begun")

    def follow(self, step: str, offset: int, write: Callable[[bytes], None]) -> StepEnd | None:
        """By a log that is read as it grows; its last line tells how the step ended."""
        words = self._words("log", _step(step), str(offset))
        missing = NotFound(f"{step} was not begun on {self._target.alias}")
        held = b""
        with closing(ssh.stream(self._target, words, {_MISSING: missing})) as pieces:
            for piece in pieces:
                held += piece
                ready = held.rfind(_END[:1])
                ready = len(held) if ready < 0 else ready
                write(held[:ready])
                held = held[ready:]
        if not held.startswith(_END):
            raise ssh.failure(self._target, b"its log has no end")
        return _end_of(held.removeprefix(_END).decode(errors="replace"))

    def _ask(self, *words: str, stdin: bytes | None = None) -> ssh.Result:
        argv = self._words(*words)
        return ssh.run(self._target, argv, stdin=stdin, timeout=_TIMEOUT_S)

    def _words(self, verb: str, *rest: str) -> Sequence[str]:
        script = _text("steps.posix")
        return ["sudo", "-n", "sh", "-c", script, "gpuctl-steps", verb, self._key, *rest]


def _text(name: str) -> str:
    return files("gpuctl.remote").joinpath(name).read_text("utf-8")


def _step(step: str) -> str:
    if not _STEP.match(step):
        raise ValueError(f"{step!r} is no step")
    return step


def _end_of(told: str) -> StepEnd | None:
    code, _, where = told.strip().partition(" ")
    return None if code == "lost" else StepEnd(int(code), where or None)


def _tar(packed: Mapping[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, data in sorted(packed.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return whole.getvalue()


def _checked(done: ssh.Result, target: Target, words: str) -> None:
    if done.code:
        said = done.err.decode(errors="replace").strip()
        raise RemoteFailed(f"{target.alias}: {words}", detail=said)
