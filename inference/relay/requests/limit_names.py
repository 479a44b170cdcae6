"""Name of the token limit that an engine accepts: newer OpenAI models reject `max_tokens`."""

from dataclasses import replace

from inference.fleet.snapshot import Endpoint
from inference.relay.exchange import Exchange

OLD, NEW = b"max_tokens", b"max_completion_tokens"


class LimitNames:
    """Cache of engines that require the new name, learned from their rejections.

    Nothing else distinguishes OpenAI-compatible servers, and servers that support only the old
    name ignore the new one.
    """

    def __init__(self) -> None:
        self._new: set[tuple[str, str]] = set()
        """Addresses and models that require the new name."""

    def adapted(self, endpoint: Endpoint) -> Endpoint:
        """Return `endpoint` with the name that it requires, as far as known."""
        if self._new and (endpoint.address, endpoint.model) in self._new:
            return replace(endpoint, limit_name=NEW.decode())
        return endpoint

    def learn(self, endpoint: Endpoint, exchange: Exchange) -> bool:
        """Return whether the engine rejected the old name, so that the new one must be sent."""
        refusal = exchange.refusal
        if not refusal:
            return False
        was_sent_new_name = endpoint.limit_name == NEW.decode()
        if OLD not in refusal or NEW not in refusal or was_sent_new_name:
            return False
        self._new.add((endpoint.address, endpoint.model))
        return True
