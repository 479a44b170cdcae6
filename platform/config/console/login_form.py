"""The console's login: who knows a right password and may not enter reads where to go instead."""

from typing import Any

from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

NOT_FOR_YOU = (
    "Your password is right, but the console is for operators. People of a tenant use the "
    "management API: its documentation is at /api/docs/."
)


class ConsoleLoginForm(AuthenticationForm):
    """As Django's, for operators only."""

    def confirm_login_allowed(self, user: Any) -> None:
        """Raises ValidationError for an account that may not use the console."""
        if user.is_active and not (user.is_staff and user.is_superuser):
            raise ValidationError(NOT_FOR_YOU, code="not_an_operator")
        super().confirm_login_allowed(user)
