"""Rows of tasks: linked with their runs, announced once at their end, and erased with them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from agents.erasure import service as erasure
from agents.models import Task
from agents.schema.routing.tasks import task_state
from agents.tenant_tasks.callbacks import create_callbacks
from agents.tenant_tasks.store import ACCEPT_TIMEOUT, adopt_unlinked
from tenants.models import AlertRecipient, Notice
from tenants.scoping import every_tenant, tenant_scope
from tests.fixtures.runs.conversations import make_run
from tests.fixtures.runs.tasks import make_task

HOOK = "https://hooks.acme.example/tasks"


def add_webhook(member, **facts):
    with tenant_scope(member.tenant.pk):
        return AlertRecipient.objects.create(
            tenant=member.tenant, kind="webhook", **{"address": HOOK, **facts}
        )


def notices():
    with every_tenant():
        return list(Notice.objects.select_related("recipient"))


@pytest.mark.parametrize(
    ("state", "reason", "kind"),
    [
        ("completed", "", "task.completed"),
        ("failed", "", "task.failed"),
        ("cancelled", "cancelled", "task.cancelled"),
        ("incomplete", "expired", "task.expired"),
        ("incomplete", "max_steps", "task.failed"),
    ],
)
def test_the_end_of_a_task_is_announced_once_to_its_own_callback(acme, rival, state, reason, kind):
    wanted, _ = add_webhook(acme), add_webhook(acme, address=f"{HOOK}/other")
    add_webhook(rival)
    run = make_run(acme.tenant, state=state, incomplete_reason=reason)
    task = make_task(acme.tenant, run=run, callback_url=HOOK, metadata={"topic": "demo"})

    first = create_callbacks(now=timezone.now())
    again = create_callbacks(now=timezone.now())

    (notice,) = notices()
    assert (first, again) == (1, 0)
    assert notice.recipient == wanted
    assert notice.body["type"] == kind
    assert notice.body["data"] == {
        "task_id": task.public_id,
        "state": kind.removeprefix("task."),
        "agent": "helper",
        "response_id": run.public_id,
        "metadata": {"topic": "demo"},
    }


@pytest.mark.parametrize("state", ["queued", "in_progress", "requires_approval"])
def test_a_task_that_has_not_ended_is_not_announced(acme, state):
    add_webhook(acme)
    make_task(acme.tenant, run=make_run(acme.tenant, state=state), callback_url=HOOK)

    assert create_callbacks(now=timezone.now()) == 0


def test_a_callback_whose_webhook_was_removed_is_dropped(acme):
    add_webhook(acme, enabled=False)
    make_task(acme.tenant, run=make_run(acme.tenant, state="completed"), callback_url=HOOK)

    assert create_callbacks(now=timezone.now()) == 1
    assert notices() == []


def test_a_task_finds_the_run_that_its_gateway_could_not_link(acme, rival):
    lost, never = (
        make_task(acme.tenant, run=None, api_key_id=7),
        make_task(acme.tenant, run=None, api_key_id=7),
    )
    run = make_run(acme.tenant, client_id=lost.public_id, api_key_id=7)
    make_run(rival.tenant, client_id=never.public_id, api_key_id=7)

    early = adopt_unlinked(now=timezone.now())
    adopted = adopt_unlinked(now=timezone.now() + ACCEPT_TIMEOUT + timedelta(seconds=1))

    with every_tenant():
        assert (early, adopted) == (0, 1)
        assert Task.objects.get().run == run


def test_tasks_are_erased_with_the_runs_past_the_retention(acme, rival):
    for member in (acme, rival):
        make_task(member.tenant, run=make_run(member.tenant, state="completed"))
    acme.tenant.retention_days = 1
    acme.tenant.save()

    receipt = erasure.erase_expired(acme.tenant.pk, now=timezone.now() + timedelta(days=2))

    with every_tenant():
        assert [each.tenant for each in Task.objects.select_related("tenant")] == [rival.tenant]
    assert (receipt.counts["tasks"], receipt.counts["runs"]) == (1, 1)


@pytest.mark.parametrize(
    ("run_state", "reason", "state"),
    [
        ("queued", "", "queued"),
        ("in_progress", "cancelled", "running"),
        ("requires_approval", "", "requires_approval"),
        ("incomplete", "expired", "expired"),
        ("incomplete", "approval_expired", "failed"),
    ],
)
def test_the_state_of_a_task_is_that_of_its_run(run_state, reason, state):
    assert task_state(run_state, reason) == state
