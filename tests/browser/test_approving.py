"""An operator lets a waiting run go on with a real browser, and its caller gets the answer."""

import json
import time
from urllib.request import Request, urlopen

import pytest

from tests.browser.test_console import sign_in
from tests.fakes.model_server import ModelServer, in_thread
from tests.fixtures.cast import join, serve
from tests.fixtures.gateway import gateway_in_thread
from tests.fixtures.runs.waiting import employ_careful, wants_to_reckon

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def ask(transactional_db):
    """Asks a gateway as acme, whose agent must not reckon without being allowed to."""
    with in_thread(ModelServer()) as engine:
        engine.behave(wants_to_reckon())
        acme = join("acme")
        employ_careful(acme, serve(engine.url))
        with gateway_in_thread() as url:

            def ask(path, body=None):
                data = None if body is None else json.dumps(body).encode()
                headers = {**acme.bearer, "content-type": "application/json"}
                with urlopen(Request(url + path, data=data, headers=headers), timeout=10) as answer:
                    return json.load(answer)

            yield ask


def ended(ask, run_id, *, within=10):
    """The response once it has ended."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        seen = ask(f"/v1/responses/{run_id}")
        if seen["status"] in {"completed", "failed"}:
            return seen
        time.sleep(0.05)
    raise AssertionError(seen)


def test_a_waiting_run_is_allowed_on_its_page_and_completes(ask, page):
    waiting = ask("/v1/responses", {"model": "helper", "input": "What is 6 * 7?"})
    assert waiting["incomplete_details"] == {"reason": "approval_required"}
    sign_in(page)
    page.goto("/admin/agents/approval/")
    page.click("#result_list tbody th a")
    assert '"expression": "6 * 7"' in page.inner_text(".console-code")

    page.click("text='Approve' >> visible=true >> nth=0")
    page.fill("#id_reason", "Go ahead.")
    page.click("#ask-first button[type=submit]")

    page.wait_for_url("**/change/")
    assert "approved" in page.inner_text("#main, body").lower()
    answered = ended(ask, waiting["id"])
    assert answered["status"] == "completed"
    assert "It is 42." in json.dumps(answered["output"])
    page.goto(f"/admin/agents/run/?q={waiting['id']}")
    assert "COMPLETED" in page.inner_text("#result_list").upper()
