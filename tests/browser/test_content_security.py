"""What a page of the console may run, in a real browser."""

import pytest
from django.contrib import admin
from django.urls import reverse

from tests.browser.test_console import sign_in

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]

MARKUP = """<img src="data:," onerror="window.ran = 'handler'">"""
SCRIPT = """
const script = document.createElement("script");
script.textContent = "window.ran = 'script'";
document.body.append(script);
"""
FOREIGN = """
new Promise((resolve) => {
  const script = document.createElement("script");
  script.onerror = () => resolve("refused");
  script.onload = () => resolve("loaded");
  script.src = "http://localhost:1/foreign.js";
  document.body.append(script);
})
"""
VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(event.effectiveDirective);
});
"""


def test_text_that_gets_into_a_page_as_markup_runs_nothing(page, live_server):
    # A second page: what is refused here is no fault of the first one.
    victim = page.context.browser.new_page(base_url=live_server.url)
    victim.goto("/admin/login/")
    victim.evaluate(VIOLATIONS)

    victim.evaluate("(markup) => document.body.insertAdjacentHTML('beforeend', markup)", MARKUP)
    victim.evaluate(SCRIPT)
    assert victim.evaluate(FOREIGN) == "refused"

    victim.wait_for_function("window.violations.length >= 3")
    assert set(victim.evaluate("window.violations")) == {
        "script-src-attr",
        "script-src-elem",
    }
    assert victim.evaluate("window.ran") is None


def test_the_description_of_the_api_is_drawn(page):
    page.goto("/api/docs/")

    page.get_by_text("Tenantry management API").first.wait_for()


@pytest.mark.timeout(300)  # about a hundred pages, each drawn
def test_no_page_needs_what_is_refused(page):
    """The page itself fails the test if it reports anything."""
    sign_in(page)
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        add = reverse(f"{name}_add")
        page.goto(reverse(f"{name}_changelist"))
        if page.locator(f"a[href^='{add}']").count():
            page.goto(add)
