"""The choice of a revision: a share of conversations, each of which stays where it began."""

from dataclasses import replace

import pytest

from agents.runtime.catalog.agents import PublishedAgent
from agents.runtime.catalog.revision_selection import Sticky, choose_revision, sticky_to

BASE = PublishedAgent(slug="helper", name="Helper", revision=3, instructions="", route="tiny")
CANDIDATE = replace(BASE, revision=5)


def rollout(share, candidate=CANDIDATE):
    return replace(BASE, candidate=candidate, share=share)


def chosen(share, *, key="k", recorded=None, **facts):
    return choose_revision(rollout(share, **facts), Sticky(key=key, recorded=recorded)).revision


def candidates(share, *, of=10_000, **facts):
    return {n for n in range(of) if chosen(share, key=f"conversation:{n}", **facts) == 5}


@pytest.mark.slow
@pytest.mark.parametrize("share", [1, 5, 10, 33, 50, 90, 99])
def test_the_share_is_kept_within_three_points_over_many_conversations(share):
    assert abs(len(candidates(share)) / 100 - share) <= 3


def test_the_same_conversation_gets_the_same_revision_every_time():
    assert candidates(30) == candidates(30)


def test_a_larger_share_takes_nobody_back():
    assert candidates(10, of=2000) < candidates(20, of=2000)


def test_another_candidate_is_tried_by_others():
    assert candidates(10, of=2000) != {
        n
        for n in range(2000)
        if chosen(10, key=f"conversation:{n}", candidate=replace(BASE, revision=6)) == 6
    }


@pytest.mark.parametrize("recorded", [3, 5])
def test_a_conversation_stays_with_its_revision_while_both_live(recorded):
    assert {chosen(share, recorded=recorded) for share in (1, 50, 99)} == {recorded}


def test_a_conversation_whose_revision_is_gone_is_dealt_anew():
    told = {chosen(50, key=f"conversation:{n}", recorded=2) for n in range(50)}

    assert told == {3, 5}


def test_without_a_rollout_there_is_nothing_to_choose():
    assert choose_revision(BASE, Sticky(key="k", recorded=5)) is BASE


def test_a_conversation_counts_before_what_the_client_calls_its_user():
    one = sticky_to(key_id=1, request_id="r1", conversation="conv_1", user="u1", recorded=5)
    other = sticky_to(key_id=2, request_id="r2", conversation="conv_1", user="u2", recorded=5)

    assert one == other


@pytest.mark.parametrize("name", ["user", "session"])
def test_a_user_is_known_by_its_key(name):
    assert sticky_to(key_id=1, request_id="a", **{name: "u"}) == sticky_to(
        key_id=1, request_id="b", **{name: "u"}
    )
    assert sticky_to(key_id=1, request_id="a", **{name: "u"}) != sticky_to(
        key_id=2, request_id="a", **{name: "u"}
    )


def test_who_says_nothing_draws_a_lot_for_each_request():
    assert sticky_to(key_id=1, request_id="a") != sticky_to(key_id=1, request_id="b")
