"""Every page of the console opens, empty and full, and asks few questions."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from tenants.models import Membership
from tests.fixtures.console.one_of_everything import platform
from tests.fixtures.console.people import PASSWORD, make_person

__all__ = ["platform"]

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
NAMES = [model._meta.label_lower.replace(".", "_") for model in MODELS]
READ_ONLY = {
    *("auditlog_logentry", "tenants_usageevent", "agents_agentrevision"),
    "agents_rollout",
    *("tenants_quotawindow", "tenants_quotatopup", "tenants_quotaalert"),
    *("tenants_usagehour", "agents_conversation", "agents_run", "agents_task", "agents_approval"),
    *("agents_agentmessage", "agents_delivery"),
    *("agents_erasurereceipt", "agents_agentnode"),
}


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_list_says_what_to_do_next(name, console):
    page = console.get(reverse(f"admin:{name}_changelist"))
    assert page.status_code == 200
    if name not in {"tenants_user", "auditlog_logentry"}:
        expected = admin.site._registry[MODELS[NAMES.index(name)]].when_empty
        assert expected in page.content.decode().replace("&#x27;", "'")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_full_list_opens_is_searched_and_each_row_has_a_page(
    name, console, platform, django_assert_max_num_queries
):
    address = reverse(f"admin:{name}_changelist")
    with django_assert_max_num_queries(12):
        page = console.get(address)
    found_nothing = console.get(address, {"q": "no-such-thing"})
    row = MODELS[NAMES.index(name)]._base_manager.order_by("pk").first()
    own = console.get(reverse(f"admin:{name}_change", args=(row.pk,)))
    assert [each.status_code for each in (page, found_nothing, own)] == [200, 200, 200]


@pytest.mark.parametrize("name", NAMES)
def test_a_new_row_can_be_entered_where_people_make_them(name, console):
    page = console.get(reverse(f"admin:{name}_add"))
    assert page.status_code == (403 if name in READ_ONLY else 200)


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
