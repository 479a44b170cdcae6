"""A scale host keeps the wanted number of engines, and stops the idlest ones."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
import sys

import pytest
from django.core.management.base import CommandError

from inference.engines.replica_manager import ReplicaManager, Slot
from inference.management.commands.scale_host import read_slots

LIVES = "import time; time.sleep(600)"
LINGERS = "import signal, time; signal.signal(15, lambda *_: None); print(); time.sleep(600)"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def slots(count, *, code=LIVES):
    return [
        Slot(
            number=number,
            address=f"http://10.0.0.1:{8100 + number}",
            arguments=(sys.executable, "-c", code),
            environment=dict(os.environ),
        )
        for number in range(count)
    ]


def processes(host):
    return {number: child.process for number, child in host._children.items()}


@contextlib.asynccontextmanager
async def hosting(count, **facts):
    clock = Clock()
    host = ReplicaManager(slots(count, **facts), clock=clock)
    try:
        yield host, clock
    finally:
        for process in processes(host).values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def test_it_starts_what_is_missing_and_no_more_than_it_has_room_for():
    async with hosting(3) as (host, _):
        await host.reconcile(2, idlest=())
        assert (host.running, len(processes(host))) == (2, 2)
        await host.reconcile(9, idlest=())
        assert host.running == 3


async def test_the_idlest_goes_first_and_is_asked_to_end_by_itself():
    async with hosting(3) as (host, _):
        await host.reconcile(3, idlest=())
        await host.reconcile(2, idlest=[f"http://10.0.0.1:{port}" for port in (8101, 8100, 8102)])
        gone = processes(host)[1]
        assert await gone.wait() == -signal.SIGTERM
        await host.reconcile(2, idlest=())
        assert sorted(processes(host)) == [0, 2]


async def test_one_that_has_not_registered_yet_goes_before_those_that_serve():
    async with hosting(2) as (host, _):
        await host.reconcile(2, idlest=())
        await host.reconcile(1, idlest=["http://10.0.0.1:8100"])
        assert [number for number, each in host._children.items() if each.is_leaving] == [1]


async def test_one_that_is_draining_is_replaced_elsewhere_when_the_load_comes_back():
    async with hosting(2, code=LINGERS) as (host, _):
        await host.reconcile(1, idlest=())
        await asyncio.sleep(0.3)
        await host.reconcile(0, idlest=())
        assert (host.running, len(processes(host))) == (0, 1)
        await host.reconcile(1, idlest=())
        assert (host.running, len(processes(host))) == (1, 2)


@pytest.mark.slow
async def test_an_engine_that_ends_is_started_again_but_not_in_a_circle():
    async with hosting(1, code="pass") as (host, clock):
        starts = 0
        for _ in range(40):
            before = processes(host).get(0)
            await host.reconcile(1, idlest=())
            after = processes(host).get(0)
            if after is not None and after is not before:
                starts += 1
                await after.wait()
            clock.now += 5
        assert 4 <= starts <= 8


async def test_at_the_end_all_are_let_go():
    async with hosting(2) as (host, _):
        await host.reconcile(2, idlest=())
        await host.end()
        assert {each.returncode for each in processes(host).values()} == {-signal.SIGTERM}


async def test_where_an_orphan_still_listens_nothing_is_started_until_it_is_gone():
    orphan = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{orphan.getsockname()[1]}"
    async with hosting(1) as (host, _):
        host._slots[0] = dataclasses.replace(host._slots[0], address=address)
        await host.reconcile(1, idlest=())
        assert host.running == 0
        orphan.close()
        await host.reconcile(1, idlest=())
        assert host.running == 1


def given(**facts):
    usual = {"route": "m", "slots": None, "port": 8100, "host": "10.0.0.1", "gpus": ""}
    usual |= {"gpus_each": 1, "console": "http://c", "passed": ["--model=x", "--", "-c", "4096"]}
    return {**usual, **facts}


def test_devices_are_shared_out_and_options_passed_on():
    found = read_slots(given(gpus="0,1,2,3", gpus_each=2), environ={"A": "b"})
    assert [each.environment["CUDA_VISIBLE_DEVICES"] for each in found] == ["0,1", "2,3"]
    assert found[1].address == "http://10.0.0.1:8101"
    assert found[1].arguments[-4:] == ("--model=x", "--", "-c", "4096")
    assert found[0].environment["A"] == "b"


@pytest.mark.parametrize(
    "facts",
    [
        {"gpus": "0,0"},
        {"gpus": "a"},
        {"gpus": "0,1,2", "gpus_each": 2},
        {"gpus": "0", "slots": 2},
        {"slots": 65},
        {"slots": -1},
    ],
)
def test_what_cannot_be_is_refused(facts):
    with pytest.raises(CommandError):
        read_slots(given(**facts), environ={})
