"""The usage of one request, and the values of its row in the ledger."""

from typing import Any

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens of one request, as reported by the engine unless `estimated`."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    reasoning_tokens: int = 0
    """Included in the completion tokens. Not in the ledger, because their price is the same."""

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Charge(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The amount that a request takes from a quota window; negative only in a correction."""

    counter: str
    window: str
    amount: int


class UsageRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of the ledger. Fields are columns of `tenants_usageevent`; times are in ISO 8601."""

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
    """Charges to quotas."""
