"""The next pool of a route, where the first one cannot serve."""

from inference.errors import NoEndpointAvailable, Starting, UpstreamTimeout
from inference.fleet.board import Board
from inference.fleet.retry_budget import RetryBudget
from inference.relay.exchange import Exchange
from inference.relay.journey import Journey
from inference.relay.opener import Encode, Opener
from inference.relay.upstream import ConnectFailed, Path
from kernel.errors import Overloaded, PlatformError, UpstreamError

UNSEEN = (NoEndpointAvailable, Starting, ConnectFailed)
"""With these no engine has seen the request."""


class Fallbacks:
    """Tries the pools of a journey one after the other."""

    def __init__(self, opener: Opener, *, board: Board, budget: RetryBudget) -> None:
        """`budget`: an engine that has seen the request was asked once; the next one is a retry."""
        self._opener = opener
        self._board = board
        self._budget = budget

    async def open(self, journey: Journey, path: Path, encode: Encode) -> Exchange:
        """As `Relay.open`. Raises what the last pool failed with.

        A pool whose engines are all known to be out is not asked first.
        """
        while journey.fallbacks and self._board.is_out(journey.pool):
            journey.fall_back()
        while True:
            try:
                return await self._opener.open(journey, path, encode)
            except (UpstreamError, Overloaded) as error:
                if not self._may_go_on(journey, error):
                    raise
                journey.fall_back()

    def _may_go_on(self, journey: Journey, error: PlatformError) -> bool:
        """Whoever has waited in vain for a first token has waited long enough."""
        if not journey.fallbacks or isinstance(error, UpstreamTimeout):
            return False
        return isinstance(error, UNSEEN) or not journey.attempts or self._budget.take()
