"""Exports a policy to Kubernetes' own autoscaler: compile, compare with the cluster, apply."""

from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import unified_diff
from typing import Any

from django.conf import settings

from inference.models import ScalingPolicy
from inference.scaling.actuators.cluster import apply_object, read_object
from inference.scaling.decision.schedules import Hours
from inference.scaling.policies.manifests import as_yaml, manifest_of
from inference.scaling.policies.mapping import Signal, rules_of, stored_hours, stored_signals
from kernel.audit import note_transition


def compiled(policy: ScalingPolicy) -> dict[str, Any]:
    """Return the manifest of a stored policy. Raises PolicyRefused."""
    return compile_policy(policy, signals=stored_signals(policy), schedules=stored_hours(policy))


def compile_policy(
    policy: ScalingPolicy, *, signals: Sequence[Signal], schedules: Sequence[Hours]
) -> dict[str, Any]:
    """Return the manifest of a policy that may not be stored yet, with the policy's own bounds.

    Raises PolicyRefused.
    """
    rules = rules_of(
        policy,
        signals=signals,
        schedules=(),
        moment=datetime.fromtimestamp(0, tz=UTC),
    )
    return manifest_of(
        pool=policy.pool.name,
        rules=rules,
        schedules=schedules,
        settings=policy.actuator_settings,
        prometheus_url=settings.PROMETHEUS_URL,
    )


def difference(manifest: dict[str, Any]) -> list[str]:
    """Return the diff between the cluster and the manifest. Raises ActuatorFailed."""
    meta = manifest["metadata"]
    found = read_object(manifest["kind"], namespace=meta["namespace"], name=meta["name"])
    before = as_yaml({"spec": only_ours(found["spec"], manifest["spec"])}) if found else ""
    after = as_yaml({"spec": manifest["spec"]})
    return list(
        unified_diff(before.splitlines(), after.splitlines(), "in the cluster", "by the policy", "")
    )


def only_ours(found: Any, ours: Any) -> Any:
    """Remove the fields that the cluster added."""
    if isinstance(found, dict) and isinstance(ours, dict):
        return {name: only_ours(found[name], ours[name]) for name in ours if name in found}
    if isinstance(found, list) and isinstance(ours, list) and len(found) == len(ours):
        return [only_ours(*pair) for pair in zip(found, ours, strict=True)]
    return found


def apply_policy(policy: ScalingPolicy) -> str:
    """Apply the manifest, so that Kubernetes scales. Raises PolicyRefused and ActuatorFailed."""
    manifest = compiled(policy)
    apply_object(manifest)
    name = f"{manifest['kind']} {manifest['metadata']['name']}"
    note_transition(policy, field="manifest", before="", after=name)
    return f"{name} is applied."
