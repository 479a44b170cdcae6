"""By which name an engine knows the longest answer: OpenAI's newer models refuse `max_tokens`."""

from dataclasses import replace

from inference.fleet.snapshot import Endpoint
from inference.relay.exchange import Exchange

OLD, NEW = b"max_tokens", b"max_completion_tokens"


class LimitNames:
    """Learned from refusals: nothing else tells one OpenAI-compatible server from another, and
    servers that know the old name only would take no notice of the new one.
    """

    def __init__(self) -> None:
        self._new: set[tuple[str, str]] = set()
        """Addresses and models."""

    def adapted(self, endpoint: Endpoint) -> Endpoint:
        """`endpoint` with the name that it is known to want."""
        if self._new and (endpoint.address, endpoint.model) in self._new:
            return replace(endpoint, limit_name=NEW.decode())
        return endpoint

    def learn(self, endpoint: Endpoint, exchange: Exchange) -> bool:
        """Whether the engine has just refused the old name and is to be asked by the new one."""
        refusal = exchange.refusal
        if not refusal:
            return False
        was_asked_by_new = endpoint.limit_name == NEW.decode()
        if OLD not in refusal or NEW not in refusal or was_asked_by_new:
            return False
        self._new.add((endpoint.address, endpoint.model))
        return True
