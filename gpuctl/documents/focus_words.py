"""What FOCUS calls what the ledger holds: providers, services, resources, units, descriptions.

Sources: FOCUS 1.2, "Service Category", "Service Subcategory", "Unit Format"; descriptions as rows
of real bills have them, so that whoever reads bills reads these.
"""

from typing import NamedTuple

from gpuctl.core.charges import Charge
from gpuctl.core.kinds import Kind, Market

US = "gpuctl"
"""Who asks for what no provider does: adjustments and corrections are the ledger's own."""

_PROVIDERS = {"aws": "AWS", "gcp": "Google Cloud"}


class Service(NamedTuple):
    """`name` at the provider, and where FOCUS files it."""

    name: str
    category: str
    subcategory: str
    resource: str | None


_EC2 = "Amazon Elastic Compute Cloud"
_EBS = "Amazon Elastic Block Store"
_VMS = ("Compute", "Virtual Machines", "Instance")
_DISKS = ("Storage", "Block Storage", "Volume")
_SNAPSHOTS = ("Storage", "Backup Storage", "Snapshot")
_BUCKETS = ("Storage", "Object Storage", "Bucket")
_ADDRESSES = ("Networking", "Network Infrastructure", "IP Address")
_TRAFFIC = ("Networking", "Network Connectivity", "Network Interface")

_FILED: dict[str, tuple[str, str, str]] = {
    **dict.fromkeys((Kind.COMPUTE, Kind.VCPU, Kind.RAM, Kind.GPU), _VMS),
    **dict.fromkeys((Kind.DISK, Kind.DISK_IOPS, Kind.DISK_THROUGHPUT), _DISKS),
    Kind.SNAPSHOT: _SNAPSHOTS,
    Kind.OBJECT_STORAGE: _BUCKETS,
    Kind.IPV4: _ADDRESSES,
    Kind.EGRESS: _TRAFFIC,
    Kind.CROSS_AZ: _TRAFFIC,
}

_NAMES: dict[tuple[str, str], str] = {
    ("aws", Kind.COMPUTE): _EC2,
    **{("aws", kind): _EBS for kind in (Kind.DISK, Kind.DISK_IOPS, Kind.DISK_THROUGHPUT)},
    ("aws", Kind.SNAPSHOT): _EBS,
    ("aws", Kind.OBJECT_STORAGE): "Amazon Simple Storage Service",
    ("aws", Kind.IPV4): "Amazon Virtual Private Cloud",
    ("aws", Kind.EGRESS): "AWS Data Transfer",
    ("aws", Kind.CROSS_AZ): "AWS Data Transfer",
    ("gcp", Kind.OBJECT_STORAGE): "Cloud Storage",
    **{("gcp", kind): "Networking" for kind in (Kind.IPV4, Kind.EGRESS, Kind.CROSS_AZ)},
}

_OF = {"aws": _EC2, "gcp": "Compute Engine"}


def provider_name(provider: str | None) -> str:
    """As the provider calls itself in its own exports."""
    return US if provider is None else _PROVIDERS.get(provider, provider)


def kind_of(charge: Charge) -> str:
    """The kind of the thing itself: a settled difference names it in its sku."""
    filed = charge.kind in _FILED or charge.sku not in _FILED
    return charge.kind if filed else charge.sku or ""


def service_of(charge: Charge) -> Service:
    """Where a charge is filed."""
    kind = kind_of(charge)
    if charge.provider is None:
        return Service("Adjustments", "Other", "Other (Other)", None)
    fallback = _OF.get(charge.provider, provider_name(charge.provider))
    name = _NAMES.get((charge.provider, kind), fallback)
    return Service(name, *_FILED.get(kind, _VMS))


_PER_UNIT = {
    Kind.VCPU: "vCPU-Hours",
    Kind.RAM: "GiB-Hours",
    Kind.GPU: "GPU-Hours",
    Kind.DISK_IOPS: "IOPS-Months",
    Kind.DISK_THROUGHPUT: "MB/Second-Months",
}


def unit_of(charge: Charge) -> str:
    """What a quantity counts. Google's GB are GiB."""
    known = _PER_UNIT.get(Kind(charge.kind))
    if known is not None:
        return known
    size = "GiB" if charge.provider == "gcp" else "GB"
    words = {"hour": "Hours", "month": f"{size}-Months", "gb": size}
    return words[charge.unit or "hour"]


_AWS_WORDS = {
    Kind.DISK: "{sku} provisioned storage",
    Kind.DISK_IOPS: "IOPS-month provisioned ({sku})",
    Kind.DISK_THROUGHPUT: "provisioned MiBps-month ({sku})",
    Kind.SNAPSHOT: "snapshot data stored ({sku})",
    Kind.OBJECT_STORAGE: "month of storage used ({sku})",
    Kind.EGRESS: "data transfer out beyond the free allowance ({sku})",
    Kind.CROSS_AZ: "regional data transfer ({sku})",
}
_GOOGLE_WORDS = {
    Kind.COMPUTE: "{sku} Instance running",
    Kind.VCPU: "{sku} Instance Core running",
    Kind.RAM: "{sku} Instance Ram running",
    Kind.GPU: "{sku} GPU running",
    Kind.DISK: "{sku} PD Capacity",
    Kind.DISK_IOPS: "Hyperdisk {sku} IOPS",
    Kind.DISK_THROUGHPUT: "Hyperdisk {sku} Throughput",
    Kind.SNAPSHOT: "Storage PD Snapshot ({sku})",
    Kind.OBJECT_STORAGE: "Standard Storage ({sku})",
    Kind.EGRESS: "Network Internet Data Transfer Out ({sku})",
    Kind.CROSS_AZ: "Network Inter Zone Data Transfer Out ({sku})",
}


def description_of(charge: Charge) -> str:
    """What is paid for, in the provider's words."""
    sku, spot = charge.sku or "", charge.market is Market.SPOT
    if charge.kind not in _FILED:
        return ": ".join(filter(None, (charge.kind, sku, charge.note)))
    kind = Kind(charge.kind)
    if charge.provider == "gcp":
        if kind is Kind.IPV4:
            return "Static IP Charge" if sku == "idle" else "External IP Charge"
        words = _GOOGLE_WORDS[kind].format(sku=sku)
        return f"Spot Preemptible {words}" if spot else words
    if kind is Kind.IPV4:
        return f"{'Idle' if sku == 'idle' else 'In-use'} public IPv4 address"
    if kind in _AWS_WORDS:
        return _AWS_WORDS[kind].format(sku=sku)
    if spot:
        return f"{sku} Linux/UNIX Spot Instance-hour"
    return f"per On Demand Linux {sku} Instance Hour"


_ARNS = {"i-": "instance", "vol-": "volume", "snap-": "snapshot", "eni-": "network-interface"}
_ARNS["eipalloc-"] = "elastic-ip"
_PATHS: dict[str, str] = {
    **dict.fromkeys((Kind.COMPUTE, Kind.VCPU, Kind.RAM, Kind.GPU), "instances"),
    **dict.fromkeys((Kind.DISK, Kind.DISK_IOPS, Kind.DISK_THROUGHPUT), "disks"),
}


def resource_of(charge: Charge) -> str | None:
    """The full name of a resource where all parts of it are known; else the ledger's word."""
    resource, account = charge.resource, charge.account
    if charge.provider == "aws" and resource and account and charge.region:
        for prefix, thing in _ARNS.items():
            if resource.startswith(prefix):
                return f"arn:aws:ec2:{charge.region}:{account}:{thing}/{resource}"
    path = _PATHS.get(kind_of(charge))
    if charge.provider == "gcp" and resource and account and charge.zone and path:
        place = f"projects/{account}/zones/{charge.zone}"
        return f"//compute.googleapis.com/{place}/{path}/{resource}"
    return resource
