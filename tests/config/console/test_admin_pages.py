"""Every page of the console opens, empty and full, and asks few questions."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from agents import services as agents
from agents.rollout_services import start_rollout
from inference import join_tokens, static_endpoints
from tenants import services
from tenants.models import Membership
from tests.fixtures.console import PASSWORD, make_event, make_person
from tests.fixtures.conversations import erase_another, make_approval
from tests.fixtures.limits_shown import make_limits
from tests.fixtures.scaling import make_policy
from tests.fixtures.tools import make_tool

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
NAMES = [model._meta.label_lower.replace(".", "_") for model in MODELS]
READ_ONLY = {
    *("auditlog_logentry", "tenants_usageevent", "agents_agentrevision"),
    "agents_rollout",
    *("tenants_quotawindow", "tenants_quotatopup", "tenants_quotaalert"),
    *("tenants_usagehour", "agents_conversation", "agents_run", "agents_approval"),
    "agents_erasurereceipt",
}


@pytest.fixture
def platform(acme, rival, pool, route, operator):
    """One of everything, for each of two tenants."""
    join_tokens.issue_join_token(pool=pool, name="rack 1")
    static_endpoints.add_static_endpoint(pool=pool, address="http://10.0.0.5:8000", model="smollm2")
    make_policy(pool)
    for tenant in (acme, rival):
        user = make_person(tenant, Membership.Role.ADMIN)
        services.issue_key(tenant=tenant, name="production")
        agent = agents.create_agent(tenant=tenant, slug="helper", name="Helper", route=route)
        agents.publish(agent=agent, user=user)
        agent.instructions = "Be brief."
        agents.save_draft(agent=agent)
        start_rollout(agent=agent, share=5)
        make_tool(tenant)
        make_event(tenant)
        make_limits(tenant)
        make_approval(tenant)
        erase_another(tenant)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_list_says_what_to_do_next(name, console):
    page = console.get(reverse(f"admin:{name}_changelist"))
    assert page.status_code == 200
    if name not in {"tenants_user", "auditlog_logentry"}:
        expected = admin.site._registry[MODELS[NAMES.index(name)]].when_empty
        assert expected in page.content.decode().replace("&#x27;", "'")


@pytest.mark.parametrize("name", NAMES)
def test_a_full_list_asks_at_most_twelve_questions(
    name, console, platform, django_assert_max_num_queries
):
    with django_assert_max_num_queries(12):
        page = console.get(reverse(f"admin:{name}_changelist"))
    assert page.status_code == 200


@pytest.mark.parametrize("name", NAMES)
def test_every_row_has_a_page(name, console, platform):
    row = MODELS[NAMES.index(name)]._base_manager.order_by("pk").first()
    page = console.get(reverse(f"admin:{name}_change", args=(row.pk,)))
    assert page.status_code == 200


@pytest.mark.parametrize("name", NAMES)
def test_a_new_row_can_be_entered_where_people_make_them(name, console):
    page = console.get(reverse(f"admin:{name}_add"))
    assert page.status_code == (403 if name in READ_ONLY else 200)


@pytest.mark.parametrize("name", NAMES)
def test_search_finds_nothing_without_failing(name, console, platform):
    page = console.get(reverse(f"admin:{name}_changelist"), {"q": "no-such-thing"})
    assert page.status_code == 200


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_closed_to_people_who_are_no_operators(name, acme):
    client = Client()
    client.force_login(make_person(acme, Membership.Role.ADMIN))
    page = client.get(reverse(f"admin:{name}_changelist"))
    assert page.status_code == 302
    assert page["Location"].startswith(reverse("admin:login"))


def test_an_operator_signs_in_with_a_password(operator):
    client = Client()
    page = client.post(
        reverse("admin:login"),
        {"username": operator.username, "password": PASSWORD, "next": reverse("admin:index")},
    )
    assert page["Location"] == reverse("admin:index")
