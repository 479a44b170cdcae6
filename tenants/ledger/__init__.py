"""The ledger: usage events, quota counters and hourly sums, written in one transaction."""

from tenants.ledger.aggregates import load_counters
from tenants.ledger.append import append_usage, bill_abandoned

__all__ = ["append_usage", "bill_abandoned", "load_counters"]
