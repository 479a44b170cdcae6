"""How endpoints come, stay and go: entered by an operator, or registered by the engine itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from inference.addresses import LONGEST_ADDRESS, normalised_address
from inference.engines.engine import Load
from inference.errors import (
    AddressNotAllowed,
    AddressTaken,
    InvalidJoinToken,
    ModelMismatch,
    NameTaken,
)
from inference.fleet_history import forget_load, note_load
from inference.models import JoinToken, ModelEndpoint, ModelPool
from inference.selectors import route_names_of
from inference.services import FLEET
from kernel.audit import note_transition
from kernel.errors import NotFound
from kernel.publishing import publish
from tenants.keys import digest_key, key_matches, new_key, parse_key, pepper_name

JOIN_TOKEN = "tnj"  # noqa: S105 - the kind of the token, not a token
State = ModelEndpoint.State
ENDPOINT_FIELDS = (
    *("pool", "address", "model", "max_concurrency"),
    *("weight", "zone", "capabilities"),
)
"""What a form changes. The state has services of its own: a late form must not undo a drain."""
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
LONGEST_VERSION = 50
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
            "engine_version": self.engine_version[:LONGEST_VERSION],
        }

    def __repr__(self) -> str:
        return f"Announcement({self.address}, {self.model})"


def issue_join_token(*, pool: ModelPool, name: str) -> tuple[JoinToken, str]:
    """Make a token that lets engines join `pool`; its text exists only in this answer."""
    text = new_key(kind=JOIN_TOKEN)
    pepper = settings.KEY_PEPPERS[0]
    token = JoinToken.objects.create(
        name=name,
        pool=pool,
        public_id=text.public_id,
        digest=digest_key(text, pepper=pepper),
        pepper=pepper_name(pepper),
    )
    return token, str(text)


@transaction.atomic
def block_join_token(*, token: JoinToken, now: datetime) -> bool:
    """Refuse a token from now on. False if it was blocked already."""
    blocked = JoinToken.objects.filter(pk=token.pk, blocked_at=None).update(blocked_at=now) == 1
    if blocked:
        note_transition(token, field="status", before="accepted", after="blocked")
    return blocked


def pool_of_join_token(text: str, *, now: datetime) -> ModelPool:
    """The pool that a join token opens. Raises InvalidJoinToken."""
    key = parse_key(text, kind=JOIN_TOKEN)
    if key is None:
        raise InvalidJoinToken
    token = JoinToken.objects.select_related("pool").filter(public_id=key.public_id).first()
    peppers = {pepper_name(pepper): pepper for pepper in settings.KEY_PEPPERS}
    if token is None or token.blocked_at or token.pepper not in peppers:
        raise InvalidJoinToken
    if not key_matches(key, digest=bytes(token.digest), pepper=peppers[token.pepper]):
        raise InvalidJoinToken
    JoinToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token.pool


@transaction.atomic
def add_static_endpoint(
    *,
    pool: ModelPool,
    address: str,
    model: str,
    credential: str = "",
    **facts: Any,
) -> ModelEndpoint:
    """Enter a server by hand. `facts` are max_concurrency, weight, zone and capabilities.

    Raises AddressNotAllowed, NameTaken, and ValidationError for values that no form would accept.
    """
    endpoint = ModelEndpoint(
        pool=pool,
        address=normalised_address(address, allow_loopback=settings.IS_LOCAL),
        model=model,
        credential=credential,
        ready_since=timezone.now(),
        **facts,
    )
    ensure_valid(endpoint)
    store_once(endpoint)
    publish(FLEET)
    return endpoint


@transaction.atomic
def save_endpoint(*, endpoint: ModelEndpoint) -> None:
    """Store changed fields of an endpoint and tell the gateways.

    A credential that was not loaded is kept. Raises AddressNotAllowed, NameTaken, and
    ValidationError for values that no form would accept.
    """
    endpoint.address = normalised_address(endpoint.address, allow_loopback=settings.IS_LOCAL)
    ensure_valid(endpoint)
    kept = {"credential"} & endpoint.get_deferred_fields()
    store_once(endpoint, update_fields=(*ENDPOINT_FIELDS, *({"credential"} - kept)))
    publish(FLEET)


def ensure_valid(endpoint: ModelEndpoint) -> None:
    """Raises ValidationError. Addresses have rules of their own, and a credential may be unread."""
    endpoint.capabilities = sorted({text.strip().lower() for text in endpoint.capabilities} - {""})
    endpoint.clean_fields(exclude={"address", "credential", "pool", "public_id"})
    if len(endpoint.address) > LONGEST_ADDRESS:
        raise AddressNotAllowed(f"An address has at most {LONGEST_ADDRESS} characters.")


def store_once(endpoint: ModelEndpoint, *, update_fields: Iterable[str] | None = None) -> None:
    """Raises NameTaken; a transaction around it can go on."""
    try:
        with transaction.atomic():
            endpoint.save(update_fields=update_fields)
    except IntegrityError as error:
        raise NameTaken("This pool has an endpoint at that address already.") from error


@transaction.atomic
def delete_endpoint(*, endpoint: ModelEndpoint) -> None:
    """Take an endpoint out at once. To let it finish what runs, drain it first."""
    public_id = endpoint.public_id
    endpoint.delete()
    transaction.on_commit(lambda: forget_load(public_id=public_id))
    publish(FLEET)


@transaction.atomic
def register_endpoint(
    *, pool: ModelPool, announcement: Announcement, now: datetime
) -> ModelEndpoint:
    """Take an engine into its pool. An engine that comes back to its address takes its place.

    Raises AddressNotAllowed, ModelMismatch if no route of the pool has the engine's model,
    AddressTaken if another one is alive at that address, and ValidationError.
    """
    ensure_served(pool, announcement.model)
    address = normalised_address(announcement.address, allow_loopback=settings.IS_LOCAL)
    # An old credential that cannot be read any more must not keep a new one out.
    rows = ModelEndpoint.objects.defer("credential").select_for_update()
    known = rows.filter(pool=pool, address=address).first()
    endpoint = known or ModelEndpoint(pool=pool, address=address)
    if known:
        ensure_free(known, machine=announcement.machine, now=now)
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


def drain_endpoint(*, endpoint: ModelEndpoint) -> bool:
    """Give an endpoint no new requests; what runs finishes. False if it was not in use."""
    return any(
        move_endpoint(endpoint=endpoint, before=before, after=State.DRAINING)
        for before in (State.READY, State.UNHEALTHY)
    )


def activate_endpoint(*, endpoint: ModelEndpoint) -> bool:
    """Give a draining endpoint requests again. False if it was not draining."""
    return move_endpoint(endpoint=endpoint, before=State.DRAINING, after=State.READY)


@transaction.atomic
def move_endpoint(*, endpoint: ModelEndpoint, before: str, after: str) -> bool:
    """Change the state, note it and tell the gateways. False, and none of it, if it was another."""
    moved = ModelEndpoint.objects.move(endpoint_id=endpoint.pk, before=before, after=after)
    if moved:
        note_transition(endpoint, field="state", before=before, after=after)
        publish(FLEET)
    return moved


@transaction.atomic
def expire_silent_endpoints(*, now: datetime, after: timedelta) -> int:
    """Take out registered endpoints whose last heartbeat is older than `after`."""
    expired = ModelEndpoint.objects.silent_since(now - after).update(state=State.EXPIRED)
    if expired:
        publish(FLEET)
    return expired
