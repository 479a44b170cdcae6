"""DNS resolution of engines, with a check of the addresses at each connection."""

import socket
from ipaddress import ip_address

from aiohttp import ThreadedResolver
from aiohttp.abc import ResolveResult

from inference.addresses import ensure_reachable
from inference.errors import AddressNotAllowed


class EngineResolver(ThreadedResolver):
    """The system's resolver without names of addresses that may not be an endpoint.

    The check when an endpoint is entered does not resolve its name, and the name may have another
    address at the time of a request.
    """

    def __init__(self, *, allow_loopback: bool) -> None:
        super().__init__()
        self._allow_loopback = allow_loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raise OSError for an unknown name, or if one of its addresses may not be an endpoint."""
        found = await super().resolve(host, port, family)
        try:
            for each in found:
                ensure_reachable(ip_address(each["host"]), allow_loopback=self._allow_loopback)
        except AddressNotAllowed as error:
            raise OSError(error.message) from error
        return found
