"""Which route serves a request: an agent of the tenant, or a route that the key may use. Pure."""

from collections.abc import Mapping

import msgspec

from agents.runtime.catalog.agents import PublishedAgent
from agents.runtime.catalog.revision_selection import Sticky, choose_revision
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
    sticky: Sticky | None = None,
    pinned: PublishedAgent | None = None,
) -> Target:
    """`pinned` is the revision that `model` names by number; a key that may use an agent may use
    each of its revisions. Without `sticky`, no rollout is taken part in.

    Raises ModelNotFound, the same for what does not exist and what is not this caller's.
    """
    if principal.may_use(pinned.slug if pinned else model):
        agent = pinned or agents.get(model)
        if agent is not None and agent.candidate is not None and pinned is None:
            agent = share_of_rollout(agent, sticky, fleet=fleet, purpose=purpose)
        route = fleet.routes.get(agent.route if agent else model)
        if route is not None and route.purpose == purpose:
            return Target(model=model, route=route, agent=agent)
    raise ModelNotFound(
        f"There is no model {model[:100]!r}, or this key may not use it. "
        "`GET /v1/models` lists what it may.",
        param="model",
    )


def share_of_rollout(
    agent: PublishedAgent, sticky: Sticky | None, *, fleet: Fleet, purpose: str
) -> PublishedAgent:
    """The revision that serves this caller; never a candidate whose route could not serve it."""
    chosen = choose_revision(agent, sticky) if sticky else agent
    route = fleet.routes.get(chosen.route)
    return chosen if route is not None and route.purpose == purpose else agent
