"""The next pool of a route, where the first one cannot serve."""

from inference.errors import NoEndpointAvailable, Starting, UpstreamTimeout
from inference.fleet.balancer import EndpointBalancer
from inference.fleet.retry_budget import RetryBudget
from inference.relay.exchange import Exchange
from inference.relay.opener import Encode, ExchangeOpener
from inference.relay.route_trace import RouteTrace
from inference.relay.upstream import ConnectFailed, Path
from kernel.errors import Overloaded, PlatformError, UpstreamError

UNSEEN = (NoEndpointAvailable, Starting, ConnectFailed)
"""With these no engine has seen the request."""


class Fallbacks:
    """Tries the pools of a route one after the other."""

    def __init__(
        self, opener: ExchangeOpener, *, board: EndpointBalancer, budget: RetryBudget
    ) -> None:
        """`budget`: an engine that has seen the request was asked once; the next one is a retry."""
        self._opener = opener
        self._board = board
        self._budget = budget

    async def open(self, route_trace: RouteTrace, path: Path, encode: Encode) -> Exchange:
        """As `Relay.open`. Raises what the last pool failed with.

        A pool whose engines are all known to be out is not asked first.
        """
        while route_trace.fallbacks and self._board.is_out(route_trace.pool):
            route_trace.next_fallback()
        while True:
            try:
                return await self._opener.open(route_trace, path, encode)
            except (UpstreamError, Overloaded) as error:
                if not self._may_go_on(route_trace, error):
                    raise
                route_trace.next_fallback()

    def _may_go_on(self, route_trace: RouteTrace, error: PlatformError) -> bool:
        """Whoever has waited in vain for a first token has waited long enough."""
        if not route_trace.fallbacks or isinstance(error, UpstreamTimeout):
            return False
        return isinstance(error, UNSEEN) or not route_trace.attempts or self._budget.take()
