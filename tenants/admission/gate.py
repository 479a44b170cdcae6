"""The one pair on every request's path: admit before the model runs, settle after it has."""

import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from kernel.ids import new_request_id
from tenants.admission.ledger import LedgerWriter
from tenants.admission.principal import Principal
from tenants.admission.usage import Usage, UsageRecord


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: by whom, through which door, of which model."""

    principal: Principal
    door: str
    route: str
    agent: str = ""
    agent_revision: int | None = None
    client_request_id: str = ""


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """A request that may run. It must be settled exactly once."""

    subject: Subject
    request_id: str
    started_at: datetime
    started: float
    """Monotonic seconds."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an admitted request ended."""

    usage: Usage
    status: str
    error_code: str = ""
    pool: str = ""
    endpoint: str = ""
    ttft: float | None = None
    """Seconds from admission to the first token."""
    decision: dict[str, Any] = {}


class Gate:
    """Admits requests and writes down what they used."""

    def __init__(self, ledger: LedgerWriter) -> None:
        self._ledger = ledger

    async def admit(self, subject: Subject, *, request_id: str = "") -> Admission:
        """Let a request run. Raises LedgerFull if its usage could not be recorded."""
        self._ledger.ensure_room()
        return Admission(
            subject=subject,
            request_id=request_id or new_request_id(),
            started_at=datetime.now(UTC),
            started=time.monotonic(),
        )

    def settle(self, admission: Admission, outcome: Outcome) -> None:
        """Charge what was used. Not a coroutine, so that no cancellation can come between."""
        subject, usage = admission.subject, outcome.usage
        duration = time.monotonic() - admission.started
        self._ledger.record(
            UsageRecord(
                request_id=admission.request_id,
                client_request_id=subject.client_request_id,
                tenant_id=subject.principal.tenant_id,
                api_key_id=subject.principal.key_id,
                member_id=subject.principal.member_id,
                door=subject.door,
                agent=subject.agent,
                agent_revision=subject.agent_revision,
                route=subject.route,
                pool=outcome.pool,
                endpoint=outcome.endpoint,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cached_tokens=usage.cached_tokens,
                estimated=usage.estimated,
                status=outcome.status,
                error_code=outcome.error_code,
                ttft_ms=None if outcome.ttft is None else round(outcome.ttft * 1000, 3),
                duration_ms=round(duration * 1000, 3),
                started_at=admission.started_at.isoformat(),
                ended_at=datetime.now(UTC).isoformat(),
                decision=outcome.decision,
            )
        )
