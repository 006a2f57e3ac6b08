"""What the lines of a statement are called, for people: the same words in every format."""

from gpuctl.core.rounding import decimal_text
from gpuctl.core.rules import MARKET_KINDS
from gpuctl.core.statement import SessionLine, StatementLine
from gpuctl.documents.formats import amount

KINDS = {
    "compute": "Machine",
    "vcpu": "Processor cores",
    "ram": "Memory",
    "gpu": "GPU",
    "disk": "Disk",
    "disk-iops": "Disk operations",
    "disk-throughput": "Disk throughput",
    "snapshot": "Snapshot",
    "object-storage": "Object storage",
    "ipv4": "Public address",
    "egress": "Traffic to the internet",
    "cross-az": "Traffic between zones",
    "discount": "Discount",
    "adjust": "Adjustment",
    "correction": "Correction",
    "settle": "Difference to the bill",
    "overhead": "Overhead",
}
UNITS = {
    "compute": "h",
    "vcpu": "core-h",
    "ram": "GiB-h",
    "gpu": "GPU-h",
    "ipv4": "h",
    "disk": "GB-months",
    "disk-iops": "IOPS-months",
    "disk-throughput": "MB/s-months",
    "snapshot": "GB-months",
    "object-storage": "GB-months",
    "egress": "GB",
    "cross-az": "GB",
}

_GIB_DISKS = ("pd-", "hyperdisk-")
"""Google's disks are sold by the GiB, AWS's by the GB."""


def kind_of(line: StatementLine) -> str:
    """`Machine`, `Disk`; a kind without a name is told as it is."""
    return KINDS.get(line.kind, line.kind)


def details_of(line: StatementLine) -> list[str]:
    """What it is exactly, how it was bought where that decides the price, and why."""
    sku = KINDS.get(line.sku or "", line.sku) if line.kind == "settle" else line.sku
    bought = line.market if line.kind in MARKET_KINDS else None
    return [text for text in (sku, bought and bought.value, line.note) if text]


def amount_of(line: StatementLine) -> str:
    """`2.222222 h`; empty for what has no unit: an adjustment is not so many of anything."""
    if line.unit is None:
        return ""
    return f"{decimal_text(line.amount)} {unit_of(line)}"


def cost_of(line: StatementLine | SessionLine, currency: str) -> str:
    """`1.39`; `?` where the price is missing, which is not nothing."""
    if not line.unpriced:
        return amount(line.cost, currency)
    return f"{amount(line.cost, currency)} + ?" if line.cost else "?"


def unit_of(line: StatementLine) -> str:
    """What its amount counts: `h`, `GB-months` on AWS, `GiB-months` of a disk on Google."""
    if line.unit is None:
        return ""
    if line.kind == "disk" and (line.sku or "").startswith(_GIB_DISKS):
        return "GiB-months"
    return UNITS.get(line.kind, line.unit.value)
