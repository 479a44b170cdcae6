"""An operator looks after an agent with a real browser: its draft, a rollout, its tools."""

import pytest

from inference import services as inference
from tenants import services as tenants
from tests.browser.test_console import sign_in
from tests.fixtures.runs.rollouts import make_revisions, note_runs, start
from tests.fixtures.runs.tools import make_tool

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def agent(transactional_db):
    pool = inference.create_pool(name="small", engine="vllm")
    acme = tenants.create_tenant(slug="acme", name="Acme")
    make_tool(acme)
    route = inference.create_route(name="tiny", pool=pool)
    return make_revisions(acme, route, of=3)


@pytest.fixture
def rollout(agent):
    """Running, with a few runs of both."""
    rollout = start(agent)
    note_runs(rollout, revision=1, runs=12, ttft_ms=120)
    note_runs(rollout, revision=2, runs=7, ttft_ms=140)
    return rollout


def test_a_rollout_is_begun(agent, page):
    sign_in(page)
    page.goto(f"/admin/agents/agent/{agent.pk}/rollout/")
    page.select_option("#id_what", "2")
    page.fill("#id_share", "20")
    page.click("#ask-first button[type=submit]")
    page.wait_for_selector("#rollout-live table")
    assert "20 %" in page.inner_text("#rollout-live")


def test_a_rollout_is_watched_and_promoted(rollout, page):
    sign_in(page)
    page.goto(f"/admin/agents/agent/{rollout.agent_id}/rollout/")
    assert "7" in page.inner_text("#rollout-live tbody tr:nth-child(2) td:nth-child(3)")
    page.click("text=Promote")
    page.click("#ask-first button[type=submit]")
    page.wait_for_url(f"**/agent/{rollout.agent_id}/change/")
    assert "revision 2" in page.inner_text("#content, main")


def test_tools_are_chosen_and_the_difference_is_shown(agent, page):
    sign_in(page)
    page.goto(f"/admin/agents/agent/{agent.pk}/change/")
    page.check("text=clock (built-in)")
    page.click("[name=_continue]")
    page.wait_for_load_state("networkidle")
    page.goto(f"/admin/agents/agent/{agent.pk}/compare/")
    assert "+  clock" in page.inner_text(".console-code")
