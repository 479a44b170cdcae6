"""The agents that are placed on other nodes, read from PostgreSQL at intervals."""

import asyncio
import logging
from collections.abc import Sequence

from agents.nodes.selectors import agents_placed_elsewhere
from config.gateway.database.queries import GatewayDatabase
from kernel.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

REFRESH_SECONDS = 2.0


class PlacementSync:
    """What a node needs to know of placement: which agents it may not execute."""

    def __init__(self, database: GatewayDatabase, *, name: str) -> None:
        """`name` is that of the node."""
        self._database = database
        self._name = name
        self.excluded: Sequence[str] = ()
        """Agents, as `<tenant id>/<slug>`, that are placed on other nodes."""

    async def load(self) -> None:
        """Read the placement now. Raises DatabaseUnavailable."""
        self.excluded = await self._database.query(agents_placed_elsewhere, self._name)

    async def run(self) -> None:
        """Read the placement until cancelled."""
        while True:
            try:
                await self.load()
            except DatabaseUnavailable as error:
                log.debug("placement: not read, tried again (error=%s)", error.code)
            await asyncio.sleep(REFRESH_SECONDS)
