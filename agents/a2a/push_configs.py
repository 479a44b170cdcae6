"""The webhooks that clients of A2A register for their tasks: added, listed, removed."""

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from agents.a2a.tasks import find_task
from agents.models import PushConfig
from agents.schema.a2a.tasks import PushTarget
from kernel.egress.client import configured_egress
from kernel.errors import InvalidParameter
from tenants.scoping import tenant_scope

MAX_PUSH_CONFIGS_PER_TASK = 10


@transaction.atomic
def add_push_config(tenant_id: int, *, agent: str, task: str, target: PushTarget) -> None:
    """Register a webhook, or replace the one with its id.

    It receives the current state of the task next, if that is the end or an interruption. Raises
    NotFound, TargetRefused, and InvalidParameter if the task has too many.
    """
    configured_egress().ensure_target(target.url)
    with tenant_scope(tenant_id):
        run = find_task(agent=agent, task=task)
        others = PushConfig.objects.filter(run=run).exclude(config_id=target.id)
        if others.count() >= MAX_PUSH_CONFIGS_PER_TASK:
            raise InvalidParameter(
                f"A task has at most {MAX_PUSH_CONFIGS_PER_TASK} push notification configs. "
                "Delete one first.",
                param="task_push_notification_config",
            )
        PushConfig.objects.update_or_create(
            run=run,
            config_id=target.id,
            defaults={
                "tenant_id": tenant_id,
                "url": target.url,
                "token": target.token,
                "scheme": target.scheme,
                "credential": target.credential,
                "sent_state": "",
                "tries": 0,
                "next_try_at": timezone.now(),
                "last_error": "",
            },
        )


def list_push_configs(tenant_id: int, *, agent: str, task: str) -> Sequence[PushTarget]:
    """Return the webhooks of a task, without their secrets. Raises NotFound."""
    with tenant_scope(tenant_id):
        rows = PushConfig.objects.filter(run=find_task(agent=agent, task=task)).order_by("pk")
        found = rows.values_list("config_id", "url", "scheme")
        return [PushTarget(id=name, url=url, scheme=scheme) for name, url, scheme in found]


def remove_push_config(tenant_id: int, *, agent: str, task: str, target_id: str) -> None:
    """Remove a webhook. Harmless if there is none. Raises NotFound for the task."""
    with tenant_scope(tenant_id):
        run = find_task(agent=agent, task=task)
        PushConfig.objects.filter(run=run, config_id=target_id).delete()
