"""The interface through which doors send requests to engines."""

from collections.abc import Callable
from typing import Protocol

from inference.fleet.snapshot import Endpoint
from inference.relay.exchange import Exchange
from inference.relay.route_trace import RouteTrace
from inference.relay.upstream import Path

Encode = Callable[[Endpoint], bytes]
"""Encodes a request for the chosen endpoint."""


class ExchangeOpener(Protocol):
    """A relay, or a dispatcher in front of one."""

    async def open(self, route_trace: RouteTrace, path: Path, encode: Encode) -> Exchange:
        """Send a request to one of the pool's endpoints. Raises UpstreamError and Overloaded."""
