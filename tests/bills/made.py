"""Bills made by hand, a line at a time."""

CUR_HEAD = (
    "lineItem/LineItemType,lineItem/UsageStartDate,lineItem/UsageEndDate,lineItem/UsageType,"
    "lineItem/ResourceId,lineItem/UsageAmount,lineItem/CurrencyCode,lineItem/UnblendedCost,"
    "bill/BillingPeriodStartDate,lineItem/LineItemDescription"
)


def cur(*lines, head=CUR_HEAD):
    return "\n".join((head, *lines)) + "\n"


def line(
    kind="Usage", start="2025-03-10T14:00:00Z", type_="BoxUsage:g6.xlarge", cost="0.8048",
    amount="1", currency="USD", resource="i-0abc", said="words",
):  # fmt: skip
    end = start.replace("T14", "T15")
    return (
        f"{kind},{start},{end},{type_},{resource},{amount},{currency},{cost},"
        f'2025-03-01T00:00:00Z,"{said}"'
    )


FEED = (
    "#Version: 1.0\n#Fields: Timestamp UsageType Operation InstanceID MyBidID MyMaxPrice "
    "MarketPrice Charge Version\n"
)


def hour(at, charge, version=1, instance="i-0abc"):
    return (
        f"2025-03-10 {at} UTC\tSpotUsage:p3.2xlarge\tRunInstances:SV002\t{instance}\tsir-1\t"
        f"3.0600000000 USD\t0.9180000000 USD\t{charge} USD\t{version}\n"
    )


SPOT_CORE = "Spot Preemptible N1 Predefined Instance Core running in Iowa"
VM = "compute.googleapis.com/projects/p/zones/z/instances/42"


def google(**more):
    row = {
        "billing_account_id": "B-1",
        "service": {"id": "6F81", "description": "Compute Engine"},
        "sku": {"id": "S", "description": SPOT_CORE},
        "usage_start_time": "2025-03-10 14:00:00 UTC",
        "usage_end_time": "2025-03-10 15:00:00 UTC",
        "project": {"id": "demo", "labels": [{"key": "gpuctl-project", "value": "wrong__one"}]},
        "labels": [
            {"key": "team", "value": "x"},
            {"key": "gpuctl-project", "value": "acme__vision"},
        ],
        "location": {"region": "us-central1"},
        "cost": "0.12",
        "currency": "EUR",
        "currency_conversion_rate": "0.9215",
        "usage": {"amount_in_pricing_units": "8", "pricing_unit": "hour"},
        "credits": [],
        "invoice": {"month": "202503"},
        "cost_type": "regular",
        "resource": {"name": "gpu-1", "global_name": f"//{VM}"},
    }
    return row | more
