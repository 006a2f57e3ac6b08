"""What a bill's words mean in ours: kinds, markets, providers, projects. Rules are data.

Usage types: AWS "Cost and Usage Report: EC2 usage types", EBS and VPC billing pages, and rows of
real bills. Descriptions: rows of real FOCUS bills (AWS), SKU names of Google's Billing Catalog.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from gpuctl.bills.shapes import Shape
from gpuctl.core.billed import Category
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.names import project_of_label
from gpuctl.core.rules import MARKET_KINDS


class Rule(NamedTuple):
    """The first row whose pattern is found in the word, and in the service, tells the kind."""

    pattern: str
    kind: Kind
    service: str = ""
    unit: str | None = None
    """The unit in which the bill counts, where it is to be counted otherwise: `to` of `times`."""
    to: str | None = None
    times: int = 1


class Meaning(NamedTuple):
    """A word understood: `times` and `unit` turn the bill's quantity into the ledger's."""

    kind: Kind
    market: Market | None
    unit: str | None
    times: int


# `USE1-`, `EUC1-`, `EU-`; none is us-east-1.
_PLACE = r"^(?:[A-Z]{2,4}\d?-)?"
_S3 = r"(?i)^AmazonS3$|Simple Storage"
_NOT_CDN = r"(?i)^(?!.*CloudFront)"
_GIBPS = r"(?i)^GiBps-mo|^GiB/Second-Months?$"
_MIBPS = "MiBps-Mo"

USAGE_TYPES = (
    Rule(_PLACE + r"SpotUsage(?::|$)", Kind.COMPUTE),
    Rule(_PLACE + r"(?:Box|DedicatedBox|Dedicated|HostBox)Usage(?::|$)", Kind.COMPUTE),
    Rule(_PLACE + r"EBS:VolumeUsage(?:\.|$)", Kind.DISK),
    Rule(_PLACE + r"EBS:VolumeP-IOPS(?:\.|$)", Kind.DISK_IOPS),
    Rule(_PLACE + r"EBS:VolumeIOUsage(?:\.|$)", Kind.DISK_IOPS),
    # Throughput is priced by the MiB/s and counted in GiB/s.
    Rule(_PLACE + r"EBS:VolumeP-Throughput", Kind.DISK_THROUGHPUT, "", _GIBPS, _MIBPS, 1024),
    Rule(_PLACE + r"EBS:Snapshot(?:Usage|Archive\w*)", Kind.SNAPSHOT),
    Rule(_PLACE + r"(?:PublicIPv4:\w+Address|ElasticIP:IdleAddress)", Kind.IPV4),
    Rule(_PLACE + r"DataTransfer-Out-Bytes$", Kind.EGRESS, _NOT_CDN),
    Rule(_PLACE + r"DataTransfer-Regional-Bytes$", Kind.CROSS_AZ),
    Rule(_PLACE + r"TimedStorage-ByteHrs$", Kind.OBJECT_STORAGE, _S3),
)

AWS_DESCRIPTIONS = (
    Rule(r"(?i)Spot Instance-hour", Kind.COMPUTE),
    Rule(r"(?i)per (?:Dedicated |Unused )?On Demand .*Instance Hour", Kind.COMPUTE),
    Rule(r"(?i)IOPS-month (?:of|provisioned)", Kind.DISK_IOPS),
    Rule(r"(?i)MiBps-month", Kind.DISK_THROUGHPUT, "", _GIBPS, _MIBPS, 1024),
    Rule(r"(?i)provisioned storage", Kind.DISK),
    Rule(r"(?i)snapshot data stored|EBS:SnapshotUsage", Kind.SNAPSHOT),
    Rule(r"(?i)(?:In-use|Idle) public IPv4 address", Kind.IPV4),
    Rule(r"(?i)regional data transfer", Kind.CROSS_AZ),
    Rule(r"(?i)month data transfer out|data transfer out (?:under|beyond)", Kind.EGRESS, _NOT_CDN),
    Rule(r"(?i)month of storage used", Kind.OBJECT_STORAGE, _S3),
)

_GCS = r"(?i)^Cloud Storage"
SKU_DESCRIPTIONS = (
    Rule(r"(?i)\bCore running", Kind.VCPU),
    Rule(r"(?i)\bRam running", Kind.RAM),
    Rule(r"(?i)\bGPU (?:running|attached)", Kind.GPU),
    Rule(r"(?i)PD Snapshot|Snapshot (?:Storage|in)\b", Kind.SNAPSHOT),
    Rule(r"(?i)\bHyperdisk\b.*\bIOPS", Kind.DISK_IOPS),
    Rule(r"(?i)\bHyperdisk\b.*\bThroughput", Kind.DISK_THROUGHPUT),
    Rule(r"(?i)\bPD Capacity|\bHyperdisk\b.*\bCapacity", Kind.DISK),
    Rule(r"(?i)External IP Charge|Static IP Charge", Kind.IPV4),
    Rule(r"(?i)\bInter Zone\b", Kind.CROSS_AZ),
    Rule(r"(?i)^Network Internet .*(?:Data Transfer Out|Egress)", Kind.EGRESS),
    Rule(r"(?i)^(?:Standard|Nearline|Coldline|Archive) Storage\b", Kind.OBJECT_STORAGE, _GCS),
)

_RULES = {
    "aws": (*USAGE_TYPES, *AWS_DESCRIPTIONS),
    "gcp": SKU_DESCRIPTIONS,
    "unknown": (*AWS_DESCRIPTIONS, *SKU_DESCRIPTIONS),
}

_SPOT_WORDS = re.compile(r"SpotUsage(?::|$)|(?i:Spot Instance-hour|\bpreemptible\b|\bSpot\b)")
_SPOT_PURCHASES = ("spot", "dynamic")


@lru_cache(maxsize=65_536)
def meaning(
    provider: str, sku: str | None, detail: str | None, service: str | None,
    purchase: str | None, unit: str | None,
) -> Meaning | None:  # fmt: skip
    """What these words of a bill mean; None = nothing that gpuctl makes."""
    for word in (sku, detail):
        for rule in _RULES.get(provider, ()) if word else ():
            if re.search(rule.pattern, word or "") and re.search(rule.service, service or ""):
                return _understood(rule, word or "", purchase, unit)
    return None


def _understood(rule: Rule, word: str, purchase: str | None, unit: str | None) -> Meaning:
    market = None
    if rule.kind in MARKET_KINDS:
        spot = _SPOT_WORDS.search(word) or (purchase or "").lower() in _SPOT_PURCHASES
        market = Market.SPOT if spot else Market.ON_DEMAND
    if rule.unit and re.search(rule.unit, unit or ""):
        return Meaning(rule.kind, market, rule.to, rule.times)
    return Meaning(rule.kind, market, unit, 1)


_PROVIDERS = (
    (re.compile(r"(?i)\baws\b|amazon"), "aws"),
    (re.compile(r"(?i)google|\bgcp\b"), "gcp"),
    (re.compile(r"(?i)microsoft|azure"), "azure"),
    (re.compile(r"(?i)oracle"), "oracle"),
)


@lru_cache(maxsize=1_024)
def provider_name(said: str | None) -> str:
    """`aws`, `gcp` for a FOCUS ProviderName; others in lower case; `unknown` for none."""
    if not said:
        return "unknown"
    return next((name for words, name in _PROVIDERS if words.search(said)), said.lower())


@lru_cache(maxsize=4_096)
def project(tag: str | None) -> str | None:
    """The project in a tag (`acme/vision`) or a label (`acme__vision`); else the tag as it is."""
    return None if tag is None else project_of_label(tag) or tag


def account(said: str | None) -> str | None:
    """An account as the ledger has it: FOCUS files of this program write `aws-111122223333`."""
    return re.sub(r"^aws-(?=\d{12}$)", "", said) if said else None


_REGIONS = {
    "": "us-east-1", "USE1": "us-east-1", "USE2": "us-east-2", "USW1": "us-west-1",
    "USW2": "us-west-2", "UGW1": "us-gov-west-1", "UGE1": "us-gov-east-1",
    "CAN1": "ca-central-1", "CAN2": "ca-west-1", "MXC1": "mx-central-1", "SAE1": "sa-east-1",
    "EU": "eu-west-1", "EUW1": "eu-west-1", "EUW2": "eu-west-2", "EUW3": "eu-west-3",
    "EUC1": "eu-central-1", "EUC2": "eu-central-2", "EUN1": "eu-north-1", "EUS1": "eu-south-1",
    "EUS2": "eu-south-2", "APN1": "ap-northeast-1", "APN2": "ap-northeast-2",
    "APN3": "ap-northeast-3", "APS1": "ap-southeast-1", "APS2": "ap-southeast-2",
    "APS3": "ap-south-1", "APS4": "ap-southeast-3", "APS5": "ap-south-2",
    "APS6": "ap-southeast-4", "APE1": "ap-east-1", "AFS1": "af-south-1", "ILC1": "il-central-1",
    "MES1": "me-south-1", "MEC1": "me-central-1",
}  # fmt: skip
"""The letters before a usage type (AWS, "Understanding your usage types: Region codes")."""


@lru_cache(maxsize=4_096)
def region(said: str | None, usage_type: str | None) -> str | None:
    """A region as the ledger has it: zones cut to theirs, else where the usage type was used."""
    if said:
        return re.sub(r"^([a-z]+-[a-z]+\d+)-[a-z]$", r"\1", said)
    found = re.match(r"(?:([A-Z]{2,4}\d?)-)?\w+:", usage_type or "")
    return _REGIONS.get(found[1] or "") if found else None


def category(shape: Shape, line: str | None, part: int) -> Category | None:
    """What a row is, by its word for it; None when the word is not known. Part 1 are credits."""
    if part:
        return Category.CREDIT
    return shape.unsaid if line is None else shape.categories.get(line.lower())
