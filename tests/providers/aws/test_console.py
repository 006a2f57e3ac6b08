"""Host keys are those that the machine printed at its first boot."""

from gpuctl.providers.aws import console
from tests.providers.aws.rig import Rig, id_of

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFGsmHWTGRDaG/tjWrN8VRPP2ri1rTJzqk1yp8p4U9pD"
EC = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA=="
BLOCK = f"""[   11.1] cloud-init[812]: Generating public/private keys
-----BEGIN SSH HOST KEY KEYS-----
{EC} root@ip-10-0-0-1
[   12.3] cloud-init[812]: {ED} root@ip-10-0-0-1
-----END SSH HOST KEY KEYS-----
"""
FORGED = BLOCK.replace("AAAAC3", "AAAAC4")


def test_both_keys_of_the_block() -> None:
    assert console.parse(BLOCK) == (EC, ED)


def test_what_a_user_prints_later_is_not_believed() -> None:
    assert console.parse(BLOCK + FORGED) == (EC, ED)


def test_half_a_block_is_no_block() -> None:
    assert console.parse(BLOCK[: BLOCK.index("-----END")]) == ()
    assert console.parse("") == ()


def test_keys_come_over_the_wire(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    rig.settle()
    assert provider.host_keys(machine.id) == ()
    rig.plugs.printed[machine.id.native] = BLOCK
    assert provider.host_keys(machine.id) == (EC, ED)


def test_a_type_without_the_latest_output_is_asked_again(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    rig.settle()
    rig.plugs.printed[machine.id.native] = BLOCK
    rig.cloud.market.fault("GetConsoleOutput", code="UnsupportedOperation", status=400)
    assert provider.host_keys(machine.id) == (EC, ED)
    assert rig.sent["GetConsoleOutput"] == 2


def test_an_unknown_machine_has_no_keys_yet(rig: Rig) -> None:
    assert rig.provider().host_keys(id_of()) == ()
