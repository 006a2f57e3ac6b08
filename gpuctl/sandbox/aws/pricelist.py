"""The Price List API: products as JSON strings, with the near misses that a sloppy filter hits."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from gpuctl.sandbox.aws.filters import page
from gpuctl.sandbox.aws.instance_types import Shelf
from gpuctl.sandbox.aws.prices import ON_DEMAND, on_demand
from gpuctl.sandbox.aws.refusals import Refusal
from gpuctl.sandbox.aws.wire import Call, Handler, Shape

LOCATIONS = {
    "us-east-1": ("US East (N. Virginia)", ""),
    "us-east-2": ("US East (Ohio)", "USE2-"),
    "us-west-2": ("US West (Oregon)", "USW2-"),
    "eu-west-1": ("EU (Ireland)", "EU-"),
    "eu-central-1": ("EU (Frankfurt)", "EUC1-"),
}
"""Region -> its name and the prefix of its usage types."""

_STORAGE = {
    "gp3": ("VolumeUsage.gp3", "0.08"),
    "gp2": ("VolumeUsage.gp2", "0.10"),
    "io1": ("VolumeUsage.piops", "0.125"),
    "io2": ("VolumeUsage.io2", "0.125"),
    "st1": ("VolumeUsage.st1", "0.045"),
    "sc1": ("VolumeUsage.sc1", "0.015"),
    "standard": ("VolumeUsage", "0.05"),
}
_IOPS = {
    "gp3": ("VolumeP-IOPS.gp3", "0.005"),
    "io1": ("VolumeP-IOPS.piops", "0.065"),
    "io2": ("VolumeP-IOPS.io2", "0.065"),
}
_THROUGHPUT_GP3 = "40.96"
"""Per GiBps-month, as the list has it: 0.04 per MB/s."""
_SNAPSHOT = "0.05"
_IPV4 = "0.005"
_STORAGE_ABROAD = Decimal("1.1")
_MOST = 100
_CODES = ("AmazonEC2", "AmazonVPC")


class PriceList:
    """GetProducts for machines, disks, snapshots and public addresses."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._made: dict[str, tuple[Shape, ...]] = {}

    def handlers(self) -> Mapping[str, Handler]:
        """The calls answered here."""
        return {
            "pricing.GetProducts": self._products,
            "pricing.DescribeServices": _services,
        }

    def _products(self, call: Call) -> Shape:
        if call.region not in {"us-east-1", "eu-central-1", "ap-south-1"}:
            raise Refusal("AccessDeniedException", f"No Price List endpoint in {call.region}")
        code = call.params.get("ServiceCode")
        if code not in _CODES:
            raise Refusal("InvalidParameterException", f"Invalid service code: {code}")
        filters = call.params.get("Filters") or []
        if code not in self._made:
            self._made[code] = tuple(self._all(code))
        wanted = [product for product in self._made[code] if _passes(product, filters)]
        chosen, token = page(wanted, call.params, _MOST)
        lines = [json.dumps(one) for one in chosen]
        answer: Shape = {"FormatVersion": "aws_v1", "PriceList": lines}
        return {**answer, "NextToken": token} if token else answer

    def _all(self, code: str) -> Iterator[Shape]:
        for region in LOCATIONS:
            if code == "AmazonEC2":
                for name in ON_DEMAND:
                    yield from self._machines(region, name)
                yield from _disks(region)
            yield from _addresses(region, code)

    def _machines(self, region: str, name: str) -> Iterator[Shape]:
        price, record = on_demand(name, region), self._shelf.describe(name)
        if price is None or record is None:
            return
        gpus = record.get("GpuInfo", {}).get("Gpus", [])
        base = {
            "instanceType": name,
            "vcpu": str(record["VCpuInfo"]["DefaultVCpus"]),
            "memory": f"{record['MemoryInfo']['SizeInMiB'] // 1024} GiB",
            "gpu": str(gpus[0].get("Count", 1)) if gpus else None,
            "licenseModel": "No License required",
            "preInstalledSw": "NA",
            "operatingSystem": "Linux",
            "tenancy": "Shared",
            "capacitystatus": "Used",
            "operation": "RunInstances",
            "usagetype": f"{LOCATIONS[region][1]}BoxUsage:{name}",
            "marketoption": "OnDemand",
        }
        near: tuple[tuple[Mapping[str, str], Decimal], ...] = (
            ({}, price),
            ({"capacitystatus": "AllocatedCapacityReservation"}, Decimal(0)),
            ({"capacitystatus": "UnusedCapacityReservation"}, price),
            ({"tenancy": "Dedicated"}, price * Decimal("1.06")),
            ({"operatingSystem": "Windows", "operation": "RunInstances:0002"}, price * 2),
            ({"preInstalledSw": "SQL Std", "operation": "RunInstances:0004"}, price * 3),
        )
        for changes, usd in near:
            attributes = {**base, **changes}
            words = f"On Demand {attributes['operatingSystem']} {name} Instance Hour"
            yield _product(region, "Compute Instance", attributes, (usd, "Hrs", words))


def _abroad(region: str, usd: str) -> Decimal:
    price = Decimal(usd)
    return price if region.startswith("us-") else price * _STORAGE_ABROAD


def _disks(region: str) -> Iterator[Shape]:
    prefix = LOCATIONS[region][1]
    for name, (usage, usd) in _STORAGE.items():
        attributes = {"volumeApiName": name, "usagetype": f"{prefix}EBS:{usage}"}
        price = (_abroad(region, usd), "GB-Mo", f"per GB-month of {name} provisioned storage")
        yield _product(region, "Storage", attributes, price)
    for name, (usage, usd) in _IOPS.items():
        attributes = {
            "volumeApiName": name,
            "usagetype": f"{prefix}EBS:{usage}",
            "group": "EBS IOPS",
        }
        price = (_abroad(region, usd), "IOPS-Mo", f"per IOPS-month provisioned ({name})")
        yield _product(region, "System Operation", attributes, price)
    attributes = {
        "volumeApiName": "gp3",
        "usagetype": f"{prefix}EBS:VolumeP-Throughput.gp3",
        "group": "EBS Throughput",
    }
    price = (_abroad(region, _THROUGHPUT_GP3), "GiBps-mo", "per provisioned GiBps-month of gp3")
    yield _product(region, "Provisioned Throughput", attributes, price)
    for usage, usd in (("SnapshotUsage", _SNAPSHOT), ("SnapshotArchiveStorage", "0.0125")):
        attributes = {"usagetype": f"{prefix}EBS:{usage}"}
        snapshot = (Decimal(usd), "GB-Mo", "per GB-Month of snapshot data stored")
        yield _product(region, "Storage Snapshot", attributes, snapshot)


def _addresses(region: str, code: str) -> Iterator[Shape]:
    for usage in ("InUseAddress", "IdleAddress"):
        attributes = {
            "usagetype": f"{LOCATIONS[region][1]}PublicIPv4:{usage}",
            "group": "VPCPublicIPv4Address",
            "operation": "AllocateAddressVPC",
        }
        price = (Decimal(_IPV4), "Hrs", "per public IPv4 address per hour")
        yield _product(region, "IP Address", attributes, price, code)


def _product(
    region: str,
    family: str,
    attributes: Mapping[str, str | None],
    price: tuple[Decimal, str, str],
    code: str = "AmazonEC2",
) -> Shape:
    full = {
        **{key: value for key, value in attributes.items() if value is not None},
        "servicecode": code,
        "regionCode": region,
        "location": LOCATIONS[region][0],
        "locationType": "AWS Region",
    }
    sku = hashlib.sha256(json.dumps([family, full]).encode()).hexdigest()[:16].upper()
    usd, unit, words = price
    rate = f"{sku}.JRTCKXETXF"
    dimension = {
        "unit": unit,
        "beginRange": "0",
        "endRange": "Inf",
        "description": f"${usd} {words}",
        "appliesTo": [],
        "rateCode": f"{rate}.6YS6EN2CT7",
        "pricePerUnit": {"USD": f"{usd:.10f}"},
    }
    return {
        "product": {"productFamily": family, "attributes": full, "sku": sku},
        "serviceCode": code,
        "terms": {
            "OnDemand": {
                rate: {
                    "priceDimensions": {f"{rate}.6YS6EN2CT7": dimension},
                    "sku": sku,
                    "effectiveDate": "2026-11-01T00:00:00Z",
                    "offerTermCode": "JRTCKXETXF",
                    "termAttributes": {},
                }
            }
        },
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
    }


def _passes(product: Shape, filters: Sequence[Shape]) -> bool:
    attributes: Mapping[str, Any] = {
        "productFamily": product["product"]["productFamily"],
        "ServiceCode": product["serviceCode"],
        "sku": product["product"]["sku"],
        **product["product"]["attributes"],
    }
    known = {key.lower(): str(value).lower() for key, value in attributes.items()}
    return all(_fits(known.get(one["Field"].lower()), one) for one in filters)


def _fits(value: str | None, one: Shape) -> bool:
    kind, wanted = str(one["Type"]), str(one["Value"]).lower()
    if kind in {"TERM_MATCH", "EQUALS"}:
        return value == wanted
    if kind == "CONTAINS":
        return value is not None and wanted in value
    several = {part.strip() for part in wanted.split(",")}
    if kind == "ANY_OF":
        return value in several
    if kind == "NONE_OF":
        return value not in several
    raise Refusal("InvalidParameterException", f"Invalid filter type: {kind}")


def _services(call: Call) -> Shape:
    code = call.params.get("ServiceCode")
    found = [{"ServiceCode": one, "AttributeNames": []} for one in _CODES if code in {None, one}]
    return {"FormatVersion": "aws_v1", "Services": found}
