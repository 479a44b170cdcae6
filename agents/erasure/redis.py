"""What Redis holds of conversations and runs, deleted."""

from collections.abc import Sequence

import redis
from django.conf import settings

from agents.erasure.cached_responses import erase_answers, erase_answers_of
from agents.events.stream import key_of
from agents.redis_keys import context_key
from agents.runtime.context.history_cache import GONE, SECONDS
from kernel.storage.redis import connect

AT_ONCE = 500


def purge(
    tenant_id: int, *, conversations: Sequence[str], runs: Sequence[str], everything: bool = False
) -> dict[str, int]:
    """Delete what is there, and say how many of each kind were. Raises RedisError.

    With `everything`, answers that no conversation is known of go as well. Gateways are told to
    forget theirs when the transaction that this is called in is committed.
    """
    with connect(settings.REDIS_URL) as client:
        gone = {
            "contexts": purge_contexts(client, tenant_id, conversations),
            "event_logs": purge_logs(client, runs),
        }
    # Answers of runs without a conversation are kept under the run's own name.
    erased = (
        erase_answers(tenant_id)
        if everything
        else erase_answers_of(tenant_id, conversations=(*conversations, *runs))
    )
    return {**gone, "cached_answers": erased}


def purge_contexts(client: redis.Redis, tenant_id: int, conversations: Sequence[str]) -> int:
    """A mark stays where a context was: a run that had read the history must not bring it back."""
    with client.pipeline(transaction=False) as pipe:
        for conversation in conversations:
            key = context_key(tenant_id, conversation)
            # Twice the time that a context lives: nobody holds a history for longer.
            pipe.set(key, GONE, ex=2 * SECONDS, get=True)
        before = pipe.execute()
    return sum(1 for value in before if value not in {None, GONE})


def purge_logs(client: redis.Redis, runs: Sequence[str]) -> int:
    """Without its log a run that is under way writes nothing more: see `agents.events.stream`."""
    keys = [key_of(run) for run in runs]
    return sum(
        int(client.unlink(*keys[start : start + AT_ONCE])) for start in range(0, len(keys), AT_ONCE)
    )
