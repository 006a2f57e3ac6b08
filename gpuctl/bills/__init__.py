"""Readers of real bills, with DuckDB (extra `[billing]`), and of published exchange rates."""

from gpuctl.bills.opening import open_bill

__all__ = ["open_bill"]
