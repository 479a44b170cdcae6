"""Resolves `model` to an agent of the tenant, or to a route that the key may use. Pure."""

from collections.abc import Mapping

import msgspec

from agents.runtime.catalog.agents import PublishedAgent
from agents.runtime.catalog.revision_selection import Sticky, choose_revision
from inference.errors import ModelNotFound
from inference.fleet.snapshot import Fleet, Route
from tenants.admission.principal import Principal


class ResolvedModel(msgspec.Struct, frozen=True, kw_only=True):
    """The route, and the agent if there is one, that serve a request."""

    model: str
    """The name in the request."""
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
) -> ResolvedModel:
    """Resolve a name for a principal.

    `pinned` is the revision that `model` names by number; a key that may use an agent may use all
    its revisions. Without `sticky` the request does not take part in a rollout. Raises
    ModelNotFound, the same for a name that does not exist and for one that the key may not use.
    """
    if principal.may_use(pinned.slug if pinned else model):
        agent = pinned or agents.get(model)
        if agent is not None and agent.candidate is not None and pinned is None:
            agent = share_of_rollout(agent, sticky, fleet=fleet, purpose=purpose)
        route = fleet.routes.get(agent.route if agent else model)
        if route is not None and route.purpose == purpose:
            return ResolvedModel(model=model, route=route, agent=agent)
    raise ModelNotFound(
        f"There is no model {model[:100]!r}, or this key may not use it. "
        "`GET /v1/models` lists the models that it may use.",
        param="model",
    )


def share_of_rollout(
    agent: PublishedAgent, sticky: Sticky | None, *, fleet: Fleet, purpose: str
) -> PublishedAgent:
    """Return the revision that serves this request; never a candidate without a usable route."""
    chosen = choose_revision(agent, sticky) if sticky else agent
    route = fleet.routes.get(chosen.route)
    return chosen if route is not None and route.purpose == purpose else agent
