"""What doors need of whatever passes requests on to engines."""

from collections.abc import Callable
from typing import Protocol

from inference.fleet.snapshot import Endpoint
from inference.relay.exchange import Exchange
from inference.relay.journey import Journey
from inference.relay.upstream import Path

Encode = Callable[[Endpoint], bytes]
"""Renders a request for the endpoint that was chosen."""


class Opener(Protocol):
    """A relay, or a dispatcher in front of one."""

    async def open(self, journey: Journey, path: Path, encode: Encode) -> Exchange:
        """Send a request to one of the pool's endpoints. Raises UpstreamError and Overloaded."""
