"""`POST /v1/socket-tickets`: how a browser opens a socket without ever holding the key."""

import hashlib
import secrets

from redis.asyncio import Redis

from agents.doors.call import Call
from agents.errors import InvalidTicket

SECONDS = 30
SUBPROTOCOL = "tenantry.ticket."


async def issue_socket_ticket(call: Call) -> None:
    """Give out a ticket that opens one socket within the next half minute."""
    principal = await call.authenticate("chat")
    ticket = secrets.token_urlsafe(32)
    await call.gateway.redis.set(key_of(ticket), principal.public_id, ex=SECONDS)
    await call.respond_json({"ticket": ticket, "expires_in": SECONDS}, status=201)


async def redeem(ticket: str, *, redis: Redis) -> str:
    """The public id of the key that a ticket stands for. Raises InvalidTicket, also if used."""
    public_id = await redis.getdel(key_of(ticket))
    if public_id is None:
        raise InvalidTicket
    return public_id.decode() if isinstance(public_id, bytes) else public_id


def key_of(ticket: str) -> str:
    """Only a digest is stored, so that a look into Redis opens no socket."""
    return f"tenantry:ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"
