"""Which vCPU quota an instance family counts against (Service Quotas, service code `ec2`)."""

import re

from gpuctl.core.kinds import Market

# bucket -> (on-demand, spot)
_CODES: dict[str, tuple[str, str | None]] = {
    "standard": ("L-1216C47A", "L-34B43A08"),
    "g": ("L-DB2E81BA", "L-3819A6DF"),
    "p": ("L-417A185B", "L-7212CCBC"),
    "p5": ("L-417A185B", "L-C4BD4855"),
    "p6": ("L-417A185B", None),
    "f": ("L-74FC7D96", "L-88CF9481"),
    "x": ("L-7295265B", "L-E3A00192"),
    "inf": ("L-1945791B", "L-B5D1601B"),
    "trn": ("L-2C3B7624", "L-6B0D517C"),
    "dl": ("L-6E869C2A", "L-85EED4F7"),
}

_PREFIX = re.compile(r"([a-z]+)(\d*)")
_STANDARD = frozenset("acdhimrtz")


def quota_code(type_: str, market: Market) -> str | None:
    """The quota's code (`L-3819A6DF`), None for a family that is not in the table."""
    match = _PREFIX.match(type_)
    if match is None:
        return None
    letters, generation = match.groups()
    bucket = _bucket(letters, generation)
    if bucket is None:
        return None
    on_demand, spot = _CODES[bucket]
    return spot if market is Market.SPOT else on_demand


def request_command(code: str, vcpus: int, region: str) -> str:
    """What to type to ask AWS for that many vCPUs."""
    return (
        "aws service-quotas request-service-quota-increase --service-code ec2 "
        f"--quota-code {code} --desired-value {vcpus} --region {region}"
    )


def _bucket(letters: str, generation: str) -> str | None:
    if f"{letters}{generation}" in _CODES:
        return f"{letters}{generation}"
    if letters in _CODES:
        return letters
    if letters in ("gr", "vt"):
        return "g"
    return "standard" if letters[0] in _STANDARD else None
