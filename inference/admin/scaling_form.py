"""The form of a scaling policy: its settings in tabs, with inlines for signals and schedules."""

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
    "mode": "Start with recommend: the pool's page displays the recommendations and their reasons.",
    "min_replicas": "Lower bound, unless a schedule sets another, or the pool is scaled to zero.",
    "max_replicas": "Upper bound, unless a schedule sets another.",
    "idle_seconds": "Without a request for this many seconds the pool is scaled to zero. The next "
    "request is refused with Retry-After and starts a replica. Empty: never.",
    "replica_cost": "Cost of one replica per hour, in your currency. Rehearsals compare costs by "
    "it.",
    "tolerance": "0.1: no change while a signal differs from its target by less than 10 %.",
    "step_replicas": "Replicas that the threshold algorithm adds or removes at a time.",
    "up_window": "Stabilization window: the smallest proposal of these seconds is used. 0: scale "
    "out at once.",
    "down_window": "Stabilization window: the largest proposal of these seconds is used, so that a "
    "short drop of the load removes no replica.",
    "up_cooldown": "Seconds without a further change after any change.",
    "down_cooldown": "Seconds without a further change after any change.",
}
LABELS = {
    "min_replicas": "Min replicas",
    "max_replicas": "Max replicas",
    "idle_seconds": "Scale to zero after, seconds",
    "replica_cost": "Cost of a replica",
    "step_replicas": "Step of thresholds, replicas",
    "window": "Stabilization window, seconds",
    "cooldown": "Cooldown, seconds",
    "select": "Of several limits, use",
    "percent": "Max change, percent",
    "percent_seconds": "per period, seconds",
    "replicas": "Max change, replicas",
    "replicas_seconds": "per period, seconds",
}
LIMITS = "Maximum change in percent or replicas within a period. Empty: no limit."
DIRECTIONS = {"up": "Scale out", "down": "Scale in"}


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
            (each.label, each.unit, ", queried from Prometheus" if each.uses_prometheus else "")
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
            "description": described("The range of replicas, and when the pool scales to zero."),
        },
    ),
    *(
        (
            title,
            {"classes": ["tab"], "fields": fields_of(way), "description": described(LIMITS)},
        )
        for way, title in DIRECTIONS.items()
    ),
    (
        "Actuator",
        {
            "classes": ["tab"],
            "fields": ("actuator", ("namespace", "kind", "name"), "flavour"),
            "description": described(
                "The actuator starts and stops replicas. `process` is manage.py scale_host on the "
                "machine with the GPUs; the others need Kubernetes."
            ),
        },
    ),
)
SETTINGS = ("namespace", "kind", "name", "flavour")
"""Fields that are stored in `actuator_settings`."""
TARGETS = ("Deployment", "StatefulSet", "LeaderWorkerSet")


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    """The form of a policy, with help texts."""

    signals: tuple[Signal, ...] = ()
    """The signals on the page; set, like `schedules`, when the whole page is valid."""
    schedules: tuple[Hours, ...] = ()
    is_confirmed = forms.BooleanField(
        required=False,
        label="Drain surplus replicas",
        widget=UnfoldBooleanSwitchWidget,
        help_text="Only needed if there are more replicas than the maximum.",
    )
    namespace = forms.CharField(
        required=False,
        max_length=63,
        widget=UnfoldAdminTextInputWidget,
        help_text="Kubernetes namespace.",
    )
    kind = forms.ChoiceField(required=False, choices=[("", "-"), *((k, k) for k in TARGETS)])
    name = forms.CharField(required=False, max_length=253, widget=UnfoldAdminTextInputWidget)
    flavour = forms.ChoiceField(
        required=False,
        choices=(("hpa", "HorizontalPodAutoscaler"), ("keda", "KEDA ScaledObject")),
        help_text="Only for the actuator HPA. A ScaledObject can scale to zero.",
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
        """Skip: the service validates the policy, with better messages."""

    class Meta:
        model = ScalingPolicy
        fields = (
            *("pool", "mode", "algorithm", "min_replicas", "max_replicas", "idle_seconds"),
            *("replica_cost", "tolerance", "step_replicas", "actuator"),
            *(name for way in DIRECTIONS for row in fields_of(way) for name in row),
        )


class PartFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """Signals or schedules; the service validates them together."""

    def validate_unique(self) -> None:
        """Skip: the service validates it."""

    def remaining_forms(self) -> list[Any]:
        """Return the rows of the valid forms, without deleted and empty ones."""
        return [
            form.instance
            for form in self.forms
            if form not in self.deleted_forms and (form.has_changed() or form.instance.pk)
        ]


class PartForm(forms.ModelForm):  # type: ignore[type-arg]
    def validate_unique(self) -> None:
        """Skip: the service validates it."""

    def validate_constraints(self) -> None:
        """Skip, as above."""


class ScheduleForm(PartForm):
    weekdays = forms.TypedMultipleChoiceField(
        choices=tuple(enumerate(WEEKDAYS)), coerce=int, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["min_replicas"].label = "Min"
        self.fields["max_replicas"].label = "Max"


class PolicyInline(TabularInline):
    formset = PartFormSet
    extra = 0
    hide_title = True


class SignalsInline(PolicyInline):
    model = ScalingSignal
    form = PartForm
    fields = ("kind", "target", "up", "down", "query")
    verbose_name_plural = "signals: the metrics that the pool is scaled by"


class SchedulesInline(PolicyInline):
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
