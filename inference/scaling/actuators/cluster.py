"""The calls to the Kubernetes API that scaling needs; every failure becomes ActuatorFailed.

The library is an optional dependency, so it is imported where it is used.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from inference.errors import ActuatorFailed, PolicyRefused

CALL_TIMEOUT_SECONDS = 3.0
MAX_TRIES = 3
"""Attempts of a change that conflicts with a concurrent change of the same object."""
CONFLICT, FORBIDDEN, NOT_FOUND, UNAUTHENTICATED = 409, 403, 404, 401
KINDS: Mapping[str, tuple[str, str, str]] = {
    "Deployment": ("apps", "v1", "deployments"),
    "StatefulSet": ("apps", "v1", "statefulsets"),
    "LeaderWorkerSet": ("leaderworkerset.x-k8s.io", "v1", "leaderworkersets"),
    "HorizontalPodAutoscaler": ("autoscaling", "v2", "horizontalpodautoscalers"),
    "ScaledObject": ("keda.sh", "v1alpha1", "scaledobjects"),
}
SCALABLE = ("Deployment", "StatefulSet", "LeaderWorkerSet")
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
EXTRA_MISSING = "The Kubernetes client is not installed: pip install 'tenantry[kubernetes]'."

Result = TypeVar("Result")


def ensure_target(settings: Mapping[str, Any]) -> None:
    """Raise PolicyRefused if the settings do not name an object that can be scaled."""
    for name in ("namespace", "name", "kind"):
        if not settings.get(name):
            raise PolicyRefused(
                f"The object that Kubernetes scales has no {name}: set it.",
                param="actuator_settings",
            )
    if settings["kind"] not in SCALABLE:
        raise PolicyRefused(
            f"{settings['kind']!r} cannot be scaled. Choose one of: {', '.join(SCALABLE)}.",
            param="actuator_settings",
        )


def read_scale(settings: Mapping[str, Any]) -> tuple[int, str]:
    """Return the desired replicas and the selector of their pods. Raises ActuatorFailed."""

    def read(client: Any) -> tuple[int, str]:
        found = client.get(
            resource(settings["kind"]).Scale, settings["name"], namespace=settings["namespace"]
        )
        selector = found.status.selector if found.status else None
        return int(found.spec.replicas or 0), str(selector or "")

    return call(read, settings)


def write_scale(settings: Mapping[str, Any], *, replicas: int) -> None:
    """Set the desired replicas; a concurrent change is retried. Raises ActuatorFailed."""

    def change(client: Any) -> None:
        client.patch(
            resource(settings["kind"]).Scale,
            settings["name"],
            {"spec": {"replicas": replicas}},
            namespace=settings["namespace"],
            patch_type=merge(),
        )

    call(change, settings, tries=MAX_TRIES)


def read_object(kind: str, *, namespace: str, name: str) -> dict[str, Any] | None:
    """Return an object; None if it does not exist. Raises ActuatorFailed."""

    def read(client: Any) -> dict[str, Any] | None:
        from lightkube import ApiError

        try:
            return dict(client.get(resource(kind), name, namespace=namespace))
        except ApiError as error:
            if error.status.code == NOT_FOUND:
                return None
            raise

    return call(read, {"kind": kind, "namespace": namespace, "name": name})


def apply_object(manifest: Mapping[str, Any]) -> None:
    """Create or change an object with a server-side apply. Raises ActuatorFailed."""
    meta = manifest["metadata"]

    def change(client: Any) -> None:
        client.apply(resource(manifest["kind"]).from_dict(dict(manifest)), force=True)

    call(change, {"kind": manifest["kind"], **meta}, tries=MAX_TRIES)


def set_deletion_costs(
    settings: Mapping[str, Any], *, selector: str, least_loaded: tuple[str, ...]
) -> None:
    """Annotate pods so that Kubernetes removes the least loaded first. Raises ActuatorFailed."""
    costs = {urlsplit(address).hostname: cost for cost, address in enumerate(least_loaded)}
    pairs = (part.partition("=") for part in selector.split(",") if "=" in part)
    labels = {name: value for name, _, value in pairs}
    if not costs or not labels:
        return

    def change(client: Any) -> None:
        from lightkube.resources.core_v1 import Pod

        for pod in client.list(Pod, namespace=settings["namespace"], labels=labels):
            cost = costs.get(pod.status.podIP if pod.status else None)
            if cost is not None:
                note = {"metadata": {"annotations": {DELETION_COST: str(cost)}}}
                client.patch(
                    Pod,
                    pod.metadata.name,
                    note,
                    namespace=settings["namespace"],
                    patch_type=merge(),
                )

    call(change, {**settings, "kind": "Pod"})


def call(
    function: Callable[[Any], Result], settings: Mapping[str, Any], *, tries: int = 1
) -> Result:
    """Call `function` with a client and return its result. Raises ActuatorFailed."""
    try:
        import httpx2
        from lightkube import ApiError, Client
        from lightkube.core.exceptions import ConfigError
    except ImportError as error:
        raise ActuatorFailed(EXTRA_MISSING) from error
    target = f"{settings['kind']} {settings['namespace']}/{settings['name']}"
    for left in range(tries - 1, -1, -1):
        try:
            with Client(
                timeout=httpx2.Timeout(CALL_TIMEOUT_SECONDS),
                trust_env=True,
                field_manager="tenantry",
            ) as client:
                return function(client)
        except ApiError as error:
            if error.status.code != CONFLICT or not left:
                raise ActuatorFailed(error_message(error.status.code or 0, target)) from error
        except ConfigError as error:
            raise ActuatorFailed("No Kubernetes is configured: set KUBECONFIG.") from error
        except (httpx2.HTTPError, OSError, ValueError, KeyError) as error:
            # The library raises KeyError for an error response without a content type. The texts
            # are not passed on: they may contain internal addresses.
            raise ActuatorFailed(
                f"The request to the Kubernetes API for {target} failed ({type(error).__name__})."
            ) from error
    raise AssertionError("every attempt returns or raises")


def error_message(status: int, target: str) -> str:
    reasons = {
        UNAUTHENTICATED: "rejects the credentials: renew them",
        FORBIDDEN: "does not allow it: check the role in deploy/k8s/engines/scaling-rbac.yaml",
        NOT_FOUND: "has no such object",
        CONFLICT: "reports a conflict: another client keeps changing the object",
    }
    reason = reasons.get(status, f"answered with status {status}")
    return f"{target}: the Kubernetes API {reason}."


def resource(kind: str) -> Any:
    from lightkube.generic_resource import create_namespaced_resource

    group, version, plural = KINDS[kind]
    return create_namespaced_resource(group, version, kind, plural)


def merge() -> Any:
    from lightkube.types import PatchType

    return PatchType.MERGE
