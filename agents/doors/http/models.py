"""`GET /v1/models` and `GET /v1/models/{id}`: the models and agents that the key may use."""

from collections.abc import Mapping
from typing import Any

from agents.doors.base.call import Call
from agents.runtime.catalog.agents import PublishedAgent
from inference.errors import ModelNotFound
from inference.fleet.snapshot import Fleet
from tenants.admission.principal import Principal

PREFIX = "/v1/models/"


async def list_models(call: Call) -> None:
    """List the models that the key may use, agents first."""
    await call.respond_json({"object": "list", "data": list((await usable_models(call)).values())})


async def show_model(call: Call) -> None:
    """Show one model. Raises ModelNotFound, also for models that the key may not use."""
    # The name may contain slashes, so it is everything after the prefix.
    name = call.scope["path"].removeprefix(PREFIX).removesuffix("/")
    principal = await call.authenticate("models")
    model = (await models_of(call, principal)).get(name)
    if model is None and "@" in name:
        model = await pinned_model(call, principal, name)
    if model is None:
        raise ModelNotFound(param="model")
    await call.respond_json(model)


async def usable_models(call: Call) -> dict[str, dict[str, Any]]:
    return await models_of(call, await call.authenticate("models"))


async def models_of(call: Call, principal: Principal) -> dict[str, dict[str, Any]]:
    agents = await call.gateway.catalog.of_tenant(principal.tenant_id)
    return describe_models(principal=principal, agents=agents, fleet=call.gateway.fleet.current)


async def pinned_model(call: Call, principal: Principal, name: str) -> dict[str, Any] | None:
    """Return the model object of a revision `<slug>@<number>`. None if it cannot be used."""
    pinned = await call.gateway.catalog.pinned(principal.tenant_id, name)
    if pinned is None or pinned.is_paused or not principal.may_use(pinned.slug):
        return None
    if pinned.route not in call.gateway.fleet.current.routes:
        return None
    return model_object(name, created=pinned.created, owner=principal.tenant)


def describe_models(
    *, principal: Principal, agents: Mapping[str, PublishedAgent], fleet: Fleet
) -> dict[str, dict[str, Any]]:
    """OpenAI's model objects by name. An agent hides a route of the same name, also if it is paused
    and therefore not listed itself.
    """
    described = {
        agent.slug: model_object(agent.slug, created=agent.created, owner=principal.tenant)
        for agent in agents.values()
        if agent.route in fleet.routes and not agent.is_paused
    }
    for route in fleet.routes.values():
        if route.name not in agents:
            described[route.name] = model_object(
                route.name, created=route.created, owner="tenantry"
            )
    return {name: model for name, model in described.items() if principal.may_use(name)}


def model_object(name: str, *, created: int, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": owner}
