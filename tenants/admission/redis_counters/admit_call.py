"""The call of the admission script and its response. The part of a `Checks` is encoded once."""

from collections.abc import Iterator, Sequence
from typing import Any

from tenants.admission.limits.checks import Checks, ScopeCheck, at_once, limit_of
from tenants.admission.limits.errors import CountersUnavailable
from tenants.admission.limits.messages import (
    Granted,
    LimitStatus,
    QuotaStatus,
    Reason,
    Refused,
    Violation,
)
from tenants.admission.redis_counters.keys import scope_key, tenant_key
from tenants.admission.redis_counters.resp import RedisCall, bulk, call_head, packed_text
from tenants.admission.redis_counters.scripts import ADMIT

REASONS: tuple[Reason, ...] = (
    "requests_per_minute",
    "tokens_per_minute",
    "concurrency",
    "quota_exhausted",
    "tenant_suspended",
    "revoked_api_key",
)
GRANTED_HEAD, REFUSED_HEAD = 4, 3
PER_SCOPE, PER_QUOTA, PER_VIOLATION = 4, 3, 5
"""Length of the items of a response: numbers for each scope, quota and violation."""
MAX_CALLS = 5000


class AdmitCall:
    """The calls with one `Checks`, whose encoding they share."""

    def __init__(self, checks: Checks) -> None:
        tenant = checks.tenant_id
        names = ("holds", "expiries", "orphans", "denied", "scopes")
        keys = [tenant_key(tenant, name) for name in names]
        keys += [scope_key(tenant, scope.scope) for scope in checks.scopes]
        self._head = call_head(ADMIT, keys, arguments=4) + bulk(checks.packed)
        self._key_id = checks.key_id
        self._scopes = [(scope, *rate_limits(scope)) for scope in checks.scopes]
        quotas = sum(len(scope.quotas) for scope in checks.scopes)
        self._size = PER_SCOPE * len(checks.scopes) + PER_QUOTA * quotas

    def call(self, request_id: bytes, numbers: bytes, facts: bytes) -> RedisCall:
        """Return the call for one request; `numbers` are encoded as the script reads them."""
        packed_facts = packed_text(facts)
        packed = b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            *(self._head, len(request_id), request_id, len(numbers), numbers),
            *(len(packed_facts), packed_facts),
        )
        return RedisCall(ADMIT, request_id, packed)

    def granted(self, reply: list[Any]) -> Granted:
        """Parse the response to an admission. Raises CountersUnavailable if it is malformed."""
        shadowed = self._violations(reply, GRANTED_HEAD)
        statuses, quotas = self._statuses(reply, GRANTED_HEAD)
        return Granted(
            completion_tokens=reply[3], statuses=statuses, quotas=quotas, shadowed=shadowed
        )

    def refused(self, reply: list[Any]) -> Refused:
        """Parse the response to a refusal. Raises CountersUnavailable if it is malformed."""
        (violation,) = self._violations(reply, REFUSED_HEAD) or (None,)
        if violation is None:
            raise CountersUnavailable
        statuses, quotas = self._statuses(reply, REFUSED_HEAD)
        return Refused(violation=violation, statuses=statuses, quotas=quotas)

    def cold(self, reply: Sequence[int]) -> Iterator[tuple[str, str]]:
        """Yield counter and window of each counter that the response reports as missing."""
        for scope, quota in zip(reply[3::2], reply[4::2], strict=True):
            check = self._scopes[scope - 1][0].quotas[quota - 1]
            yield check.counter, check.window

    def _statuses(
        self, reply: list[Any], at: int
    ) -> tuple[tuple[LimitStatus, ...], tuple[QuotaStatus, ...]]:
        scopes: list[LimitStatus] = []
        quotas: list[QuotaStatus] = []
        for scope, request_limit, token_limit in self._scopes:
            scopes.append(limit_status(scope.scope, request_limit, token_limit, reply[at : at + 4]))
            at += PER_SCOPE
            for quota in scope.quotas:
                quotas.append(
                    QuotaStatus(
                        counter=quota.counter,
                        window=quota.window,
                        limit=reply[at],
                        used=reply[at + 1],
                        held=reply[at + 2],
                        hard=quota.hard,
                    )
                )
                at += PER_QUOTA
        return tuple(scopes), tuple(quotas)

    def _violations(self, reply: list[Any], head: int) -> tuple[Violation, ...]:
        rest = len(reply) - head - self._size
        if rest < 0 or rest % PER_VIOLATION:
            raise CountersUnavailable
        if not rest:
            return ()
        starts = range(head + self._size, len(reply), PER_VIOLATION)
        return tuple(self._violation(*reply[at : at + PER_VIOLATION]) for at in starts)

    def _violation(self, reason: int, scope: int, quota: int, wait_ms: int, end: int) -> Violation:
        check = self._scopes[scope - 1][0] if scope else None
        denied = "tenant" if REASONS[reason - 1] == "tenant_suspended" else f"key:{self._key_id}"
        return Violation(
            reason=REASONS[reason - 1],
            scope=check.scope if check else denied,
            retry_after_ms=None if wait_ms < 0 else wait_ms,
            counter=check.quotas[quota - 1].counter if check and quota else "",
            resets_at=end or None,
            limit=limit_of(check, REASONS[reason - 1]) if check else None,
        )


def rate_limits(scope: ScopeCheck) -> tuple[int | None, int | None]:
    """Return the bursts of a scope in requests and tokens; None in shadow mode, as for headers."""
    return at_once(scope) if scope.enforced else (None, None)


def limit_status(
    scope: str, request_limit: int | None, token_limit: int | None, numbers: list[int]
) -> LimitStatus:
    requests, requests_reset, tokens, tokens_reset = numbers
    by_request, by_token = request_limit is not None, token_limit is not None
    return LimitStatus(
        scope=scope,
        request_limit=request_limit,
        requests_remaining=requests if by_request else None,
        requests_reset_ms=requests_reset if by_request else None,
        token_limit=token_limit,
        tokens_remaining=tokens if by_token else None,
        tokens_reset_ms=tokens_reset if by_token else None,
    )


class AdmitCalls:
    """Caches the AdmitCall of each `Checks`."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, bytes], AdmitCall] = {}

    def of(self, checks: Checks) -> AdmitCall:
        key = (checks.tenant_id, checks.key_id, checks.packed)
        call = self._known.get(key)
        if call is None:
            # Calls of ended windows stay; clearing all is cheaper than tracking the order of use.
            if len(self._known) >= MAX_CALLS:
                self._known.clear()
            call = self._known[key] = AdmitCall(checks)
        return call
