"""Deletes the data of conversations and runs in Redis."""

from collections.abc import Sequence

import redis
from django.conf import settings

from agents.erasure.cached_responses import erase_cached_responses, erase_responses_of
from agents.events.stream import key_of
from agents.redis_keys import context_key
from agents.runtime.context.history_cache import ERASED, SECONDS
from kernel.storage.redis import connect

BATCH_SIZE = 500


def purge(
    tenant_id: int, *, conversations: Sequence[str], runs: Sequence[str], everything: bool = False
) -> dict[str, int]:
    """Delete the data in Redis, and return the number of objects by kind. Raises RedisError.

    With `everything`, all cached responses of the tenant are deleted. Gateways delete theirs when
    the surrounding transaction commits.
    """
    with connect(settings.REDIS_URL) as client:
        gone = {
            "contexts": purge_contexts(client, tenant_id, conversations),
            "event_logs": purge_logs(client, runs),
        }
    # Responses of runs without a conversation are indexed by the id of the run.
    erased = (
        erase_cached_responses(tenant_id)
        if everything
        else erase_responses_of(tenant_id, conversations=(*conversations, *runs))
    )
    return {**gone, "cached_answers": erased}


def purge_contexts(client: redis.Redis, tenant_id: int, conversations: Sequence[str]) -> int:
    """Replace contexts by a tombstone: a run that has read the history must not write it back."""
    with client.pipeline(transaction=False) as pipe:
        for conversation in conversations:
            key = context_key(tenant_id, conversation)
            # Twice the lifetime of a context: no run has a history for longer.
            pipe.set(key, ERASED, ex=2 * SECONDS, get=True)
        before = pipe.execute()
    return sum(1 for value in before if value not in {None, ERASED})


def purge_logs(client: redis.Redis, runs: Sequence[str]) -> int:
    """Delete event logs. An active run does not write to a deleted log (`agents.events.stream`)."""
    keys = [key_of(run) for run in runs]
    return sum(
        int(client.unlink(*keys[start : start + BATCH_SIZE]))
        for start in range(0, len(keys), BATCH_SIZE)
    )
