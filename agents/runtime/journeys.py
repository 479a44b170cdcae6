"""For whom a request goes to the engines, as the fleet wants to know it."""

from inference.fleet.snapshot import Route
from inference.relay.journey import Journey
from tenants.admission.gate import Admission


def begin_journey(route: Route, admission: Admission) -> Journey:
    """The journey of an admitted request."""
    return Journey(
        route.pool,
        tenant_id=admission.subject.principal.tenant_id,
        weight=admission.weight,
        tokens=admission.expected_tokens,
    )
