"""The ledger's tables: usage events, the counters of quotas and the sums of hours, as one."""

from tenants.ledger.aggregates import load_counters
from tenants.ledger.append import append_usage, bill_abandoned

__all__ = ["append_usage", "bill_abandoned", "load_counters"]
