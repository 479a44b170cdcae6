"""Capabilities, their schemas and the placement of an agent: validated, and in effect at once."""

import pytest
from django.core.exceptions import ValidationError

from agents import services
from agents.models import Agent
from agents.selectors import load_published_agents
from tenants.scoping import tenant_scope
from tests.fixtures.cast import hire

SCHEMAS = {"ocr": {"input": {"type": "object", "required": ["image"]}}}


@pytest.fixture
def agent(acme, tiny):
    return hire(acme.tenant, tiny, capabilities=["ocr"], capability_schemas=SCHEMAS)


def served(member):
    return load_published_agents(member.tenant.pk)["helper"]


def test_a_changed_capability_is_served_without_a_new_revision(acme, agent):
    agent.capabilities = ["ocr", "translate.de-en"]
    agent.placement = {"zone": "eu-1"}
    services.save_draft(agent=agent)

    now = served(acme)

    assert not agent.has_unpublished_changes()
    assert (now.revision, set(now.capabilities)) == (1, {"ocr", "translate.de-en"})
    assert now.capabilities["ocr"].input == SCHEMAS["ocr"]["input"]
    assert now.placement.zone == "eu-1"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("capabilities", ["OCR"]),
        ("capabilities", ["o c r"]),
        ("capabilities", [""]),
        ("capabilities", ["ocr", "ocr"]),
        ("capabilities", ["x" * 64]),
        ("capabilities", [f"c{n}" for n in range(65)]),
        ("capability_schemas", []),
        ("capability_schemas", {"ocr": {"input": {"type": "string"}}}),
        ("capability_schemas", {"ocr": {"input": {"type": "objekt"}}}),
        ("capability_schemas", {"ocr": {"inputs": {}}}),
        ("capability_schemas", {"ocr": {"output": {"$ref": "http://10.0.0.1/schema"}}}),
        ("capability_schemas", {"other": {"input": {}}}),
        ("placement", {"zone": "eu 1"}),
    ],
)
def test_a_value_that_is_not_valid_is_refused_at_its_field(agent, field, value):
    setattr(agent, field, value)

    with pytest.raises(ValidationError) as refused:
        services.save_draft(agent=agent)

    assert field in refused.value.message_dict


def test_undeploying_keeps_the_labels_and_deploying_replaces_them(acme, agent):
    services.deploy_agent(agent=agent, placement={"labels": {"gpu": "a100"}, "replicas": 2})
    services.undeploy_agent(agent=agent)
    removed = served(acme).placement

    services.deploy_agent(agent=agent, placement={})

    assert (removed.labels, removed.replicas) == ({"gpu": "a100"}, 0)
    assert served(acme).placement.replicas is None


def test_pausing_is_done_once_and_is_not_undone_by_a_form(acme, agent):
    with tenant_scope(acme.tenant.pk):
        form = Agent.objects.get(pk=agent.pk)

    assert services.pause_agent(agent=agent)
    assert not services.pause_agent(agent=agent)
    form.name = "New"
    services.save_draft(agent=form)

    assert served(acme).is_paused
    assert services.resume_agent(agent=agent)
    assert not served(acme).is_paused
