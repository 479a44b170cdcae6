"""Where Redis holds answers that may be given again, and the lists by which they are erased."""


def answer_key(tenant_id: int, digest: str) -> str:
    return f"tenantry:{tenant_id}:answer:{digest}"


def index_key(tenant_id: int) -> str:
    """Digests of all answers of a tenant, by the time at which they expire."""
    return f"tenantry:{tenant_id}:answers"


def tag_key(tenant_id: int, conversation: str) -> str:
    """The same of one conversation."""
    return f"tenantry:{tenant_id}:answers-of:{conversation}"


def answers_topic(tenant_id: int) -> str:
    """What gateways follow to forget the answers that they hold in memory."""
    return f"answers:{tenant_id}"
