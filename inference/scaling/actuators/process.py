"""The actuator for engines on one machine, whose `manage.py scale_host` polls its orders.

The machine polls, so that it needs no open port and survives the restart of everything else: while
the console does not answer, it keeps its replicas. The order is stored in Redis; if it is lost, the
next evaluation stores it again.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import redis

from inference.errors import ActuatorFailed, HostTaken
from inference.fleet.redis_keys import SCALE_HOST, SCALE_ORDER
from inference.scaling.actuators.actuator import Order
from inference.scaling.decision import formatting
from kernel.storage.shared_values import decode, read_json
from tenants.counters.client import limits

HOST_TTL_SECONDS = 20
"""A machine that has not polled for this time counts as gone."""
NO_HOST = (
    "No machine runs this pool's replicas: start `manage.py scale_host` on the machine of its "
    "engines."
)
NO_REDIS = "Redis, which holds the order for this pool's machine, does not answer."


class Host(msgspec.Struct, frozen=True):
    """The report of the machine of a pool."""

    name: str
    running: int
    """Number of its replicas, including those that are starting."""
    slots: int
    """Maximum number of its replicas."""


REPLICAS = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=0)])


class Processes:
    """Replicas that `scale_host` runs."""

    def check(self, settings: Mapping[str, Any]) -> None:
        """Accept any settings: devices and model are configured on the machine."""

    def read(self, order: Order) -> int | None:
        """Return the last order, or the running replicas if there is none.

        The running replicas alone would be wrong while a machine starts: its pool would seem to be
        at zero.
        """
        host = find_host(order.pool_id)
        stored = find_order(order.pool_id)
        return host.running if stored is None else min(stored, host.slots)

    def scale(self, order: Order, *, before: int, after: int) -> str:
        host = find_host(order.pool_id)
        wanted = min(after, host.slots)
        try:
            limits().set(f"{SCALE_ORDER}{order.pool_id}", wanted)
        except redis.RedisError as error:
            raise ActuatorFailed(NO_REDIS) from error
        if wanted < after and before >= wanted:
            raise ActuatorFailed(f"{host.name} can run at most {formatting.replicas(host.slots)}.")
        return f"{host.name} is set to {formatting.replicas(wanted)}."


def find_host(pool_id: int) -> Host:
    """Return the machine of a pool. Raises ActuatorFailed, also if there is none."""
    try:
        stored: bytes | None = limits().get(f"{SCALE_HOST}{pool_id}")  # type: ignore[assignment]
    except redis.RedisError as error:
        raise ActuatorFailed(NO_REDIS) from error
    host = read_json(stored, Host, reader="scale_host")
    if host is None:
        raise ActuatorFailed(NO_HOST)
    return host


def find_order(pool_id: int) -> int | None:
    """Return the ordered number of replicas; None: no order yet. Raises ActuatorFailed."""
    try:
        stored: bytes | None = limits().get(f"{SCALE_ORDER}{pool_id}")  # type: ignore[assignment]
    except redis.RedisError as error:
        raise ActuatorFailed(NO_REDIS) from error
    return None if stored is None else decode(stored, REPLICAS, reader="scale_order")


def check_in(*, pool_id: int, host: Host) -> int | None:
    """Store the report of a machine and return its order; None: no order, so no change.

    Raises HostTaken while another machine runs the pool, and ActuatorFailed without Redis.
    """
    key = f"{SCALE_HOST}{pool_id}"
    try:
        known: bytes | None = limits().get(key)  # type: ignore[assignment]
        holder = read_json(known, Host, reader="scale_host")
        if holder is not None and holder.name != host.name:
            raise HostTaken
        limits().set(key, msgspec.json.encode(host), ex=HOST_TTL_SECONDS)
    except redis.RedisError as error:
        raise ActuatorFailed(NO_REDIS) from error
    return find_order(pool_id)
