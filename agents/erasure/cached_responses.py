"""Erasing kept answers: of a tenant, or of conversations. Then every worker's memory forgets."""

from collections.abc import Iterable, Iterator
from typing import cast

import redis
from django.conf import settings

from agents.runtime.response_cache.keys import answer_key, answers_topic, index_key, tag_key
from kernel.publishing.publish import publish
from kernel.storage.redis import connect

AT_ONCE = 500


def erase_answers(tenant_id: int) -> int:
    """Erase every kept answer of a tenant. Returns how many. Raises RedisError."""
    with connect(settings.REDIS_URL) as client:
        # Lists of conversations hold digests, no words; they expire with their last answer.
        count = erase_listed(client, tenant_id, index_key(tenant_id))
    publish(answers_topic(tenant_id))
    return count


def erase_answers_of(tenant_id: int, *, conversations: Iterable[str]) -> int:
    """Erase what is kept of conversations. Returns how many answers. Raises RedisError."""
    with connect(settings.REDIS_URL) as client:
        count = sum(
            erase_listed(client, tenant_id, tag_key(tenant_id, each)) for each in conversations
        )
    publish(answers_topic(tenant_id))
    return count


def erase_listed(client: redis.Redis, tenant_id: int, where: str) -> int:
    """Unlink the answers that a list names, part by part, and the list with them."""
    return sum(unlink(client, tenant_id, part) for part in popped(client, where))


def popped(client: redis.Redis, where: str) -> Iterator[list[str]]:
    # redis-py's types know every kind of answer at once.
    while part := cast("list[tuple[bytes, float]]", client.zpopmin(where, AT_ONCE)):
        yield [member.decode(errors="replace") for member, _ in part]


def unlink(client: redis.Redis, tenant_id: int, digests: list[str]) -> int:
    client.zrem(index_key(tenant_id), *digests)
    return int(client.unlink(*(answer_key(tenant_id, each) for each in digests)))
