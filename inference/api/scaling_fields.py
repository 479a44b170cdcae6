"""Serializers of scaling policies, signals, schedules and rehearsals."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers

from inference.models import (
    ModelPool,
    ScalingDecision,
    ScalingPolicy,
    ScalingSchedule,
    ScalingSignal,
)
from inference.models.scaling_policy import MAX_REPLICAS, MAX_WINDOW_SECONDS
from inference.scaling.decision.schedules import Hours
from inference.scaling.policies.mapping import Signal
from inference.scaling.policies.presets import PRESETS
from inference.scaling.rehearsal.drafts import SPANS, STORED, Edits
from inference.scaling.rehearsal.load_profiles import LOAD_PROFILES
from tenants.api.renamed_fields import RenamedFields

SETTINGS = (
    *("mode", "algorithm", "min_replicas", "max_replicas", "tolerance", "step_replicas"),
    *("up_window", "up_percent", "up_percent_seconds", "up_replicas", "up_replicas_seconds"),
    *("up_select", "up_cooldown", "down_window", "down_percent", "down_percent_seconds"),
    *("down_replicas", "down_replicas_seconds", "down_select", "down_cooldown"),
    *("idle_seconds", "actuator", "actuator_settings", "replica_cost"),
)


class SignalSerializer(serializers.ModelSerializer[ScalingSignal]):
    """One signal. Target tracking requires `target`, the other algorithms `up` and `down`."""

    # The service validates the kind, and lists the kinds in its message.
    kind = serializers.CharField(max_length=20)

    class Meta:
        model = ScalingSignal
        fields = ("kind", "target", "up", "down", "query")


class ScheduleSerializer(serializers.ModelSerializer[ScalingSchedule]):
    """Bounds that replace those of the policy at a time of the week; weekday 0 is Monday."""

    class Meta:
        model = ScalingSchedule
        fields = (
            *("name", "zone", "weekdays", "starts", "ends", "min_replicas", "max_replicas"),
            *("first_day", "last_day"),
        )


class PolicySerializer(serializers.ModelSerializer[ScalingPolicy]):
    pool = serializers.SlugRelatedField[ScalingPolicy](slug_field="name", read_only=True)
    signals = SignalSerializer(many=True, read_only=True)
    schedules = ScheduleSerializer(many=True, read_only=True)

    class Meta:
        model = ScalingPolicy
        fields = (
            *("id", "pool", *SETTINGS, "signals", "schedules", "paused"),
            *("override_replicas", "override_until", "created_at"),
        )
        read_only_fields = fields


class PolicyChangesSerializer(serializers.ModelSerializer[ScalingPolicy]):
    """Times are in seconds. Signals and schedules replace all that are stored."""

    signals = SignalSerializer(many=True, required=False)
    schedules = ScheduleSerializer(many=True, required=False)
    is_confirmed = serializers.BooleanField(
        required=False,
        help_text="True: replicas above `max_replicas` may be drained at once.",
    )

    class Meta:
        model = ScalingPolicy
        fields: tuple[str, ...] = (*SETTINGS, "signals", "schedules", "is_confirmed")
        # The service validates combinations of fields.
        validators: list[Any] = []


class NewPolicySerializer(PolicyChangesSerializer):
    pool = serializers.SlugRelatedField[ModelPool](
        slug_field="name", queryset=ModelPool.objects.all()
    )

    class Meta(PolicyChangesSerializer.Meta):
        fields = ("pool", *PolicyChangesSerializer.Meta.fields)


class OverrideSerializer(serializers.Serializer[Any]):
    replicas = serializers.IntegerField(min_value=0, max_value=MAX_REPLICAS)
    until = serializers.DateTimeField(help_text="At most a week from now.")


class DecisionSerializer(serializers.ModelSerializer[ScalingDecision]):
    class Meta:
        model = ScalingDecision
        fields = (
            *("at", "mode", "replicas", "proposed", "desired", "outcome", "reason"),
            *("limited_by", "inputs", "signal_results", "note"),
        )
        read_only_fields = fields


class DraftSerializer(serializers.Serializer[Any]):
    """A draft: the stored policy or a preset, with changes."""

    basis = serializers.ChoiceField(choices=(STORED, *PRESETS), default=STORED)
    min_replicas = serializers.IntegerField(min_value=1, max_value=MAX_REPLICAS, required=False)
    max_replicas = serializers.IntegerField(min_value=1, max_value=MAX_REPLICAS, required=False)
    down_window = serializers.IntegerField(
        min_value=0, max_value=MAX_WINDOW_SECONDS, required=False
    )
    idle_seconds = serializers.IntegerField(min_value=60, max_value=604_800, required=False)
    targets_percent = serializers.FloatField(min_value=1, max_value=1000, required=False)


RENAMED_LOADS = {"leak": "ramp", "three": "three_days"}
"""Old names of loads, accepted for one version."""


class RehearsalSerializer(RenamedFields):
    """The drafts to rehearse, and the load."""

    renamed_fields: ClassVar = {"ordinary": "base_request_rate"}

    load = serializers.ChoiceField(choices=(*SPANS, *LOAD_PROFILES), default="day")
    base_request_rate = serializers.FloatField(
        min_value=0.001,
        max_value=1e6,
        required=False,
        help_text="Requests per second of a synthetic load. Default: the capacity of two replicas.",
    )
    drafts = serializers.ListField(child=DraftSerializer(), min_length=1, max_length=2)

    def with_new_names(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Translate old names of fields and loads."""
        renamed = super().with_new_names(data)
        old = renamed.get("load")
        if not isinstance(old, str) or old not in RENAMED_LOADS:
            return renamed
        new, view = RENAMED_LOADS[old], self.context["view"]
        view.deprecated_fields = {**view.deprecated_fields, f"load={old}": f"load={new}"}
        return {**renamed, "load": new}


class OutcomeSerializer(serializers.Serializer[Any]):
    """The result of one draft. Waits are in seconds."""

    requests = serializers.FloatField()
    replica_hours = serializers.FloatField()
    recorded_replica_hours = serializers.FloatField(allow_null=True)
    oracle_replica_hours = serializers.FloatField()
    cost = serializers.FloatField()
    changes = serializers.IntegerField()
    peak_replicas = serializers.IntegerField()
    wait_p50 = serializers.FloatField()
    wait_p95 = serializers.FloatField()
    wait_max = serializers.FloatField()


def validated_signals(data: dict[str, Any]) -> list[Signal] | None:
    """Remove and return the signals in `data`; None without."""
    found = data.pop("signals", None)
    return None if found is None else [Signal(**each) for each in found]


def validated_hours(data: dict[str, Any]) -> list[Hours] | None:
    found = data.pop("schedules", None)
    if found is None:
        return None
    return [
        Hours(
            name=each["name"],
            zone=each.get("zone", "UTC"),
            weekdays=frozenset(each["weekdays"]),
            starts=each["starts"],
            ends=each["ends"],
            min_replicas=each["min_replicas"],
            max_replicas=each["max_replicas"],
            first_day=each.get("first_day"),
            last_day=each.get("last_day"),
        )
        for each in found
    ]


def validated_edits(data: dict[str, Any]) -> Edits:
    return Edits(**{name: value for name, value in data.items() if name != "basis"})
