"""The admin of scaling policies, and its actions."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from inference.admin.scaling_form import (
    FIELDSETS,
    PolicyForm,
    SchedulesInline,
    SignalsInline,
    hours_of,
    signal_of,
)
from inference.models import ModelPool, ScalingPolicy
from inference.models.scaling_policy import MAX_REPLICAS
from inference.scaling.policies import services as policy_services
from inference.scaling.policies.presets import PRESETS, Preset, signals_for
from inference.scaling.rehearsal.history import DEFAULT_SLOTS, slots_of
from kernel.admin.base import ConsoleAdmin, Question

MODES = {"off": "", "recommend": "info", "apply": "success", "paused": "warning"}
PAUSE = Question(
    title="Pause scaling of this pool?",
    explains="The number of replicas does not change until an operator resumes scaling. The page "
    "still shows what the policy would do.",
    verb="Pause",
    applies=lambda policy: not policy.paused,
    otherwise="Scaling of this pool is paused already.",
)
RESUME = Question(
    title="Resume scaling of this pool?",
    explains="The policy is applied again at the next evaluation, within 15 seconds.",
    verb="Resume",
    applies=lambda policy: policy.paused,
    otherwise="Scaling of this pool is not paused.",
)
OVERRIDE = Question(
    title="Override the number of replicas?",
    explains="The pool has this many replicas until the override ends, regardless of signals and "
    "bounds. In the mode apply it takes effect within 15 seconds.",
    verb="Override",
)
END_OVERRIDE = Question(
    title="End the override?",
    explains="The policy decides about the number of replicas again.",
    verb="End the override",
    applies=lambda policy: (
        policy.override_until is not None and policy.override_until > timezone.now()
    ),
    otherwise="There is no override to end.",
)
HOURS = ((0.25, "15 minutes"), (1, "an hour"), (4, "4 hours"), (24, "a day"), (72, "three days"))


class OverrideForm(forms.Form):
    replicas = forms.IntegerField(
        min_value=0, max_value=MAX_REPLICAS, widget=UnfoldAdminIntegerFieldWidget
    )
    hours = forms.TypedChoiceField(
        choices=HOURS, coerce=float, label="For", widget=forms.RadioSelect, initial=1
    )


@admin.register(ScalingPolicy)
class ScalingPolicyAdmin(ConsoleAdmin):
    form = PolicyForm
    list_display = ("pool", "mode_badge", "replicas", "algorithm", "actuator")
    list_display_links = ("pool",)
    list_filter = ("mode", "algorithm", "actuator", "paused")
    list_select_related = ("pool",)
    search_fields = ("pool__name",)
    autocomplete_fields = ("pool",)
    fieldsets = FIELDSETS
    compressed_fields = False
    inlines = (SignalsInline, SchedulesInline)
    deleted_together = frozenset({"scaling signal", "scaling schedule"})
    actions_detail = ("live", "rehearse", "pause", "resume", "override", "end_override")
    questions = {"pause": PAUSE, "resume": RESUME, "end_override": END_OVERRIDE}
    when_empty = "Choose a pool on the page Scaling, and a preset for it."

    @display(description="Mode", label=MODES)
    def mode_badge(self, policy: ScalingPolicy) -> str:
        return "paused" if policy.paused else policy.mode

    @display(description="Replicas")
    def replicas(self, policy: ScalingPolicy) -> str:
        or_zero = " or none" if policy.idle_seconds else ""
        return f"{policy.min_replicas} to {policy.max_replicas}{or_zero}"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("pool",) if obj else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Add the values of a preset in the query string, such as `?preset=chat&pool=1`."""
        found: dict[str, Any] = super().get_changeform_initial_data(request)
        preset = preset_of(request)
        return {**found, **(preset.settings if preset else {})}

    def get_formset_kwargs(
        self, request: HttpRequest, obj: Any, inline: Any, prefix: str
    ) -> dict[str, Any]:
        facts: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        preset = preset_of(request)
        # Only for GET: in a POST a row that equals its initial values would count as empty.
        is_form = request.method == "GET"
        if is_form and preset and obj.pk is None and isinstance(inline, SignalsInline):
            facts["initial"] = list(signals_for(preset, slots=slots_of_request(request)))
        return facts

    def get_formsets_with_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        preset = preset_of(request)
        for formset, inline in super().get_formsets_with_inlines(request, obj):
            if preset and obj is None and isinstance(inline, SignalsInline):
                formset.extra = len(preset.signals)
            yield formset, inline

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Do nothing: `save_related` stores the policy with its signals and schedules."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        """Store the policy, signals and schedules in one call of the service."""
        signals, schedules = formsets
        for each in formsets:
            # Computes what was changed, for Django's admin log; it stores nothing.
            each.save(commit=False)
        form.signals = tuple(signal_of(row) for row in signals.remaining_forms())
        form.schedules = tuple(hours_of(row) for row in schedules.remaining_forms())
        super().save_model(request, form.instance, form, change)

    def create_row(self, *, row: Any, form: Any) -> ScalingPolicy:
        self.update_row(row=row, form=form)
        return row  # type: ignore[no-any-return]

    def update_row(self, *, row: Any, form: Any) -> None:
        policy_services.save_policy(
            policy=row,
            signals=form.signals,
            schedules=form.schedules,
            is_confirmed=form.cleaned_data["is_confirmed"],
            now=timezone.now(),
        )

    def delete_row(self, *, row: Any) -> None:
        policy_services.delete_policy(policy=row)

    def address_of(self, row: Any) -> str:
        """Return the pool's scaling page, where actions redirect to."""
        return reverse("admin:scaling_pool", args=(row.pool.name,))

    @action(description="Live state", icon="monitoring")
    def live(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(self.address_of(self.find(request, object_id)))

    @action(description="Rehearse", icon="play_circle")
    def rehearse(self, request: HttpRequest, object_id: str) -> HttpResponse:
        policy = self.find(request, object_id)
        return HttpResponseRedirect(reverse("admin:scaling_rehearse", args=(policy.pool.name,)))

    @action(description="Pause", icon="pause")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(policy: ScalingPolicy) -> HttpResponse:
            paused = policy_services.pause(policy=policy)
            return self.redirect_with_message(
                request, policy, "Paused." if paused else "It was paused already."
            )

        return self.confirm(request, object_id, question=PAUSE, act=act)

    @action(description="Resume", icon="play_arrow")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(policy: ScalingPolicy) -> HttpResponse:
            resumed = policy_services.resume(policy=policy)
            return self.redirect_with_message(
                request, policy, "Resumed." if resumed else "It was not paused."
            )

        return self.confirm(request, object_id, question=RESUME, act=act)

    @action(description="Set by hand", icon="back_hand")
    def override(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(policy: ScalingPolicy, *, replicas: int, hours: float) -> HttpResponse:
            now = timezone.now()
            until = now + timedelta(hours=hours)
            policy_services.override(policy=policy, replicas=replicas, until=until, now=now)
            message = f"Set to {replicas} until {until:%Y-%m-%d %H:%M} UTC."
            return self.redirect_with_message(request, policy, message)

        return self.confirm(request, object_id, question=OVERRIDE, act=act, form=OverrideForm)

    @action(description="End the override", icon="undo")
    def end_override(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(policy: ScalingPolicy) -> HttpResponse:
            ended = policy_services.end_override(policy=policy)
            message = "The policy decides again." if ended else "There was no override."
            return self.redirect_with_message(request, policy, message)

        return self.confirm(request, object_id, question=END_OVERRIDE, act=act)


def preset_of(request: HttpRequest) -> Preset | None:
    return PRESETS.get(request.GET.get("preset", ""))


def slots_of_request(request: HttpRequest) -> float:
    """Return the mean concurrency of the endpoints of the pool in the query string."""
    pk = request.GET.get("pool", "")
    pool = ModelPool.objects.filter(pk=pk).first() if pk.isdigit() else None
    return slots_of(pool) if pool else DEFAULT_SLOTS
