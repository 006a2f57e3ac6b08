"""One bare machine: off, or on with a shell, a metadata service and a service manager."""

import json
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpuctl.sandbox.metal.console import Console
from gpuctl.sandbox.metal.first_script import FirstScript
from gpuctl.sandbox.metal.floor import Floor
from gpuctl.sandbox.metal.gce_metadata import GceMetadata
from gpuctl.sandbox.metal.guest import Guest
from gpuctl.sandbox.metal.imds import Imds
from gpuctl.sandbox.metal.layout import Layout
from gpuctl.sandbox.metal.loop import Loop
from gpuctl.sandbox.metal.metadata import Facts
from gpuctl.sandbox.metal.ssh import SshServer, host_key, listen
from gpuctl.sandbox.metal.surroundings import Surroundings, tmux_directory, write_profile
from gpuctl.sandbox.metal.systemd import Systemd
from gpuctl.sandbox.metal.toolbox import install
from gpuctl.sandbox.metal.web import Reply, Request, WebServer
from gpuctl.sandbox.metal.workshop import furnish
from gpuctl.sandbox.processes import forget_tmux, kill_all
from gpuctl.sandbox.state import write_private
from gpuctl.sandbox.world import Boot


@dataclass(frozen=True, slots=True)
class Current:
    """All that lives as long as one boot."""

    boot: Boot
    facts: Facts
    web: WebServer
    ssh: SshServer
    systemd: Systemd
    script: FirstScript


class Machine:
    """Everything here is called under the clock's lock."""

    def __init__(
        self,
        directory: Path,
        floor: Floor,
        loop: Loop,
        clock_file: Path,
        on_use: Callable[[], None],
    ) -> None:
        self.layout = Layout(directory)
        self.console = Console(directory / "console.log")
        self.current: Current | None = None
        self._floor = floor
        self._loop = loop
        self._clock_file = clock_file
        self._on_use = on_use
        self._boots = 0

    def boot(self, boot: Boot, on_poweroff: Callable[[], None]) -> None:
        """Switch it on; what ran before is ended first."""
        self.power_off()
        self.layout.make(boot.user)
        install(self.layout, boot)
        furnish(self.layout, boot.driver)
        if boot.cloud != "aws" or not self.layout.authorized_keys(boot.user).exists():
            self.authorize(boot.user, boot.authorized_keys)
        facts = Facts(boot, self._floor.clock)
        secret = f"/sandbox/{secrets.token_urlsafe(18)}"
        switchboard = _Switchboard(boot, facts, secret)
        web = WebServer(switchboard.answer)
        surroundings = Surroundings(
            layout=self.layout,
            machine=boot.id,
            cloud=boot.cloud,
            metadata_port=web.port,
            api=f"http://127.0.0.1:{web.port}{secret}",
            clock_file=self._clock_file,
            tmux=tmux_directory(self.layout),
        )
        write_profile(surroundings, boot.user)
        as_root = surroundings.environ("root")
        off = self._guest_off(on_poweroff)
        systemd = Systemd(self.layout, as_root, self._floor, lambda: self._floor.post(off))
        switchboard.guest = Guest(self.layout, systemd, self._floor, self.console.say)
        environ = surroundings.environ(boot.user)
        ssh = self._loop.run(listen(self.layout, boot.user, environ, self._on_use))
        script = FirstScript(boot, self.layout, self.console)
        self.current = current = Current(boot, facts, web, ssh, systemd, script)
        self.console.boot(boot.name, self._floor.clock.now(), self.host_keys())
        told = {"host": "127.0.0.1", "port": ssh.port, "user": boot.user}
        write_private(self.layout.endpoint, json.dumps(told) + "\n")
        systemd.start_enabled()
        script.start(as_root, lambda: self.current is current)

    def power_off(self) -> None:
        """Everything ends at once; its files stay."""
        current, self.current = self.current, None
        if current is None:
            return
        self.layout.endpoint.unlink(missing_ok=True)
        current.systemd.halt()
        current.web.close()
        self._loop.run(current.ssh.close())
        kill_all(self.layout.directory)
        forget_tmux(self.layout.directory)
        for name in ("run", "tmp"):
            shutil.rmtree(self.layout.root / name, ignore_errors=True)

    def destroy(self) -> None:
        """Power it off and leave nothing."""
        self.power_off()
        shutil.rmtree(self.layout.directory, ignore_errors=True)

    def authorize(self, user: str, keys: Sequence[str]) -> None:
        """Replace who may log in. Google's form `USER:KEY` is understood."""
        path = self.layout.authorized_keys(user)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = (key.strip().removeprefix(f"{user}:") for key in keys)
        write_private(path, "".join(f"{line}\n" for line in lines))

    def host_keys(self) -> tuple[str, ...]:
        """Its public host keys; () before the first boot."""
        if not self.layout.host_key.exists():
            return ()
        return (host_key(self.layout.host_key).export_public_key("openssh").decode().strip(),)

    def _guest_off(self, on_poweroff: Callable[[], None]) -> Callable[[], None]:
        self._boots += 1
        number = self._boots

        def off() -> None:
            if self.current is None or self._boots != number:
                return  # another end came first
            self.console.say("[  OK  ] Reached target poweroff.target.\nreboot: Power down")
            self.power_off()
            on_poweroff()

        return off


class _Switchboard:
    """Which service a request on the machine's web server is for."""

    def __init__(self, boot: Boot, facts: Facts, secret: str) -> None:
        self.guest: Guest | None = None
        self._secret = secret
        self._metadata = (GceMetadata(facts) if boot.cloud == "gcp" else Imds(facts)).answer

    def answer(self, request: Request) -> Reply:
        if request.path == self._secret and self.guest is not None:
            return self.guest.answer(request)
        return self._metadata(request)
