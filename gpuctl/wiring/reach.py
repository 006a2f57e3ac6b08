"""The user's end of SSH, as the verbs see it: real OpenSSH and files, in a real environment."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path

from gpuctl.config.model import Tunnel
from gpuctl.config.paths import Paths
from gpuctl.core.checkpoints import Store
from gpuctl.core.errors import RemoteFailed, UsageProblem
from gpuctl.core.keeping import Keep
from gpuctl.core.kinds import Kind
from gpuctl.core.model import Machine, MachineId
from gpuctl.core.ports import Copied, Workbench
from gpuctl.remote import copy, guard, hosts, session, ssh
from gpuctl.remote.keys import Key, ensure_key
from gpuctl.remote.sockets import control_directory
from gpuctl.remote.target import Target
from gpuctl.sandbox import state as sandbox
from gpuctl.wiring.address import public_addresses
from gpuctl.wiring.tunnels import proxy

_SSH_PORT = 22
_STORE = ".gpuctl/checkpoints/store"
"""Where the keeper keeps checkpoints that have no bucket, below the home directory."""
_NOWHERE = ("127.0.0.1", 9)
"""The discard port: a machine of the sandbox that is off answers nowhere."""
_SANDBOX_ADDRESS = "192.0.2.10/32"
"""Documentation range (RFC 5737): what the sandbox's clouds are told to let in."""


class OpenSsh:
    """Keys, known hosts and commands. Under the sandbox, machines answer on loopback."""

    def __init__(
        self,
        environ: Mapping[str, str],
        paths: Paths,
        tunnel_of: Callable[[Machine], Tunnel],
    ) -> None:
        named = environ.get("GPUCTL_SANDBOX")
        self._sandbox = Path(named) if named else None
        self._environ = environ
        self._paths = paths
        self._tunnel_of = tunnel_of
        self._config = paths.ssh / "config"
        self._known_hosts = paths.ssh / "known_hosts"

    @cached_property
    def _key(self) -> Key:
        return ensure_key(self._paths.keys)

    @cached_property
    def _control(self) -> Path | None:
        return control_directory(self._paths.ssh / "s", Path.home() / ".gpuctl-ssh")

    def public_key(self) -> str:
        """Made at first use."""
        return self._key.public_text

    def addresses(self) -> Sequence[str]:
        """What the world sees of this computer."""
        return (_SANDBOX_ADDRESS,) if self._sandbox else public_addresses()

    def introduce(self, machine: Machine, host_keys: Sequence[str]) -> None:
        """Pin the keys and write the Host entry."""
        alias = host_alias(machine)
        if host_keys:
            hosts.pin(self._known_hosts, alias, host_keys)
        hosts.write(self._config, self.target(machine))

    def forget(self, machine: MachineId, name: str) -> None:
        """Take the Host entry out; the pinned keys stay only while the machine may come back."""
        hosts.remove(self._config, name)
        hosts.forget(self._known_hosts, machine.native)

    def armed(self, machine: Machine) -> datetime | None:
        """Ask the guard."""
        if machine.address is None:
            return None
        said = guard.armed(self.target(machine))
        return None if said is None else said.deadline

    def extend(self, machine: Machine, deadline: datetime) -> datetime:
        """Tell the guard."""
        return guard.extend(self.target(machine), deadline)

    def answers(self, machine: Machine) -> bool:
        """Whether a command can be run there."""
        return ssh.answers(self.target(machine))

    def shell(self, machine: Machine, argv: Sequence[str]) -> int:
        """On the user's own terminal."""
        return ssh.interactive(self.target(machine), argv)

    def run(self, machine: Machine, argv: Sequence[str]) -> tuple[int, str]:
        """Waits for its end."""
        done = ssh.run(self.target(machine), argv)
        return done.code, (done.out + done.err).decode(errors="replace")

    def push(
        self, machine: Machine, source: Path, directory: str, exclude: Sequence[str]
    ) -> Copied:
        """By rsync, or tar over ssh."""
        return _copied(copy.push(self.target(machine), source, directory, exclude=exclude))

    def pull(
        self, machine: Machine, source: str, directory: Path, exclude: Sequence[str]
    ) -> Copied:
        """By rsync, or tar over ssh."""
        return _copied(copy.pull(self.target(machine), source, directory, exclude=exclude))

    def start_job(
        self,
        machine: Machine,
        name: str,
        argv: Sequence[str],
        directory: str,
        environ: Mapping[str, str],
    ) -> None:
        """In tmux where there is one."""
        target = self.target(machine)
        session.start(target, name, argv, directory=directory, environ=environ)

    def follow_job(self, machine: Machine, name: str, offset: int) -> Iterator[bytes]:
        """Its log as it grows."""
        return session.follow(self.target(machine), name, offset=offset)

    def job_code(self, machine: Machine, name: str) -> int | None:
        """As its shell reported it."""
        return session.state(self.target(machine), name).code

    def job_phase(self, machine: Machine, name: str) -> str:
        """As its files say."""
        return session.state(self.target(machine), name).phase.value

    def signal_job(self, machine: Machine, name: str, what: str) -> None:
        """To its process group."""
        session.signal(self.target(machine), name, what)

    def jobs(self, machine: Machine) -> Sequence[str]:
        """Those in its home directory."""
        return session.names(self.target(machine))

    def workbench(self, machine: Machine, key: str) -> Workbench:
        """Over OpenSSH."""
        from gpuctl.remote.steps import Workbench as Remote

        return Remote(self.target(machine), key)

    def keep(self, machine: Machine, keep: Keep, argv: Sequence[str]) -> tuple[str, ...]:
        """One file, sent where it is not there yet."""
        from gpuctl.agent.ship import keeper, order
        from gpuctl.remote.place import place

        path = place(self.target(machine), "keeper", keeper())
        endpoint = self._endpoint_of(keep.bucket)
        return order(path, keep, machine.id.provider, machine.lease or "", endpoint, argv)

    def kept(self, machine: Machine) -> Store:
        """The machine's own store, below the cache."""
        from gpuctl.agent.checkpoint.shelf import Folder

        copied = self._paths.cache / "checkpoints" / host_alias(machine)
        copy.pull(self.target(machine), _STORE, copied)
        return Folder(str(copied))

    def _endpoint_of(self, bucket: str | None) -> str | None:
        """Another address of the store than the cloud's own, as the SDKs are told of it."""
        if (bucket or "").startswith("gs://"):
            named = self._environ.get("STORAGE_EMULATOR_HOST")
            if self._sandbox and not named:
                raise UsageProblem("the sandbox has no Cloud Storage", hint="leave out `bucket`")
            return named
        return self._environ.get("AWS_ENDPOINT_URL_S3") or self._environ.get("AWS_ENDPOINT_URL")

    def target(self, machine: Machine) -> Target:
        """How OpenSSH gets there. RemoteFailed for what ssh could not be told of."""
        host, port = self._endpoint(machine)
        alias = host_alias(machine)
        try:
            return Target(
                alias=machine.name,
                host=host,
                port=port,
                user=machine.user or "ubuntu",
                host_key_alias=alias,
                identity=self._key.private,
                known_hosts=self._known_hosts,
                pinned=hosts.pinned(self._known_hosts, alias),
                control=self._control,
                proxy=() if self._sandbox else proxy(self._tunnel_of(machine), machine),
            )
        except ValueError as error:  # its name or its address, as the cloud tells it
            raise RemoteFailed(
                f"{machine.id} cannot be reached by ssh: {error}",
                hint="gpuctl down ends it without",
            ) from error

    def _endpoint(self, machine: Machine) -> tuple[str, int]:
        if self._sandbox is not None:
            found = sandbox.endpoint(self._sandbox, host_alias(machine))
            return (found.host, found.port) if found is not None else _NOWHERE
        return machine.address or "0.0.0.0", _SSH_PORT  # noqa: S104 - an address nobody answers at


def host_alias(machine: Machine) -> str:
    """What its host keys are known under: the cloud's own id, for addresses are used again.

    Google's names are used again too, its numeric ids are not: they name what is billed.
    """
    for billable in machine.billed:
        if billable.kind in (Kind.COMPUTE, Kind.VCPU):
            return billable.resource
    return machine.id.native


def _copied(done: copy.Copied) -> Copied:
    return Copied(done.files, done.bytes, tuple(map(str, done.skipped)))
