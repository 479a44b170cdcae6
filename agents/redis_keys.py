"""The names of Redis keys with content of conversations, one function per kind.

Erasure deletes the keys that these functions name, so every key with content must have one.
"""


def context_key(tenant_id: int, conversation: str) -> str:
    """Return the cached history of a conversation."""
    return f"tenantry:{tenant_id}:context:{conversation}"


RUN_QUEUE = "tenantry:run-queue"
"""The channel for new runs in the run queue."""
APPROVALS = "tenantry:approvals"
"""The channel for resolved approvals. A message has the ids of the run and the approval."""
