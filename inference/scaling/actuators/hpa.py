"""Kubernetes' own autoscaler, which decides by the manifest that `kubernetes_export` applied."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings as configured

from inference.errors import ActuatorFailed, PolicyRefused
from inference.scaling.actuators.actuator import Order
from inference.scaling.actuators.cluster import ensure_target, read_scale


class Autoscaler:
    """Only reads replicas: Kubernetes changes them."""

    def check(self, settings: Mapping[str, Any]) -> None:
        ensure_target(settings)
        if settings.get("flavour") == "keda" and not configured.PROMETHEUS_URL:
            raise PolicyRefused(
                "A ScaledObject queries Prometheus: set TENANTRY_PROMETHEUS_URL first.",
                param="flavour",
            )

    def read(self, order: Order) -> int | None:
        replicas, _ = read_scale(order.settings)
        return replicas

    def scale(self, order: Order, *, before: int, after: int) -> str:
        raise ActuatorFailed("Kubernetes' autoscaler decides for this pool.")
