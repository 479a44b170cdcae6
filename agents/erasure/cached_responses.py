"""Erases cached responses of a tenant or of conversations, in Redis and in all workers."""

from collections.abc import Iterable, Iterator
from typing import cast

import redis
from django.conf import settings

from agents.runtime.response_cache.keys import answer_key, answers_topic, index_key, tag_key
from kernel.publishing.publish import publish
from kernel.storage.redis import connect

BATCH_SIZE = 500


def erase_cached_responses(tenant_id: int) -> int:
    """Erase all cached responses of a tenant. Returns their number. Raises RedisError."""
    with connect(settings.REDIS_URL) as client:
        # Indexes of conversations have digests and no content; they expire with their last
        # response.
        count = erase_index(client, tenant_id, index_key(tenant_id))
    publish(answers_topic(tenant_id))
    return count


def erase_responses_of(tenant_id: int, *, conversations: Iterable[str]) -> int:
    """Erase the cached responses of conversations. Returns their number. Raises RedisError."""
    with connect(settings.REDIS_URL) as client:
        count = sum(
            erase_index(client, tenant_id, tag_key(tenant_id, each)) for each in conversations
        )
    publish(answers_topic(tenant_id))
    return count


def erase_index(client: redis.Redis, tenant_id: int, where: str) -> int:
    """Unlink the responses of an index in batches, and the index itself."""
    return sum(unlink(client, tenant_id, part) for part in pop_batches(client, where))


def pop_batches(client: redis.Redis, where: str) -> Iterator[list[str]]:
    # redis-py types the reply as a union of all commands' replies.
    while part := cast("list[tuple[bytes, float]]", client.zpopmin(where, BATCH_SIZE)):
        yield [member.decode(errors="replace") for member, _ in part]


def unlink(client: redis.Redis, tenant_id: int, digests: list[str]) -> int:
    client.zrem(index_key(tenant_id), *digests)
    return int(client.unlink(*(answer_key(tenant_id, each) for each in digests)))
