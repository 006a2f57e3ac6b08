"""Host keys from the console output, as cloud-init prints them at first boot."""

import re
from collections.abc import Sequence

from gpuctl.core.errors import NotFound, TypeNotOffered
from gpuctl.core.model import MachineId
from gpuctl.providers.aws.client import Clients
from gpuctl.providers.aws.errors import translated

_BEGIN = "-----BEGIN SSH HOST KEY KEYS-----"
_END = "-----END SSH HOST KEY KEYS-----"
_KEY = re.compile(r"((?:ssh-ed25519|ssh-rsa|ecdsa-sha2-[a-z0-9-]+) [A-Za-z0-9+/]+={0,3})")


def host_keys(clients: Clients, machine: MachineId) -> Sequence[str]:
    """Its public host keys; () while the console has not got them yet."""
    return parse(_output(clients, machine))


def parse(output: str) -> Sequence[str]:
    """The keys of the first complete block: later ones may have been printed by a user."""
    _, begun, rest = output.partition(_BEGIN)
    block, ended, _ = rest.partition(_END)
    if not begun or not ended:
        return ()
    return tuple(match.group(1) for line in block.splitlines() if (match := _KEY.search(line)))


def _output(clients: Clients, machine: MachineId) -> str:
    ec2 = clients.ec2(machine.region)
    doing = f"reading the console of {machine.native}"
    try:
        with translated(doing):
            reply = ec2.get_console_output(InstanceId=machine.native, Latest=True)
    except NotFound:
        return ""
    except TypeNotOffered:  # UnsupportedOperation: only Nitro types have the latest output
        with translated(doing):
            reply = ec2.get_console_output(InstanceId=machine.native)
    return str(reply.get("Output") or "")
