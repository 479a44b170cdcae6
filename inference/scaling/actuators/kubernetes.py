"""Kubernetes: the scale subresource of what runs the engines."""

import logging
from collections.abc import Mapping
from typing import Any

from inference.errors import ActuatorFailed
from inference.scaling.actuators.actuator import Order
from inference.scaling.actuators.cluster import ensure_target, prefer, read_scale, write_scale
from inference.scaling.decision import formatting

log = logging.getLogger(__name__)


class Kubernetes:
    """Says how many; Kubernetes starts them, and ends them as gently as their pods ask for."""

    def check(self, settings: Mapping[str, Any]) -> None:
        ensure_target(settings)

    def read(self, order: Order) -> int | None:
        replicas, _ = read_scale(order.settings)
        return replicas

    def scale(self, order: Order, *, before: int, after: int) -> str:
        now, selector = read_scale(order.settings)
        if now == after:
            return f"{order.settings['name']} has {formatting.replicas(after)} already."
        if after < now:
            self._prefer_idlest(order, selector)
        write_scale(order.settings, replicas=after)
        return f"{order.settings['name']} is to have {formatting.replicas(after)}."

    def _prefer_idlest(self, order: Order, selector: str) -> None:
        try:
            prefer(order.settings, selector=selector, idlest=tuple(order.idlest))
        except ActuatorFailed as failure:
            # Only Deployments heed it, and it is no reason to keep a replica that costs money.
            log.warning("kubernetes: pod deletion cost not set (pool=%s): %s", order.pool, failure)
