"""Google's price list as the Cloud Billing Catalog gives it: pages of SKUs, most of no interest."""

from decimal import Decimal

from gpuctl.sandbox.gcp.wire import Json

PATH = "/v1/services/6F81-5844-456A/skus"
METHOD = "skus.list"
_PAGE = 9
"""Smaller than anybody asks for: whoever reads one page only is found out."""

_AMERICAS = ["us-central1", "us-east1", "us-west1"]
_EFFECTIVE = "2024-02-01T08:00:00.000Z"

_MACHINES = {
    # description without its market: (unit, on demand, spot)
    "N1 Predefined Instance Core": ("h", "0.031611", "0.00882"),
    "N1 Predefined Instance Ram": ("GiBy.h", "0.004237", "0.00113"),
    "G2 Instance Core": ("h", "0.02498844", "0.009999"),
    "G2 Instance Ram": ("GiBy.h", "0.00292735", "0.0011713"),
    "A2 Instance Core": ("h", "0.031611", "0.01581"),
    "A2 Instance Ram": ("GiBy.h", "0.004237", "0.002118"),
    "N1 Custom Instance Core": ("h", "0.033174", "0.00698"),
}
_GPUS = {
    "Nvidia Tesla T4 GPU": ("0.35", "0.175"),
    "Nvidia Tesla V100 GPU": ("2.48", "1.0885"),
    "Nvidia L4 GPU": ("0.56004", "0.2231"),
    "Nvidia Tesla A100 GPU": ("2.933908", "1.4341"),
    "Nvidia Tesla A100 80GB GPU": ("3.92814", "1.571256"),
}
_OTHERS = {
    # description: (unit, tiers as (from, USD), regions)
    "Storage PD Capacity in Iowa": ("GiBy.mo", (("0", "0"), ("30", "0.04")), ["us-central1"]),
    "SSD backed PD Capacity in Iowa": ("GiBy.mo", (("0", "0.17"),), ["us-central1"]),
    "Balanced PD Capacity in Iowa": ("GiBy.mo", (("0", "0.1"),), ["us-central1"]),
    "Regional SSD backed PD Capacity in Iowa": ("GiBy.mo", (("0", "0.34"),), ["us-central1"]),
    "Storage PD Snapshot in US": ("GiBy.mo", (("0", "0"), ("5", "0.05")), _AMERICAS),
    "External IP Charge on a Standard VM": ("h", (("0", "0"), ("744", "0.005")), ["global"]),
    "External IP Charge on a Spot Preemptible VM": ("h", (("0", "0.0025"),), ["global"]),
    "Static Ip Charge in Iowa": ("h", (("0", "0.01"),), ["us-central1"]),
    "Licensing Fee for Windows Server 2022 (CPU cost)": ("h", (("0", "0.046"),), ["global"]),
}


def page(query: dict[str, str]) -> Json:
    """The page that the query's token asks for; ValueError for a token never given out."""
    skus = _all()
    start = int(query.get("pageToken") or 0)
    if not 0 <= start < len(skus):
        raise ValueError("page token")
    size = min(_PAGE, int(query.get("pageSize") or _PAGE) or _PAGE)
    end = start + size
    return {"skus": skus[start:end], "nextPageToken": str(end) if end < len(skus) else ""}


def _all() -> list[Json]:
    skus = []
    for name, (unit, demand, spot) in _MACHINES.items():
        group = "RAM" if unit == "GiBy.h" else "CPU"
        text = f"{name} running in Americas"
        skus.append(_sku(text, group, "OnDemand", unit, (("0", demand),), _AMERICAS))
        text = f"Spot Preemptible {text}"
        skus.append(_sku(text, group, "Preemptible", unit, (("0", spot),), _AMERICAS))
        text = f"Commitment v1: {name} in Americas for 1 Year"
        skus.append(_sku(text, group, "Commit1Yr", unit, (("0", "0.01"),), _AMERICAS))
    for name, (demand, spot) in _GPUS.items():
        text = f"{name} running in Americas"
        skus.append(_sku(text, "GPU", "OnDemand", "h", (("0", demand),), _AMERICAS))
        text = f"{name} attached to Spot Preemptible VMs running in Americas"
        skus.append(_sku(text, "GPU", "Preemptible", "h", (("0", spot),), _AMERICAS))
    for name, (unit, tiers, regions) in _OTHERS.items():
        skus.append(_sku(name, "Storage", "OnDemand", unit, tiers, regions))
    return skus


def _sku(
    description: str,
    group: str,
    usage: str,
    unit: str,
    tiers: tuple[tuple[str, str], ...],
    regions: list[str],
) -> Json:
    rates: list[Json] = [
        {"startUsageAmount": int(start), "unitPrice": _money(usd)} for start, usd in tiers
    ]
    return {
        "description": description,
        "category": {
            "serviceDisplayName": "Compute Engine",
            "resourceFamily": "Compute",
            "resourceGroup": group,
            "usageType": usage,
        },
        "serviceRegions": regions,
        "pricingInfo": [
            {
                "pricingExpression": {
                    "usageUnit": unit,
                    "displayQuantity": 1,
                    "tieredRates": rates,
                },
                "currencyConversionRate": 1,
                "effectiveTime": _EFFECTIVE,
            }
        ],
        "serviceProviderName": "Google",
    }


def _money(usd: str) -> Json:
    whole, _, part = f"{Decimal(usd):f}".partition(".")
    return {"currencyCode": "USD", "units": whole, "nanos": int(part.ljust(9, "0"))}
