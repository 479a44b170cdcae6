"""Reconciliation of one tenant: the ledger is right, and everything that sums it up follows."""

import logging

from kernel import metrics

log = logging.getLogger(__name__)


def reconcile_tenant(tenant_id: int) -> int:
    """Repair sums that differ from the ledger, in PostgreSQL and then in Redis. Returns how many.

    Raises LedgerUnavailable and RedisError; then the next call begins again.
    """
    from tenants import live, reconciliation

    found = reconciliation.reconcile(tenant_id)
    live.push_states(found.states)
    held = live.recount(tenant_id)
    drifts = {**found.drifts, "holds": len(held)}
    for kind, number in drifts.items():
        metrics.ledger_drift.labels(kind).inc(number)
        if number:
            log.error("%d sums of tenant %d drifted: %s", number, tenant_id, kind)
    return sum(drifts.values())
