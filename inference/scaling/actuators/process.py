"""Engines on one machine: its `manage.py scale_host` comes by and asks how many it is to keep.

The machine asks, so that it needs no open port and survives the restart of everything else: while
nobody answers, it keeps what it has. The order lies in Redis; a Redis that was emptied only means
that the next evaluation gives it again.
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

HOST_SECONDS = 20
"""After so long without a word the machine counts as gone."""
NO_HOST = (
    "No machine keeps this pool's replicas: start `manage.py scale_host` where its engines are "
    "to run."
)
NO_REDIS = "Redis does not answer, where the machine of this pool leaves its word."


class Host(msgspec.Struct, frozen=True):
    """What the machine of a pool says."""

    name: str
    running: int
    """Replicas that it keeps, those that start included."""
    slots: int
    """How many it has room for."""


REPLICAS = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=0)])


class Processes:
    """Replicas that `scale_host` keeps."""

    def check(self, settings: Mapping[str, Any]) -> None:
        """It has no settings: the machine knows its devices and its model."""

    def read(self, order: Order) -> int | None:
        """What the machine was told: it may be about to, or come back after it was killed.

        Counting what runs instead would take a machine that just began for a pool at zero.
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
            raise ActuatorFailed(
                f"{host.name} has room for {formatting.replicas(host.slots)} only."
            )
        return f"{host.name} keeps {formatting.replicas(wanted)} from now on."


def find_host(pool_id: int) -> Host:
    """Raises ActuatorFailed."""
    try:
        stored: bytes | None = limits().get(f"{SCALE_HOST}{pool_id}")  # type: ignore[assignment]
    except redis.RedisError as error:
        raise ActuatorFailed(NO_REDIS) from error
    host = read_json(stored, Host, reader="scale_host")
    if host is None:
        raise ActuatorFailed(NO_HOST)
    return host


def find_order(pool_id: int) -> int | None:
    """How many its machine is to keep; None: nobody said yet. Raises ActuatorFailed."""
    try:
        stored: bytes | None = limits().get(f"{SCALE_ORDER}{pool_id}")  # type: ignore[assignment]
    except redis.RedisError as error:
        raise ActuatorFailed(NO_REDIS) from error
    return None if stored is None else decode(stored, REPLICAS, reader="scale_order")


def check_in(*, pool_id: int, host: Host) -> int | None:
    """Note what the machine of a pool says. Returns how many it is to keep; None: as it does.

    Raises HostTaken while another machine keeps the pool, and ActuatorFailed without Redis.
    """
    key = f"{SCALE_HOST}{pool_id}"
    try:
        known: bytes | None = limits().get(key)  # type: ignore[assignment]
        holder = read_json(known, Host, reader="scale_host")
        if holder is not None and holder.name != host.name:
            raise HostTaken
        limits().set(key, msgspec.json.encode(host), ex=HOST_SECONDS)
    except redis.RedisError as error:
        raise ActuatorFailed(NO_REDIS) from error
    return find_order(pool_id)
