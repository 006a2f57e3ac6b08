"""A machine on loopback: a real SSH server whose commands /bin/sh runs in a directory."""

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
import pytest

from gpuctl.remote import hosts
from gpuctl.remote.keys import Key, ensure_key
from gpuctl.remote.target import Target

if shutil.which("ssh") is None:
    collect_ignore_glob = ["test_*.py"]


class Loopback:
    """`home` is the machine's home directory; `environ` its processes' environment."""

    def __init__(self, home: Path, key: Key) -> None:
        self.home = home
        home.mkdir(parents=True)
        self.environ = {
            "PATH": f"{home}/bin:{os.environ['PATH']}",
            "HOME": str(home),
            "GPUCTL_ROOT": str(home),
            "TMUX_TMPDIR": str(home),
            "XDG_RUNTIME_DIR": str(home),
            "LANG": "C.UTF-8",
        }
        self.connections = 0
        self._key = asyncssh.import_public_key(key.public_text)
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.public = " ".join(self._host_key.export_public_key().decode().split()[:2])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._wait(self._listen())
        self.port = self._server.get_port()

    def _wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _listen(self):
        machine = self

        class Door(asyncssh.SSHServer):
            def connection_made(self, conn):
                machine.connections += 1

            def begin_auth(self, username):
                return True

            def public_key_auth_supported(self):
                return True

            def validate_public_key(self, username, key):
                return username == "ubuntu" and key == machine._key

            def connection_requested(self, *_):
                return True

        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Door,
            server_host_keys=[self._host_key],
            process_factory=self._run,
            encoding=None,
            line_editor=False,
        )

    async def _run(self, process):
        command = process.command or "echo shell"
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            *("-c", command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.home,
            env=self.environ,
        )
        feeding = asyncio.create_task(feed(process.stdin, child.stdin))
        try:
            streams = pump(child.stdout, process.stdout), pump(child.stderr, process.stderr)
            await asyncio.gather(*streams)
            code = await child.wait()
            process.exit(code if code >= 0 else 128 - code)
        except (OSError, asyncssh.Error):
            pass  # the client has gone
        finally:
            feeding.cancel()
            with suppress(ProcessLookupError):
                child.kill()
            child._transport.close()
            await child.wait()

    def close(self) -> None:
        async def end():
            self._server.close()
            await self._server.wait_closed()
            rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        self._wait(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def pump(source, sink) -> None:
    while data := await source.read(65_536):
        sink.write(data)
        await sink.drain()


async def feed(source, sink) -> None:
    with suppress(OSError, asyncssh.Error):
        await pump(source, sink)
    with suppress(OSError):
        sink.close()


@dataclass(frozen=True)
class Place:
    machine: Loopback
    target: Target

    def pinned(self, key: str) -> Target:
        hosts.pin(self.target.known_hosts, self.target.host_key_alias, [key])
        return replace(self.target, pinned=True)


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return ensure_key(tmp_path_factory.mktemp("with space") / "keys")


@pytest.fixture
def place(tmp_path: Path, key: Key) -> Iterator[Place]:
    machine = Loopback(tmp_path / "home", key)
    target = Target(
        alias="vision-1",
        host="127.0.0.1",
        port=machine.port,
        user="ubuntu",
        host_key_alias="i-0abc",
        identity=key.private,
        known_hosts=tmp_path / "known hosts",
    )
    yield Place(machine, target)
    if tmux := shutil.which("tmux"):
        subprocess.run([tmux, "kill-server"], env=machine.environ, capture_output=True, check=False)
    machine.close()
