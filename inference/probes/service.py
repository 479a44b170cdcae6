"""Active probes: who is due, what was found, and what follows from it.

Celery's worker asks, not the gateways: each of those would ask every endpoint again, and none of
them may write to PostgreSQL. A row says when its endpoint is due, and whoever moves that time on
has the probe, so that any number of workers share the work. While no worker runs, endpoints stay
as they are, and the gateways' own breakers still see what fails.
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
from inference.monitoring.load_history import note_load
from inference.probes.client import (
    PROBE_TIMEOUT_SECONDS,
    Ask,
    GetPath,
    ProbeResult,
    Target,
    ask_all,
    ask_health,
    probe_completion,
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
"""Endpoints of one job; the next one takes the rest."""
MAX_COMPLETION_SECONDS = 30.0


def probe_due(*, now: datetime) -> int:
    """Probe every endpoint that is due. Safe to run any number of times at once."""
    return ask_and_record(claim_due(now=now), ask=ask_health)


def probe_completions(*, now: datetime) -> int:
    """Ask endpoints for a token whose pools want that, and which are due."""
    return ask_and_record(claim_due_for_completion(now=now), ask=probe_completion)


def probe_now(*, endpoint: ModelEndpoint) -> ProbeResult:
    """Probe one endpoint, and ask it for a token where its pool wants that. Counts as a probe.

    Returns what was found last; its `note` is a sentence for people.
    """
    rows = sealed().filter(pk=endpoint.pk)
    found = ProbeResult(good=False, note="The endpoint is gone, or its credential cannot be read.")
    asks = (ask_health, probe_completion) if wants_completions(endpoint.pool) else (ask_health,)
    for ask in asks:
        for target, finding in ask_now(targets_of(rows), ask=ask):
            record(target, finding, now=timezone.now())
            found = finding
        if not found.good:
            break
    return found


def wants_completions(pool: ModelPool) -> bool:
    return pool.completion_probe_seconds is not None


def ask_and_record(targets: Sequence[Target], *, ask: Ask) -> int:
    for target, finding in ask_now(targets, ask=ask) if targets else ():
        record(target, finding, now=timezone.now())
    return len(targets)


def ask_now(targets: Sequence[Target], *, ask: Ask) -> list[tuple[Target, ProbeResult]]:
    return asyncio.run(ask_all(targets, ask=ask, allow_loopback=settings.LOOPBACK_ENDPOINTS))


@transaction.atomic
def claim_due(*, now: datetime) -> list[Target]:
    """Take the endpoints that are due, and say when they are due again if we do not come back."""
    rows = list(locked(sealed().due(now)))
    for row in rows:
        again = now + timedelta(seconds=row.pool.probe_seconds + PROBE_TIMEOUT_SECONDS)
        ModelEndpoint.objects.filter(pk=row.pk).update(next_probe_at=again)
    return targets_of(rows)


@transaction.atomic
def claim_due_for_completion(*, now: datetime) -> list[Target]:
    """The same for the probes that ask for a token."""
    rows = list(locked(sealed().due_for_completion(now)))
    for row in rows:
        again = now + timedelta(seconds=row.pool.completion_probe_seconds)
        ModelEndpoint.objects.filter(pk=row.pk).update(next_completion_at=again)
    return targets_of(rows)


def locked(rows: Any) -> Any:
    """Those that no other worker is claiming right now."""
    return rows.select_for_update(skip_locked=True, of=("self",))[:MAX_ENDPOINTS_PER_RUN]


def sealed() -> Any:
    """Endpoints with their pools, and their credentials as they are stored: one that cannot be
    read must not keep the others from being probed.
    """
    rows = ModelEndpoint.objects.select_related("pool").defer("credential")
    return rows.annotate(sealed=Cast("credential", TextField()))


def targets_of(rows: Iterable[Any]) -> list[Target]:
    """What to ask of each; those whose credential cannot be read are logged and left alone."""
    rows = list(rows)
    embedding = embedding_pools({row.pool_id for row in rows})
    targets = []
    for row in rows:
        try:
            credential = decrypt(row.sealed)
        except SecretUnreadable as error:
            log.error("probes: endpoint left out (endpoint=%s): %s", row.public_id, error)  # noqa: TRY400
            continue
        targets.append(as_target(row, credential=credential, embeds=row.pool_id in embedding))
    return targets


def as_target(row: Any, *, credential: str, embeds: bool) -> Target:
    patience = min(row.pool.first_token_timeout, MAX_COMPLETION_SECONDS)
    return Target(
        id=row.pk,
        public_id=row.public_id,
        address=row.address,
        model=row.model,
        credential=credential,
        path=cast("GetPath", row.pool.probe_path),
        embeds=embeds,
        patience=patience,
        metrics=metrics_of(row),
    )


def metrics_of(row: Any) -> MetricNames | None:
    """A registered engine tells its load with its heartbeats."""
    return None if row.registered else METRICS.get(row.pool.engine)


def embedding_pools(pools: set[int]) -> set[int]:
    """Those of `pools` that have routes for embeddings only."""
    routes = ModelRoute.objects.filter(pool_id__in=pools)
    purposes: dict[int, set[str]] = {}
    for pool, purpose in routes.values_list("pool_id", "purpose"):
        purposes.setdefault(pool, set()).add(purpose)
    only = {ModelRoute.Purpose.EMBEDDINGS}
    return {pool for pool, found in purposes.items() if found <= only}


def record(target: Target, finding: ProbeResult, *, now: datetime) -> None:
    """Note what was found, and move the endpoint between ready and unhealthy if it is time."""
    with transaction.atomic():
        rows = ModelEndpoint.objects.select_related("pool").defer("credential")
        row = rows.select_for_update(of=("self",)).filter(pk=target.id).first()
        if row is not None:
            judge(row, finding, now=now)
    if finding.load is not None:
        note_load(public_id=target.public_id, load=finding.load, now=now)


def judge(row: ModelEndpoint, finding: ProbeResult, *, now: datetime) -> None:
    """What one probe changes of an endpoint's row, which is locked."""
    pool = row.pool
    rules = ProbeRules(rise=pool.probe_rise, fall=pool.probe_fall, seconds=pool.probe_seconds)
    streak = row.probe_streak
    if finding.counts:
        streak = streak_after(streak, good=finding.good)
    pause = next_interval(streak, is_ready=row.state == State.READY, rules=rules)
    # Sooner than it was to be, where there is doubt; a probe of another kind does not put it off.
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
