"""The decision of a person about a tool call."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDecision:
    """Whether the call may be made. The model gets the `reason` of a denial."""

    approve: bool
    reason: str = ""
