"""The properties of a request that strategies use."""

import msgspec


class PickContext(msgspec.Struct, frozen=True, gc=False):
    """The inputs of a strategy besides the candidates."""

    sequence: int = 0
    """Number of the request in this worker and pool."""
    affinity_key: bytes = b""
    """The conversation, or else the API key, whose requests prefer one endpoint."""
    prefix: bytes = b""
    """The beginning of the prompt."""
