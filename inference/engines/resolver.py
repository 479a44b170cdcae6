"""The addresses that names of engines stand for, looked at again whenever one is connected to."""

import socket
from ipaddress import ip_address

from aiohttp import ThreadedResolver
from aiohttp.abc import ResolveResult

from inference.addresses import ensure_reachable
from inference.errors import AddressNotAllowed


class EngineResolver(ThreadedResolver):
    """As the system resolves names, but for those that lead where no endpoint may be.

    A name is not known to be anything when it is entered, and may stand for another address by the
    time of a request.
    """

    def __init__(self, *, allow_loopback: bool) -> None:
        super().__init__()
        self._allow_loopback = allow_loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError, also if any of the addresses may not be an endpoint."""
        found = await super().resolve(host, port, family)
        try:
            for each in found:
                ensure_reachable(ip_address(each["host"]), allow_loopback=self._allow_loopback)
        except AddressNotAllowed as error:
            raise OSError(error.message) from error
        return found
