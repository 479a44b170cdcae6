"""What quotas allow while Redis is away."""

import pytest

from tenants.admission.limits.messages import QuotaStatus
from tenants.admission.limits.outage_budget import OutageBudget
from tenants.errors import LimitsUnavailable
from tests.fixtures.limits.checks import ask, checks, only_quota, quota


def standing(found, *, remaining):
    check = only_quota(found)
    return QuotaStatus(
        counter=check.counter,
        window=check.window,
        limit=check.limit,
        used=check.limit - remaining,
        held=0,
        hard=True,
    )


def admitted(budget, asked, *, share=1.0, times=100):
    count = 0
    for _ in range(times):
        try:
            budget.admit(asked, completion=asked.completion_tokens, share=share)
        except LimitsUnavailable:
            break
        count += 1
    return count


def test_a_quota_that_is_closed_admits_nothing():
    asked = ask(checks(quota(on_redis_outage="closed")))

    assert admitted(OutageBudget(), asked) == 0


@pytest.mark.parametrize(("share", "passing"), [(1, 10), (1 / 2, 5)])
def test_a_worker_admits_its_share_of_the_cap(share, passing):
    asked = ask(checks(quota(limit=10_000, outage_cap=300)))

    assert admitted(OutageBudget(), asked, share=share) == passing


def test_never_more_than_was_left_when_redis_was_last_heard():
    found = checks(quota(limit=10_000, outage_cap=300))
    budget = OutageBudget()
    budget.record(1, [standing(found, remaining=60)])

    assert admitted(budget, ask(found)) == 2


def test_hearing_redis_again_begins_anew():
    found = checks(quota(limit=10_000, outage_cap=300))
    budget = OutageBudget()
    admitted(budget, ask(found))

    budget.record(1, [standing(found, remaining=9000)])

    assert admitted(budget, ask(found)) == 10


def test_what_was_not_used_can_be_admitted_again():
    found = checks(quota(limit=10_000, outage_cap=300))
    budget = OutageBudget()
    assert admitted(budget, ask(found)) == 10

    budget.correct(ask(found), completion=20, prompt_used=0, completion_used=0)

    assert admitted(budget, ask(found)) == 1


def test_of_two_quotas_none_is_touched_if_one_refuses():
    tight = quota("key", limit=10_000, outage_cap=30)
    wide = quota("tenant", limit=10_000, outage_cap=300)
    both, alone = ask(checks(tight, wide)), ask(checks(wide))
    budget = OutageBudget()
    assert admitted(budget, both) == 1

    assert admitted(budget, alone) == 9


def test_soft_quotas_admit_everything():
    assert admitted(OutageBudget(), ask(checks(quota(limit=1, hard=False)))) == 100


@pytest.mark.parametrize(("remaining", "served"), [(30_000, True), (29_999, False)])
def test_while_redis_may_only_be_slow_just_ample_quotas_are_served(remaining, served):
    found = checks(quota(limit=1_000_000))
    budget = OutageBudget()
    budget.record(1, [standing(found, remaining=remaining)])
    asked = ask(found)

    if served:
        budget.admit(asked, completion=20, share=1.0, is_certain=False)
    else:
        with pytest.raises(LimitsUnavailable):
            budget.admit(asked, completion=20, share=1.0, is_certain=False)
    budget.admit(asked, completion=20, share=1.0, is_certain=True)
