"""Who calls which agent over A2A: the agent in the address, and the key of the request."""

import re

from agents.doors.base.call import Call
from agents.doors.http.a2a.ports import A2aCaller
from agents.runtime.catalog.agents import PublishedAgent
from kernel.errors import NotFound

SLUG = re.compile(r"[-a-zA-Z0-9_]{1,100}")
NO_AGENT = "There is no such agent here. Its tenant must offer it over A2A."


def slugs_of(call: Call) -> tuple[str, str]:
    """Return the tenant and the agent in the address."""
    named = call.scope["url_route"]["kwargs"]
    return named["tenant"], named["agent"]


async def find_offered_agent(call: Call) -> PublishedAgent:
    """Return the agent in the address, for a client without a key. Raises NotFound."""
    tenant, slug = slugs_of(call)
    tenant_id = await call.gateway.a2a.find_tenant(tenant) if SLUG.fullmatch(tenant) else None
    if tenant_id is None:
        raise NotFound(NO_AGENT)
    return await offered_agent(call, tenant_id, slug)


async def identify(call: Call) -> A2aCaller:
    """Authenticate the key and find the agent in the address.

    Raises the errors 401 and 403, and NotFound for an agent of another tenant, or one that the key
    may not use.
    """
    principal = await call.authenticate("chat")
    tenant, slug = slugs_of(call)
    if principal.tenant != tenant or not principal.may_use(slug):
        raise NotFound(NO_AGENT)
    agent = await offered_agent(call, principal.tenant_id, slug)
    return A2aCaller(principal=principal, agent=agent)


async def offered_agent(call: Call, tenant_id: int, slug: str) -> PublishedAgent:
    agent = (await call.gateway.catalog.of_tenant(tenant_id)).get(slug)
    if agent is None or not agent.offered_over_a2a:
        raise NotFound(NO_AGENT)
    return agent
