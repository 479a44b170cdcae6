"""The last refusals of each tenant, for the console. Losing some costs nothing."""

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
"""Different refusals in a second; more are not kept."""
KEPT = 100
"""Of each tenant, about."""
KEPT_SECONDS = 7 * 24 * 3600


class Kind(NamedTuple):
    """Refusals that are told as one."""

    tenant_id: int
    reason: str
    scope: str
    key_id: int
    shadow: bool


class Refusals:
    """Counts refusals and writes them down once a second."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._counts: Counter[Kind] = Counter()

    def note(self, ask: AdmitRequest, breach: Violation, *, shadow: bool) -> None:
        """One more refusal, or in shadow mode what would have been one."""
        checks = ask.checks
        kind = Kind(checks.tenant_id, breach.reason, breach.scope, checks.key_id, shadow)
        if kind in self._counts or len(self._counts) < MAX_REFUSAL_KINDS:
            self._counts[kind] += 1

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write what was counted since the last time. What Redis does not take is dropped."""
        if not self._counts:
            return
        counts, self._counts = self._counts, Counter()
        writing = self._redis.pipeline(transaction=False)
        for kind, count in counts.items():
            stream = tenant_key(kind.tenant_id, "refusals")
            writing.xadd(stream, fields_of(kind, count), maxlen=KEPT, approximate=True)
            writing.expire(stream, KEPT_SECONDS)
        try:
            await writing.execute()
        except (RedisError, OSError) as error:
            log.warning("refusal log: write failed (error=%s)", error.__class__.__name__)


def fields_of(kind: Kind, count: int) -> dict[FieldT, EncodableT]:
    return {
        "reason": kind.reason,
        "scope": kind.scope,
        "key_id": kind.key_id,
        "shadow": int(kind.shadow),
        "count": count,
    }
