"""The timed work of this context."""

from celery import shared_task

from agents import rollout_evaluation

SECONDS_TO_START = 60
"""A task that nobody took by then is dropped: the next look finds the same."""


@shared_task(ignore_result=True)
def judge_rollouts(**_future: object) -> None:
    """Compare every candidate with what is served, each in a task of its own."""
    for tenant_id, rollout_id in rollout_evaluation.running_rollouts():
        judge_rollout.apply_async((tenant_id, rollout_id), expires=SECONDS_TO_START)


@shared_task(ignore_result=True)
def judge_rollout(tenant_id: int, rollout_id: int, **_future: object) -> bool:
    return rollout_evaluation.judge_rollout(tenant_id=tenant_id, rollout_id=rollout_id)
