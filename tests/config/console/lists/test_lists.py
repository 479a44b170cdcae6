"""What every list of the console does: filters stay, titles name it, names stay as they are."""

import re

import pytest
from django.contrib import admin
from django.urls import reverse

from kernel.admin import bounded_lists
from kernel.admin.base import ConsoleAdmin
from tenants import services
from tests.fixtures.console.people import make_event

LISTS = [model_admin for model_admin in admin.site._registry.values() if model_admin.list_filter]


def changelist(model_admin) -> str:
    opts = model_admin.opts
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")


def hidden_fields(text: str) -> dict[str, str]:
    form = text[text.index('id="filter-form"') :]
    form = form[: form.index("</form>")]
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))


@pytest.mark.slow
@pytest.mark.parametrize("model_admin", LISTS, ids=lambda each: each.opts.label_lower)
def test_applying_one_filter_keeps_the_others(console, model_admin):
    if not isinstance(model_admin, ConsoleAdmin):
        pytest.skip("of a library, without a form of filters")
    changes = console.get(changelist(model_admin)).context["cl"]
    linked = (spec for spec in changes.filter_specs if spec.template == "console/filter.html")
    for choice in (choice for spec in linked for choice in list(spec.choices(changes))[1:]):
        chosen = dict(re.findall(r"[?&]([^=&]+)=([^&]*)", choice["query_string"]))
        text = console.get(changelist(model_admin) + choice["query_string"]).content.decode()
        kept = hidden_fields(text)
        assert {name: kept.get(name) for name in chosen} == chosen


def test_a_blocked_key_stays_filtered_for(console, acme):
    services.issue_key(tenant=acme, name="k")
    address = reverse("admin:tenants_apikey_changelist") + "?state=blocked"
    assert hidden_fields(console.get(address).content.decode())["state"] == "blocked"


@pytest.mark.parametrize(
    ("model", "title"),
    [("tenants_usageevent", "Ledger"), ("tenants_tenant", "Tenants")],
)
def test_the_tab_is_titled_as_the_list(console, model, title):
    text = console.get(reverse(f"admin:{model}_changelist")).content.decode()
    assert re.search(rf"<title>\s*{title} \|", text)


def test_a_name_in_the_path_of_a_page_stays_as_it_is(console, route):
    text = console.get(reverse("admin:inference_modelroute_change", args=(route.pk,))).content
    assert "Smollm2" not in text.decode()


def test_a_list_of_one_page_offers_no_other(console, acme):
    make_event(acme)
    text = console.get(reverse("admin:tenants_usageevent_changelist")).content.decode()
    assert not re.search(r">\s*(Previous|Next)\s*<", text)


def test_keys_are_found_by_the_name_of_their_tenant(console, db):
    tenant = services.create_tenant(slug="sh", name="上海")
    services.issue_key(tenant=tenant, name="laptop")
    text = console.get(reverse("admin:tenants_apikey_changelist") + "?q=上海").content.decode()
    assert "laptop" in text


def test_the_audit_log_finds_a_name_with_blanks_by_its_beginning(console, db):
    services.create_tenant(slug="north", name="North Sea Shipping")
    services.create_tenant(slug="south", name="South Sea Shipping")
    found = console.get(reverse("admin:auditlog_logentry_changelist") + "?q=north sea")
    names = {entry.object_repr for entry in found.context["cl"].result_list}
    assert names == {"North Sea Shipping"}


def test_a_list_that_counts_nothing_names_no_count(console, acme):
    make_event(acme)
    text = console.get(reverse("admin:tenants_usageevent_changelist")).content.decode()
    assert "Show all" not in text


def test_a_list_is_not_sorted_by_what_it_does_not_offer(console, acme):
    answer = console.get(reverse("admin:tenants_usageevent_changelist") + "?o=-10")
    assert "duration_ms" not in str(answer.context["cl"].queryset.query.order_by)


def test_pages_end_where_the_list_says(console, acme, monkeypatch):
    monkeypatch.setattr(bounded_lists, "MAX_ROWS_PAGED", 50)
    for number in range(60):
        services.issue_key(tenant=acme, name=f"key {number}")
    answer = console.get(reverse("admin:tenants_apikey_changelist") + "?p=7")
    text = answer.content.decode()
    assert answer.context["cl"].page_num == 1
    assert "more than 50 API keys" in " ".join(text.split())
    assert "Pages end after 50 rows" in text


def test_an_address_that_does_not_exist_leads_back(client, settings, db):
    settings.DEBUG = False
    answer = client.get("/nothing/here")
    assert answer.status_code == 404
    assert reverse("admin:index") in answer.content.decode()
