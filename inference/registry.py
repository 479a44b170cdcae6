"""How endpoints come, stay and go: entered by an operator, or registered by the engine itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from inference.addresses import normalised_address
from inference.errors import InvalidJoinToken, ModelMismatch, NameTaken
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What an engine says of itself when it registers."""

    address: str
    model: str
    engine_version: str = ""
    max_concurrency: int = 1000
    credential: str = ""

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
        **facts,
    )
    ensure_valid(endpoint)
    store_once(endpoint)
    publish(FLEET)
    return endpoint


@transaction.atomic
def save_endpoint(*, endpoint: ModelEndpoint) -> None:
    """Store changed fields of an endpoint and tell the gateways.

    A credential that was not loaded is kept. Raises as `add_static_endpoint` does.
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
    endpoint.delete()
    publish(FLEET)


@transaction.atomic
def register_endpoint(
    *, pool: ModelPool, announcement: Announcement, now: datetime
) -> ModelEndpoint:
    """Take an engine into its pool. An engine that comes back to its address takes its place.

    Raises AddressNotAllowed, and ModelMismatch if no route that sends requests here has the
    engine's model.
    """
    routes = route_names_of(pool)
    if routes and announcement.model not in routes:
        raise ModelMismatch(
            f"The pool {pool.name!r} serves {', '.join(sorted(routes))}, "
            f"but this engine serves {announcement.model!r}."
        )
    endpoint, _ = ModelEndpoint.objects.update_or_create(
        pool=pool,
        address=normalised_address(announcement.address, allow_loopback=settings.IS_LOCAL),
        defaults={
            "model": announcement.model,
            "credential": announcement.credential,
            "engine_version": announcement.engine_version[:50],
            "max_concurrency": announcement.max_concurrency,
            "registered": True,
            "heartbeat_at": now,
        },
    )
    # Draining is an operator's wish, which outlives a restart of the engine.
    ModelEndpoint.objects.move(endpoint_id=endpoint.pk, before=(State.EXPIRED,), after=State.READY)
    endpoint.refresh_from_db(fields=("state",))
    publish(FLEET)
    return endpoint


def beat(*, pool: ModelPool, public_id: str, running: int, waiting: int, now: datetime) -> None:
    """Note a heartbeat. Raises NotFound if the endpoint must register again."""
    load = {"running": running, "waiting": waiting}
    if not ModelEndpoint.objects.beat(public_id=public_id, pool_id=pool.pk, now=now, load=load):
        raise NotFound("This endpoint is not registered any more. Register again.")


@transaction.atomic
def deregister_endpoint(*, pool: ModelPool, public_id: str) -> None:
    """Take out an engine that leaves. Raises NotFound if it is out already."""
    gone, _ = ModelEndpoint.objects.filter(pool=pool, public_id=public_id, registered=True).delete()
    if not gone:
        raise NotFound
    publish(FLEET)


@transaction.atomic
def drain_endpoint(*, endpoint: ModelEndpoint) -> bool:
    """Give an endpoint no new requests; what runs finishes. False if it was not ready."""
    moved = ModelEndpoint.objects.move(
        endpoint_id=endpoint.pk, before=(State.READY,), after=State.DRAINING
    )
    if moved:
        note_transition(endpoint, field="state", before=State.READY, after=State.DRAINING)
    publish(FLEET)
    return moved


@transaction.atomic
def activate_endpoint(*, endpoint: ModelEndpoint) -> bool:
    """Give a draining endpoint requests again. False if it was not draining."""
    moved = ModelEndpoint.objects.move(
        endpoint_id=endpoint.pk, before=(State.DRAINING,), after=State.READY
    )
    if moved:
        note_transition(endpoint, field="state", before=State.DRAINING, after=State.READY)
    publish(FLEET)
    return moved


@transaction.atomic
def expire_silent_endpoints(*, now: datetime, after: timedelta) -> int:
    """Take out registered endpoints whose last heartbeat is older than `after`."""
    expired = ModelEndpoint.objects.silent_since(now - after).update(state=State.EXPIRED)
    if expired:
        publish(FLEET)
    return expired
