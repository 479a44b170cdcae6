"""Which route serves a request: an agent of the tenant, or a route that the key may use. Pure."""

from collections.abc import Mapping

import msgspec

from agents.runtime.catalog import PublishedAgent
from inference.errors import ModelNotFound
from inference.fleet.snapshot import Fleet, Route
from tenants.admission.principal import Principal


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes, and as which agent."""

    model: str
    """As the client wrote it."""
    route: Route
    agent: PublishedAgent | None = None


def resolve(
    model: str,
    *,
    purpose: str,
    principal: Principal,
    agents: Mapping[str, PublishedAgent],
    fleet: Fleet,
) -> Target:
    """Raises ModelNotFound, the same for what does not exist and what is not this caller's."""
    if principal.may_use(model):
        agent = agents.get(model)
        route = fleet.routes.get(agent.route if agent else model)
        if route is not None and route.purpose == purpose:
            return Target(model=model, route=route, agent=agent)
    raise ModelNotFound(
        f"There is no model {model[:100]!r}, or this key may not use it. "
        "`GET /v1/models` lists what it may.",
        param="model",
    )
