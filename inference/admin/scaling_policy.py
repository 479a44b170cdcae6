"""Scaling policies, and what an operator does with one."""

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
from inference.scaling.rehearsal.history import USUAL_SLOTS, slots_of
from kernel.admin.base import ConsoleAdmin, Question

MODES = {"off": "", "recommend": "info", "apply": "success", "paused": "warning"}
PAUSE = Question(
    title="Pause scaling of this pool?",
    explains="It keeps the replicas that it has until somebody resumes. The page goes on to say "
    "what would be done.",
    verb="Pause",
    applies=lambda policy: not policy.paused,
    otherwise="Scaling of this pool is paused already.",
)
RESUME = Question(
    title="Resume scaling of this pool?",
    explains="Its policy decides again from the next quarter of a minute on.",
    verb="Resume",
    applies=lambda policy: policy.paused,
    otherwise="Scaling of this pool is not paused.",
)
OVERRIDE = Question(
    title="Set the replicas by hand?",
    explains="So many replicas, whatever signals and bounds say, until the time is over. In the "
    "mode apply it happens within a quarter of a minute.",
    verb="Set",
)
END_OVERRIDE = Question(
    title="Let the policy decide again?",
    explains="The override ends now instead of by itself.",
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
    goes_along = frozenset({"scaling signal", "scaling schedule"})
    actions_detail = ("live", "rehearse", "pause", "resume", "override", "end_override")
    questions = {"pause": PAUSE, "resume": RESUME, "end_override": END_OVERRIDE}
    when_empty = "Choose a pool on the page of scaling, and one of the presets for it."

    @display(description="Mode", label=MODES)
    def mode_badge(self, policy: ScalingPolicy) -> str:
        return "paused" if policy.paused else policy.mode

    @display(description="Replicas")
    def replicas(self, policy: ScalingPolicy) -> str:
        rests = " or none" if policy.idle_seconds else ""
        return f"{policy.min_replicas} to {policy.max_replicas}{rests}"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("pool",) if obj else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A preset of the address, such as `?preset=chat&pool=1`."""
        found: dict[str, Any] = super().get_changeform_initial_data(request)
        preset = preset_of(request)
        return {**found, **(preset.settings if preset else {})}

    def get_formset_kwargs(
        self, request: HttpRequest, obj: Any, inline: Any, prefix: str
    ) -> dict[str, Any]:
        facts: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        preset = preset_of(request)
        # What is sent back must count as changed, or Django would take it for an empty row.
        is_asked = request.method == "GET"
        if is_asked and preset and obj.pk is None and isinstance(inline, SignalsInline):
            facts["initial"] = list(signals_for(preset, slots=slots_asked(request)))
        return facts

    def get_formsets_with_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        preset = preset_of(request)
        for formset, inline in super().get_formsets_with_inlines(request, obj):
            if preset and obj is None and isinstance(inline, SignalsInline):
                formset.extra = len(preset.signals)
            yield formset, inline

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Not yet: a policy is stored together with its signals and schedules."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        """The policy with all of its parts in one call of the service."""
        signals, schedules = formsets
        for each in formsets:
            # Notes what was changed, for Django's own log; it stores nothing.
            each.save(commit=False)
        form.signals = tuple(signal_of(row) for row in signals.kept())
        form.schedules = tuple(hours_of(row) for row in schedules.kept())
        super().save_model(request, form.instance, form, change)

    def store(self, *, row: Any, form: Any) -> ScalingPolicy:
        self.restore(row=row, form=form)
        return row  # type: ignore[no-any-return]

    def restore(self, *, row: Any, form: Any) -> None:
        policy_services.save_policy(
            policy=row,
            signals=form.signals,
            schedules=form.schedules,
            is_confirmed=form.cleaned_data["is_confirmed"],
            now=timezone.now(),
        )

    def remove(self, *, row: Any) -> None:
        policy_services.delete_policy(policy=row)

    def address_of(self, row: Any) -> str:
        """Actions lead to the page that shows what came of them."""
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
            return self.done(request, policy, "Paused." if paused else "It was paused already.")

        return self.ask_first(request, object_id, question=PAUSE, act=act)

    @action(description="Resume", icon="play_arrow")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(policy: ScalingPolicy) -> HttpResponse:
            resumed = policy_services.resume(policy=policy)
            return self.done(request, policy, "Resumed." if resumed else "It was not paused.")

        return self.ask_first(request, object_id, question=RESUME, act=act)

    @action(description="Set by hand", icon="back_hand")
    def override(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(policy: ScalingPolicy, *, replicas: int, hours: float) -> HttpResponse:
            now = timezone.now()
            until = now + timedelta(hours=hours)
            policy_services.override(policy=policy, replicas=replicas, until=until, now=now)
            said = f"Set to {replicas} until {until:%Y-%m-%d %H:%M} UTC."
            return self.done(request, policy, said)

        return self.ask_first(request, object_id, question=OVERRIDE, act=act, form=OverrideForm)

    @action(description="End the override", icon="undo")
    def end_override(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(policy: ScalingPolicy) -> HttpResponse:
            ended = policy_services.end_override(policy=policy)
            said = "The policy decides again." if ended else "There was no override."
            return self.done(request, policy, said)

        return self.ask_first(request, object_id, question=END_OVERRIDE, act=act)


def preset_of(request: HttpRequest) -> Preset | None:
    return PRESETS.get(request.GET.get("preset", ""))


def slots_asked(request: HttpRequest) -> float:
    """How much an endpoint of the pool in the address takes at once."""
    asked = request.GET.get("pool", "")
    pool = ModelPool.objects.filter(pk=asked).first() if asked.isdigit() else None
    return slots_of(pool) if pool else USUAL_SLOTS
