"""The waiting requests of a pool: bounded, and fair by weight between tenants. Pure."""

import heapq
from collections import OrderedDict
from itertools import count
from typing import Generic, TypeVar

from inference.fleet.fairness import NONE_WAITING, TenantServiceCounter, TenantServiceCounters

MAX_STALE_ENTRIES = 64

Ticket = TypeVar("Ticket")
"""A waiting request. Each ticket is used once."""


class TenantQueue(Generic[Ticket]):
    """The waiting requests of one tenant, oldest first."""

    __slots__ = ("counter", "stamp", "tickets", "weight")

    def __init__(self, counter: TenantServiceCounter) -> None:
        self.counter = counter
        self.weight = counter.weight
        """The weight when the tenant's first request was queued."""
        self.tickets: OrderedDict[Ticket, None] = OrderedDict()
        self.stamp = 0


class FairQueue(Generic[Ticket]):
    """A queue for each tenant; the tenant with the lowest counter is next.

    Operations cost O(log tenants), except joining a full queue.
    """

    def __init__(self, counters: TenantServiceCounters) -> None:
        self._counters = counters
        self._queues: dict[int, TenantQueue[Ticket]] = {}
        self._heap: list[tuple[float, int, TenantQueue[Ticket]]] = []
        self._stamps = count(1)
        self._weights = 0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __contains__(self, tenant_id: object) -> bool:
        return tenant_id in self._queues

    def join(self, ticket: Ticket, counter: TenantServiceCounter, *, room: int) -> Ticket | None:
        """Queue a request. Returns the request that was dropped if the queue has `room` requests.

        That is this request if its tenant has its share of the room; otherwise the newest request
        of the tenant with the most requests per weight.
        """
        dropped = self._make_room(ticket, counter, room) if self._length >= room else None
        if dropped is ticket:
            return ticket
        queue = self._queues.get(counter.tenant_id)
        if queue is None:
            self._counters.activate(counter, min_counter=self.min_counter())
            queue = self._queues[counter.tenant_id] = TenantQueue(counter)
            self._weights += queue.weight
            self._place(queue)
        queue.tickets[ticket] = None
        self._length += 1
        return dropped

    def _make_room(self, ticket: Ticket, counter: TenantServiceCounter, room: int) -> Ticket:
        own = self._queues.get(counter.tenant_id)
        waiting = len(own.tickets) if own else 0
        weights = self._weights + (0 if own else counter.weight)
        if (waiting + 1) * weights > room * counter.weight:
            return ticket
        greediest = max(self._queues.values(), key=lambda queue: len(queue.tickets) / queue.weight)
        newest = next(reversed(greediest.tickets))
        self.leave(newest, greediest.counter)
        return newest

    def leave(self, ticket: Ticket, counter: TenantServiceCounter) -> bool:
        """Remove a request. False if it is not in the queue."""
        queue = self._queues.get(counter.tenant_id)
        if queue is None or ticket not in queue.tickets:
            return False
        del queue.tickets[ticket]
        self._shrink(queue)
        return True

    def next(self) -> Ticket:
        """Remove and return the next request. The caller charges it, and calls `moved`.

        Raises IndexError if the queue is empty.
        """
        self._clean()
        queue = self._heap[0][2]
        ticket, _ = queue.tickets.popitem(last=False)
        self._shrink(queue)
        return ticket

    def moved(self, counter: TenantServiceCounter) -> None:
        """Reorder the queue after the counter of a tenant changed."""
        queue = self._queues.get(counter.tenant_id)
        if queue is not None:
            self._place(queue)

    def min_counter(self) -> float:
        """Return the lowest counter of the tenants in the queue, or NONE_WAITING."""
        self._clean()
        return self._heap[0][0] if self._heap else NONE_WAITING

    def tenants(self) -> dict[int, int]:
        """Return the number of queued requests by tenant."""
        return {tenant_id: len(queue.tickets) for tenant_id, queue in self._queues.items()}

    def _shrink(self, queue: TenantQueue[Ticket]) -> None:
        self._length -= 1
        if queue.tickets:
            return
        del self._queues[queue.counter.tenant_id]
        queue.stamp = 0
        self._weights -= queue.weight

    def _place(self, queue: TenantQueue[Ticket]) -> None:
        queue.stamp = next(self._stamps)
        heapq.heappush(self._heap, (queue.counter.value, queue.stamp, queue))
        if len(self._heap) > 2 * len(self._queues) + MAX_STALE_ENTRIES:
            self._heap = [entry for entry in self._heap if entry[1] == entry[2].stamp]
            heapq.heapify(self._heap)

    def _clean(self) -> None:
        """Remove stale entries from the top of the heap."""
        while self._heap and self._heap[0][1] != self._heap[0][2].stamp:
            heapq.heappop(self._heap)
