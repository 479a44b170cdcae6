"""Active probes: claims due endpoints, probes them, and applies the results.

Celery's workers probe, not the gateways: each gateway would probe every endpoint, and gateways do
not write to PostgreSQL. A row stores when its endpoint is due; a worker claims a probe by moving
that time, so that any number of workers share the work. Without a worker the states stay as they
are, and the breakers of the gateways still react to failed requests.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.db import transaction
from django.db.models import TextField
from django.db.models.functions import Cast
from django.utils import timezone

from inference.endpoints import states as endpoint_states
from inference.engines.engine import MetricNames
from inference.engines.llamacpp import LLAMACPP
from inference.engines.vllm import VLLM
from inference.models import ModelEndpoint, ModelPool, ModelRoute
from inference.monitoring.load_history import record_load
from inference.probes.client import (
    PROBE_TIMEOUT_SECONDS,
    GetPath,
    Probe,
    ProbeResult,
    ProbeTarget,
    probe_all,
    probe_completion,
    probe_health,
)
from inference.probes.thresholds import (
    ProbeRules,
    next_interval,
    should_fail,
    should_recover,
    streak_after,
)
from kernel.secrets import SecretUnreadable, decrypt

log = logging.getLogger(__name__)

State = ModelEndpoint.State
METRICS = {engine.name: engine.metrics for engine in (VLLM, LLAMACPP)}
MAX_ENDPOINTS_PER_RUN = 500
"""Endpoints per run of the task; the next run takes the rest."""
MAX_COMPLETION_SECONDS = 30.0


def probe_due(*, now: datetime) -> int:
    """Probe every due endpoint. Return their number. Safe to run concurrently."""
    return probe_and_record(claim_due(now=now), probe=probe_health)


def probe_completions(*, now: datetime) -> int:
    """Probe endpoints that are due for a completion probe. Return their number."""
    return probe_and_record(claim_due_for_completion(now=now), probe=probe_completion)


def probe_now(*, endpoint: ModelEndpoint) -> ProbeResult:
    """Probe one endpoint from this process, also for a completion if its pool is configured so.

    Returns the last result and stores nothing: only Celery's workers decide about an endpoint's
    state. The network may not let the console connect to an engine that is healthy.
    """
    rows = sealed().filter(pk=endpoint.pk)
    found = ProbeResult(good=False, note="The endpoint is gone, or its credential cannot be read.")
    probes = (
        (probe_health, probe_completion) if wants_completions(endpoint.pool) else (probe_health,)
    )
    for probe in probes:
        for _, finding in run_probes(targets_of(rows), probe=probe):
            found = finding
        if not found.good:
            break
    return found


def wants_completions(pool: ModelPool) -> bool:
    return pool.completion_probe_seconds is not None


def probe_and_record(targets: Sequence[ProbeTarget], *, probe: Probe) -> int:
    for target, finding in run_probes(targets, probe=probe) if targets else ():
        record(target, finding, now=timezone.now())
    return len(targets)


def run_probes(
    targets: Sequence[ProbeTarget], *, probe: Probe
) -> list[tuple[ProbeTarget, ProbeResult]]:
    return asyncio.run(probe_all(targets, probe=probe, allow_loopback=settings.LOOPBACK_ENDPOINTS))


@transaction.atomic
def claim_due(*, now: datetime) -> list[ProbeTarget]:
    """Claim due endpoints. A claim expires, in case this process ends before the result."""
    rows = list(lock_rows(sealed().due(now)))
    for row in rows:
        again = now + timedelta(seconds=row.pool.probe_seconds + PROBE_TIMEOUT_SECONDS)
        ModelEndpoint.objects.filter(pk=row.pk).update(next_probe_at=again)
    return targets_of(rows)


@transaction.atomic
def claim_due_for_completion(*, now: datetime) -> list[ProbeTarget]:
    """Claim endpoints that are due for a completion probe."""
    rows = list(lock_rows(sealed().due_for_completion(now)))
    for row in rows:
        again = now + timedelta(seconds=row.pool.completion_probe_seconds)
        ModelEndpoint.objects.filter(pk=row.pk).update(next_completion_at=again)
    return targets_of(rows)


def lock_rows(rows: Any) -> Any:
    """Lock rows, without those that another worker is claiming."""
    return rows.select_for_update(skip_locked=True, of=("self",))[:MAX_ENDPOINTS_PER_RUN]


def sealed() -> Any:
    """Return endpoints with their pools and still encrypted credentials: one that cannot be
    decrypted must not prevent the probes of the others.
    """
    rows = ModelEndpoint.objects.select_related("pool").defer("credential")
    return rows.annotate(sealed=Cast("credential", TextField()))


def targets_of(rows: Iterable[Any]) -> list[ProbeTarget]:
    """Return the targets. Endpoints whose credential cannot be decrypted are logged and skipped."""
    rows = list(rows)
    embedding = embedding_pools({row.pool_id for row in rows})
    targets = []
    for row in rows:
        try:
            credential = decrypt(row.sealed)
        except SecretUnreadable as error:
            log.error("probes: endpoint skipped (endpoint=%s): %s", row.public_id, error)  # noqa: TRY400
            continue
        targets.append(as_target(row, credential=credential, embeds=row.pool_id in embedding))
    return targets


def as_target(row: Any, *, credential: str, embeds: bool) -> ProbeTarget:
    timeout_seconds = min(row.pool.first_token_timeout, MAX_COMPLETION_SECONDS)
    return ProbeTarget(
        id=row.pk,
        public_id=row.public_id,
        address=row.address,
        model=row.model,
        credential=credential,
        path=cast("GetPath", row.pool.probe_path),
        embeds=embeds,
        timeout_seconds=timeout_seconds,
        metrics=metrics_of(row),
    )


def metrics_of(row: Any) -> MetricNames | None:
    """Return the metrics to read; None for registered engines, whose heartbeats have the load."""
    return None if row.registered else METRICS.get(row.pool.engine)


def embedding_pools(pools: set[int]) -> set[int]:
    """Return those of `pools` whose routes are all for embeddings."""
    routes = ModelRoute.objects.filter(pool_id__in=pools)
    purposes: dict[int, set[str]] = {}
    for pool, purpose in routes.values_list("pool_id", "purpose"):
        purposes.setdefault(pool, set()).add(purpose)
    only = {ModelRoute.Purpose.EMBEDDINGS}
    return {pool for pool, found in purposes.items() if found <= only}


def record(target: ProbeTarget, finding: ProbeResult, *, now: datetime) -> None:
    """Store the result, and change the endpoint's state if a threshold is reached."""
    with transaction.atomic():
        rows = ModelEndpoint.objects.select_related("pool").defer("credential")
        row = rows.select_for_update(of=("self",)).filter(pk=target.id).first()
        if row is not None:
            apply_result(row, finding, now=now)
    if finding.load is not None:
        record_load(public_id=target.public_id, load=finding.load, now=now)


def apply_result(row: ModelEndpoint, finding: ProbeResult, *, now: datetime) -> None:
    """Apply the result of a probe to the locked row of an endpoint."""
    pool = row.pool
    rules = ProbeRules(rise=pool.probe_rise, fall=pool.probe_fall, seconds=pool.probe_seconds)
    streak = row.probe_streak
    if finding.counts:
        streak = streak_after(streak, good=finding.good)
    pause = next_interval(streak, is_ready=row.state == State.READY, rules=rules)
    # Only ever moved earlier: a completion probe must not delay the next health probe.
    again = now + timedelta(seconds=pause)
    changes: dict[str, Any] = {
        "probed_at": now,
        "probe_note": finding.note,
        "probe_streak": streak,
        "next_probe_at": row.next_probe_at and min(row.next_probe_at, again),
        **(finding.load.gauges() if finding.load else {}),
    }
    ModelEndpoint.objects.filter(pk=row.pk).update(**changes)
    if row.state == State.READY and should_fail(streak, rules=rules):
        endpoint_states.move_endpoint(endpoint=row, before=State.READY, after=State.UNHEALTHY)
    elif row.state == State.UNHEALTHY and should_recover(streak, rules=rules):
        endpoint_states.move_endpoint(endpoint=row, before=State.UNHEALTHY, after=State.READY)
