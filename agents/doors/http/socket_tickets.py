"""`POST /v1/socket-tickets`: how a browser opens a socket without ever holding the key."""

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

SECONDS = 30
SUBPROTOCOL = "tenantry.ticket."


async def issue_socket_ticket(call: Call) -> None:
    """Give out a ticket that opens one socket within the next half minute."""
    principal = await call.authenticate("chat")
    ticket = secrets.token_urlsafe(32)
    with telling_outages():
        await call.gateway.redis.set(key_of(ticket), principal.public_id, ex=SECONDS)
    await call.respond_json({"ticket": ticket, "expires_in": SECONDS}, status=201)


async def redeem(ticket: str, *, redis: Redis) -> str:
    """The public id of the key that a ticket stands for.

    Raises InvalidTicket, also if it was used, and CacheUnavailable.
    """
    with telling_outages():
        found = await redis.getdel(key_of(ticket))
    public_id = None if found is None else read_message(found)
    if not public_id:
        raise InvalidTicket
    return public_id


@contextlib.contextmanager
def telling_outages() -> Iterator[None]:
    """Raises CacheUnavailable for what Redis' client raises."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise CacheUnavailable from error


def key_of(ticket: str) -> str:
    """Only a digest is stored, so that a look into Redis opens no socket."""
    return f"tenantry:ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"
