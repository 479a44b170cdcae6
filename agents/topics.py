"""Under which names changes are published."""


def agents_topic(tenant_id: int) -> str:
    """What gateways follow to forget the agents and tools of a tenant."""
    return f"agents:{tenant_id}"
