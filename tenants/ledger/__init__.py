"""The ledger's tables: usage events, the counters of quotas and the sums of hours, as one."""

from tenants.ledger.appending import append_usage, bill_abandoned
from tenants.ledger.counters import load_counters

__all__ = ["append_usage", "bill_abandoned", "load_counters"]
