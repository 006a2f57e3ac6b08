"""Cost and Usage Reports and Google's exports, made by hand: rows of dictionaries -> files."""

import csv
import json
from datetime import timedelta
from decimal import Decimal

CUR_COLUMNS = {
    "line": "lineItem/LineItemType",
    "account": "lineItem/UsageAccountId",
    "start": "lineItem/UsageStartDate",
    "end": "lineItem/UsageEndDate",
    "product": "lineItem/ProductCode",
    "type": "lineItem/UsageType",
    "resource": "lineItem/ResourceId",
    "amount": "lineItem/UsageAmount",
    "currency": "lineItem/CurrencyCode",
    "cost": "lineItem/UnblendedCost",
    "unit": "pricing/unit",
    "project": "resourceTags/user:gpuctl:project",
    "invoice": "bill/InvoiceId",
}
PLAIN = {
    "line": "Usage",
    "account": "111122223333",
    "start": "2025-03-10T00:00:00Z",
    "end": "2025-03-11T00:00:00Z",
    "product": "AmazonEC2",
    "type": "BoxUsage:p3.2xlarge",
    "currency": "USD",
}
USAGE_TYPES = {
    "compute": "BoxUsage:p3.2xlarge",
    "disk": "EBS:VolumeUsage.gp3",
    "disk-iops": "EBS:VolumeP-IOPS.gp3",
    "disk-throughput": "EBS:VolumeP-Throughput.gp3",
    "snapshot": "EBS:SnapshotUsage",
    "ipv4": "PublicIPv4:InUseAddress",
    "egress": "DataTransfer-Out-Bytes",
    "cross-az": "DataTransfer-Regional-Bytes",
    "object-storage": "TimedStorage-ByteHrs",
}
SKUS = {
    "vcpu": "N1 Predefined Instance Core running in Americas",
    "ram": "N1 Predefined Instance Ram running in Americas",
    "gpu": "Nvidia Tesla T4 GPU running in Americas",
    "disk": "SSD backed PD Capacity",
    "ipv4": "Static Ip Charge",
}


def write_cur(path, *rows):
    """A CSV with these rows; what a row lacks is plain."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(CUR_COLUMNS.values())
        for row in rows:
            whole = PLAIN | row
            writer.writerow([whole.get(name, "") for name in CUR_COLUMNS])
    return path


def cur_row(day, cost):
    """What AWS would ask for a day of the ledger."""
    return {
        "start": f"{day.first:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{day.last:%Y-%m-%dT%H:%M:%SZ}",
        "type": USAGE_TYPES[day.kind],
        "product": "AmazonS3" if day.kind == "object-storage" else "AmazonEC2",
        "resource": day.resource,
        "account": day.account or "111122223333",
        "cost": f"{cost:f}",
    }


def google_row(day, cost, rate=1):
    """What Google would ask for it, in a currency of its own."""
    return {
        "project": {"id": day.account},
        "service": {"description": "Compute Engine"},
        "sku": {"description": SKUS[day.kind]},
        "resource": {
            "global_name": f"//compute.googleapis.com/projects/1/zones/z/things/{day.resource}"
        },
        "usage_start_time": f"{day.first:%Y-%m-%dT%H:%M:%SZ}",
        "usage_end_time": f"{max(day.last, day.first + timedelta(seconds=1)):%Y-%m-%dT%H:%M:%SZ}",
        "cost": f"{cost:f}",
        "currency": "USD" if rate == 1 else "EUR",
        "currency_conversion_rate": f"{Decimal(rate):f}",
        "credits": [],
        "cost_type": "regular",
    }


def write_google(path, *rows):
    """JSON Lines, as BigQuery exports them."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
