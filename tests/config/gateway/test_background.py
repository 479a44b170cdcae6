"""A worker's background tasks end with it, and it ends with them."""

import asyncio

from config.gateway.background_tasks import Background


async def forever():
    while True:
        await asyncio.sleep(0.01)


async def loses_a_cancellation():
    try:
        await forever()
    except asyncio.CancelledError:
        await forever()


async def test_a_task_that_loses_a_cancellation_is_cancelled_again():
    ended = []
    background = Background(end_worker=lambda: ended.append("worker"))
    background.start("a loop", forever())
    background.start("a loop that writes to Redis", loses_a_cancellation())
    await asyncio.sleep(0.02)

    async with asyncio.timeout(5):
        await background.stop()

    assert not ended


async def test_a_task_that_dies_ends_the_worker():
    async def dies():
        raise ValueError("a bug")

    ended = []
    background = Background(end_worker=lambda: ended.append("worker"))
    background.start("a loop", dies())
    await asyncio.sleep(0.02)

    assert ended == ["worker"]
    await background.stop()
