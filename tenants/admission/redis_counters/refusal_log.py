"""The most recent refusals of each tenant, for the console. Some may be lost in an outage."""

import asyncio
import logging
from collections import Counter
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.typing import EncodableT, FieldT

from tenants.admission.limits.messages import AdmitRequest, Violation
from tenants.admission.redis_counters.keys import tenant_key

log = logging.getLogger(__name__)

WRITE_SECONDS = 1.0
MAX_REFUSAL_KINDS = 500
"""Maximum number of distinct refusals per second; further ones are dropped."""
MAX_ENTRIES = 100
"""Approximate maximum number of entries for each tenant."""
EXPIRY_SECONDS = 7 * 24 * 3600


class RefusalKind(NamedTuple):
    """The fields of refusals that are counted in one entry."""

    tenant_id: int
    reason: str
    scope: str
    key_id: int
    shadow: bool


class Refusals:
    """Counts refusals and writes the counts once a second."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._counts: Counter[RefusalKind] = Counter()

    def note(self, request: AdmitRequest, violation: Violation, *, shadow: bool) -> None:
        """Count a refusal; `shadow`: the limit is not enforced and the request was admitted."""
        checks = request.checks
        kind = RefusalKind(
            checks.tenant_id, violation.reason, violation.scope, checks.key_id, shadow
        )
        if kind in self._counts or len(self._counts) < MAX_REFUSAL_KINDS:
            self._counts[kind] += 1

    async def run(self) -> None:
        """Write the counts once a second until cancelled."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write the counts since the last call; drop them if Redis is unavailable."""
        if not self._counts:
            return
        counts, self._counts = self._counts, Counter()
        writing = self._redis.pipeline(transaction=False)
        for kind, count in counts.items():
            stream = tenant_key(kind.tenant_id, "refusals")
            writing.xadd(stream, fields_of(kind, count), maxlen=MAX_ENTRIES, approximate=True)
            writing.expire(stream, EXPIRY_SECONDS)
        try:
            await writing.execute()
        except (RedisError, OSError) as error:
            log.warning("refusal log: write failed (error=%s)", error.__class__.__name__)


def fields_of(kind: RefusalKind, count: int) -> dict[FieldT, EncodableT]:
    return {
        "reason": kind.reason,
        "scope": kind.scope,
        "key_id": kind.key_id,
        "shadow": int(kind.shadow),
        "count": count,
    }
