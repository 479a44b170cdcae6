"""Scaling policies, signals and schedules as the management API takes and shows them."""

from typing import Any

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
from inference.scaling.rehearsal.load_profiles import SHAPES

SETTINGS = (
    *("mode", "algorithm", "min_replicas", "max_replicas", "tolerance", "step_replicas"),
    *("up_window", "up_percent", "up_percent_seconds", "up_replicas", "up_replicas_seconds"),
    *("up_select", "up_cooldown", "down_window", "down_percent", "down_percent_seconds"),
    *("down_replicas", "down_replicas_seconds", "down_select", "down_cooldown"),
    *("idle_seconds", "actuator", "actuator_settings", "replica_cost"),
)


class SignalSerializer(serializers.ModelSerializer[ScalingSignal]):
    """One signal. Target tracking wants `target`, the other algorithms `up` and `down`."""

    # Which there are is the service's to say, in a sentence.
    kind = serializers.CharField(max_length=20)

    class Meta:
        model = ScalingSignal
        fields = ("kind", "target", "up", "down", "query")


class ScheduleSerializer(serializers.ModelSerializer[ScalingSchedule]):
    """Other bounds on some days, from one time to another; weekdays count from 0, Monday."""

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
    """Times are in seconds. Signals and schedules take the place of all that there are."""

    signals = SignalSerializer(many=True, required=False)
    schedules = ScheduleSerializer(many=True, required=False)
    is_confirmed = serializers.BooleanField(
        required=False, help_text="True: drain at once what is more than `max_replicas`."
    )

    class Meta:
        model = ScalingPolicy
        fields: tuple[str, ...] = (*SETTINGS, "signals", "schedules", "is_confirmed")
        # The service checks what goes together, in sentences.
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
            *("held_by", "inputs", "formulas", "note"),
        )
        read_only_fields = fields


class DraftSerializer(serializers.Serializer[Any]):
    """A policy to try out: the stored one or a preset, with edits."""

    basis = serializers.ChoiceField(choices=(STORED, *PRESETS), default=STORED)
    min_replicas = serializers.IntegerField(min_value=1, max_value=MAX_REPLICAS, required=False)
    max_replicas = serializers.IntegerField(min_value=1, max_value=MAX_REPLICAS, required=False)
    down_window = serializers.IntegerField(
        min_value=0, max_value=MAX_WINDOW_SECONDS, required=False
    )
    idle_seconds = serializers.IntegerField(min_value=60, max_value=604_800, required=False)
    targets_percent = serializers.FloatField(min_value=1, max_value=1000, required=False)


class RehearsalSerializer(serializers.Serializer[Any]):
    """What to rehearse, and on which load."""

    load = serializers.ChoiceField(choices=(*SPANS, *SHAPES), default="day")
    ordinary = serializers.FloatField(
        min_value=0.001, max_value=1e6, required=False, help_text="Requests a second, of a shape."
    )
    drafts = serializers.ListField(child=DraftSerializer(), min_length=1, max_length=2)


class OutcomeSerializer(serializers.Serializer[Any]):
    """What would have come of one draft. Waits are in seconds."""

    requests = serializers.FloatField()
    replica_hours = serializers.FloatField()
    replica_hours_then = serializers.FloatField(allow_null=True)
    oracle_replica_hours = serializers.FloatField()
    cost = serializers.FloatField()
    changes = serializers.IntegerField()
    most = serializers.IntegerField()
    wait_p50 = serializers.FloatField()
    wait_p95 = serializers.FloatField()
    wait_most = serializers.FloatField()


def validated_signals(data: dict[str, Any]) -> list[Signal] | None:
    """None: the body says nothing of them."""
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
            least=each["min_replicas"],
            most=each["max_replicas"],
            first_day=each.get("first_day"),
            last_day=each.get("last_day"),
        )
        for each in found
    ]


def validated_edits(data: dict[str, Any]) -> Edits:
    return Edits(**{name: value for name, value in data.items() if name != "basis"})
