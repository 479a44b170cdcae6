"""The keys of cached responses, and of the indexes in Redis by which they are erased."""

import msgspec


class CacheKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key of a response, always below its tenant."""

    tenant_id: int
    digest: str
    seconds: int
    """Time for which the response may be served."""


def answer_key(tenant_id: int, digest: str) -> str:
    return f"tenantry:{tenant_id}:answer:{digest}"


def index_key(tenant_id: int) -> str:
    """Return the index of a tenant's responses: digests by the time at which they expire."""
    return f"tenantry:{tenant_id}:answers"


def tag_key(tenant_id: int, conversation: str) -> str:
    """Return the index of one conversation's responses."""
    return f"tenantry:{tenant_id}:answers-of:{conversation}"


def answers_topic(tenant_id: int) -> str:
    """Return the topic on which gateways drop a tenant's responses from memory."""
    return f"answers:{tenant_id}"
