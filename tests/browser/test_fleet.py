"""An operator looks after the fleet with a real browser: drains an endpoint, shares a route."""

import pytest

from inference import services as inference
from inference.endpoints import manual as static_endpoints
from tests.browser.test_console import sign_in
from tests.fixtures.fleet.fleet_state import endpoint_report, redis, report

__all__ = ["redis", "report"]
pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PART = "#targets-group tbody:not(.empty-form) .field-part"


@pytest.fixture
def small(transactional_db):
    return inference.create_pool(name="small", engine="vllm")


@pytest.fixture
def endpoint(small):
    return static_endpoints.add_static_endpoint(
        pool=small, address="http://10.0.0.5:8000", model="tiny"
    )


def row(page, endpoint):
    return page.inner_text(f'[data-endpoint="{endpoint.public_id}"]').lower()


def test_an_endpoint_is_drained_and_seen_to_be(endpoint, page):
    sign_in(page)
    page.goto("/admin/fleet/")
    assert "ready" in row(page, endpoint)
    page.click("[aria-label^='Drain']")
    page.click("#ask-first button[type=submit]")
    page.wait_for_url("**/admin/fleet/")
    assert "draining" in row(page, endpoint)
    page.click("[aria-label^='Activate']")
    page.wait_for_url("**/admin/fleet/")
    assert "ready" in row(page, endpoint)


def test_an_endpoint_is_ejected_with_a_reason(endpoint, page):
    sign_in(page)
    page.goto("/admin/fleet/")
    page.click("[aria-label^='Eject']")
    page.fill("#id_reason", "Broken fan")
    page.click("#ask-first button[type=submit]")
    page.wait_for_url("**/admin/fleet/")
    assert "forced open" in row(page, endpoint)


def test_the_page_follows_without_a_reload(endpoint, report, page):
    sign_in(page)
    page.goto("/admin/fleet/small/")
    report({endpoint.public_id: endpoint_report(breaker="open", in_flight=7)})
    page.wait_for_selector("text=breaker open", timeout=10_000)


@pytest.fixture
def route(small):
    inference.create_pool(name="large", engine="vllm")
    return inference.create_route(name="tiny", pool=small)


def test_the_parts_of_a_route_are_told_while_weights_are_typed(route, page):
    sign_in(page)
    page.goto(f"/admin/inference/modelroute/{route.pk}/change/")
    page.click("#targets-group >> text=/Add another/")
    page.select_option("#id_targets-0-role", "share")
    page.fill("#id_targets-0-weight", "3")
    assert "75 %" in page.inner_text(PART)
    page.click("#targets-group tbody:not(.empty-form) .select2-selection")
    page.click(".select2-results__option:has-text('large')")
    page.click("[name=_continue]")
    page.wait_for_load_state("networkidle")
    assert page.input_value("#id_targets-0-weight") == "3"
    assert "75 %" in page.inner_text(PART)
