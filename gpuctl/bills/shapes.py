"""The forms of bill that are read: one row a form, one entry a column. Data, no code.

Columns are named by their letters and digits alone (`tables.plain`), best first. Sources: AWS
"Data dictionary" of the legacy CUR and "CUR 2.0 table dictionary"; FOCUS specification 1.0 to 1.4,
"Columns"; EC2 User Guide, "Spot Instance data feed"; Google Cloud Billing, "Structure of the
Detailed data export".
"""

from collections.abc import Mapping
from typing import NamedTuple

from gpuctl.core.billed import Category


class Shape(NamedTuple):
    """A form of bill."""

    name: str
    title: str
    cost: str
    """The cost column, as its documentation writes it: its sum is the sum of the bill."""
    start: str
    """The column that dates a row, likewise."""
    fields: Mapping[str, tuple[str, ...]]
    categories: Mapping[str, Category]
    """What the rows are, by the lower-case word in `line`."""
    unsaid: Category | None
    """What a row is whose `line` is empty; None = other, and told."""
    provider: str | None = None
    pacific: bool = False
    """Whether its days are Los Angeles days whoever the provider."""


_USAGE, _CREDIT, _FEE, _OTHER = Category.USAGE, Category.CREDIT, Category.FEE, Category.OTHER

_CUR_LINES = {
    "usage": _USAGE,
    "discountedusage": _USAGE,
    "savingsplancoveredusage": _USAGE,
    "savingsplannegation": _CREDIT,
    "credit": _CREDIT,
    "discount": _CREDIT,
    "bundleddiscount": _CREDIT,
    "edpdiscount": _CREDIT,
    "privateratediscount": _CREDIT,
    "sppdiscount": _CREDIT,
    "refund": Category.REFUND,
    "tax": Category.TAX,
    "fee": _FEE,
    "rifee": _FEE,
    "savingsplanupfrontfee": _FEE,
    "savingsplanrecurringfee": _FEE,
}

CUR = Shape(
    name="cur",
    title="AWS Cost and Usage Report",
    cost="lineItem/UnblendedCost",
    start="lineItem/UsageStartDate",
    provider="aws",
    fields={
        "cost": ("lineitemunblendedcost",),
        "start": ("lineitemusagestartdate",),
        "end": ("lineitemusageenddate",),
        "period": ("billbillingperiodstartdate",),
        "line": ("lineitemlineitemtype",),
        "account": ("lineitemusageaccountid", "billpayeraccountid"),
        "resource": ("lineitemresourceid",),
        "sku": ("lineitemusagetype",),
        "service": ("lineitemproductcode",),
        "purchase": ("pricingpurchaseoption", "pricingterm"),
        "quantity": ("lineitemusageamount",),
        "unit": ("pricingunit",),
        "currency": ("lineitemcurrencycode", "pricingcurrency"),
        "tag": ("resourcetagsusergpuctlproject", "resourcetagsgpuctlproject", "resourcetags"),
        "region": ("productregioncode", "productregion"),
        "invoice": ("billinvoiceid",),
    },
    categories=_CUR_LINES,
    unsaid=None,
)

FOCUS = Shape(
    name="focus",
    title="FOCUS",
    cost="BilledCost",
    start="ChargePeriodStart",
    fields={
        "cost": ("billedcost",),
        "start": ("chargeperiodstart",),
        "end": ("chargeperiodend",),
        "period": ("billingperiodstart",),
        "line": ("chargecategory",),
        # 1.4 has ServiceProviderName and HostProviderName for ProviderName and PublisherName.
        "provider": ("providername", "serviceprovidername", "publishername", "invoiceissuername"),
        "account": ("subaccountid", "billingaccountid"),
        "resource": ("resourceid",),
        "sku": ("xusagetype", "chargedescription", "skumeter", "skuid"),
        "detail": ("skumeter",),
        "service": ("servicename",),
        "purchase": ("pricingcategory",),
        "quantity": ("pricingquantity", "consumedquantity"),
        "unit": ("pricingunit", "consumedunit"),
        "currency": ("billingcurrency",),
        "tag": ("xgpuctlproject", "xproject", "tags"),
        "region": ("regionid", "region"),
        "invoice": ("invoiceid",),
    },
    categories={
        "usage": _USAGE,
        "purchase": _FEE,
        "tax": Category.TAX,
        "credit": _CREDIT,
        "refund": Category.REFUND,
        "adjustment": _OTHER,
    },
    unsaid=None,
)

GOOGLE = Shape(
    name="google",
    title="Google Cloud billing export",
    cost="cost",
    start="usage_start_time",
    provider="gcp",
    pacific=True,
    fields={
        "cost": ("cost",),
        "credits": ("credits", "creditsamount"),
        "start": ("usagestarttime",),
        "end": ("usageendtime",),
        "period": ("invoicemonth",),
        "line": ("costtype",),
        "account": ("projectid", "billingaccountid"),
        "resource": ("resourceglobalname", "resourcename"),
        "sku": ("skudescription", "skuid"),
        "service": ("servicedescription",),
        "quantity": ("usageamountinpricingunits", "usageamount"),
        "unit": ("usagepricingunit", "usageunit"),
        "currency": ("currency",),
        "per_usd": ("currencyconversionrate",),
        "tag": ("labelsgpuctlproject", "labels"),
        "region": ("locationregion", "locationlocation"),
        "invoice": ("invoicemonth",),
    },
    categories={
        "regular": _USAGE,
        "tax": Category.TAX,
        "adjustment": _OTHER,
        "rounding_error": _OTHER,
    },
    unsaid=_USAGE,
)

FEED = Shape(
    name="feed",
    title="EC2 Spot data feed",
    cost="Charge",
    start="Timestamp",
    provider="aws",
    fields={
        "cost": ("charge",),
        "start": ("timestamp",),
        "resource": ("instanceid",),
        "sku": ("usagetype",),
        "account": ("filename",),
        "version": ("version",),
    },
    categories={},
    unsaid=_USAGE,
)

SHAPES = (CUR, FOCUS, GOOGLE, FEED)
