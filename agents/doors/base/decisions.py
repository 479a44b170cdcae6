"""What a client says about a call that waits for a person, whatever the door."""

from typing import Annotated

from msgspec import Meta

from agents.schema.json_types import Json
from agents.schema.run_records import RunStore
from tenants.admission.principal import Principal

Reason = Annotated[str, Meta(max_length=500)]


async def decide(
    runs: RunStore,
    principal: Principal,
    *,
    run_id: str,
    approval_id: str,
    approve: bool,
    reason: str,
) -> Json:
    """Who decides and what is known of it then. Raises NotFound and ApprovalResolved."""
    state = await runs.decide(
        principal.tenant_id,
        run_id,
        approval_id,
        approve=approve,
        reason=reason,
        by=f"key {principal.public_id}",
    )
    return {"id": approval_id, "response_id": run_id, "state": state}
