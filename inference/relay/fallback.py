"""Fallback to the next pool of a route when a pool cannot serve a request."""

from inference.errors import NoEndpointAvailable, Starting, UpstreamTimeout
from inference.fleet.balancer import EndpointBalancer
from inference.fleet.retry_budget import RetryBudget
from inference.relay.exchange import Exchange
from inference.relay.opener import Encode, ExchangeOpener
from inference.relay.route_trace import RouteTrace
from inference.relay.upstream import ConnectFailed, Path
from kernel.errors import Overloaded, PlatformError, UpstreamError

NOT_RECEIVED = (NoEndpointAvailable, Starting, ConnectFailed)
"""Failures after which no engine has received the request."""


class Fallbacks:
    """Tries the pools of a route one after the other."""

    def __init__(
        self, opener: ExchangeOpener, *, balancer: EndpointBalancer, budget: RetryBudget
    ) -> None:
        """`budget` limits the fallbacks of requests that an engine has already received."""
        self._opener = opener
        self._balancer = balancer
        self._budget = budget

    async def open(self, route_trace: RouteTrace, path: Path, encode: Encode) -> Exchange:
        """As `Relay.open`. Raises the failure of the last pool.

        Pools without an available endpoint are skipped while there is a fallback.
        """
        while route_trace.fallbacks and self._balancer.is_out(route_trace.pool):
            route_trace.next_fallback()
        while True:
            try:
                return await self._opener.open(route_trace, path, encode)
            except (UpstreamError, Overloaded) as error:
                if not self._may_fall_back(route_trace, error):
                    raise
                route_trace.next_fallback()

    def _may_fall_back(self, route_trace: RouteTrace, error: PlatformError) -> bool:
        """Return whether the next pool may be tried. There is no fallback after a timeout."""
        if not route_trace.fallbacks or isinstance(error, UpstreamTimeout):
            return False
        return isinstance(error, NOT_RECEIVED) or not route_trace.attempts or self._budget.take()
