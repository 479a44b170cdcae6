"""A policy as a HorizontalPodAutoscaler (autoscaling/v2) or a KEDA ScaledObject. Pure.

Kubernetes' own autoscaler then decides, by the signals that the console serves at /metrics.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from inference.errors import PolicyRefused
from inference.scaling.actuators.cluster import KINDS
from inference.scaling.measures import MEASURES
from inference.scaling.rules import Direction, Rules, Target
from inference.scaling.schedules import Hours

METRIC = "tenantry_scaling_signal"
SELECT = {"max": "Max", "min": "Min", "disabled": "Disabled"}
KIND = {"replicas": "Pods", "percent": "Percent"}
CRON_DAYS = 7
Flavour = Literal["hpa", "keda"]


def manifest_of(
    *,
    pool: str,
    rules: Rules,
    schedules: Sequence[Hours],
    settings: Mapping[str, Any],
    prometheus_url: str,
) -> dict[str, Any]:
    """Raises PolicyRefused for what Kubernetes' autoscaler cannot do."""
    if rules.algorithm != "target_tracking":
        raise PolicyRefused(
            "Kubernetes' autoscaler knows target tracking only: choose it, or another actuator.",
            param="algorithm",
        )
    ensure_limits(rules)
    if settings.get("flavour") == "keda":
        return scaled_object(pool, rules, schedules, settings, prometheus_url)
    if rules.idle_seconds is not None or schedules:
        raise PolicyRefused(
            "A HorizontalPodAutoscaler neither rests at zero nor knows schedules: choose a KEDA "
            "ScaledObject, or another actuator.",
            param="flavour",
        )
    return autoscaler(pool, rules, settings)


def ensure_limits(rules: Rules) -> None:
    """Raises PolicyRefused."""
    if rules.up.cooldown or rules.down.cooldown:
        raise PolicyRefused(
            "Kubernetes' autoscaler knows no rest after a change: use a window instead.",
            param="up_cooldown",
        )


def autoscaler(pool: str, rules: Rules, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(settings),
        "spec": {
            "scaleTargetRef": target_ref(settings),
            "minReplicas": rules.bounds.least,
            "maxReplicas": rules.bounds.most,
            "metrics": [external(pool, each) for each in rules.targets],
            "behavior": behavior(rules),
        },
    }


def scaled_object(
    pool: str,
    rules: Rules,
    schedules: Sequence[Hours],
    settings: Mapping[str, Any],
    prometheus_url: str,
) -> dict[str, Any]:
    rests = rules.idle_seconds is not None
    triggers = [trigger(pool, each, prometheus_url) for each in rules.targets]
    if rests:
        triggers.append(wake_up(pool, prometheus_url))
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata(settings),
        "spec": {
            "scaleTargetRef": target_ref(settings),
            "pollingInterval": 15,
            **({"cooldownPeriod": int(rules.idle_seconds or 0)} if rests else {}),
            "minReplicaCount": 0 if rests else rules.bounds.least,
            "maxReplicaCount": rules.bounds.most,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior(rules)}},
            "triggers": [*triggers, *(cron(each) for each in schedules)],
        },
    }


def metadata(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": settings["name"], "namespace": settings["namespace"]}


def target_ref(settings: Mapping[str, Any]) -> dict[str, Any]:
    group, version, _ = KINDS[settings["kind"]]
    return {"apiVersion": f"{group}/{version}", "kind": settings["kind"], "name": settings["name"]}


def external(pool: str, target: Target) -> dict[str, Any]:
    """Served to Kubernetes by an adapter, such as prometheus-adapter."""
    is_sum = MEASURES[target.kind].is_sum
    wanted = (
        {"type": "AverageValue", "averageValue": quantity(target.target)}
        if is_sum
        else {"type": "Value", "value": quantity(target.target)}
    )
    selector = {"matchLabels": {"pool": pool, "signal": target.kind}}
    return {
        "type": "External",
        "external": {"metric": {"name": METRIC, "selector": selector}, "target": wanted},
    }


def trigger(pool: str, target: Target, prometheus_url: str) -> dict[str, Any]:
    is_sum = MEASURES[target.kind].is_sum
    return {
        "type": "prometheus",
        "metricType": "AverageValue" if is_sum else "Value",
        "metadata": {
            "serverAddress": prometheus_url,
            "query": query(pool, target.kind),
            "threshold": f"{target.target:g}",
        },
    }


def wake_up(pool: str, prometheus_url: str) -> dict[str, Any]:
    """Somebody asked a pool in which nobody is."""
    asked = {"serverAddress": prometheus_url, "query": query(pool, "demand")}
    return {"type": "prometheus", "metadata": {**asked, "threshold": "1"}}


def query(pool: str, signal: str) -> str:
    """Pools are slugs, so nothing here needs to be escaped."""
    return f'max({METRIC}{{pool="{pool}",signal="{signal}"}})'


def cron(hours: Hours) -> dict[str, Any]:
    """The least replicas of a schedule. KEDA has no other most for it. Raises PolicyRefused."""
    if hours.first_day or hours.last_day or hours.ends <= hours.starts:
        raise PolicyRefused(
            f"{hours.name}: KEDA knows neither dates nor times over midnight; split it."
        )
    days = ",".join(str((day + 1) % CRON_DAYS) for day in sorted(hours.weekdays))
    return {
        "type": "cron",
        "metadata": {
            "timezone": hours.zone,
            "start": f"{hours.starts.minute} {hours.starts.hour} * * {days}",
            "end": f"{hours.ends.minute} {hours.ends.hour} * * {days}",
            "desiredReplicas": str(hours.least),
        },
    }


def behavior(rules: Rules) -> dict[str, Any]:
    return {"scaleUp": scaling_rules(rules.up), "scaleDown": scaling_rules(rules.down)}


def scaling_rules(direction: Direction) -> dict[str, Any]:
    policies = [
        {
            "type": KIND[limit.kind],
            "value": int(limit.value),
            "periodSeconds": int(limit.seconds),
        }
        for limit in direction.limits
    ]
    return {
        "stabilizationWindowSeconds": int(direction.window),
        "selectPolicy": SELECT[direction.select],
        **({"policies": policies} if policies else {}),
    }


def quantity(value: float) -> str:
    """As Kubernetes writes numbers: thousandths as `1500m`."""
    return f"{value:.0f}" if value == int(value) else f"{round(value * 1000)}m"


def as_yaml(value: Any, *, indent: int = 0) -> str:
    """Of plain values. Every text is in quotes, so that none is taken for something else."""
    space = "  " * indent
    lines = []
    if isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, dict | list) and each:
                deeper = indent + (1 if isinstance(each, dict) else 0)
                lines.append(f"{space}{name}:\n{as_yaml(each, indent=deeper)}")
            else:
                lines.append(f"{space}{name}: {json.dumps(each)}\n")
    else:
        for each in value:
            block = as_yaml(each, indent=indent + 1) if isinstance(each, dict) else ""
            item = block[2 * (indent + 1) :] if block else f"{json.dumps(each)}\n"
            lines.append(f"{space}- {item}")
    return "".join(lines)
