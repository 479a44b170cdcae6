"""Opening an exchange: pick an endpoint, send, and try another one if nobody was there."""

import asyncio
import random

from inference.errors import UpstreamTimeout
from inference.fleet.in_flight import InFlight
from inference.fleet.snapshot import Endpoint, Pool
from inference.fleet.strategies import candidates_of, least_requests
from inference.relay.exchange import Exchange
from inference.relay.journey import Journey
from inference.relay.opener import Encode
from inference.relay.upstream import ConnectFailed, Path, Upstream
from inference.relay.watch import Watch
from kernel import metrics
from kernel.errors import PlatformError

MOST_ATTEMPTS = 3


class Relay:
    """Passes requests on to the endpoints of a pool."""

    def __init__(
        self, *, upstream: Upstream, in_flight: InFlight, watch: Watch, rng: random.Random
    ) -> None:
        self._upstream = upstream
        self._in_flight = in_flight
        self._watch = watch
        self._rng = rng

    async def open(self, journey: Journey, path: Path, encode: Encode) -> Exchange:
        """Send a request to one of the pool's endpoints; `encode` renders it for the chosen one.

        Another endpoint is tried only where the first has certainly not seen the request. Raises
        NoEndpointAvailable, ConnectFailed, UpstreamTimeout and UpstreamError.
        """
        while True:
            endpoint = self._pick(journey)
            journey.visit(endpoint)
            try:
                return await self._send(journey.pool, endpoint, path, encode(endpoint))
            except ConnectFailed:
                if journey.attempts == MOST_ATTEMPTS or not untried(journey):
                    raise

    def _pick(self, journey: Journey) -> Endpoint:
        load = self._in_flight.of
        candidates = candidates_of(untried(journey), load=load)
        return least_requests(candidates, load=load, rng=self._rng)

    async def _send(self, pool: Pool, endpoint: Endpoint, path: Path, body: bytes) -> Exchange:
        lease = self._in_flight.lease(pool=pool.name, endpoint=endpoint.id)
        try:
            async with asyncio.timeout(pool.first_token_timeout):
                response = await self._upstream.post(endpoint, path, body, pool=pool)
        except TimeoutError as error:
            lease.release()
            metrics.series(
                metrics.upstream_errors, pool.name, endpoint.id, UpstreamTimeout.code
            ).inc()
            raise UpstreamTimeout from error
        except PlatformError as error:
            lease.release()
            metrics.series(metrics.upstream_errors, pool.name, endpoint.id, error.code).inc()
            raise
        except BaseException:
            # Cancelled: the client left, or the worker stops.
            lease.release()
            raise
        return Exchange(response, pool=pool, endpoint=endpoint, lease=lease, watch=self._watch)


def untried(journey: Journey) -> list[Endpoint]:
    """The ready endpoints that this request has not been sent to."""
    return [e for e in journey.pool.endpoints if e.ready and not journey.has_visited(e)]
