"""A policy as a HorizontalPodAutoscaler (autoscaling/v2) or a KEDA ScaledObject. Pure.

Kubernetes' own autoscaler then decides, by the signals that the console serves at /metrics.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import time
from typing import Any, Literal

from inference.errors import PolicyRefused
from inference.scaling.actuators.cluster import KINDS
from inference.scaling.decision.schedules import Hours
from inference.scaling.decision.types import Behavior, Limit, Rules, Target
from inference.signal_kinds import MEASURES

METRIC = "tenantry_scaling_signal"
SELECT = {"max": "Max", "min": "Min", "disabled": "Disabled"}
KIND = {"replicas": "Pods", "percent": "Percent"}
CRON_DAYS = 7
MAX_PERIOD_SECONDS = 1800
"""Of a limit, in Kubernetes."""
USUAL_TOLERANCE = 0.1
"""Of the cluster's autoscaler, for all that it scales."""
MAX_ROUNDING = 0.01
"""By how much of itself a target may be off in thousandths, the smallest that Kubernetes counts."""
AT_ONCE_SECONDS = 15
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
    if rules.tolerance != USUAL_TOLERANCE:
        raise PolicyRefused(
            f"Kubernetes' autoscaler has one tolerance for the cluster, {USUAL_TOLERANCE}: choose "
            "that, or another actuator.",
            param="tolerance",
        )
    for way, direction in (("up", rules.up), ("down", rules.down)):
        ensure_manners(way, direction)
    for target in rules.targets:
        ensure_quantity(target)


def ensure_manners(way: str, direction: Behavior) -> None:
    """Raises PolicyRefused."""
    if direction.cooldown:
        raise PolicyRefused(
            "Kubernetes' autoscaler knows no rest after a change: use a window instead.",
            param=f"{way}_cooldown",
        )
    for limit in direction.limits:
        if limit.seconds > MAX_PERIOD_SECONDS:
            raise PolicyRefused(
                f"Kubernetes' autoscaler looks back at most {MAX_PERIOD_SECONDS} seconds: choose a "
                "shorter period, or another actuator.",
                param=f"{way}_{limit.kind}_seconds",
            )
        if limit.value < 1:
            raise PolicyRefused(
                "A limit of Kubernetes' autoscaler is 1 or more: choose a larger one, or let "
                f"nothing change with {way}_select.",
                param=f"{way}_{limit.kind}",
            )


def ensure_quantity(target: Target) -> None:
    """Raises PolicyRefused for a target that Kubernetes, which counts thousandths, would change."""
    rounded = round(target.target * 1000) / 1000
    if abs(rounded - target.target) > MAX_ROUNDING * target.target or not rounded:
        raise PolicyRefused(
            f"Kubernetes counts targets in thousandths, so {target.target:g} of {target.kind} "
            f"would become {rounded:g}: choose a larger target, or another actuator.",
            param="signals",
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
            **replica_counts(rules),
            "maxReplicaCount": rules.bounds.most,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior(rules)}},
            "triggers": [*triggers, *(cron(each, rules) for each in schedules)],
        },
    }


def replica_counts(rules: Rules) -> dict[str, int]:
    """From zero KEDA wakes a pool with one replica, or with the least if it is told of idling."""
    least = rules.bounds.least
    if rules.idle_seconds is None:
        return {"minReplicaCount": least}
    return (
        {"idleReplicaCount": 0, "minReplicaCount": least} if least > 1 else {"minReplicaCount": 0}
    )


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
            **asked(prometheus_url, query(pool, target.kind)),
            "threshold": plain(target.target),
        },
    }


def wake_up(pool: str, prometheus_url: str) -> dict[str, Any]:
    """A request came to a pool without replicas."""
    demand = asked(prometheus_url, query(pool, "demand"))
    return {"type": "prometheus", "metadata": {**demand, "threshold": "1"}}


def asked(prometheus_url: str, query: str) -> dict[str, str]:
    """Nothing is no zero: without a number KEDA then changes nothing, instead of letting go."""
    return {"serverAddress": prometheus_url, "query": query, "ignoreNullValues": "false"}


def query(pool: str, signal: str) -> str:
    """Pools are slugs, so nothing here needs to be escaped."""
    return f'max({METRIC}{{pool="{pool}",signal="{signal}"}})'


def cron(hours: Hours, rules: Rules) -> dict[str, Any]:
    """The least replicas of a schedule. Raises PolicyRefused for what KEDA's cron cannot do."""
    ensure_cron(hours, rules)
    ends_later = hours.ends <= hours.starts
    return {
        "type": "cron",
        "metadata": {
            "timezone": hours.zone,
            "start": cron_time(hours.starts, hours.weekdays),
            "end": cron_time(hours.ends, {day + ends_later for day in hours.weekdays}),
            "desiredReplicas": str(hours.least),
        },
    }


def ensure_cron(hours: Hours, rules: Rules) -> None:
    """Raises PolicyRefused."""
    bounds = rules.bounds
    if hours.first_day or hours.last_day:
        why = "KEDA knows no dates: leave first and last day empty"
    elif hours.least < max(1, bounds.least):
        why = (
            f"KEDA's schedules only raise the least replicas, here of {bounds.least}: give the "
            "policy the lowest least, and schedules for the other times"
        )
    elif hours.most != bounds.most:
        why = f"KEDA has no other most for a schedule: choose {bounds.most}, as the policy"
    elif hours.starts == hours.ends and len(hours.weekdays) == CRON_DAYS:
        why = "KEDA's schedules have an end: for all times, change the policy's own least"
    else:
        return
    raise PolicyRefused(f"{hours.name}: {why}, or choose another actuator.", param="schedules")


def cron_time(at: time, weekdays: Iterable[int]) -> str:
    """Minute, hour and days of the week; 0 is Sunday there."""
    days = ",".join(str(day) for day in sorted((day + 1) % CRON_DAYS for day in weekdays))
    return f"{at.minute} {at.hour} * * {days}"


def behavior(rules: Rules) -> dict[str, Any]:
    """Where a policy has no limits, Kubernetes is told of some that allow everything: it would put
    its own in their place.
    """
    any_number = Limit(kind="replicas", value=rules.bounds.most, seconds=AT_ONCE_SECONDS)
    return {
        "scaleUp": scaling_rules(rules.up, otherwise=any_number),
        "scaleDown": scaling_rules(rules.down, otherwise=any_number),
    }


def scaling_rules(direction: Behavior, *, otherwise: Limit) -> dict[str, Any]:
    policies = [
        {
            "type": KIND[limit.kind],
            "value": int(limit.value),
            "periodSeconds": int(limit.seconds),
        }
        for limit in direction.limits or (otherwise,)
    ]
    return {
        "stabilizationWindowSeconds": int(direction.window),
        "selectPolicy": SELECT[direction.select],
        "policies": policies,
    }


def plain(value: float) -> str:
    """To the thousandth, without an exponent: `1234567`, `0.25`."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


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
