"""Services of agents: drafts are edited, revisions are published and stay."""

import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from agents import services
from agents.errors import AgentSlugTaken, NothingToPublish, UnknownTools
from agents.models import Agent, AgentRevision, Tool
from agents.selectors import load_published_agents
from inference import services as inference
from kernel.errors import NotFound
from kernel.publishing.publish import latest_revision, revisions_after
from tenants import services as tenants
from tenants.models import User
from tenants.scoping import ScopeMissing, every_tenant, tenant_scope


@pytest.fixture
def acme(db):
    return tenants.create_tenant(slug="acme", name="Acme")


@pytest.fixture
def rival(db):
    return tenants.create_tenant(slug="rival", name="Rival")


@pytest.fixture
def route(db):
    pool = inference.create_pool(name="small", engine="vllm")
    return inference.create_route(name="tiny", pool=pool)


@pytest.fixture
def agent(acme, route):
    return draft(acme, route)


def draft(tenant, route, **facts) -> Agent:
    return services.create_agent(
        tenant=tenant, route=route, **{"slug": "helper", "name": "Helper", **facts}
    )


def change(agent, instructions):
    agent.instructions = instructions
    services.save_draft(agent=agent)


def served(tenant):
    """The instructions that tenants are served, by slug."""
    return {slug: each.instructions for slug, each in load_published_agents(tenant.pk).items()}


def test_a_draft_is_served_to_nobody(acme, agent):
    assert served(acme) == {}


def test_a_published_draft_is_served_to_its_tenant_only(acme, rival, agent):
    change(agent, "Be brief.")
    services.publish(agent=agent)

    assert served(acme) == {"helper": "Be brief."}
    assert served(rival) == {}


def test_both_tenants_may_have_an_agent_of_one_name(acme, rival, route):
    for tenant in (acme, rival):
        agent = draft(tenant, route, instructions=f"Serve {tenant.slug}.")
        services.publish(agent=agent)

    assert served(acme) == {"helper": "Serve acme."}
    assert served(rival) == {"helper": "Serve rival."}


def test_a_name_is_taken_once_per_tenant(acme, agent, route):
    with pytest.raises(AgentSlugTaken):
        draft(acme, route)


def test_what_is_served_stays_while_the_draft_is_edited(acme, agent):
    change(agent, "first")
    services.publish(agent=agent)

    change(agent, "second")

    assert served(acme) == {"helper": "first"}


def test_revisions_are_numbered_from_one(agent):
    numbers = []
    for text in ("a", "b", "c"):
        change(agent, text)
        numbers.append(services.publish(agent=agent).number)

    assert numbers == [1, 2, 3]


def test_a_number_is_never_used_again(agent):
    first = services.publish(agent=agent)
    change(agent, "b")
    services.publish(agent=agent)
    services.rollback(agent=agent, revision=first)
    change(agent, "c")

    assert services.publish(agent=agent).number == 3


def test_an_unchanged_draft_is_not_published_twice(agent):
    services.publish(agent=agent)
    before = latest_revision()

    with pytest.raises(NothingToPublish):
        services.publish(agent=agent)

    assert latest_revision() == before


@pytest.mark.parametrize("changed", [{"instructions": "x"}, {"parameters": {"top_p": 0.1}}])
def test_each_part_of_the_configuration_counts_as_a_change(agent, changed):
    services.publish(agent=agent)

    for name, value in changed.items():
        setattr(agent, name, value)
    services.save_draft(agent=agent)

    assert services.publish(agent=agent).number == 2


def test_a_new_description_is_no_new_revision(agent):
    services.publish(agent=agent)
    agent.description = "changed"
    services.save_draft(agent=agent)

    with pytest.raises(NothingToPublish):
        services.publish(agent=agent)


def test_a_revision_remembers_who_and_why(agent):
    olga = User.objects.create_user("olga")

    revision = services.publish(agent=agent, user=olga, note="first try")

    assert (revision.published_by, revision.note) == (olga, "first try")
    assert str(revision) == "helper@1"


def test_an_earlier_revision_can_be_served_again(acme, agent):
    change(agent, "good")
    good = services.publish(agent=agent)
    change(agent, "bad")
    services.publish(agent=agent)

    services.rollback(agent=agent, revision=good)

    assert served(acme) == {"helper": "good"}
    assert agent.instructions == "bad"


def test_a_rollback_to_another_agents_revision_is_refused(acme, agent, route):
    other = draft(acme, route, slug="other")

    with pytest.raises(NotFound):
        services.rollback(agent=agent, revision=services.publish(agent=other))

    assert served(acme).keys() == {"other"}


def test_a_rollback_to_another_tenants_revision_is_refused(acme, rival, agent, route):
    theirs = services.publish(agent=draft(rival, route, instructions="secret"))

    with pytest.raises(NotFound):
        services.rollback(agent=agent, revision=theirs)

    assert served(acme) == {}


def test_the_database_refuses_to_rewrite_a_revision(agent):
    revision = services.publish(agent=agent)

    with every_tenant():
        rows = AgentRevision.objects.filter(pk=revision.pk)
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            rows.update(instructions="rewritten")

    revision.refresh_from_db()
    assert revision.instructions == ""


@pytest.mark.parametrize(
    "facts",
    [
        {"slug": "two words"},
        {"slug": ""},
        {"slug": "x" * 51},
        {"name": ""},
        {"instructions": "x" * 100_001},
        {"parameters": {"temperature": 3}},
        {"parameters": {"n": 2}},
        {"parameters": {"max_tokens": "many"}},
        {"parameters": [1]},
        {"instructions": "In {{city}}."},
        {"variables": {"city": 1}},
        {"variables": ["city"]},
        {"max_steps": 0},
        {"cache_seconds": 0},
    ],
)
def test_an_impossible_draft_is_not_made(acme, route, facts):
    with pytest.raises(ValidationError):
        draft(acme, route, **facts)


def test_the_refused_parameter_is_named(acme, route):
    with pytest.raises(ValidationError, match="temperature"):
        draft(acme, route, parameters={"temperature": 3})


def test_every_change_tells_the_gateways_of_the_tenant(acme, agent):
    changes = (
        lambda: services.save_draft(agent=agent),
        lambda: services.publish(agent=agent),
        lambda: services.rollback(agent=agent, revision=agent.published),
        lambda: services.delete_agent(agent=agent),
    )

    for make in changes:
        before = latest_revision()
        make()
        assert {topic for _, topic in revisions_after(before)} == {f"agents:{acme.pk}"}


def test_a_deleted_agent_takes_its_revisions_along(acme, agent):
    services.publish(agent=agent)

    services.delete_agent(agent=agent)

    assert served(acme) == {}
    with every_tenant():
        assert not AgentRevision.objects.exists()


def test_agents_are_behind_the_fence(acme, rival, agent):
    with pytest.raises(ScopeMissing):
        Agent.objects.count()
    with tenant_scope(rival.pk):
        assert not Agent.objects.exists()


def test_what_is_served_is_read_in_two_queries(acme, route, django_assert_num_queries):
    for number in range(5):
        services.publish(agent=draft(acme, route, slug=f"agent-{number}"))

    with django_assert_num_queries(2):
        assert len(load_published_agents(acme.pk)) == 5


@pytest.mark.django_db(transaction=True)
def test_publishers_at_once_get_numbers_of_their_own(acme, agent):
    numbers = []

    def publish(text):
        try:
            with transaction.atomic(), every_tenant():
                mine = Agent.objects.select_for_update().get(pk=agent.pk)
                change(mine, text)
                numbers.append(services.publish(agent=mine).number)
        finally:
            connection.close()

    in_threads(publish, "abcd")

    assert sorted(numbers) == [1, 2, 3, 4]


@pytest.mark.django_db(transaction=True)
def test_of_publishers_of_one_draft_only_one_publishes(acme, agent):
    outcomes = []

    def publish(_):
        try:
            outcomes.append(services.publish(agent=agent).number)
        except NothingToPublish:
            outcomes.append(None)
        finally:
            connection.close()

    in_threads(publish, "abcd")

    assert sorted(outcomes, key=str) == [1, None, None, None]


def in_threads(work, arguments):
    threads = [threading.Thread(target=work, args=[argument]) for argument in arguments]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)


def test_a_variable_without_a_default_is_named_when_the_draft_is_saved(agent):
    with pytest.raises(ValidationError, match=r"\{\{city\}\}"):
        change(agent, "In {{city}}.")

    agent.variables = {"city": "Riga"}
    change(agent, "In {{city}}.")


def test_a_draft_whose_variables_are_gone_is_not_published(acme, agent):
    with tenant_scope(acme.pk):
        Agent.objects.filter(pk=agent.pk).update(instructions="In {{city}}.")

    with pytest.raises(ValidationError, match=r"\{\{city\}\}"):
        services.publish(agent=agent)

    assert served(acme) == {}


def make_tool(tenant, name="clock"):
    with tenant_scope(tenant.pk):
        return Tool.objects.create(tenant=tenant, name=name, kind="builtin", description="Time.")


def test_only_the_tenants_own_tools_can_be_named(acme, rival, agent):
    make_tool(acme)
    make_tool(rival, "secret_tool")

    agent.tools = ["clock", "secret_tool", "nothing"]
    with pytest.raises(UnknownTools, match="no tool named secret_tool, nothing"):
        services.save_draft(agent=agent)

    agent.tools = ["clock"]
    services.save_draft(agent=agent)


def test_a_draft_whose_tool_was_deleted_is_not_published(acme, agent):
    tool = make_tool(acme)
    agent.tools = ["clock"]
    services.save_draft(agent=agent)
    with tenant_scope(acme.pk):
        tool.delete()

    with pytest.raises(UnknownTools):
        services.publish(agent=agent)
