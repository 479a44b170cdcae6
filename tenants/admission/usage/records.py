"""What one request used: the values that go up to the ledger."""

from typing import Any

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens of one request, as the engine counted them unless `estimated`."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    reasoning_tokens: int = 0
    """Of the completion: what the model thought. Not in the ledger, since they cost the same."""

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Charge(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one request takes from one quota window; negative only in a correction."""

    counter: str
    window: str
    amount: int


class UsageRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of the ledger. The names are the columns of `usage_event`; times are ISO 8601."""

    request_id: str
    client_request_id: str = ""
    kind: str = "final"
    tenant_id: int
    api_key_id: int | None
    member_id: int | None
    door: str
    agent: str = ""
    agent_revision: int | None = None
    route: str
    pool: str = ""
    endpoint: str = ""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    cost_micro: int = 0
    estimated: bool = False
    status: str
    error_code: str = ""
    ttft_ms: float | None = None
    duration_ms: float
    started_at: str
    ended_at: str
    decision: dict[str, Any] = {}
    charges: tuple[Charge, ...] = ()
    """What it takes from quotas."""
