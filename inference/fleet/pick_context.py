"""What strategies may know of a request."""

import msgspec


class PickContext(msgspec.Struct, frozen=True, gc=False):
    """By which requests differ when an endpoint is chosen."""

    turn: int = 0
    """Number of this request among those of this worker and pool."""
    affinity: bytes = b""
    """What is to stay together: a conversation, else a key."""
    prefix: bytes = b""
    """How the prompt begins."""
