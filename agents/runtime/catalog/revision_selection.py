"""Selects the revision of an agent during a rollout. Pure: all workers select the same one."""

from hashlib import blake2b

import msgspec

from agents.runtime.catalog.agents import PublishedAgent

BUCKETS = 10_000


class Sticky(msgspec.Struct, frozen=True, kw_only=True):
    """The facts by which a request is assigned to a revision."""

    key: str
    """Equal keys get the same revision."""
    recorded: int | None = None
    """The revision that the conversation started with."""


def sticky_to(
    *,
    key_id: int,
    request_id: str,
    conversation: str = "",
    session: str = "",
    user: str = "",
    recorded: int | None = None,
) -> Sticky:
    """Return the key of a request: its conversation; else the API key with the client's session
    or user; else the request itself, which makes the selection random.
    """
    if conversation:
        return Sticky(key=f"conversation:{conversation}", recorded=recorded)
    if session:
        return Sticky(key=f"session:{key_id}:{session}")
    if user:
        return Sticky(key=f"user:{key_id}:{user}")
    return Sticky(key=f"request:{request_id}")


def choose_revision(agent: PublishedAgent, sticky: Sticky) -> PublishedAgent:
    """`agent` or its candidate. A conversation keeps the revision it started with."""
    candidate = agent.candidate
    if candidate is None or sticky.recorded == agent.revision:
        return agent
    if sticky.recorded == candidate.revision:
        return candidate
    return candidate if bucket_of(candidate, sticky.key) < agent.share * BUCKETS // 100 else agent


def bucket_of(candidate: PublishedAgent, key: str) -> int:
    """Return a number from 0 to 9,999.

    It does not depend on the share, so that a larger share includes the smaller one; each candidate
    has its own distribution.
    """
    text = f"{candidate.slug}@{candidate.revision}|{key}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest()) % BUCKETS
