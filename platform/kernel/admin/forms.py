"""Forms that pages of several contexts share."""

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget


def reason_form(*, max_chars: int, required: bool = False) -> type[forms.Form]:
    """Return a form with the field `reason`, the reason of an operator's action."""

    class ReasonForm(forms.Form):
        reason = forms.CharField(
            max_length=max_chars,
            required=required,
            widget=UnfoldAdminTextInputWidget,
            help_text="The reason. It is recorded with the action.",
        )

    return ReasonForm
