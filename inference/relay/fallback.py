"""The next pool of a route, where the first one cannot serve."""

from inference.errors import NoEndpointAvailable, Starting
from inference.relay.exchange import Exchange
from inference.relay.journey import Journey
from inference.relay.opener import Encode, Opener
from inference.relay.upstream import ConnectFailed, Path
from kernel.errors import Overloaded

UNABLE = (NoEndpointAvailable, Starting, ConnectFailed, Overloaded)
"""A pool that cannot take the request now; a failure of its engines is another thing."""


class Fallbacks:
    """Tries the pools of a journey one after the other."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener

    async def open(self, journey: Journey, path: Path, encode: Encode) -> Exchange:
        """As `Relay.open`. Raises what the last pool failed with."""
        while True:
            try:
                return await self._opener.open(journey, path, encode)
            except UNABLE:
                if not journey.fall_back():
                    raise
