"""`POST /v1/responses/{id}/approvals/{id}`: approve or deny a tool call."""

import re

import msgspec

from agents.doors.base.call import Call
from agents.doors.base.decisions import Reason, decide
from inference.relay.schema import parse
from kernel.errors import NotFound

ADDRESS = re.compile(
    r"\A/v1/responses/(?P<run>[A-Za-z0-9_]{1,40})/approvals/(?P<approval>[A-Za-z0-9_]{1,40})/?\Z"
)


class ApprovalBody(msgspec.Struct, kw_only=True):
    """The body. The model gets the `reason` of a denied call."""

    approve: bool
    reason: Reason = ""


async def resolve_approval(call: Call) -> None:
    """Approve or deny a tool call. Its run continues on any gateway."""
    principal = await call.authenticate("chat")
    match = ADDRESS.match(call.scope["path"])
    if match is None:
        raise NotFound("There is no such approval here.", param="approval_id")
    decision = parse(await call.body(), ApprovalBody)
    answer = await decide(
        call.gateway.runs,
        principal,
        run_id=match["run"],
        approval_id=match["approval"],
        approve=decision.approve,
        reason=decision.reason,
    )
    await call.respond_json({"object": "response.approval", **answer})
