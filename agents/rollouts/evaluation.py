"""Comparing rollouts over the ledger, and taking back the candidates that do worse."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db.models import Aggregate, Count, FloatField, Q

from agents.models import Rollout
from agents.models.choices import RolloutState
from agents.rollouts.lifecycle import roll_back_candidate
from agents.rollouts.regression import EarlySign, RevisionStats, early_signs, regression_reason
from agents.rollouts.thresholds import Thresholds
from kernel.errors import PlatformError
from tenants.models import UsageEvent
from tenants.scoping import every_tenant, tenant_scope

NEWEST = 5_000
"""Runs of each revision that are looked at: what it does now counts, and a look stays cheap."""

MAX_WATCHED = 5
"""Rollouts that one page compares: each takes two sums over its runs."""


class P95(Aggregate):
    """The 95th percentile."""

    template = "percentile_cont(0.95) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What both revisions did since the rollout began, or lately if that is much."""

    base: RevisionStats
    candidate: RevisionStats
    why_worse: str
    """A sentence, or empty."""
    early_signs: tuple[EarlySign, ...] = ()
    """Figures that differ widely, whether or not enough runs are there to decide."""


def running_rollouts() -> list[tuple[int, int]]:
    """Tenant and rollout of all that should be judged."""
    with every_tenant():
        rows = Rollout.objects.filter(state=RolloutState.RUNNING)
        return list(rows.values_list("tenant_id", "pk"))


def evaluate_rollout(*, tenant_id: int, rollout_id: int) -> bool:
    """Take a candidate back if it does worse. False if it may stay, or had ended already."""
    with tenant_scope(tenant_id):
        rows = Rollout.objects.filter(pk=rollout_id, state=RolloutState.RUNNING)
        rollout = rows.select_related("agent__published", "revision").first()
        if rollout is None:
            return False
        reason = compare_records(rollout).why_worse
        return bool(reason) and roll_back_candidate(rollout=rollout, reason=reason)


def compare_records(rollout: Rollout) -> Comparison:
    """Asks inside a tenant scope."""
    served = rollout.agent.published
    base = record_of(rollout, served.number) if served else RevisionStats()
    candidate = record_of(rollout, rollout.revision.number)
    thresholds = Thresholds(
        least_runs=rollout.least_runs,
        most_errors=rollout.most_errors,
        most_latency=rollout.most_latency,
    )
    reason = regression_reason(base=base, candidate=candidate, thresholds=thresholds)
    signs = early_signs(base=base, candidate=candidate, thresholds=thresholds)
    return Comparison(base=base, candidate=candidate, why_worse=reason, early_signs=signs)


def rollouts_in_trouble() -> list[tuple[Rollout, str]]:
    """Of the newest that run those whose candidate does worse or seems to, and a sentence each.

    Asks in the scope of whoever asks: an operator's page sees those of every tenant.
    """
    running = Rollout.objects.filter(state=RolloutState.RUNNING).order_by("-started_at", "-pk")
    watched = running.select_related("agent__published", "revision", "tenant")[:MAX_WATCHED]
    compared = [(rollout, compare_records(rollout)) for rollout in watched]
    return [
        (rollout, found.why_worse or " ".join(sign.says for sign in found.early_signs))
        for rollout, found in compared
        if found.why_worse or found.early_signs
    ]


def record_of(rollout: Rollout, number: int) -> RevisionStats:
    """What one revision did since the rollout began."""
    newest = newest_runs(rollout.agent.slug, number, since=rollout.started_at).aggregate(
        runs=Count("pk"),
        failed=Count("pk", filter=Q(status="failed")),
        streams=Count("ttft_ms", filter=Q(status="completed")),
        p95_ms=P95("duration_ms", filter=Q(status="completed")),
        p95_ttft_ms=P95("ttft_ms", filter=Q(status="completed")),
    )
    return RevisionStats(**newest)


def newest_runs(slug: str, number: int, *, since: datetime) -> Any:
    """Runs that say something about a revision: no client's fault, and not from the cache."""
    rows = UsageEvent.objects.filter(agent=slug, agent_revision=number, started_at__gte=since)
    rows = rows.filter(status__in=("completed", "failed")).exclude(kind="correction")
    rows = rows.exclude(status="failed", error_code__in=client_faults())
    return rows.exclude(decision__contains={"cache": "hit"}).order_by("-started_at")[:NEWEST]


@cache
def client_faults() -> tuple[str, ...]:
    """The error codes that say what a client did wrong."""
    return tuple(sorted(each.code for each in leaves(PlatformError) if each.status < 500))  # noqa: PLR2004 - HTTP's own line


def leaves(root: type[PlatformError]) -> list[type[PlatformError]]:
    below = [leaf for each in root.__subclasses__() for leaf in leaves(each)]
    return [root, *below]
