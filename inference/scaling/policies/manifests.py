"""Compiles a policy into a HorizontalPodAutoscaler (autoscaling/v2) or a KEDA ScaledObject. Pure.

Kubernetes' own autoscaler then decides by the signals that the console serves at /metrics.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import time
from typing import Any

import yaml

from inference.errors import PolicyRefused
from inference.scaling.actuators.cluster import KINDS
from inference.scaling.decision.schedules import Hours
from inference.scaling.decision.types import Behavior, Limit, Rules, SignalTarget
from inference.signal_kinds import MEASURES

METRIC = "tenantry_scaling_signal"
SELECT = {"max": "Max", "min": "Min", "disabled": "Disabled"}
KIND = {"replicas": "Pods", "percent": "Percent"}
CRON_DAYS = 7
MAX_PERIOD_SECONDS = 1800
"""Maximum period of a limit in Kubernetes."""
CLUSTER_TOLERANCE = 0.1
"""Kubernetes' tolerance, which is configured for the whole cluster."""
MAX_ROUNDING = 0.01
"""Maximum relative error of a target that is rounded to thousandths, Kubernetes' smallest unit."""
AT_ONCE_SECONDS = 15


def manifest_of(
    *,
    pool: str,
    rules: Rules,
    schedules: Sequence[Hours],
    settings: Mapping[str, Any],
    prometheus_url: str,
) -> dict[str, Any]:
    """Return the manifest. Raises PolicyRefused for what Kubernetes' autoscaler cannot do."""
    if rules.algorithm != "target_tracking":
        raise PolicyRefused(
            "Kubernetes' autoscaler supports target tracking only: choose it, or another actuator.",
            param="algorithm",
        )
    ensure_limits(rules)
    if settings.get("flavour") == "keda":
        return scaled_object(pool, rules, schedules, settings, prometheus_url)
    if rules.idle_seconds is not None or schedules:
        raise PolicyRefused(
            "A HorizontalPodAutoscaler supports neither zero replicas nor schedules: choose a KEDA "
            "ScaledObject, or another actuator.",
            param="flavour",
        )
    return autoscaler(pool, rules, settings)


def ensure_limits(rules: Rules) -> None:
    """Raise PolicyRefused for a tolerance, behavior or target that Kubernetes does not support."""
    if rules.tolerance != CLUSTER_TOLERANCE:
        raise PolicyRefused(
            "Kubernetes' autoscaler has one tolerance for the cluster, "
            f"{CLUSTER_TOLERANCE}: choose that, or another actuator.",
            param="tolerance",
        )
    for way, direction in (("up", rules.up), ("down", rules.down)):
        ensure_behavior(way, direction)
    for target in rules.targets:
        ensure_quantity(target)


def ensure_behavior(way: str, direction: Behavior) -> None:
    """Raise PolicyRefused for a cooldown or a limit that Kubernetes does not support."""
    if direction.cooldown:
        raise PolicyRefused(
            "Kubernetes' autoscaler has no cooldown: use a stabilization window instead.",
            param=f"{way}_cooldown",
        )
    for limit in direction.limits:
        if limit.seconds > MAX_PERIOD_SECONDS:
            raise PolicyRefused(
                f"A period of Kubernetes' autoscaler is at most {MAX_PERIOD_SECONDS} seconds: "
                "choose a shorter one, or another actuator.",
                param=f"{way}_{limit.kind}_seconds",
            )
        if limit.value < 1:
            raise PolicyRefused(
                "A limit of Kubernetes' autoscaler is 1 or more: choose a larger one, or disable "
                f"the direction with {way}_select.",
                param=f"{way}_{limit.kind}",
            )


def ensure_quantity(target: SignalTarget) -> None:
    """Raise PolicyRefused for a target that rounding to thousandths would change too much."""
    rounded = round(target.target * 1000) / 1000
    if abs(rounded - target.target) > MAX_ROUNDING * target.target or not rounded:
        raise PolicyRefused(
            f"Kubernetes rounds targets to thousandths, so {target.target:g} of {target.kind} "
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
            "minReplicas": rules.bounds.min_replicas,
            "maxReplicas": rules.bounds.max_replicas,
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
    scales_to_zero = rules.idle_seconds is not None
    triggers = [trigger(pool, each, prometheus_url) for each in rules.targets]
    if scales_to_zero:
        triggers.append(demand_trigger(pool, prometheus_url))
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata(settings),
        "spec": {
            "scaleTargetRef": target_ref(settings),
            "pollingInterval": 15,
            **({"cooldownPeriod": int(rules.idle_seconds or 0)} if scales_to_zero else {}),
            **replica_counts(rules),
            "maxReplicaCount": rules.bounds.max_replicas,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior(rules)}},
            "triggers": [*triggers, *(cron(each, rules) for each in schedules)],
        },
    }


def replica_counts(rules: Rules) -> dict[str, int]:
    """Return KEDA's counts.

    KEDA starts one replica of an idle pool, or the minimum if it has an idle count.
    """
    min_replicas = rules.bounds.min_replicas
    if rules.idle_seconds is None:
        return {"minReplicaCount": min_replicas}
    return (
        {"idleReplicaCount": 0, "minReplicaCount": min_replicas}
        if min_replicas > 1
        else {"minReplicaCount": 0}
    )


def metadata(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": settings["name"], "namespace": settings["namespace"]}


def target_ref(settings: Mapping[str, Any]) -> dict[str, Any]:
    group, version, _ = KINDS[settings["kind"]]
    return {"apiVersion": f"{group}/{version}", "kind": settings["kind"], "name": settings["name"]}


def external(pool: str, target: SignalTarget) -> dict[str, Any]:
    """Return an external metric, which an adapter such as prometheus-adapter serves."""
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


def trigger(pool: str, target: SignalTarget, prometheus_url: str) -> dict[str, Any]:
    is_sum = MEASURES[target.kind].is_sum
    return {
        "type": "prometheus",
        "metricType": "AverageValue" if is_sum else "Value",
        "metadata": {
            **prometheus_query(prometheus_url, query(pool, target.kind)),
            "threshold": decimal_text(target.target),
        },
    }


def demand_trigger(pool: str, prometheus_url: str) -> dict[str, Any]:
    """Return the trigger that starts a replica when a request arrives at a pool without any."""
    demand = prometheus_query(prometheus_url, query(pool, "demand"))
    return {"type": "prometheus", "metadata": {**demand, "threshold": "1"}}


def prometheus_query(prometheus_url: str, query: str) -> dict[str, str]:
    """Return a query whose empty result is unknown, not zero: KEDA then changes nothing."""
    return {"serverAddress": prometheus_url, "query": query, "ignoreNullValues": "false"}


def query(pool: str, signal: str) -> str:
    """Return the query for a signal. Names of pools are slugs, so nothing is escaped."""
    return f'max({METRIC}{{pool="{pool}",signal="{signal}"}})'


def cron(hours: Hours, rules: Rules) -> dict[str, Any]:
    """Return the trigger for a schedule's minimum. Raises PolicyRefused if KEDA cannot do it."""
    ensure_cron(hours, rules)
    ends_later = hours.ends <= hours.starts
    return {
        "type": "cron",
        "metadata": {
            "timezone": hours.zone,
            "start": cron_time(hours.starts, hours.weekdays),
            "end": cron_time(hours.ends, {day + ends_later for day in hours.weekdays}),
            "desiredReplicas": str(hours.min_replicas),
        },
    }


def ensure_cron(hours: Hours, rules: Rules) -> None:
    """Raise PolicyRefused for a schedule that KEDA's cron trigger cannot express."""
    bounds = rules.bounds
    if hours.first_day or hours.last_day:
        why = "KEDA's schedules have no dates: leave first and last day empty"
    elif hours.min_replicas < max(1, bounds.min_replicas):
        why = (
            f"KEDA's schedules only raise min_replicas, here from {bounds.min_replicas}: give the "
            "policy the lowest min_replicas, and schedules for the other times"
        )
    elif hours.max_replicas != bounds.max_replicas:
        why = (
            f"KEDA has no max_replicas for a schedule: choose {bounds.max_replicas}, as the policy"
        )
    elif hours.starts == hours.ends and len(hours.weekdays) == CRON_DAYS:
        why = "KEDA's schedules have an end: for all times, change min_replicas of the policy"
    else:
        return
    raise PolicyRefused(f"{hours.name}: {why}, or choose another actuator.", param="schedules")


def cron_time(at: time, weekdays: Iterable[int]) -> str:
    """Return minute, hour and days of the week in cron's syntax, where 0 is Sunday."""
    days = ",".join(str(day) for day in sorted((day + 1) % CRON_DAYS for day in weekdays))
    return f"{at.minute} {at.hour} * * {days}"


def behavior(rules: Rules) -> dict[str, Any]:
    """Return the `behavior`.

    A policy without limits gets one that allows any change: Kubernetes would use its defaults.
    """
    any_number = Limit(kind="replicas", value=rules.bounds.max_replicas, seconds=AT_ONCE_SECONDS)
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


def decimal_text(value: float) -> str:
    """Format to the thousandth, without an exponent: `1234567`, `0.25`."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def quantity(value: float) -> str:
    """Format as a Kubernetes quantity: thousandths as `1500m`."""
    return f"{value:.0f}" if value == int(value) else f"{round(value * 1000)}m"


class ManifestDumper(yaml.SafeDumper):
    """Quotes every string: PyYAML leaves some plain that Kubernetes reads as numbers (`1e3`)."""

    def represent_mapping(
        self,
        tag: str,
        mapping: Any,
        flow_style: bool | None = None,  # noqa: FBT001 - the signature of PyYAML
    ) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style)
        for name, _ in node.value:
            name.style = None  # field names need no quotes
        return node

    def ignore_aliases(self, data: Any) -> bool:
        return True


ManifestDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def as_yaml(manifest: Mapping[str, Any]) -> str:
    return yaml.dump(manifest, Dumper=ManifestDumper, sort_keys=False, width=math.inf)
