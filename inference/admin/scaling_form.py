"""The form of a scaling policy: every setting under a heading, signals and schedules below."""

from typing import Any

from django import forms
from django.utils.html import format_html, format_html_join
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from inference.admin.pool_form import described
from inference.models import ScalingPolicy, ScalingSchedule, ScalingSignal
from inference.scaling.decision.schedules import WEEKDAYS, Hours
from inference.scaling.policies.mapping import Signal, hours_of
from inference.signal_kinds import MEASURES

HELP = {
    "mode": "Begin with recommend: the page of the pool shows what it would do, and why.",
    "min_replicas": "Never fewer, but for a schedule, and for none at all if the pool may rest.",
    "max_replicas": "Never more, but for a schedule.",
    "idle_seconds": "Without a request for so many seconds the pool goes to zero; the next request "
    "is told to come back in a moment, and wakes it. Empty: never.",
    "replica_cost": "What one replica costs in an hour, in your currency: rehearsals reckon "
    "with it.",
    "tolerance": "0.1: nothing happens while a signal misses its target by less than 10 %.",
    "step_replicas": "What the algorithm with thresholds adds or takes away at a time.",
    "up_window": "Seconds over which the smallest proposal counts. 0: grow at once.",
    "down_window": "Seconds over which the largest proposal counts: one quiet moment takes "
    "nothing away.",
    "up_cooldown": "Seconds of rest after any change.",
    "down_cooldown": "Seconds of rest after any change.",
}
LABELS = {
    "min_replicas": "Min replicas",
    "max_replicas": "Max replicas",
    "idle_seconds": "Scale to zero after, seconds",
    "replica_cost": "Cost of a replica",
    "step_replicas": "Step of thresholds, replicas",
    "window": "Window, seconds",
    "cooldown": "Rest after a change, seconds",
    "select": "Of several limits counts",
    "percent": "At most, per cent",
    "percent_seconds": "in so many seconds",
    "replicas": "At most, replicas",
    "replicas_seconds": "in so many seconds",
}
LIMITS = "At most so many per cent, or so many replicas, within so many seconds. Empty: no limit."
WAYS = {"up": "Growing", "down": "Shrinking"}


def fields_of(way: str) -> tuple[Any, ...]:
    return (
        (f"{way}_window", f"{way}_cooldown", f"{way}_select"),
        (f"{way}_percent", f"{way}_percent_seconds"),
        (f"{way}_replicas", f"{way}_replicas_seconds"),
    )


KINDS = format_html(
    '<ul class="console-list">{}</ul>',
    format_html_join(
        "",
        "<li><b>{}</b> in {}{}</li>",
        (
            (each.label, each.unit, ", asked of Prometheus" if each.asks_prometheus else "")
            for each in MEASURES.values()
        ),
    ),
)
FIELDSETS = (
    (None, {"fields": (("pool", "mode", "algorithm"),)}),
    (
        "Bounds",
        {
            "classes": ["tab"],
            "fields": (
                ("min_replicas", "max_replicas", "is_confirmed"),
                ("idle_seconds", "replica_cost"),
                ("tolerance", "step_replicas"),
            ),
            "description": described("Between how many replicas, and when the pool may rest."),
        },
    ),
    *(
        (
            title,
            {"classes": ["tab"], "fields": fields_of(way), "description": described(LIMITS)},
        )
        for way, title in WAYS.items()
    ),
    (
        "Actuator",
        {
            "classes": ["tab"],
            "fields": ("actuator", ("namespace", "kind", "name"), "flavour"),
            "description": described(
                "What starts and stops replicas. `process` is manage.py scale_host on the machine "
                "with the GPUs; the others need Kubernetes."
            ),
        },
    ),
)
SETTINGS = ("namespace", "kind", "name", "flavour")
"""Fields that are kept together in `actuator_settings`."""
TARGETS = ("Deployment", "StatefulSet", "LeaderWorkerSet")


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A policy with its settings explained."""

    signals: tuple[Signal, ...] = ()
    """What the page asks for; set when the whole page is valid."""
    schedules: tuple[Hours, ...] = ()
    is_confirmed = forms.BooleanField(
        required=False,
        label="Drain what is too many",
        widget=UnfoldBooleanSwitchWidget,
        help_text="Only asked for if there are more replicas than the most.",
    )
    namespace = forms.CharField(
        required=False, max_length=63, widget=UnfoldAdminTextInputWidget, help_text="Of Kubernetes."
    )
    kind = forms.ChoiceField(required=False, choices=[("", "-"), *((k, k) for k in TARGETS)])
    name = forms.CharField(required=False, max_length=253, widget=UnfoldAdminTextInputWidget)
    flavour = forms.ChoiceField(
        required=False,
        choices=(("hpa", "HorizontalPodAutoscaler"), ("keda", "KEDA ScaledObject")),
        help_text="Only for the actuator HPA. A ScaledObject can rest at zero.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.actuator_settings or {}
        for name in SETTINGS:
            self.fields[name].initial = stored.get(name, self.fields[name].initial)
        for name, words in HELP.items():
            self.fields[name].help_text = words
        for name, field in self.fields.items():
            field.label = LABELS.get(name.removeprefix("up_").removeprefix("down_"), field.label)

    def clean(self) -> Any:
        answers = super().clean()
        settings = {name: self.cleaned_data.get(name) for name in SETTINGS}
        self.instance.actuator_settings = {name: value for name, value in settings.items() if value}
        return answers

    def validate_constraints(self) -> None:
        """Left to the service, which says it in a sentence."""

    class Meta:
        model = ScalingPolicy
        fields = (
            *("pool", "mode", "algorithm", "min_replicas", "max_replicas", "idle_seconds"),
            *("replica_cost", "tolerance", "step_replicas", "actuator"),
            *(name for way in WAYS for row in fields_of(way) for name in row),
        )


class PartFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """Signals or schedules: what goes together, the service says."""

    def validate_unique(self) -> None:
        """Left to the service."""

    def kept(self) -> list[Any]:
        """The rows that the valid form asks for."""
        return [
            form.instance
            for form in self.forms
            if form not in self.deleted_forms and (form.has_changed() or form.instance.pk)
        ]


class PartForm(forms.ModelForm):  # type: ignore[type-arg]
    def validate_unique(self) -> None:
        """Left to the service."""

    def validate_constraints(self) -> None:
        """As above."""


class ScheduleForm(PartForm):
    weekdays = forms.TypedMultipleChoiceField(
        choices=tuple(enumerate(WEEKDAYS)), coerce=int, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["min_replicas"].label = "Min"
        self.fields["max_replicas"].label = "Max"


class Part(TabularInline):
    formset = PartFormSet
    extra = 0
    hide_title = True


class SignalsInline(Part):
    model = ScalingSignal
    form = PartForm
    fields = ("kind", "target", "up", "down", "query")
    verbose_name_plural = "signals: what tells how many replicas are needed"


class SchedulesInline(Part):
    model = ScalingSchedule
    form = ScheduleForm
    fields = (
        *("name", "zone", "weekdays", "starts", "ends", "min_replicas", "max_replicas"),
        *("first_day", "last_day"),
    )
    verbose_name_plural = "schedules: other bounds at certain times"


def signal_of(row: ScalingSignal) -> Signal:
    return Signal(kind=row.kind, target=row.target, up=row.up, down=row.down, query=row.query)


__all__ = ["FIELDSETS", "PolicyForm", "SchedulesInline", "SignalsInline", "hours_of", "signal_of"]
