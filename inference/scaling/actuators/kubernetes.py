"""Scales through the scale subresource of the Kubernetes object that runs the engines."""

import logging
from collections.abc import Mapping
from typing import Any

from inference.errors import ActuatorFailed
from inference.scaling.actuators.actuator import Order
from inference.scaling.actuators.cluster import (
    ensure_target,
    read_scale,
    set_deletion_costs,
    write_scale,
)
from inference.scaling.decision import formatting

log = logging.getLogger(__name__)


class Kubernetes:
    """Sets the number of replicas; Kubernetes starts and stops the pods."""

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
            self._set_deletion_costs(order, selector)
        write_scale(order.settings, replicas=after)
        return f"{order.settings['name']} is set to {formatting.replicas(after)}."

    def _set_deletion_costs(self, order: Order, selector: str) -> None:
        try:
            set_deletion_costs(
                order.settings, selector=selector, least_loaded=tuple(order.least_loaded)
            )
        except ActuatorFailed as failure:
            # Only Deployments use the cost, and without it scaling in still works.
            log.warning("kubernetes: pod deletion cost not set (pool=%s): %s", order.pool, failure)
