"""How endpoints come, stay and go: entered by an operator, or registered by the engine itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from inference.addresses import ensure_within, normalised_address
from inference.endpoints.manual import ensure_valid, store_once
from inference.engines.engine import Load
from inference.errors import (
    AddressTaken,
    ModelMismatch,
    PoolFull,
)
from inference.models import ModelEndpoint, ModelPool
from inference.monitoring.load_history import forget_load, note_load
from inference.selectors import route_names_of
from inference.topics import FLEET
from kernel.errors import NotFound
from kernel.publishing.publish import publish

State = ModelEndpoint.State
ANNOUNCED = (
    *("model", "engine_version", "max_concurrency", "weight", "zone", "machine", "credential"),
)
REGISTERED = (
    *(*ANNOUNCED, "capabilities", "registered", "heartbeat_at", "state", "ready_since"),
    *("probe_streak", "next_probe_at", "next_completion_at"),
)
"""What a registration changes of an endpoint that is known."""
PRIORITY = "priority"
"""The capability of engines that run the requests with the lowest `priority` first."""
UNUSED_PRIORITY = (
    "This engine can order requests by priority, but the pool {pool!r} sends none: tick 'sends "
    "priority' on the pool's page once all of its engines can."
)
UNKNOWN_PRIORITY = (
    "The pool {pool!r} sends priorities, which this engine may refuse: start vLLM with "
    "--scheduling-policy priority, or untick 'sends priority' on the pool's page."
)
MAX_VERSION_CHARS = 50
ALIVE_HEARTBEATS = 2.5
"""Heartbeats that may be missing while an engine still holds its address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What an engine says of itself when it registers."""

    address: str
    model: str
    engine_version: str = ""
    max_concurrency: int = 1000
    weight: int = 1
    zone: str = ""
    capabilities: Sequence[str] = ()
    machine: str = ""
    """On which the engine runs: who comes back to an address from the same one is the same."""
    credential: str = ""

    def as_columns(self) -> dict[str, Any]:
        """Without the address, which has a spelling of its own in the table."""
        columns = {name: getattr(self, name) for name in ANNOUNCED}
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
    """Take an engine into its pool. An engine that comes back to its address takes its place.

    Raises AddressNotAllowed, ModelMismatch if no route of the pool has the engine's model,
    AddressTaken if another one is alive at that address, PoolFull, and ValidationError.
    """
    ensure_served(pool, announcement.model)
    address = normalised_address(announcement.address, allow_loopback=settings.LOOPBACK_ENDPOINTS)
    ensure_within(address, networks=pool.engine_networks)
    # An old credential that cannot be read any more must not keep a new one out.
    rows = ModelEndpoint.objects.defer("credential").select_for_update()
    known = rows.filter(pool=pool, address=address).first()
    endpoint = known or ModelEndpoint(pool=pool, address=address)
    if known:
        ensure_free(known, machine=announcement.machine, now=now)
    if not known or known.state == State.EXPIRED:
        ensure_room(pool)
    for name, value in announcement.as_columns().items():
        setattr(endpoint, name, value)
    endpoint.registered, endpoint.heartbeat_at = True, now
    # Draining is an operator's wish, which outlives a restart of the engine.
    if endpoint.state != State.DRAINING:
        begin(endpoint, now=now)
    ensure_valid(endpoint)
    store_registered(endpoint)
    publish(FLEET)
    return endpoint


def store_registered(endpoint: ModelEndpoint) -> None:
    """Raises NameTaken if another registration of the address came first."""
    if endpoint._state.adding:  # noqa: SLF001 - Django's documented name for it
        store_once(endpoint)
        return
    # Not `save`, of which the audit log hears: it reads the old row, credential and all.
    columns = {name: getattr(endpoint, name) for name in REGISTERED}
    ModelEndpoint.objects.filter(pk=endpoint.pk).update(**columns)


def advice_on(*, pool: ModelPool, endpoint: ModelEndpoint) -> list[str]:
    """Sentences for the operator who started an engine, where pool and engine do not fit well."""
    advice = {(True, False): UNUSED_PRIORITY, (False, True): UNKNOWN_PRIORITY}
    sentence = advice.get((PRIORITY in endpoint.capabilities, pool.sends_priority))
    return [sentence.format(pool=pool.name)] if sentence else []


def ensure_served(pool: ModelPool, model: str) -> None:
    """Raises ModelMismatch if the pool's routes promise other models."""
    routes = route_names_of(pool)
    if routes and model not in routes:
        raise ModelMismatch(
            f"The pool {pool.name!r} serves {', '.join(sorted(routes))}, "
            f"but this engine serves {model!r}."
        )


def ensure_room(pool: ModelPool) -> None:
    """Raises PoolFull. Two engines that come at once are counted one after the other."""
    locked = ModelPool.objects.select_for_update(no_key=True).get(pk=pool.pk)
    alive = ModelEndpoint.objects.filter(pool=pool, registered=True).exclude(state=State.EXPIRED)
    if alive.count() >= locked.max_registered_endpoints:
        raise PoolFull


def ensure_free(known: ModelEndpoint, *, machine: str, now: datetime) -> None:
    """Raises AddressTaken if the endpoint that is known at an address is another one, and lives.

    Two engines at one address would fight over it: requests would reach one of them with the
    other's credential. An engine that restarts comes from the same machine, or after a silence.
    """
    if not known.registered:
        raise AddressTaken(
            f"An operator entered {known.address} by hand. Delete that endpoint, or give this "
            "engine an address of its own."
        )
    if known.state == State.EXPIRED or (machine and machine == known.machine):
        return
    silent = now - (known.heartbeat_at or now)
    patience = timedelta(seconds=ALIVE_HEARTBEATS * settings.HEARTBEAT_SECONDS)
    if silent < patience:
        raise AddressTaken(
            f"Another engine is registered at {known.address} and alive. Give this one an address "
            "of its own with --address, or stop the other one.",
            retry_after=(patience - silent).total_seconds(),
        )


def begin(endpoint: ModelEndpoint, *, now: datetime) -> None:
    """A new engine: ready, with nothing held against it."""
    endpoint.state = State.READY
    endpoint.ready_since = now
    endpoint.probe_streak, endpoint.next_probe_at, endpoint.next_completion_at = 0, None, None


def beat(*, pool: ModelPool, public_id: str, load: Load, now: datetime) -> None:
    """Note a heartbeat. Raises NotFound if the endpoint must register again."""
    if not ModelEndpoint.objects.beat(public_id=public_id, pool_id=pool.pk, now=now, load=load):
        raise NotFound("This endpoint is not registered any more. Register again.")
    note_load(public_id=public_id, load=load, now=now)


@transaction.atomic
def deregister_endpoint(*, pool: ModelPool, public_id: str) -> None:
    """Take out an engine that leaves. Raises NotFound if it is out already."""
    gone, _ = ModelEndpoint.objects.filter(pool=pool, public_id=public_id, registered=True).delete()
    if not gone:
        raise NotFound
    transaction.on_commit(lambda: forget_load(public_id=public_id))
    publish(FLEET)


@transaction.atomic
def expire_silent_endpoints(*, now: datetime, after: timedelta) -> int:
    """Take out registered endpoints whose last heartbeat is older than `after`."""
    expired = ModelEndpoint.objects.silent_since(now - after).update(state=State.EXPIRED)
    if expired:
        publish(FLEET)
    return expired
