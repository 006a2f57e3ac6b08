"""A machine as JSON and back, for the ledger's memory of what was last seen."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gpuctl.core.events import Json
from gpuctl.core.kinds import Market, State
from gpuctl.core.model import Machine, MachineId
from gpuctl.core.span import format_time, parse_time


def write_machine(machine: Machine) -> dict[str, Json]:
    """What `ps --cached` needs; what is billed stands in the ledger's runs."""
    return {
        "provider": machine.id.provider,
        "account": machine.id.account,
        "region": machine.id.region,
        "zone": machine.id.zone,
        "native": machine.id.native,
        "name": machine.name,
        "type": machine.type,
        "gpu": machine.gpu,
        "gpus": machine.gpus,
        "market": machine.market.value,
        "state": machine.state.value,
        "launched_at": _write_time(machine.launched_at),
        "address": machine.address,
        "image": machine.image,
        "project": machine.project,
        "lease": machine.lease,
        "install": machine.install,
        "deadline": _write_time(machine.deadline),
        "user": machine.user,
    }


def read_machine(snapshot: Mapping[str, Any]) -> Machine:
    """The reverse of `write_machine`."""
    return Machine(
        id=MachineId(
            *(snapshot[key] for key in ("provider", "account", "region", "zone", "native"))
        ),
        name=snapshot["name"],
        type=snapshot["type"],
        gpu=snapshot["gpu"],
        gpus=snapshot["gpus"],
        market=Market(snapshot["market"]),
        state=State(snapshot["state"]),
        launched_at=_read_time(snapshot["launched_at"]),
        address=snapshot["address"],
        image=snapshot["image"],
        project=snapshot["project"],
        lease=snapshot["lease"],
        install=snapshot["install"],
        deadline=_read_time(snapshot["deadline"]),
        user=snapshot["user"],
    )


def _write_time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def _read_time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)
