"""An operator's first minutes with a real browser: sign in, make a tenant, make a key, use it."""

import openai
import pytest

from tenants.api_keys.keys import parse_key
from tests.fixtures.console.people import PASSWORD

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def sign_in(page):
    page.goto("/")
    page.fill("#id_username", "olga")
    page.fill("#id_password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/admin/")


def make_tenant(page, name):
    page.goto("/admin/tenants/tenant/add/")
    # Typed as people do: the short name fills itself in.
    page.locator("#id_name").press_sequentially(name)
    page.click("[name=_save]")
    page.wait_for_url("**/admin/tenants/tenant/")


def make_key(page, tenant):
    """The key as the console shows it."""
    page.goto("/admin/tenants/apikey/add/")
    page.fill("#id_name", "production")
    page.click(".field-tenant .select2-selection, .select2-selection >> nth=0")
    page.fill(".select2-search__field", tenant)
    page.click(f".select2-results__option:has-text('{tenant}')")
    page.click("[name=_save]")
    return page.inner_text("#one-time-secret").strip()


def usage_shows(page, text):
    """Whether the list of usage shows `text` within seconds: the ledger follows the answer."""
    for _ in range(20):
        page.goto("/admin/tenants/usageevent/")
        if text in page.inner_text("body"):
            return True
    return False


def test_the_dashboard_greets_a_new_operator(page):
    sign_in(page)
    assert "Welcome." in page.inner_text("#main, body")
    assert page.evaluate("getComputedStyle(document.body).fontFamily").startswith("Inter")


def test_a_new_key_is_shown_and_copied(page):
    sign_in(page)
    make_tenant(page, "Acme")
    secret = make_key(page, "Acme")
    assert parse_key(secret)
    page.click("[data-copy=one-time-secret]")
    page.wait_for_selector("text=/Copied|Selected/")
    page.click("text=I have stored it")
    assert secret not in page.content()


def test_suspending_a_tenant_asks_first(page):
    sign_in(page)
    make_tenant(page, "Acme")
    page.click("#result_list >> text=Acme")
    page.click("text=Suspend")
    page.click("#ask-first button[type=submit]")
    page.wait_for_selector("text=Acme is suspended.")


def test_a_key_from_the_console_gets_an_answer_of_the_model(gateway_url, page):
    sign_in(page)
    make_tenant(page, "Acme")
    secret = make_key(page, "Acme")

    with openai.OpenAI(base_url=f"{gateway_url}/v1", api_key=secret) as client:
        messages = [{"role": "user", "content": "hello"}]
        answer = client.chat.completions.create(model="tiny", messages=messages)

    assert answer.choices[0].message.content.startswith("tok0 tok1")
    assert usage_shows(page, "chat_completions")
