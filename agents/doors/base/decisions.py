"""The decision of a client about a tool call, for HTTP and WebSocket."""

from typing import Annotated

from msgspec import Meta

from agents.schema.json_types import Json
from agents.schema.run_store import RunStore
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
    """Approve or deny a tool call. Returns its new state. Raises NotFound and ApprovalResolved."""
    state = await runs.decide(
        principal.tenant_id,
        run_id,
        approval_id,
        approve=approve,
        reason=reason,
        by=f"key {principal.public_id}",
    )
    return {"id": approval_id, "response_id": run_id, "state": state}
