"""Registration, heartbeats and expiry of engines that register themselves."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from inference.addresses import ensure_within, normalised_address
from inference.endpoints.manual import ensure_valid, store_once
from inference.engines.engine import EngineLoad
from inference.errors import (
    AddressTaken,
    ModelMismatch,
    PoolFull,
)
from inference.models import ModelEndpoint, ModelPool
from inference.monitoring.load_history import delete_load, record_load
from inference.selectors import route_names_of
from inference.topics import FLEET
from kernel.errors import NotFound
from kernel.publishing.publish import publish

log = logging.getLogger(__name__)

State = ModelEndpoint.State
ANNOUNCED_FIELDS = (
    *("model", "engine_version", "max_concurrency", "weight", "zone", "machine", "credential"),
)
REGISTERED_FIELDS = (
    *(*ANNOUNCED_FIELDS, "capabilities", "registered", "heartbeat_at", "state", "ready_since"),
    *("probe_streak", "next_probe_at", "next_completion_at"),
)
"""Columns that a repeated registration updates."""
PRIORITY = "priority"
"""The capability of engines that run the requests with the lowest `priority` first."""
UNUSED_PRIORITY = (
    "This engine can order requests by priority, but the pool {pool!r} sends none: enable 'sends "
    "priority' on the pool's page once all of its engines can."
)
UNKNOWN_PRIORITY = (
    "The pool {pool!r} sends priorities, which this engine may reject: start vLLM with "
    "--scheduling-policy priority, or disable 'sends priority' on the pool's page."
)
MAX_VERSION_CHARS = 50
MAX_MISSED_HEARTBEATS = 2.5
"""Number of missed heartbeats after which another engine may take the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """The facts that an engine sends when it registers."""

    address: str
    model: str
    engine_version: str = ""
    max_concurrency: int = 1000
    weight: int = 1
    zone: str = ""
    capabilities: Sequence[str] = ()
    machine: str = ""
    """Host name of the engine's machine. The same machine may register its address again."""
    credential: str = ""

    def as_columns(self) -> dict[str, Any]:
        """Return the columns of the endpoint, except the address, which is normalised."""
        columns = {name: getattr(self, name) for name in ANNOUNCED_FIELDS}
        return {
            **columns,
            "capabilities": list(self.capabilities),
            "engine_version": self.engine_version[:MAX_VERSION_CHARS],
        }

    def __repr__(self) -> str:
        return f"Announcement({self.address}, {self.model})"


@transaction.atomic
def register_endpoint(
    *, pool: ModelPool, announcement: Announcement, now: datetime
) -> ModelEndpoint:
    """Register an engine in its pool. A repeated registration of an address updates the endpoint.

    Raises AddressNotAllowed, ModelMismatch if no route of the pool has the engine's model,
    AddressTaken if another one is alive at that address, PoolFull, and ValidationError.
    """
    ensure_served(pool, announcement.model)
    address = normalised_address(announcement.address, allow_loopback=settings.LOOPBACK_ENDPOINTS)
    ensure_within(address, networks=pool.engine_networks)
    # An old credential that cannot be decrypted must not prevent a new one.
    rows = ModelEndpoint.objects.defer("credential").select_for_update()
    known = rows.filter(pool=pool, address=address).first()
    endpoint = known or ModelEndpoint(pool=pool, address=address)
    if known:
        ensure_address_free(known, machine=announcement.machine, now=now)
    if not known or known.state == State.EXPIRED:
        ensure_capacity(pool)
    for name, value in announcement.as_columns().items():
        setattr(endpoint, name, value)
    endpoint.registered, endpoint.heartbeat_at = True, now
    # Draining is requested by an operator and survives a restart of the engine.
    if endpoint.state != State.DRAINING:
        reset_state(endpoint, now=now)
    ensure_valid(endpoint)
    store_registered(endpoint)
    publish(FLEET)
    return endpoint


def store_registered(endpoint: ModelEndpoint) -> None:
    """Save the endpoint. Raises NameTaken after a concurrent registration of the address."""
    if endpoint._state.adding:  # noqa: SLF001 - Django's documented name for it
        store_once(endpoint)
        return
    # Not `save`: the audit log would read the old row with its credential.
    columns = {name: getattr(endpoint, name) for name in REGISTERED_FIELDS}
    ModelEndpoint.objects.filter(pk=endpoint.pk).update(**columns)


def advice_on(*, pool: ModelPool, endpoint: ModelEndpoint) -> list[str]:
    """Return warnings about settings of the pool that do not match the engine."""
    advice = {(True, False): UNUSED_PRIORITY, (False, True): UNKNOWN_PRIORITY}
    sentence = advice.get((PRIORITY in endpoint.capabilities, pool.sends_priority))
    return [sentence.format(pool=pool.name)] if sentence else []


def ensure_served(pool: ModelPool, model: str) -> None:
    """Raise ModelMismatch if no route of the pool has this model."""
    routes = route_names_of(pool)
    if routes and model not in routes:
        raise ModelMismatch(
            f"The pool {pool.name!r} serves {', '.join(sorted(routes))}, "
            f"but this engine serves {model!r}."
        )


def ensure_capacity(pool: ModelPool) -> None:
    """Raise PoolFull at the limit of engines. The lock serialises concurrent registrations."""
    locked = ModelPool.objects.select_for_update(no_key=True).get(pk=pool.pk)
    alive = ModelEndpoint.objects.filter(pool=pool, registered=True).exclude(state=State.EXPIRED)
    if alive.count() >= locked.max_registered_endpoints:
        raise PoolFull


def ensure_address_free(known: ModelEndpoint, *, machine: str, now: datetime) -> None:
    """Raise AddressTaken if the endpoint at an address belongs to another engine that is alive.

    With two engines at one address, requests would reach one of them with the other's credential.
    A restarted engine registers from the same machine, or after missed heartbeats.
    """
    if not known.registered:
        raise AddressTaken(
            f"{known.address} is a static endpoint. Delete that endpoint, or give this engine "
            "another address."
        )
    if known.state == State.EXPIRED or (machine and machine == known.machine):
        return
    silent = now - (known.heartbeat_at or now)
    max_silence = timedelta(seconds=MAX_MISSED_HEARTBEATS * settings.HEARTBEAT_SECONDS)
    if silent < max_silence:
        raise AddressTaken(
            f"Another engine is registered at {known.address} and alive. Give this one another "
            "address with --address, or stop the other one.",
            retry_after=(max_silence - silent).total_seconds(),
        )


def reset_state(endpoint: ModelEndpoint, *, now: datetime) -> None:
    """Reset the state of a newly started engine: ready, without failed probes."""
    endpoint.state = State.READY
    endpoint.ready_since = now
    endpoint.probe_streak, endpoint.next_probe_at, endpoint.next_completion_at = 0, None, None


def record_heartbeat(*, pool: ModelPool, public_id: str, load: EngineLoad, now: datetime) -> None:
    """Record a heartbeat. Raises NotFound if the endpoint must register again."""
    if not ModelEndpoint.objects.record_heartbeat(
        public_id=public_id, pool_id=pool.pk, now=now, load=load
    ):
        raise NotFound("This endpoint is no longer registered. Register again.")
    record_load(public_id=public_id, load=load, now=now)


@transaction.atomic
def deregister_endpoint(*, pool: ModelPool, public_id: str) -> None:
    """Delete a registered endpoint. Raises NotFound if it does not exist."""
    gone, _ = ModelEndpoint.objects.filter(pool=pool, public_id=public_id, registered=True).delete()
    if not gone:
        raise NotFound
    transaction.on_commit(lambda: delete_load(public_id=public_id))
    publish(FLEET)


@transaction.atomic
def expire_silent_endpoints(*, now: datetime, after: timedelta) -> int:
    """Expire registered endpoints whose last heartbeat is older than `after`. Return the count."""
    expired = ModelEndpoint.objects.silent_since(now - after).update(state=State.EXPIRED)
    if expired:
        log.warning(
            "endpoints: expired without a heartbeat (endpoints=%d, seconds=%g)",
            expired,
            after.total_seconds(),
        )
        publish(FLEET)
    return expired
