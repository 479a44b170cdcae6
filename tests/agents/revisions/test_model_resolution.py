"""Resolution: which route serves a name, and as which agent."""

import pytest

from agents.doors.http.models import describe_models
from agents.errors import AgentsUnavailable
from agents.runtime.catalog.agents import FRESH_SECONDS, STALE_SECONDS, AgentCatalog, PublishedAgent
from agents.runtime.catalog.model_resolution import resolve
from agents.runtime.catalog.revision_selection import Sticky
from inference.errors import ModelNotFound
from inference.fleet.snapshot import Fleet, Pool, Route
from kernel.errors import Overloaded
from tests.fixtures.limits.principals import principal

POOL = Pool(name="p", engine="vllm")


def route(name, purpose="chat") -> Route:
    return Route(name=name, purpose=purpose, context_length=1, pool=POOL, created=5)


def agent(slug="helper", route="tiny", **facts) -> PublishedAgent:
    usual = {"revision": 1, "instructions": "", "created": 6}
    return PublishedAgent(slug=slug, name=slug, route=route, **usual | facts)


FLEET = Fleet(
    routes={each.name: each for each in (route("tiny"), route("huge"), route("e", "embeddings"))}
)
AGENTS = {each.slug: each for each in (agent(), agent("lost", "gone"), agent("huge", "tiny"))}


def find(model, *, purpose="chat", agents=AGENTS, sticky=None, pinned=None, **key):
    return resolve(
        model, purpose=purpose, principal=principal(**key), agents=agents, fleet=FLEET,
        sticky=sticky, pinned=pinned,
    )  # fmt: skip


def described(*, agents=AGENTS, **key):
    return describe_models(principal=principal(**key), agents=agents, fleet=FLEET)


def test_a_route_is_found_by_its_name():
    target = find("tiny")

    assert (target.model, target.route, target.agent) == ("tiny", FLEET.routes["tiny"], None)


def test_an_agent_is_found_with_its_route():
    target = find("helper")

    assert (target.model, target.route.name, target.agent) == ("helper", "tiny", AGENTS["helper"])


def test_an_agent_comes_before_a_route_of_its_name():
    assert find("huge").route.name == "tiny"
    assert find("huge", agents={}).route.name == "huge"


@pytest.mark.parametrize("model", ["nothing", "lost", "", "TINY", "tiny ", "x" * 200])
def test_what_is_not_there_is_not_found(model):
    with pytest.raises(ModelNotFound) as caught:
        find(model)

    assert caught.value.param == "model"
    assert len(caught.value.message) < 250


def test_another_tenants_agent_is_what_does_not_exist():
    with pytest.raises(ModelNotFound) as theirs:
        find("helper", agents={})
    with pytest.raises(ModelNotFound) as nothing:
        find("nobody", agents={})

    assert theirs.value.message == nothing.value.message.replace("nobody", "helper")


@pytest.mark.parametrize(("allowed", "model"), [("tiny", "helper"), ("helper", "tiny")])
def test_a_key_for_an_agent_is_none_for_its_route_and_the_other_way_round(allowed, model):
    assert find(allowed, allowed_models=frozenset({allowed}))

    with pytest.raises(ModelNotFound):
        find(model, allowed_models=frozenset({allowed}))


@pytest.mark.parametrize(("model", "purpose"), [("e", "chat"), ("tiny", "embeddings")])
def test_a_route_serves_its_purpose_only(model, purpose):
    with pytest.raises(ModelNotFound):
        find(model, purpose=purpose)


def test_every_model_is_described_as_openai_does():
    assert described()["tiny"] == {
        "id": "tiny", "object": "model", "created": 5, "owned_by": "tenantry",
    }  # fmt: skip
    assert described()["helper"]["owned_by"] == "acme"


def test_an_agent_hides_the_route_of_its_name():
    assert described()["huge"]["owned_by"] == "acme"


def test_only_allowed_models_are_described():
    assert list(described(allowed_models=frozenset({"helper", "gone"}))) == ["helper"]


@pytest.mark.parametrize("agents", [AGENTS, {}, {"tiny": agent("tiny", "gone")}])
def test_what_is_described_can_be_found_and_nothing_else(agents):
    names = {*FLEET.routes, *agents, "nothing"}

    assert set(described(agents=agents)) == {name for name in names if is_found(name, agents)}


def is_found(name, agents):
    for purpose in ("chat", "embeddings"):
        try:
            find(name, purpose=purpose, agents=agents)
        except ModelNotFound:
            continue
        return True
    return False


class Agents:
    """Published agents by tenant; counts how often it is asked."""

    def __init__(self):
        self.asked = []
        self.now = 0.0
        self.failing = None

    async def load(self, tenant_id):
        self.asked.append(tenant_id)
        if self.failing:
            raise self.failing
        return {f"of-{tenant_id}": agent(latest=9)}

    async def load_revision(self, pin):
        self.asked.append(pin)
        return agent(instructions=f"revision {pin.number}")

    def catalog(self):
        return AgentCatalog(self.load, self.load_revision, clock=lambda: self.now)


async def test_the_catalog_keeps_tenants_apart():
    catalog = Agents().catalog()

    assert list(await catalog.of_tenant(1)) == ["of-1"]
    assert list(await catalog.of_tenant(2)) == ["of-2"]


async def test_the_catalog_forgets_one_tenant():
    agents = Agents()
    catalog = agents.catalog()
    await catalog.of_tenant(1)
    await catalog.of_tenant(2)

    catalog.forget_tenant(1)
    await catalog.of_tenant(1)
    await catalog.of_tenant(2)

    assert agents.asked == [1, 2, 1]


@pytest.mark.parametrize("seconds", [FRESH_SECONDS + 1, STALE_SECONDS - 1])
async def test_known_agents_serve_while_postgresql_is_away(seconds):
    agents = Agents()
    catalog = agents.catalog()
    known = await catalog.of_tenant(1)

    agents.now, agents.failing = seconds, AgentsUnavailable()

    assert await catalog.of_tenant(1) is known


async def test_unknown_agents_are_not_taken_for_none():
    agents = Agents()
    agents.failing = Overloaded()

    with pytest.raises(Overloaded):
        await agents.catalog().of_tenant(1)


async def test_an_earlier_revision_is_loaded_once():
    agents = Agents()
    catalog = agents.catalog()

    first = await catalog.pinned(1, "of-1@7")

    assert first.instructions == "revision 7"
    assert await catalog.pinned(1, "of-1@7") is first
    assert agents.asked == [1, (1, "of-1", 7)]


async def test_the_served_revision_by_its_number_is_not_loaded_again():
    agents = Agents()
    catalog = agents.catalog()

    assert await catalog.pinned(1, "of-1@1") is (await catalog.of_tenant(1))["of-1"]
    assert agents.asked == [1]


@pytest.mark.parametrize(
    "model",
    [
        *("of-1@0", "of-1@10", "of-1@07", "of-1@+7", "of-1@", "of-1@7@7", "of-1@-1", "of-1@7 "),
        *("@7", "of-2@7", "nobody@7", "of-1@" + "9" * 5000, "of-1@\u0667", "of-1@1_0", "of-1@7.0"),
    ],
)
async def test_a_number_that_no_revision_has_costs_no_query(model):
    agents = Agents()

    assert await agents.catalog().pinned(1, model) is None
    assert agents.asked == [1]


async def test_earlier_revisions_are_forgotten_with_their_tenant():
    agents = Agents()
    catalog = agents.catalog()
    for tenant in (1, 2):
        await catalog.pinned(tenant, f"of-{tenant}@7")

    catalog.forget_tenant(1)
    for tenant in (1, 2):
        await catalog.pinned(tenant, f"of-{tenant}@7")

    assert agents.asked == [1, (1, "of-1", 7), 2, (2, "of-2", 7), 1, (1, "of-1", 7)]


def test_a_key_for_an_agent_may_use_each_of_its_revisions():
    pinned = agent(revision=7)

    target = find("helper@7", pinned=pinned, allowed_models=frozenset({"helper"}))

    assert (target.model, target.agent) == ("helper@7", pinned)


def test_a_key_for_another_agent_may_use_none_of_its_revisions():
    with pytest.raises(ModelNotFound):
        find("helper@7", pinned=agent(revision=7), allowed_models=frozenset({"huge", "helper@7"}))


def rolled_out(*, share, route="tiny"):
    return {"helper": agent(share=share, candidate=agent(route=route, revision=2))}


def test_a_share_is_served_the_candidate():
    served = {
        find("helper", agents=rolled_out(share=50), sticky=Sticky(key=str(n))).agent.revision
        for n in range(50)
    }

    assert served == {1, 2}


@pytest.mark.parametrize("route", ["gone", "e"])
def test_a_candidate_that_no_route_could_serve_is_passed_over(route):
    agents = rolled_out(share=99, route=route)

    served = {
        find("helper", agents=agents, sticky=Sticky(key=str(n))).agent.revision for n in range(50)
    }

    assert served == {1}


def test_a_pinned_revision_takes_no_part_in_a_rollout():
    agents = rolled_out(share=99)

    served = [
        find("helper@1", agents=agents, pinned=agents["helper"], sticky=Sticky(key=str(n)))
        for n in range(50)
    ]

    assert {each.agent.revision for each in served} == {1}
