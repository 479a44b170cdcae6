"""The console's pages about tenants, members and users."""

import re

import pytest
from auditlog.models import LogEntry
from django.urls import reverse

from kernel.models import Publication
from tenants import services
from tenants.models import Membership, Tenant, User
from tests.fixtures.console.people import PASSWORD, make_person, rows

NEW = {"name": "Third", "slug": "third", "time_zone": "UTC"}


def page(name, *args):
    return reverse(f"admin:tenants_{name}", args=args)


def test_an_operator_makes_a_tenant(console):
    console.post(page("tenant_add"), NEW)
    assert Tenant.objects.get().slug == "third"


def test_a_taken_name_is_an_error_of_the_form(console, acme):
    answer = console.post(page("tenant_add"), {**NEW, "slug": "acme"})
    assert "already exists" in answer.content.decode()


def test_a_zone_that_does_not_exist_is_an_error_of_the_form(console):
    answer = console.post(page("tenant_add"), {**NEW, "time_zone": "Mars/Olympus"})
    assert "is not a time zone" in answer.content.decode()


def test_a_change_tells_the_gateways(console, acme):
    Publication.objects.all().delete()
    console.post(page("tenant_change", acme.pk), {"name": "Acme 2", "time_zone": "UTC"})
    assert Tenant.objects.get().name == "Acme 2"
    assert Publication.objects.filter(topic=f"principals:{acme.pk}").exists()


def test_how_long_conversations_are_kept_is_set_and_lifted(console, acme):
    form = {"name": "Acme", "time_zone": "UTC"}
    console.post(page("tenant_change", acme.pk), {**form, "retention_days": "30"})
    assert Tenant.objects.get().retention_days == 30

    console.post(page("tenant_change", acme.pk), {**form, "retention_days": ""})
    assert Tenant.objects.get().retention_days is None


def test_a_new_tenant_may_keep_conversations_for_a_while(console):
    console.post(page("tenant_add"), {**NEW, "retention_days": "7"})
    assert Tenant.objects.get().retention_days == 7


def test_a_late_form_does_not_undo_a_suspension(acme):
    form = Tenant.objects.get(pk=acme.pk)
    services.suspend_tenant(tenant_id=acme.pk)
    services.save_tenant(tenant=form)
    assert Tenant.objects.get().status == "suspended"


def test_suspending_asks_first(console, acme):
    answer = console.get(page("tenant_suspend", acme.pk))
    assert "Suspend this tenant?" in answer.content.decode()
    assert Tenant.objects.get().status == "active"


def test_suspending_stops_one_tenant_only(console, acme, rival):
    console.post(page("tenant_suspend", acme.pk))
    assert Tenant.objects.get(slug="acme").status == "suspended"
    assert Tenant.objects.get(slug="rival").status == "active"


def test_resuming_lets_it_work_again(console, acme):
    services.suspend_tenant(tenant_id=acme.pk)
    console.post(page("tenant_resume", acme.pk))
    assert Tenant.objects.get().status == "active"


def confirmed(answer) -> dict:
    """The fields of the question's form, as a browser sends them."""
    text = answer.content.decode()
    form = text[text.index('id="ask-about-selected"') :]
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form):
        fields.setdefault(name, []).append(value)
    return fields


def test_suspending_several_asks_first_and_names_them(console, acme, rival):
    body = {"action": "suspend_selected", "_selected_action": [acme.pk, rival.pk]}
    answer = console.post(page("tenant_changelist"), body)
    assert "Suspend these tenants?" in answer.content.decode()
    assert {"Acme", "Rival"} <= set(re.findall("Acme|Rival", answer.content.decode()))
    assert set(Tenant.objects.values_list("status", flat=True)) == {"active"}


def test_several_are_suspended_at_once_after_a_yes(console, acme, rival):
    body = {"action": "suspend_selected", "_selected_action": [acme.pk, rival.pk]}
    asked = console.post(page("tenant_changelist"), body)
    console.post(page("tenant_changelist"), confirmed(asked))
    assert set(Tenant.objects.values_list("status", flat=True)) == {"suspended"}


def test_nothing_is_asked_about_what_applies_to_none_of_them(console, acme, rival):
    body = {"action": "resume_selected", "_selected_action": [acme.pk, rival.pk]}
    answer = console.post(page("tenant_changelist"), body, follow=True)
    assert "This applies to none of the selected." in answer.content.decode()


def test_only_the_button_that_applies_is_shown(console, acme):
    text = console.get(page("tenant_change", acme.pk)).content.decode()
    assert page("tenant_suspend", acme.pk) in text
    assert page("tenant_resume", acme.pk) not in text


def test_who_comes_too_late_to_a_question_reads_why_nothing_is_asked(console, acme):
    answer = console.get(page("tenant_resume", acme.pk), follow=True)
    assert "This tenant is active already." in answer.content.decode()


def test_the_audit_log_says_who_suspended_it(console, acme, operator):
    console.post(page("tenant_suspend", acme.pk))
    entry = LogEntry.objects.get_for_object(acme).latest("pk")
    assert entry.actor == operator
    assert entry.changes_dict == {"status": ["active", "suspended"]}


def test_a_tenant_cannot_be_deleted(console, acme):
    assert console.post(page("tenant_delete", acme.pk), {"post": "yes"}).status_code == 403
    assert Tenant.objects.exists()


def test_a_name_is_escaped(console, db):
    services.create_tenant(slug="evil", name="<script>alert(1)</script>")
    assert "<script>alert" not in console.get(page("tenant_changelist")).content.decode()


def test_a_member_gets_a_role(console, acme):
    user = User.objects.create_user("anna")
    body = {"tenant": acme.pk, "user": user.pk, "role": "developer"}
    console.post(page("membership_add"), body)
    assert rows(Membership).get().role == "developer"


def test_a_members_role_is_changed(console, acme):
    make_person(acme, "viewer")
    member = rows(Membership).get()
    console.post(page("membership_change", member.pk), {"role": "admin"})
    assert rows(Membership).get().role == "admin"


def test_a_member_is_removed(console, acme):
    make_person(acme, "viewer")
    console.post(page("membership_delete", rows(Membership).get().pk), {"post": "yes"})
    assert not rows(Membership).exists()


@pytest.fixture
def form(operator):
    return {"username": "olga", "is_active": "on", "is_superuser": "on"}


def test_a_new_user_is_no_operator(console):
    body = {"username": "anna", "password1": PASSWORD, "password2": PASSWORD}
    console.post(page("user_add"), {**body, "usable_password": "true"})
    assert not User.objects.get(username="anna").is_staff


def test_an_operator_may_sign_in_to_the_console(console, acme):
    anna = make_person(acme, "viewer")
    body = {"username": anna.username, "is_active": "on", "is_superuser": "on"}
    console.post(page("user_change", anna.pk), body)
    assert User.objects.get(pk=anna.pk).is_staff


def test_nobody_takes_their_own_rights_away(console, operator, form):
    del form["is_superuser"]
    answer = console.post(page("user_change", operator.pk), form)
    assert "You cannot remove your own rights" in answer.content.decode()
    assert User.objects.get().is_superuser


def test_a_user_cannot_be_deleted(console, acme):
    anna = make_person(acme, "viewer")
    assert console.post(page("user_delete", anna.pk), {"post": "yes"}).status_code == 403
