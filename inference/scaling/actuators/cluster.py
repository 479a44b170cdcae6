"""The Kubernetes API, as far as scaling needs it: every failure a sentence.

The library is an extra, and is imported where it is used: without it, everything else works.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from inference.errors import ActuatorFailed, PolicyRefused

SECONDS = 3.0
TRIES = 3
"""Of a change, where somebody else changed the same object at the same time."""
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
MISSING = "Kubernetes needs the extra: pip install 'tenantry[kubernetes]'."

Result = TypeVar("Result")


def ensure_target(settings: Mapping[str, Any]) -> None:
    """Raises PolicyRefused."""
    for name, what in (("namespace", "its namespace"), ("name", "its name"), ("kind", "its kind")):
        if not settings.get(name):
            raise PolicyRefused(
                f"Say what Kubernetes is to scale: {what} is missing.",
                param="actuator_settings",
            )
    if settings["kind"] not in SCALABLE:
        raise PolicyRefused(
            f"{settings['kind']!r} cannot be scaled. There are: {', '.join(SCALABLE)}.",
            param="actuator_settings",
        )


def read_scale(settings: Mapping[str, Any]) -> tuple[int, str]:
    """How many replicas are wanted, and the selector of their pods. Raises ActuatorFailed."""

    def ask(client: Any) -> tuple[int, str]:
        found = client.get(
            resource(settings["kind"]).Scale, settings["name"], namespace=settings["namespace"]
        )
        selector = found.status.selector if found.status else None
        return int(found.spec.replicas or 0), str(selector or "")

    return asked(ask, settings)


def write_scale(settings: Mapping[str, Any], *, replicas: int) -> None:
    """Raises ActuatorFailed. Somebody else's change at the same time is no failure."""

    def change(client: Any) -> None:
        client.patch(
            resource(settings["kind"]).Scale,
            settings["name"],
            {"spec": {"replicas": replicas}},
            namespace=settings["namespace"],
            patch_type=merge(),
        )

    asked(change, settings, tries=TRIES)


def read_object(kind: str, *, namespace: str, name: str) -> dict[str, Any] | None:
    """None if there is none. Raises ActuatorFailed."""

    def ask(client: Any) -> dict[str, Any] | None:
        from lightkube import ApiError

        try:
            return dict(client.get(resource(kind), name, namespace=namespace))
        except ApiError as error:
            if error.status.code == NOT_FOUND:
                return None
            raise

    return asked(ask, {"kind": kind, "namespace": namespace, "name": name})


def apply_object(manifest: Mapping[str, Any]) -> None:
    """Create or change an object by a server-side apply. Raises ActuatorFailed."""
    meta = manifest["metadata"]

    def change(client: Any) -> None:
        client.apply(resource(manifest["kind"]).from_dict(dict(manifest)), force=True)

    asked(change, {"kind": manifest["kind"], **meta}, tries=TRIES)


def prefer(settings: Mapping[str, Any], *, selector: str, idlest: tuple[str, ...]) -> None:
    """Have the pods with least to do go first. Raises ActuatorFailed."""
    costs = {urlsplit(address).hostname: cost for cost, address in enumerate(idlest)}
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

    asked(change, {**settings, "kind": "Pod"})


def asked(
    function: Callable[[Any], Result], settings: Mapping[str, Any], *, tries: int = 1
) -> Result:
    """What `function` returns of a client. Raises ActuatorFailed with a sentence."""
    try:
        import httpx2
        from lightkube import ApiError, Client
        from lightkube.core.exceptions import ConfigError
    except ImportError as error:
        raise ActuatorFailed(MISSING) from error
    target = f"{settings['kind']} {settings['namespace']}/{settings['name']}"
    for left in range(tries - 1, -1, -1):
        try:
            with Client(
                timeout=httpx2.Timeout(SECONDS), trust_env=True, field_manager="tenantry"
            ) as client:
                return function(client)
        except ApiError as error:
            if error.status.code != CONFLICT or not left:
                raise ActuatorFailed(sentence(error.status.code or 0, target)) from error
        except ConfigError as error:
            raise ActuatorFailed("No Kubernetes is configured: set KUBECONFIG.") from error
        except (httpx2.HTTPError, OSError, ValueError, KeyError) as error:
            # KeyError: the library's, for a failure without a content type. The text of any of
            # them may hold addresses of ours.
            raise ActuatorFailed(
                f"The Kubernetes API cannot be asked about {target} ({type(error).__name__})."
            ) from error
    raise AssertionError("every try returns or raises")


def sentence(status: int, target: str) -> str:
    reasons = {
        UNAUTHENTICATED: "does not know us any more: renew the credentials",
        FORBIDDEN: "does not allow it: check the role in deploy/k8s/engines/scaling-rbac.yaml",
        NOT_FOUND: "has none of that name",
        CONFLICT: "says that somebody else changes it all the time",
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
