"""Who waits for a pool, and who is next: bounded, and fair by weight between tenants. Pure."""

import heapq
from collections import OrderedDict
from itertools import count
from typing import Generic, TypeVar

from inference.fleet.fairness import NOBODY, TenantServiceCounter, TenantServiceCounters

MAX_STALE_ENTRIES = 64

Ticket = TypeVar("Ticket")
"""Stands for a request that waits; compared by identity or value, and used only once."""


class TenantQueue(Generic[Ticket]):
    """One tenant's waiting requests, the oldest first."""

    __slots__ = ("account", "stamp", "tickets", "weight")

    def __init__(self, account: TenantServiceCounter) -> None:
        self.account = account
        self.weight = account.weight
        """As it was when the tenant began to wait."""
        self.tickets: OrderedDict[Ticket, None] = OrderedDict()
        self.stamp = 0


class FairQueue(Generic[Ticket]):
    """A line for each tenant; the tenant that was served least is next.

    Everything costs O(log tenants), but for making room in a full queue.
    """

    def __init__(self, accounts: TenantServiceCounters) -> None:
        self._accounts = accounts
        self._lines: dict[int, TenantQueue[Ticket]] = {}
        self._heap: list[tuple[float, int, TenantQueue[Ticket]]] = []
        self._stamps = count(1)
        self._weights = 0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __contains__(self, tenant_id: object) -> bool:
        return tenant_id in self._lines

    def join(self, ticket: Ticket, account: TenantServiceCounter, *, room: int) -> Ticket | None:
        """Let a request wait. Returns the one that must not, if there is no `room` for another.

        That is this one if its tenant has its share of the room; else the newest of the tenant
        that has most for its weight.
        """
        dropped = self._make_room(ticket, account, room) if self._length >= room else None
        if dropped is ticket:
            return ticket
        line = self._lines.get(account.tenant_id)
        if line is None:
            self._accounts.activate(account, least=self.least())
            line = self._lines[account.tenant_id] = TenantQueue(account)
            self._weights += line.weight
            self._place(line)
        line.tickets[ticket] = None
        self._length += 1
        return dropped

    def _make_room(self, ticket: Ticket, account: TenantServiceCounter, room: int) -> Ticket:
        own = self._lines.get(account.tenant_id)
        waiting = len(own.tickets) if own else 0
        weights = self._weights + (0 if own else account.weight)
        if (waiting + 1) * weights > room * account.weight:
            return ticket
        greediest = max(self._lines.values(), key=lambda line: len(line.tickets) / line.weight)
        newest = next(reversed(greediest.tickets))
        self.leave(newest, greediest.account)
        return newest

    def leave(self, ticket: Ticket, account: TenantServiceCounter) -> bool:
        """Forget a request. False if it does not wait any more."""
        line = self._lines.get(account.tenant_id)
        if line is None or ticket not in line.tickets:
            return False
        del line.tickets[ticket]
        self._shrink(line)
        return True

    def next(self) -> Ticket:
        """The next request, removed from the queue. Charge it, and call `moved`.

        Raises IndexError if the queue is empty.
        """
        self._clean()
        line = self._heap[0][2]
        ticket, _ = line.tickets.popitem(last=False)
        self._shrink(line)
        return ticket

    def moved(self, account: TenantServiceCounter) -> None:
        """The counter of this tenant has changed."""
        line = self._lines.get(account.tenant_id)
        if line is not None:
            self._place(line)

    def least(self) -> float:
        """The smallest counter of the tenants that wait, or NOBODY."""
        self._clean()
        return self._heap[0][0] if self._heap else NOBODY

    def tenants(self) -> dict[int, int]:
        """How many requests of each tenant wait."""
        return {tenant_id: len(line.tickets) for tenant_id, line in self._lines.items()}

    def _shrink(self, line: TenantQueue[Ticket]) -> None:
        self._length -= 1
        if line.tickets:
            return
        del self._lines[line.account.tenant_id]
        line.stamp = 0
        self._weights -= line.weight

    def _place(self, line: TenantQueue[Ticket]) -> None:
        line.stamp = next(self._stamps)
        heapq.heappush(self._heap, (line.account.counter, line.stamp, line))
        if len(self._heap) > 2 * len(self._lines) + MAX_STALE_ENTRIES:
            self._heap = [entry for entry in self._heap if entry[1] == entry[2].stamp]
            heapq.heapify(self._heap)

    def _clean(self) -> None:
        """Drop what is at the top of the heap and not true any more."""
        while self._heap and self._heap[0][1] != self._heap[0][2].stamp:
            heapq.heappop(self._heap)
