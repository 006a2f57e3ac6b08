"""What the instance's metadata says to its guest: keys, attributes, what to boot with."""

from gpuctl.sandbox.gcp.catalogue import region_of
from gpuctl.sandbox.gcp.project import Vm
from gpuctl.sandbox.gcp.wire import Json
from gpuctl.sandbox.world import Boot


def attributes(body: Json) -> dict[str, str]:
    """Metadata items by key: what the metadata server has under `instance/attributes/`."""
    return {item["key"]: item.get("value", "") for item in body["metadata"].get("items", [])}


def ssh_keys(body: Json) -> tuple[str, list[str]]:
    """User and public keys of `ssh-keys` (`user:ssh-ed25519 AAAA… comment`, one a line).

    The sandbox's machines have one user: the first line's; keys of others are left out.
    """
    user, keys = "", []
    for line in attributes(body).get("ssh-keys", "").splitlines():
        name, colon, key = line.strip().partition(":")
        if not colon or not key.strip():
            continue
        user = user or name
        if name == user:
            keys.append(key.strip())
    return user or "root", keys


def boot_of(vm: Vm, image: str | None) -> Boot:
    """What the bare machine is started with. Labels stay out: Google's guests see none.

    A public image with a driver says so in its name.
    """
    user, keys = ssh_keys(vm.body)
    given = attributes(vm.body)
    return Boot(
        id=vm.id,
        cloud="gcp",
        name=vm.name,
        region=region_of(vm.zone),
        zone=vm.zone,
        type=vm.machine.name,
        market="spot" if vm.preemptible else "on-demand",
        user_data=given.get("startup-script", "").encode(),
        user=user,
        authorized_keys=tuple(keys),
        gpu=vm.gpu,
        gpus=vm.gpus,
        tags=given,
        image=image,
        driver="580.95.05 open" if "nvidia-580" in (image or "") else None,
    )
