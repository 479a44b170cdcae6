"""What a person said about a call."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDecision:
    """Whether it may be made; the model is told the `reason` if not."""

    approve: bool
    reason: str = ""
