"""Which revision of an agent answers while a rollout is running. Pure, and the same everywhere."""

from hashlib import blake2b

import msgspec

from agents.runtime.catalog.agents import PublishedAgent

BUCKETS = 10_000


class Sticky(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps a caller with one revision."""

    key: str
    """Equal keys get the same revision."""
    recorded: int | None = None
    """The revision with which the conversation was begun."""


def sticky_to(
    *,
    key_id: int,
    request_id: str,
    conversation: str = "",
    session: str = "",
    user: str = "",
    recorded: int | None = None,
) -> Sticky:
    """By the conversation; else by the API key and what the client calls its session or user; else
    by the request, which is a lot.
    """
    if conversation:
        return Sticky(key=f"conversation:{conversation}", recorded=recorded)
    if session:
        return Sticky(key=f"session:{key_id}:{session}")
    if user:
        return Sticky(key=f"user:{key_id}:{user}")
    return Sticky(key=f"request:{request_id}")


def choose_revision(agent: PublishedAgent, sticky: Sticky) -> PublishedAgent:
    """`agent` or its candidate. A conversation stays with what it began with while that lives."""
    candidate = agent.candidate
    if candidate is None or sticky.recorded == agent.revision:
        return agent
    if sticky.recorded == candidate.revision:
        return candidate
    return candidate if bucket_of(candidate, sticky.key) < agent.share * BUCKETS // 100 else agent


def bucket_of(candidate: PublishedAgent, key: str) -> int:
    """Who is among the first 5 per cent is also among the first 10. Each candidate draws anew."""
    text = f"{candidate.slug}@{candidate.revision}|{key}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest()) % BUCKETS
