"""The yardstick: the least that a relay in Python can do. No keys, no limits, no metering.

What the gateway adds to this is the price of the platform.
"""

import os

import aiohttp

KEPT = {b"content-type", b"authorization"}
session: aiohttp.ClientSession


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await live(receive, send)
    else:
        await relay(scope, receive, send)


async def live(receive, send):
    global session  # noqa: PLW0603 - one process, one session: this is the yardstick, not the product
    await receive()
    connector = aiohttp.TCPConnector(limit=0)
    session = aiohttp.ClientSession(
        os.environ["UPSTREAM"], connector=connector, timeout=aiohttp.ClientTimeout(total=None)
    )
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await session.close()
    await send({"type": "lifespan.shutdown.complete"})


async def relay(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = {key.decode(): value.decode() for key, value in scope["headers"] if key in KEPT}
    async with session.request(
        scope["method"], scope["path"], data=body, headers=headers
    ) as answer:
        kind = (b"content-type", answer.headers["content-type"].encode())
        await send({"type": "http.response.start", "status": answer.status, "headers": [kind]})
        async for part in answer.content.iter_any():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})
