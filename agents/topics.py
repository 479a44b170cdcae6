"""The topics under which changes are published."""


def agents_topic(tenant_id: int) -> str:
    """Return the topic for changes of the agents and tools of a tenant, which gateways follow."""
    return f"agents:{tenant_id}"
