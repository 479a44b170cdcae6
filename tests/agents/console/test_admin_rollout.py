"""The console's pages of rollouts and of what revisions differ in."""

import pytest
from django.urls import reverse

from agents.models import Rollout
from tests.fixtures.console.people import rows
from tests.fixtures.runs.rollouts import make_revisions, note_runs, start


def page(name, *args):
    return reverse(f"admin:agents_{name}", args=args)


@pytest.fixture
def agent(acme, route):
    return make_revisions(acme, route, of=3)


FORM = {
    "what": "2",
    "share": 20,
    "min_runs": 50,
    "max_error_rate_increase_points": 5,
    "max_latency_increase_percent": 50,
}


def test_a_rollout_is_begun(console, agent):
    answer = console.post(page("agent_rollout", agent.pk), FORM)
    assert answer.url == page("agent_rollout", agent.pk)
    rollout = rows(Rollout).get()
    assert (rollout.revision.number, rollout.share, rollout.state) == (2, 20, "running")


@pytest.mark.parametrize(
    "wrong", [{"share": 0}, {"share": 100}, {"what": "1"}, {"what": "9"}, {"what": ""}]
)
def test_an_impossible_rollout_is_an_error_of_the_form(console, agent, wrong):
    assert console.post(page("agent_rollout", agent.pk), {**FORM, **wrong}).status_code == 200
    assert not rows(Rollout).exists()


def test_a_running_rollout_shows_what_both_did(console, agent):
    rollout = start(agent, min_runs=5)
    note_runs(rollout, revision=1, runs=4)
    note_runs(rollout, revision=2, runs=3, status="failed", error_code="upstream_failed")
    shown = console.get(page("agent_rollout", agent.pk)).content.decode()
    assert "3 (100.0 %)" in shown
    assert "Not enough runs yet" in shown


@pytest.fixture
def slow_candidate(agent):
    rollout = start(agent, min_runs=30)
    note_runs(rollout, revision=1, runs=5, duration_ms=531, ttft_ms=207)
    note_runs(rollout, revision=2, runs=4, duration_ms=18_749, ttft_ms=5_893)
    return rollout


def test_a_candidate_that_seems_much_worse_is_marked_in_words(console, agent, slow_candidate):
    shown = console.get(page("agent_rollout", agent.pk)).content.decode()
    assert "Not enough runs yet: 30 of each" in shown
    assert "18,749 ms" in shown
    assert ">35 times as long<" in shown
    assert "Warning: the candidate seems much worse." in shown
    assert "Its first tokens take 28 times as long." in shown


def test_the_dashboard_warns_of_it_and_leads_there(console, agent, slow_candidate):
    shown = console.get(reverse("admin:index")).content.decode()
    assert "Warning: revision 2 of helper (Acme) seems much worse" in shown
    assert page("agent_rollout", agent.pk) in shown


def test_the_dashboard_is_silent_about_a_candidate_that_does_as_well(console, agent):
    rollout = start(agent, min_runs=30)
    for revision in (1, 2):
        note_runs(rollout, revision=revision, runs=5)
    assert "Warning" not in console.get(reverse("admin:index")).content.decode()


def test_the_numbers_come_alone_when_the_page_follows(console, agent):
    start(agent)
    answer = console.get(page("agent_rollout", agent.pk), headers={"hx-request": "true"})
    assert "<html" not in answer.content.decode()


@pytest.mark.parametrize(("verb", "state"), [("promote", "promoted"), ("stop", "stopped")])
def test_a_rollout_is_ended_after_a_question(console, agent, verb, state):
    start(agent)
    console.get(page(f"agent_{verb}", agent.pk))
    assert rows(Rollout).get().state == "running"
    console.post(page(f"agent_{verb}", agent.pk), {"reason": ""})
    assert rows(Rollout).get().state == state


def test_any_two_revisions_are_compared(console, agent):
    shown = console.get(page("agent_compare", agent.pk), {"old": 3, "new": 2}).content.decode()
    assert "-  revision 3" in shown
    assert "+  revision 2" in shown


@pytest.mark.parametrize("side", ["9", "x", "", "-1"])
def test_a_revision_that_is_not_there_is_not_compared(console, agent, side):
    answer = console.get(page("agent_compare", agent.pk), {"old": side, "new": side})
    assert answer.status_code == 200


def test_every_part_of_a_configuration_is_compared(console, agent):
    agent.variables, agent.max_steps = {"city": "Riga"}, 3
    agent.response_cache = "always"
    from agents import services

    services.save_draft(agent=agent)
    shown = console.get(page("agent_compare", agent.pk)).content.decode()
    assert "+max steps: 3" in shown
    assert "+response cache: always" in shown
    assert "&quot;city&quot;: &quot;Riga&quot;" in shown
