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
from tenants.models.limit_rules import MAX_AMOUNT, Per, QuotaLimitRule, default_thresholds

ANCHORED = (QuotaLimitRule.Period.DAYS, QuotaLimitRule.Period.MONTHS)

RATE_FIELDS = (
    ("per", "route", "request_kind"),
    ("requests_per_minute", "request_burst"),
    ("tokens_per_minute", "token_burst"),
    ("concurrency", "shadow"),
)
QUOTA_FIELDS = (
    ("per", "route", "request_kind"),
    ("limit", "unit", "period"),
    ("every", "anchor"),
    ("start_hour", "time_zone"),
    ("hard", "shadow", "alert_at"),
    ("hold", "roll_over"),
    ("on_redis_outage", "outage_cap"),
)
"""Rows of fields, on the pages of plans and of tenants' limits."""
AMOUNTS = ("limit", "outage_cap")
"""Fields with an amount in the unit of the quota."""


class RouteField(forms.ChoiceField):
    """A choice of an existing route, or of the stored one even if it was deleted."""

    widget = UnfoldAdminSelectWidget
    default_error_messages = {
        "invalid_choice": "Route “%(value)s” does not exist. Choose an existing one, or all routes."
    }

    def offer(self, stored: str, *, names: Sequence[str]) -> None:
        """Set the choices: these routes, and the stored one, which may have been deleted."""
        gone = [] if not stored or stored in names else [(stored, f"{stored} (deleted)")]
        self.choices = [("", "All routes together"), *[(name, name) for name in names], *gone]


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """The common form of rate limits and quotas."""

    route = RouteField(required=False, help_text="Only requests to this model route.")
    rule_error_field = "requests_per_minute"
    """The field that displays errors of the whole rule."""

    def __init__(self, *args: Any, routes: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = route_names() if routes is None else routes
        self.fields["route"].offer(self.instance.route, names=names)  # type: ignore[attr-defined]

    def full_clean(self) -> None:
        """Validate. Move errors without a field to a field, as the theme's inlines drop them."""
        super().full_clean()
        if NON_FIELD_ERRORS in self.errors:
            whole = self.errors.pop(NON_FIELD_ERRORS)
            self.add_error(self.rule_error_field, whole.as_data())


class AmountField(forms.CharField):
    """An amount as text. The form converts it by its unit."""

    widget = UnfoldAdminTextInputWidget

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "inputmode": "decimal"}


class QuotaRuleForm(RuleForm):
    """A quota. Fields that are hidden for its period are reset."""

    rule_error_field = "limit"
    limit = AmountField(help_text="Maximum in each window. Cost in the currency, such as 12.50.")
    outage_cap = AmountField(
        required=False,
        help_text="Maximum usage while Redis is unavailable, in the unit. Empty: 10 %.",
    )
    # Validated by the form field, because Django drops the message of the model's validator.
    alert_at = SimpleArrayField(
        forms.IntegerField(min_value=1, max_value=1000),
        required=False,
        initial=default_thresholds,
        label="Alert at (%)",
        widget=UnfoldAdminTextInputWidget,
        help_text="Percent of the limit, comma-separated. Empty: no alerts.",
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
            answers[name] = read_amount(typed, unit=answers.get("unit", ""), max_amount=MAX_AMOUNT)
        except ValueError as error:
            self.add_error(name, str(error))


class OnceFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """The rules of a plan, with a clear message for two rules for the same requests."""

    @cached_property
    def routes(self) -> list[str]:
        return route_names()

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        """Return Django's arguments with the routes, which are queried once for all rules."""
        return {**super().get_form_kwargs(index), "routes": self.routes}

    def get_unique_error_message(self, unique_check: Any) -> str:
        return (
            "Two rules are for the same requests and the same period. Change or delete one of them."
        )

    def get_form_error(self) -> str:
        return "This is the second rule for the same requests."


class OwnRuleForm(RuleForm):
    """A limit of one tenant. The tenant is read-only once the limit is stored."""

    def clean(self) -> Any:
        return without_hidden_owner(super().clean() or {})

    def _get_validation_exclusions(self) -> set[str]:
        # Django skips constraints with read-only fields: a duplicate would pass the form and fail
        # in the database.
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded - {"tenant"} if self.instance.tenant_id else excluded


def without_hidden_owner(answers: dict[str, Any]) -> dict[str, Any]:
    """Return the data without the key or member whose field is hidden because of `per`."""
    fitting = {Per.KEY: "api_key", Per.MEMBER: "member"}.get(answers.get("per", ""))
    return {**answers, **{name: None for name in ("api_key", "member") if name != fitting}}
