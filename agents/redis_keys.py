"""Where Redis holds something that was said: one function for each kind of key.

Whoever erases deletes what these name; a key that no function here names is never found again.
"""


def context_key(tenant_id: int, conversation: str) -> str:
    """The history of a conversation, kept for its next run."""
    return f"tenantry:{tenant_id}:context:{conversation}"


APPROVALS = "tenantry:approvals"
"""The channel on which it is told that a person has resolved one: the ids of its run and itself."""
