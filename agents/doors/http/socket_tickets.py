"""`POST /v1/socket-tickets`: tickets with which browsers open sockets without the key."""

import contextlib
import hashlib
import secrets
from collections.abc import Iterator

from redis import RedisError
from redis.asyncio import Redis

from agents.doors.base.call import Call
from agents.errors import InvalidTicket
from kernel.errors import CacheUnavailable
from kernel.storage.shared_values import read_message

TICKET_TTL_SECONDS = 30
SUBPROTOCOL = "tenantry.ticket."


async def issue_socket_ticket(call: Call) -> None:
    """Issue a ticket that opens one socket within 30 seconds."""
    principal = await call.authenticate("chat")
    ticket = secrets.token_urlsafe(32)
    with outages_as_errors():
        await call.gateway.redis.set(key_of(ticket), principal.public_id, ex=TICKET_TTL_SECONDS)
    await call.respond_json({"ticket": ticket, "expires_in": TICKET_TTL_SECONDS}, status=201)


async def redeem(ticket: str, *, redis: Redis) -> str:
    """Use up a ticket. Returns the public id of its key.

    Raises InvalidTicket for an unknown or used ticket, and CacheUnavailable.
    """
    with outages_as_errors():
        found = await redis.getdel(key_of(ticket))
    public_id = None if found is None else read_message(found)
    if not public_id:
        raise InvalidTicket
    return public_id


@contextlib.contextmanager
def outages_as_errors() -> Iterator[None]:
    """Raises CacheUnavailable for errors of the Redis client."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise CacheUnavailable from error


def key_of(ticket: str) -> str:
    """Return the Redis key of a ticket. It has only a digest, so reading Redis gives no access."""
    return f"tenantry:ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"
