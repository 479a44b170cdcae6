"""Rollouts: begun, stopped, promoted, and what happens to them when something else changes."""

import threading

import pytest
from auditlog.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import connection

from agents import services
from agents.errors import (
    NoRollout,
    NothingToPublish,
    NotPublished,
    RevisionServed,
    RolloutRunning,
)
from agents.models import AgentRevision, Rollout
from agents.rollouts.services import promote_rollout, start_rollout, stop_rollout
from agents.selectors import load_published_agents
from kernel.errors import NotFound
from kernel.publishing.publish import latest_revision, revisions_after
from tests.fixtures.console.people import acme, pool, rival, route, rows
from tests.fixtures.runs.rollouts import make_revisions, revision_of, start

__all__ = ["acme", "pool", "rival", "route"]


@pytest.fixture
def agent(acme, route):
    return make_revisions(acme, route)


def served(tenant):
    """Revision of everybody, revision of the candidate and its share."""
    agent = load_published_agents(tenant.pk)["helper"]
    return agent.revision, agent.candidate and agent.candidate.revision, agent.share


def ended(rollout):
    rollout.refresh_from_db()
    return rollout.state, rollout.reason


def test_gateways_are_told_of_the_candidate_and_its_share(acme, rival, route, agent):
    make_revisions(rival, route)
    before = latest_revision()

    start(agent, share=20)

    assert served(acme) == (1, 2, 20)
    assert served(rival) == (1, None, 0)
    assert {topic for _, topic in revisions_after(before)} == {f"agents:{acme.pk}"}


def test_a_draft_can_be_rolled_out_without_serving_everybody(acme, agent):
    agent.instructions = "revision 3"
    services.save_draft(agent=agent)

    rollout = start_rollout(agent=agent, share=5, note="try it")

    assert served(acme) == (1, 3, 5)
    assert (rollout.revision.instructions, rollout.revision.note) == ("revision 3", "try it")


def test_a_draft_that_is_served_already_is_not_rolled_out(agent):
    agent.instructions = "revision 1"
    services.save_draft(agent=agent)

    with pytest.raises(NothingToPublish):
        start_rollout(agent=agent, share=5)


@pytest.mark.parametrize(
    "facts", [{"share": 0}, {"share": 100}, {"max_error_rate_increase_points": 101}]
)
def test_an_impossible_rollout_is_refused(acme, agent, facts):
    with pytest.raises(ValidationError):
        start(agent, **facts)

    assert served(acme) == (1, None, 0)


def test_there_is_one_rollout_of_an_agent_at_a_time(agent):
    start(agent)

    with pytest.raises(RolloutRunning):
        start(agent)


def test_what_everybody_is_served_is_no_candidate(agent):
    with pytest.raises(RevisionServed):
        start(agent, number=1)


def test_an_agent_that_serves_nothing_has_no_rollout(acme, route):
    agent = services.create_agent(tenant=acme, slug="new", name="New", route=route)

    with pytest.raises(NotPublished):
        start_rollout(agent=agent, share=5)

    assert not rows(AgentRevision).exists()


def test_a_revision_of_another_agent_or_tenant_is_refused(acme, rival, route, agent):
    for other in (make_revisions(acme, route, slug="other"), make_revisions(rival, route)):
        with pytest.raises(NotFound):
            start_rollout(agent=agent, revision=revision_of(other, 2), share=5)

    assert not rows(Rollout).exists()


def test_a_stopped_rollout_serves_everybody_what_they_had(acme, agent):
    rollout = start(agent)

    stop_rollout(agent=agent)

    assert served(acme) == (1, None, 0)
    assert ended(rollout) == ("stopped", "Stopped.")


def test_a_promoted_candidate_serves_everybody(acme, agent):
    rollout = start(agent)

    promote_rollout(agent=agent)

    assert served(acme) == (2, None, 0)
    assert ended(rollout) == ("promoted", "Promoted.")


@pytest.mark.parametrize("end", [stop_rollout, promote_rollout])
def test_what_is_not_running_cannot_be_ended(agent, end):
    with pytest.raises(NoRollout):
        end(agent=agent)


def test_publishing_waits_for_the_end_of_a_rollout(acme, agent):
    start(agent)
    agent.instructions = "revision 3"
    services.save_draft(agent=agent)

    with pytest.raises(RolloutRunning, match="Promote or stop it first"):
        services.publish(agent=agent)

    stop_rollout(agent=agent)
    assert services.publish(agent=agent).number == 3


def test_going_back_is_never_refused_and_ends_the_rollout(acme, route):
    agent = make_revisions(acme, route, of=3)
    services.rollback(agent=agent, revision=revision_of(agent, 2))
    rollout = start(agent, number=3)

    services.rollback(agent=agent, revision=revision_of(agent, 1))

    assert served(acme) == (1, None, 0)
    assert ended(rollout) == ("stopped", "Revision 1 was published.")


def test_choosing_the_candidate_for_everybody_promotes_it(acme, agent):
    rollout = start(agent)

    services.rollback(agent=agent, revision=revision_of(agent, 2))

    assert served(acme) == (2, None, 0)
    assert ended(rollout)[0] == "promoted"


def test_a_deleted_agent_takes_its_rollout_along(agent):
    start(agent)

    services.delete_agent(agent=agent)

    assert not rows(Rollout).exists()


def test_the_audit_log_tells_of_the_beginning_and_the_end(agent):
    start(agent, share=20)
    stop_rollout(agent=agent, reason="Too terse.")

    end, begin = LogEntry.objects.get_for_object(agent).order_by("-pk")[:2]

    assert begin.changes_dict["rollout"] == ["None", "revision 2 for 20 %"]
    assert end.changes_dict == {
        "rollout": ["revision 2 for 20 %", "stopped"], "reason": ["", "Too terse."],
    }  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_of_many_who_start_one_rollout_at_once_one_does(agent):
    outcomes = in_threads(lambda: start(agent) and "started", of=4)

    assert sorted(outcomes) == ["rollout_running"] * 3 + ["started"]


@pytest.mark.django_db(transaction=True)
def test_of_many_who_promote_and_stop_at_once_one_does(acme, agent):
    rollout = start(agent)

    outcomes = in_threads(lambda: promote_rollout(agent=agent) and "done", of=3)

    assert sorted(outcomes) == ["done", "no_rollout", "no_rollout"]
    assert (served(acme), ended(rollout)[0]) == ((2, None, 0), "promoted")


def in_threads(work, *, of):
    """What `work` returned in each of so many threads, or the code of its refusal."""
    outcomes = []

    def guarded():
        try:
            outcomes.append(work())
        except (RolloutRunning, NoRollout) as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=guarded) for _ in range(of)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    return outcomes
