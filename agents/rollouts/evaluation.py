"""Compares the revisions of rollouts with data of the ledger, and rolls back regressions."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db.models import Aggregate, Count, FloatField, Q

from agents.models import Rollout
from agents.models.choices import RolloutState
from agents.rollouts.lifecycle import roll_back_candidate
from agents.rollouts.regression import (
    EarlyWarning,
    RevisionStats,
    early_warnings,
    regression_reason,
)
from agents.rollouts.thresholds import Thresholds
from kernel.errors import every_leaf
from tenants.models import UsageEvent
from tenants.scoping import every_tenant, tenant_scope

MAX_COMPARED_RUNS = 5_000
"""Number of newest runs per revision that are compared, which bounds the cost of a query."""

MAX_COMPARED_ROLLOUTS = 5
"""Number of rollouts that a page compares. Each needs two aggregates over its runs."""


class P95(Aggregate):
    """The 95th percentile of an expression."""

    template = "percentile_cont(0.95) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The metrics of both revisions since the rollout started, or of their newest runs."""

    base: RevisionStats
    candidate: RevisionStats
    regression: str
    """The reason for a rollback. Empty if there is none."""
    early_warnings: tuple[EarlyWarning, ...] = ()
    """Metrics that differ widely, even if there are too few runs for a decision."""


def running_rollouts() -> list[tuple[int, int]]:
    """Return the ids of tenant and rollout of all running rollouts."""
    with every_tenant():
        rows = Rollout.objects.filter(state=RolloutState.RUNNING)
        return list(rows.values_list("tenant_id", "pk"))


def evaluate_rollout(*, tenant_id: int, rollout_id: int) -> bool:
    """Roll back the candidate if it is worse. False if it is not, or the rollout has ended."""
    with tenant_scope(tenant_id):
        rows = Rollout.objects.filter(pk=rollout_id, state=RolloutState.RUNNING)
        rollout = rows.select_related("agent__published", "revision").first()
        if rollout is None:
            return False
        reason = compare_revisions(rollout).regression
        return bool(reason) and roll_back_candidate(rollout=rollout, reason=reason)


def compare_revisions(rollout: Rollout) -> Comparison:
    """Needs a tenant scope."""
    served = rollout.agent.published
    base = revision_stats(rollout, served.number) if served else RevisionStats()
    candidate = revision_stats(rollout, rollout.revision.number)
    thresholds = Thresholds(
        min_runs=rollout.min_runs,
        max_error_rate_increase_points=rollout.max_error_rate_increase_points,
        max_latency_increase_percent=rollout.max_latency_increase_percent,
    )
    reason = regression_reason(base=base, candidate=candidate, thresholds=thresholds)
    signs = early_warnings(base=base, candidate=candidate, thresholds=thresholds)
    return Comparison(base=base, candidate=candidate, regression=reason, early_warnings=signs)


def regressed_rollouts() -> list[tuple[Rollout, str]]:
    """Return the newest running rollouts whose candidate is or seems worse, with a message each.

    It uses the caller's scope: an operator's page gets the rollouts of all tenants.
    """
    running = Rollout.objects.filter(state=RolloutState.RUNNING).order_by("-started_at", "-pk")
    watched = running.select_related("agent__published", "revision", "tenant")[
        :MAX_COMPARED_ROLLOUTS
    ]
    compared = [(rollout, compare_revisions(rollout)) for rollout in watched]
    return [
        (rollout, found.regression or " ".join(warning.message for warning in found.early_warnings))
        for rollout, found in compared
        if found.regression or found.early_warnings
    ]


def revision_stats(rollout: Rollout, number: int) -> RevisionStats:
    """Return the metrics of one revision since the rollout started."""
    newest = newest_runs(rollout.agent.slug, number, since=rollout.started_at).aggregate(
        runs=Count("pk"),
        failed=Count("pk", filter=Q(status="failed")),
        streams=Count("ttft_ms", filter=Q(status="completed")),
        p95_ms=P95("duration_ms", filter=Q(status="completed")),
        p95_ttft_ms=P95("ttft_ms", filter=Q(status="completed")),
    )
    return RevisionStats(**newest)


def newest_runs(slug: str, number: int, *, since: datetime) -> Any:
    """Return the newest runs of a revision, without client errors and cached responses."""
    rows = UsageEvent.objects.filter(agent=slug, agent_revision=number, started_at__gte=since)
    rows = rows.filter(status__in=("completed", "failed")).exclude(kind="correction")
    rows = rows.exclude(status="failed", error_code__in=client_faults())
    return rows.exclude(decision__contains={"cache": "hit"}).order_by("-started_at")[
        :MAX_COMPARED_RUNS
    ]


@cache
def client_faults() -> tuple[str, ...]:
    """Return the codes of errors that clients cause."""
    return tuple(sorted(each.code for each in every_leaf() if each.status < 500))  # noqa: PLR2004 - HTTP's own line
