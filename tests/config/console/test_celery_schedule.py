"""The schedule: every job exists, is dropped when late, and short work has a queue of its own."""

import importlib
import inspect
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.celery import app
from embedded.programs import celery_worker
from tenants import tasks
from tenants.models import AlertRecipient, Notice, QuotaWindow
from tenants.scoping import every_tenant
from tests.fixtures.limits.limits import load, own_quota

JOBS = app.conf.beat_schedule
WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE)")
ROOT = Path(__file__).resolve().parents[3]
OPERATIONS = ROOT / "platform/docs/operations.md"


@pytest.mark.parametrize("name", JOBS)
def test_a_job_exists_and_is_dropped_when_the_next_one_is_due(name):
    task = JOBS[name]["task"]
    importlib.import_module(task.rpartition(".")[0])

    assert task in app.tasks
    assert JOBS[name]["options"]["expires"] == JOBS[name]["schedule"].run_every.total_seconds()


@pytest.mark.parametrize("name", [name for name in JOBS if "tenants" in JOBS[name]["task"]])
def test_a_job_is_documented_with_how_often_it_runs(name):
    task = JOBS[name]["task"].rpartition(".")[2]
    seconds = int(JOBS[name]["schedule"].run_every.total_seconds())

    assert re.search(rf"^\| {task} \| {seconds} s \|", OPERATIONS.read_text(), re.MULTILINE)


def test_a_task_takes_what_a_newer_sender_adds():
    every = [each for name, each in app.tasks.items() if name.startswith("tenants.tasks.")]

    for task in every:
        kinds = {each.kind for each in inspect.signature(task.run).parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD in kinds, task.name


@pytest.fixture
def at_once():
    """Tasks run where they are called, instead of in a worker."""
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    yield
    app.conf.update(task_always_eager=False, task_eager_propagates=False)


@pytest.mark.slow
def test_a_beat_resets_every_tenant_and_tells_who_wants_to_know(acme, rival, at_once):
    past = timezone.now() - timedelta(days=3)  # each day since then is a window, and a notice
    with every_tenant():
        AlertRecipient.objects.create(tenant=acme, address="a@acme.example", on_reset=True)
    for tenant in (acme, rival):
        own_quota(tenant, now=past)
        load(tenant, now=past)

    tasks.reset_due_quotas()
    tasks.reset_due_quotas()
    tasks.deliver_notices()

    with every_tenant():
        assert not QuotaWindow.objects.filter(closed_at=None, starts_at__lte=past).exists()
        rows = QuotaWindow.objects.filter(starts_at__lte=past)
        assert {row.tenant_id for row in rows} == {acme.pk, rival.pk}
        assert not Notice.objects.filter(ended_at=None).exists()


def test_with_nothing_to_do_jobs_write_only_how_far_the_ledger_is_added_up(db, at_once):
    with CaptureQueriesContext(connection) as queries:
        tasks.reset_due_quotas()
        tasks.send_quota_alerts()
        tasks.deliver_notices()
        tasks.bill_abandoned_requests()
        tasks.reconcile()
        tasks.expire_keys()

    written = [each["sql"] for each in queries if WRITES.match(each["sql"])]
    assert [sql for sql in written if "tenants_ledgercheckpoint" not in sql] == []


URGENT = {"expire-silent-endpoints", "probe-due-endpoints", "probe-completions", "evaluate-pools"}
URGENT |= {"canary", "end-dead-runs", "bill-orphans", "expire-silent-nodes", "expire-queued-runs"}
URGENT |= {"start-due-schedules", "deliver-messages"}


@pytest.mark.parametrize("name", JOBS)
def test_short_work_has_a_queue_of_its_own(name):
    queue = app.amqp.router.route({}, JOBS[name]["task"])["queue"].name
    assert queue == ("critical" if name in URGENT else "celery")
    assert queue in app.amqp.queues


def test_a_worker_without_a_choice_serves_both_queues():
    assert set(app.amqp.queues.consume_from) == {"celery", "critical"}


def test_the_stack_of_one_machine_has_a_worker_for_each_queue():
    workers = [celery_worker(name, queue=name).command for name in ("critical", "celery")]
    assert [command[command.index("-Q") + 1] for command in workers] == ["critical", "celery"]
    assert len({command[command.index("-n") + 1] for command in workers}) == 2


def test_the_manifests_have_a_worker_for_each_queue():
    text = (ROOT / "deploy/k8s/platform/celery.yaml").read_text()
    assert re.findall(r'"-Q", "(\w+)"', text) == ["critical", "celery"]
