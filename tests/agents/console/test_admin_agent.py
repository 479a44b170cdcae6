"""The console's pages about agents: drafts, differences, publishing and the way back."""

import pytest
from auditlog.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from agents import services
from agents.models import Agent, AgentNode, AgentRevision
from tests.fixtures.console.people import rows


def page(name, *args):
    return reverse(f"admin:agents_{name}", args=args)


@pytest.fixture
def agent(acme, route):
    return services.create_agent(tenant=acme, slug="helper", name="Helper", route=route)


@pytest.fixture
def form(route):
    return {
        "name": "Helper", "route": route.pk, "instructions": "Be kind.", "parameters": "{}",
        "variables": "{}", "max_steps": 8, "max_tool_calls": 16, "max_run_seconds": 600,
        "busy_policy": "", "overflow": "drop", "response_cache": "off", "cache_seconds": 3600,
        "revisions-TOTAL_FORMS": 0, "revisions-INITIAL_FORMS": 0,
    }  # fmt: skip


def test_a_draft_is_made(console, acme, form):
    console.post(page("agent_add"), {**form, "tenant": acme.pk, "slug": "helper"})
    assert rows(Agent).get().published is None


def test_two_tenants_may_use_one_name(console, agent, rival, form):
    console.post(page("agent_add"), {**form, "tenant": rival.pk, "slug": "helper"})
    assert rows(Agent).count() == 2


def test_a_name_that_the_tenant_has_is_an_error_of_the_form(console, agent, acme, form):
    answer = console.post(page("agent_add"), {**form, "tenant": acme.pk, "slug": "helper"})
    assert "already exists" in answer.content.decode()


@pytest.mark.parametrize("parameters", ['{"temperature": 9}', '{"priority": 1}', "[1]", "{"])
def test_parameters_that_no_request_could_have_are_refused(console, agent, form, parameters):
    body = {**form, "parameters": parameters}
    answer = console.post(page("agent_change", agent.pk), body)
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["parameters"]


@pytest.mark.parametrize("nothing", ["", "[]", "null", '""'])
def test_every_emptiness_means_no_presets(console, agent, form, nothing):
    console.post(page("agent_change", agent.pk), {**form, "parameters": nothing})
    agent = rows(Agent).get()
    assert (agent.parameters, agent.instructions) == ({}, "Be kind.")


def test_the_list_says_what_is_not_published(console, agent):
    assert "unpublished changes" in console.get(page("agent_changelist")).content.decode()


def test_publishing_shows_the_differences_first(console, agent):
    answer = console.get(page("agent_publish", agent.pk))
    assert "Publish this draft?" in answer.content.decode()
    assert "+route: smollm2" in answer.content.decode()
    assert not rows(AgentRevision).exists()


def test_publishing_keeps_the_note_and_the_name(console, agent, operator):
    console.post(page("agent_publish", agent.pk), {"note": "First"})
    revision = rows(AgentRevision).get()
    assert (revision.note, revision.published_by) == ("First", operator)
    assert rows(Agent).get().published == revision


def test_publishing_nothing_new_says_so(console, agent):
    services.publish(agent=agent)
    answer = console.post(page("agent_publish", agent.pk), {"note": ""})
    assert "The draft is the same as the published revision" in answer.content.decode()


def test_nobody_is_asked_to_publish_nothing_new(console, agent):
    services.publish(agent=agent)
    answer = console.get(page("agent_publish", agent.pk), follow=True)
    assert answer.redirect_chain == [(page("agent_change", agent.pk), 302)]
    assert "The draft is the same as the published revision" in answer.content.decode()


def test_a_late_form_does_not_undo_a_publication(agent):
    form = rows(Agent).get()
    services.publish(agent=agent)
    services.save_draft(agent=form)
    assert rows(Agent).get().published


def test_the_differences_are_escaped(console, agent):
    agent.instructions = "<script>alert(1)</script>"
    services.save_draft(agent=agent)
    body = console.get(page("agent_differences", agent.pk)).content.decode()
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert" in body


def test_an_earlier_revision_is_served_again(console, agent):
    first = services.publish(agent=agent)
    agent.instructions = "Be brief."
    services.save_draft(agent=agent)
    services.publish(agent=agent)
    console.post(page("agentrevision_roll_back", first.pk))
    assert rows(Agent).get().published == first
    assert rows(Agent).get().instructions == "Be brief."


def test_the_audit_log_says_who_rolled_back(console, agent, operator):
    first = services.publish(agent=agent)
    console.post(page("agentrevision_roll_back", first.pk))
    entry = LogEntry.objects.get_for_object(agent).latest("pk")
    assert (entry.actor, list(entry.changes_dict)) == (operator, ["published"])


def test_a_revision_cannot_be_changed_or_deleted(console, agent):
    revision = services.publish(agent=agent)
    for what in ("change", "delete"):
        address = page(f"agentrevision_{what}", revision.pk)
        assert console.post(address, {"post": "yes"}).status_code == 403


def test_an_agent_goes_with_its_revisions(console, agent):
    services.publish(agent=agent)
    console.post(page("agent_delete", agent.pk), {"post": "yes"})
    assert not rows(Agent).exists()


def test_capabilities_are_words_between_commas(console, agent, form):
    body = {**form, "capabilities": "ocr, translate.de-en", "placement": '{"zone": "eu-1"}'}
    console.post(page("agent_change", agent.pk), body)

    changed = rows(Agent).get()
    listed = console.get(page("agent_changelist")).content.decode()
    assert changed.capabilities == ["ocr", "translate.de-en"]
    assert changed.placement == {"zone": "eu-1"}
    assert "ocr, translate.de-en" in listed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("capabilities", "No Word"),
        ("capability_schemas", '{"ocr": {}}'),
        ("placement", '{"zones": "eu"}'),
    ],
)
def test_a_capability_or_placement_that_is_not_valid_is_an_error_of_its_field(
    console, agent, form, field, value
):
    changed = console.post(page("agent_change", agent.pk), {**form, field: value})
    new = {**form, "tenant": agent.tenant_id, "slug": "other", field: value}
    added = console.post(page("agent_add"), new)

    for answer in (changed, added):
        assert answer.context["adminform"].form.errors[field]


def test_an_agent_is_offered_over_mcp_by_a_checkbox(console, agent, form):
    console.post(page("agent_change", agent.pk), {**form, "offered_over_mcp": "on"})
    assert rows(Agent).get().offered_over_mcp

    console.post(page("agent_change", agent.pk), form)
    assert not rows(Agent).get().offered_over_mcp


def test_pausing_resuming_and_undeploying_are_confirmed_and_audited(console, agent):
    def does(name):
        return console.post(page(f"agent_{name}", agent.pk), follow=True).status_code == 200

    assert does("pause")
    assert rows(Agent).get().is_paused
    assert does("resume")
    assert does("undeploy")

    after = rows(Agent).get()
    changes = [entry.changes for entry in LogEntry.objects.get_for_object(after)]
    assert (after.is_paused, after.placement) == (False, {"replicas": 0})
    assert {"is_paused": ["False", "True"]} in changes
    assert any("placement" in each for each in changes)


def test_the_page_shows_the_nodes_of_an_agent_and_why_others_are_not(console, agent):
    now = timezone.now()
    for name, zone in (("near", "eu-1"), ("far", "us-1")):
        AgentNode.objects.create(
            name=name, worker=name, kind="agent", zone=zone, state="up", slots=4,
            started_at=now, heartbeat_at=now,
        )  # fmt: skip
    services.deploy_agent(agent=agent, placement={"zone": "eu-1", "replicas": 2})

    text = console.get(page("agent_change", agent.pk)).content.decode()

    assert "no: is in zone us-1, not eu-1" in text
    assert "Only 1 of 2 requested nodes are able to execute it." in text
