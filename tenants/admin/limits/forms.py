"""The forms of rate limits and quotas, in a plan and of one tenant."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import NON_FIELD_ERRORS
from django.utils.functional import cached_property
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from tenants.limits.amounts import read_amount, typed_amount
from tenants.limits.route_names import route_names
from tenants.models.limit_rules import MAX_AMOUNT, Per, QuotaRule, default_thresholds

ANCHORED = (QuotaRule.Period.DAYS, QuotaRule.Period.MONTHS)

RATE_FIELDS = (
    ("per", "route", "door"),
    ("requests_per_minute", "request_burst"),
    ("tokens_per_minute", "token_burst"),
    ("concurrency", "shadow"),
)
QUOTA_FIELDS = (
    ("per", "route", "door"),
    ("limit", "unit", "period"),
    ("every", "anchor"),
    ("start_hour", "time_zone"),
    ("hard", "shadow", "alert_at"),
    ("hold", "roll_over"),
    ("when_redis_is_away", "outage_cap"),
)
"""In rows, as both kinds of pages show them."""
AMOUNTS = ("limit", "outage_cap")
"""In the unit of the quota."""


class RouteField(forms.ChoiceField):
    """A route that exists; one that is stored already stays possible when it is gone."""

    widget = UnfoldAdminSelectWidget
    default_error_messages = {
        "invalid_choice": "There is no route “%(value)s”. Choose one that exists, or all routes."
    }

    def offer(self, stored: str, *, names: Sequence[str]) -> None:
        """Offer these routes, and the one that is stored: routes come and go."""
        gone = [] if not stored or stored in names else [(stored, f"{stored} (deleted)")]
        self.choices = [("", "All routes together"), *[(name, name) for name in names], *gone]


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """What rate limits and quotas have in common."""

    route = RouteField(required=False, help_text="For requests to this model only.")
    says_at = "requests_per_minute"
    """The field at which a sentence about the whole rule is shown."""

    def __init__(self, *args: Any, routes: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = route_names() if routes is None else routes
        self.fields["route"].offer(self.instance.route, names=names)  # type: ignore[attr-defined]

    def full_clean(self) -> None:
        """As Django's. In a plan the theme would swallow what is said about no field."""
        super().full_clean()
        if NON_FIELD_ERRORS in self.errors:
            whole = self.errors.pop(NON_FIELD_ERRORS)
            self.add_error(self.says_at, whole.as_data())


class AmountField(forms.CharField):
    """How much of a unit that the form knows; its value is what was typed."""

    widget = UnfoldAdminTextInputWidget

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "inputmode": "decimal"}


class QuotaRuleForm(RuleForm):
    """A quota. What does not go with its period is put back to nothing, as its field is hidden."""

    says_at = "limit"
    limit = AmountField(
        help_text="For each window. Of cost in the currency, to the millionth: 12.50."
    )
    outage_cap = AmountField(
        required=False,
        help_text="The most that is served while Redis is away, in the same unit. Empty: a tenth.",
    )
    # Checked by the form: of the model's own check Django would drop the sentence.
    alert_at = SimpleArrayField(
        forms.IntegerField(min_value=1, max_value=1000),
        required=False,
        initial=default_thresholds,
        label="Alert at (%)",
        widget=UnfoldAdminTextInputWidget,
        help_text="Percent of the limit, comma-separated. Empty: tell nobody.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in AMOUNTS:
            stored = getattr(self.instance, name)
            if stored is not None:
                self.initial[name] = typed_amount(stored, unit=self.instance.unit)

    def clean(self) -> Any:
        answers = super().clean() or {}
        for name in AMOUNTS:
            self._read_amount(name, answers)
        if answers.get("period") not in {*ANCHORED, None}:
            answers["every"], answers["anchor"] = 1, None
        answers["alert_at"] = sorted(set(answers.get("alert_at") or ()))
        return answers

    def _read_amount(self, name: str, answers: dict[str, Any]) -> None:
        typed = answers.pop(name, "")
        if not typed:
            answers[name] = None
            return
        try:
            answers[name] = read_amount(typed, unit=answers.get("unit", ""), most=MAX_AMOUNT)
        except ValueError as error:
            self.add_error(name, str(error))


class OnceFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """The rules of a plan: says in a sentence when two of them are for the same requests."""

    @cached_property
    def routes(self) -> list[str]:
        return route_names()

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        """As Django's, with the routes, which are asked for once and not for each rule."""
        return {**super().get_form_kwargs(index), "routes": self.routes}

    def get_unique_error_message(self, unique_check: Any) -> str:
        return (
            "Two rules are for the same requests and the same time. "
            "Change one of them, or delete it."
        )

    def get_form_error(self) -> str:
        return "This is the second rule for the same requests."


class OwnRuleForm(RuleForm):
    """A limit of one tenant, which is only shown once the limit is stored."""

    def clean(self) -> Any:
        return without_hidden_owner(super().clean() or {})

    def _get_validation_exclusions(self) -> set[str]:
        # Django skips the constraints on fields that are only shown: the same limit twice would
        # pass the form and fail in the database.
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded - {"tenant"} if self.instance.tenant_id else excluded


def without_hidden_owner(answers: dict[str, Any]) -> dict[str, Any]:
    """The answers without the key or member whose field is hidden, as it does not fit `per`."""
    fitting = {Per.KEY: "api_key", Per.MEMBER: "member"}.get(answers.get("per", ""))
    return {**answers, **{name: None for name in ("api_key", "member") if name != fitting}}
