"""One row of a FOCUS dataset: a field for each column, in the order of the columns' names."""

from typing import NamedTuple


class FocusRow(NamedTuple):
    """Texts as FOCUS writes them; None = null.

    `billed_cost` is the column `BilledCost`. Commitments and reservations of capacity are there
    for readers that want the whole header; gpuctl has none, so they are always null.
    """

    availability_zone: str | None = None
    billed_cost: str | None = None
    billing_account_id: str | None = None
    billing_account_name: str | None = None
    billing_account_type: str | None = None
    billing_currency: str | None = None
    billing_period_end: str | None = None
    billing_period_start: str | None = None
    capacity_reservation_id: str | None = None
    capacity_reservation_status: str | None = None
    charge_category: str | None = None
    charge_class: str | None = None
    charge_description: str | None = None
    charge_frequency: str | None = None
    charge_period_end: str | None = None
    charge_period_start: str | None = None
    commitment_discount_category: str | None = None
    commitment_discount_id: str | None = None
    commitment_discount_name: str | None = None
    commitment_discount_quantity: str | None = None
    commitment_discount_status: str | None = None
    commitment_discount_type: str | None = None
    commitment_discount_unit: str | None = None
    consumed_quantity: str | None = None
    consumed_unit: str | None = None
    contracted_cost: str | None = None
    contracted_unit_price: str | None = None
    effective_cost: str | None = None
    invoice_id: str | None = None
    invoice_issuer_name: str | None = None
    list_cost: str | None = None
    list_unit_price: str | None = None
    pricing_category: str | None = None
    pricing_currency: str | None = None
    pricing_currency_contracted_unit_price: str | None = None
    pricing_currency_effective_cost: str | None = None
    pricing_currency_list_unit_price: str | None = None
    pricing_quantity: str | None = None
    pricing_unit: str | None = None
    provider_name: str | None = None
    publisher_name: str | None = None
    region_id: str | None = None
    region_name: str | None = None
    resource_id: str | None = None
    resource_name: str | None = None
    resource_type: str | None = None
    service_category: str | None = None
    service_name: str | None = None
    service_subcategory: str | None = None
    sku_id: str | None = None
    sku_meter: str | None = None
    sku_price_details: str | None = None
    sku_price_id: str | None = None
    sub_account_id: str | None = None
    sub_account_name: str | None = None
    sub_account_type: str | None = None
    tags: str | None = None
    x_absorbed: str | None = None
    x_basis: str | None = None
    x_kind: str | None = None
    x_project: str | None = None
    x_session_id: str | None = None
