"""An operator limits a tenant with a real browser: a plan, its standing, a top-up."""

import re

import pytest

from tests.browser.test_console import make_tenant, sign_in

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def make_plan(page, name, *, tokens):
    page.goto("/admin/tenants/plan/add/")
    page.fill("#id_name", name)
    page.click("#quotas-group >> text=/Add another/")
    page.fill("#id_quotas-0-limit", str(tokens))
    page.click("[name=_save]")
    page.wait_for_url("**/admin/tenants/plan/")


def choose_plan(page, tenant, plan):
    page.goto("/admin/tenants/tenant/")
    page.click(f"#result_list >> text={tenant}")
    page.click(".select2-selection")
    page.click(f".select2-results__option:has-text('{plan}')")
    page.click("[name=_continue]")
    page.wait_for_load_state("networkidle")


def test_a_plan_is_made_chosen_seen_and_topped_up(page):
    sign_in(page)
    make_tenant(page, "Acme")
    make_plan(page, "Starter", tokens=2_000_000)
    choose_plan(page, "Acme", "Starter")
    page.click("a[href*='/limits'] >> visible=true")
    page.wait_for_url("**/limits/")
    assert "2,000,000 tokens a month" in page.inner_text("#limits-live")
    page.click("text=Grant top-up")
    page.fill("#id_amount", "500000")
    page.fill("#id_reason", "Launch day")
    page.click("#ask-first button[type=submit]")
    page.wait_for_url("**/limits/")
    assert "500,000 granted on top" in page.inner_text("#limits-live")


def test_the_fields_of_anchored_periods_are_shown_when_they_are_meant(page):
    sign_in(page)
    page.goto("/admin/tenants/plan/add/")
    page.click("#quotas-group >> text=/Add another/")
    assert not page.is_visible("#id_quotas-0-anchor")
    page.select_option("#id_quotas-0-period", "days")
    assert page.is_visible("#id_quotas-0-anchor")


def test_the_page_refreshes_itself(page):
    sign_in(page)
    make_tenant(page, "Acme")
    page.goto("/admin/tenants/tenant/")
    page.click("#result_list >> text=Acme")
    page.goto(re.sub(r"/change/.*", "/limits/", page.url))
    with page.expect_response("**/limits/", timeout=10_000) as refreshed:
        pass
    assert refreshed.value.status == 200
    assert "No quota" in page.inner_text("#limits-live")


def test_a_cost_is_typed_and_read_in_the_currency(page):
    sign_in(page)
    make_tenant(page, "Acme")
    page.goto("/admin/tenants/plan/add/")
    page.fill("#id_name", "Starter")
    page.click("#quotas-group >> text=/Add another/")
    page.select_option("#id_quotas-0-unit", "cost")
    page.fill("#id_quotas-0-limit", "12.5")
    page.fill("#id_quotas-0-outage_cap", "0.000045")
    page.click("[name=_continue]")
    page.wait_for_load_state("networkidle")
    assert page.input_value("#id_quotas-0-limit") == "12.50"
    assert page.input_value("#id_quotas-0-outage_cap") == "0.000045"
    choose_plan(page, "Acme", "Starter")
    page.click("a[href*='/limits'] >> visible=true")
    page.wait_for_url("**/limits/")
    assert "cost of 12.50 a month" in page.inner_text("#limits-live")
    page.click("text=Grant top-up")
    page.fill("#id_amount", "0.25")
    page.fill("#id_reason", "Launch day")
    page.click("#ask-first button[type=submit]")
    page.wait_for_url("**/limits/")
    assert "0.25 granted on top" in page.inner_text("#limits-live")
