"""The watch over a client: its leaving ends the block, and nothing else does."""

import asyncio

import pytest

from kernel.asgi import LISTEN_AFTER_SECONDS, ClientLeft, ClientWatch

LATER = LISTEN_AFTER_SECONDS * 3


class Client:
    """Leaves when it is told to."""

    def __init__(self):
        self._left = asyncio.Event()
        self.listened = 0

    def leave(self):
        self._left.set()

    async def receive(self):
        self.listened += 1
        await self._left.wait()
        return {"type": "http.disconnect"}


@pytest.fixture
async def client():
    return Client()


async def test_a_client_that_leaves_before_the_watch_listens_ends_the_block(client):
    client.leave()

    with pytest.raises(ClientLeft):
        async with ClientWatch(client.receive):
            await asyncio.sleep(5)


async def test_a_client_that_leaves_later_ends_the_block(client):
    asyncio.get_running_loop().call_later(LATER, client.leave)

    with pytest.raises(ClientLeft):
        async with ClientWatch(client.receive):
            await asyncio.sleep(5)


async def test_other_messages_do_not_end_the_block(client):
    messages = [{"type": "http.request"}] * 3

    async def receive():
        return messages.pop() if messages else await client.receive()

    async with ClientWatch(receive):
        await asyncio.sleep(LATER)

    assert not messages


async def test_leaving_after_the_last_await_strikes_nothing_that_follows(client):
    async with ClientWatch(client.receive) as watch:
        watch.give_up()

    await asyncio.sleep(0)
    assert asyncio.current_task().cancelling() == 0


async def test_after_the_client_left_the_task_can_go_on(client):
    client.leave()
    with pytest.raises(ClientLeft):
        async with ClientWatch(client.receive):
            await asyncio.sleep(5)

    async with asyncio.timeout(1):
        await asyncio.sleep(0.01)
    assert asyncio.current_task().cancelling() == 0


async def test_a_quick_answer_never_listens(client):
    async with ClientWatch(client.receive):
        await asyncio.sleep(0)
    await asyncio.sleep(LATER)

    assert client.listened == 0


async def test_a_client_that_was_dismissed_may_leave(client):
    async with ClientWatch(client.receive) as watch:
        await asyncio.sleep(LATER)
        watch.dismiss()
        client.leave()
        await asyncio.sleep(LATER)


async def test_a_client_may_leave_after_the_block(client):
    async with ClientWatch(client.receive):
        await asyncio.sleep(LATER)
    client.leave()

    await asyncio.sleep(LATER)


async def test_an_error_of_the_block_is_not_hidden(client):
    client.leave()

    async def fail_at_the_end():
        try:
            await asyncio.sleep(5)
        finally:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with ClientWatch(client.receive):
            await fail_at_the_end()


async def test_a_cancellation_from_outside_stays_one(client):
    async def block():
        async with ClientWatch(client.receive):
            await asyncio.sleep(5)

    task = asyncio.create_task(block())
    await asyncio.sleep(LATER)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("first", ["client", "outside"])
async def test_a_cancellation_from_outside_wins_over_the_clients_leaving(client, first):
    watches = []

    async def block():
        async with ClientWatch(client.receive) as watch:
            watches.append(watch)
            await asyncio.sleep(5)

    task = asyncio.create_task(block())
    await asyncio.sleep(0)
    leave, cancel = watches[0].give_up, task.cancel
    for each in (leave, cancel) if first == "client" else (cancel, leave):
        each()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_outside_after_the_last_await_is_kept(client):
    task = asyncio.current_task()
    async with ClientWatch(client.receive) as watch:
        watch.give_up()
        task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    assert task.uncancel() == 0


async def test_a_timeout_around_the_watch_is_a_timeout(client):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(LATER), ClientWatch(client.receive):
            await asyncio.sleep(5)
