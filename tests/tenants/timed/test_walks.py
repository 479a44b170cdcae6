"""A job that concerns every tenant walks them for a bounded time, and reaches all in the end."""

import logging

import pytest

from kernel import metrics
from kernel.storage.stored_counts import read_counts
from tenants import services, tasks
from tenants.models import Tenant
from tenants.walks import Walk, walk_tenants


@pytest.fixture
def ids(acme, rival):
    third = services.create_tenant(slug="zulu", name="Zulu")
    return [acme.pk, rival.pk, third.pk]


def walk(ids, look, max_seconds=60.0, job="reconcile"):
    return walk_tenants(job, ids, look, max_seconds=max_seconds)


def test_everybody_is_looked_at_once(ids):
    seen = []

    assert walk(ids, seen.append) == Walk(visited=3, failed=0, left=0)
    assert seen == ids


def test_who_was_left_is_first_the_next_time(ids, caplog):
    """Each walk has time for one tenant only: it is the one that waited longest."""
    seen, clock = [], iter([0.0, 0.0, 9.0])

    class Slow:
        @staticmethod
        def monotonic():
            return next(clock, 9.0)

    for _ in range(4):
        clock = iter([0.0, 0.0, 9.0])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tenants.walks.time", Slow)
            done = walk(ids, seen.append, max_seconds=5)
        assert done == Walk(visited=1, failed=0, left=2)

    assert seen == [*ids, ids[0]]
    assert read_counts()[("tenantry_tenants_left", "reconcile")] == 8
    assert "left=2" in caplog.text


def test_two_jobs_do_not_disturb_each_others_order(ids):
    walk(ids[:1], len_of_nothing, job="reset_due_quotas")
    seen = []
    walk(ids, seen.append)
    assert seen == ids


def len_of_nothing(_tenant_id):
    return 0


def test_a_tenant_that_fails_holds_up_nobody_and_is_counted(ids, caplog):
    seen = []

    def look(tenant_id):
        seen.append(tenant_id)
        if tenant_id == ids[0]:
            raise KeyError("a bug")

    with caplog.at_level(logging.ERROR):
        assert walk(ids, look) == Walk(visited=3, failed=1, left=0)

    assert seen == ids
    assert f"tenant_id={ids[0]}" in caplog.text
    assert read_counts()[("tenantry_tenants_failed", "reconcile")] == 1


def test_a_tenant_that_ends_the_process_is_not_first_again(ids):
    def look(_tenant_id):
        raise SystemExit

    with pytest.raises(SystemExit):
        walk(ids, look)

    seen = []
    walk(ids, seen.append)
    assert seen == [*ids[1:], ids[0]]


def test_a_tenant_that_is_gone_is_looked_at_as_any_other(ids):
    Tenant.objects.filter(pk=ids[0]).delete()
    assert walk(ids, len_of_nothing).visited == 3


def test_no_job_sends_a_task_for_each_tenant(ids, monkeypatch):
    from celery.app.task import Task

    def refuse(self, *_args, **_kwargs):
        raise AssertionError(f"{self.name} was put into the queue")

    monkeypatch.setattr(Task, "apply_async", refuse)
    tasks.reset_due_quotas()
    tasks.send_quota_alerts()
    tasks.deliver_notices()
    tasks.reconcile()
    tasks.expire_keys()


def test_metrics_of_stored_counts_have_their_names():
    assert [each.name for each in metrics.ledger_drift.describe()] == ["tenantry_ledger_drift"]
