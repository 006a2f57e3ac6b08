"""A quote as a client would get it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from gpuctl.core.quoting.quote import Amounts, Basis, Quote, Usd
from gpuctl.core.statement import Exchange, Party

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def a_quote(**more):
    values = {
        "id": "quote/1",
        "project": "acme/vision",
        "title": "Shelf detection",
        "template": "l4-spot",
        "at": NOW,
        "hours": (Decimal(25), Decimal("40.5")),
        "deadline": NOW + timedelta(days=3),
        "way": "deadline",
        "usd": Usd(Fraction(100, 3), Fraction(50), Fraction(60)),
        "currency": "EUR",
        "exchange": Exchange("EUR", Decimal("0.92"), date(2026, 3, 2), "ECB", "1 USD = 0.92 EUR"),
        "per_usd": Fraction(92, 100),
        "markup": Decimal("0.15"),
        "billed": True,
        "price": Amounts(Decimal("35.27"), Decimal("52.90"), Decimal("63.48")),
        "vat_rate": Decimal("0.21"),
        "finish_p50": NOW + timedelta(days=2),
        "finish_p90": NOW + timedelta(days=3),
        "receiver": Party("ACME GmbH", ("Straße 1",)),
        "sender": None,
        "basis": Basis(90, 3, 5, 1, 2, 720, "g6.xlarge", ("us-east-2a",), 200, ("It is so.",)),
    }
    return Quote(**(values | more))
