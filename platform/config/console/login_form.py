"""The login form of the console, with a message for users who are not operators."""

from typing import Any

from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

NOT_AN_OPERATOR = (
    "The password is correct, but the console is for operators. Members of a tenant use the "
    "management API: its documentation is at /api/docs/."
)


class ConsoleLoginForm(AuthenticationForm):
    """Django's login form, for operators only."""

    def confirm_login_allowed(self, user: Any) -> None:
        """Raises ValidationError for an account that may not use the console."""
        if user.is_active and not (user.is_staff and user.is_superuser):
            raise ValidationError(NOT_AN_OPERATOR, code="not_an_operator")
        super().confirm_login_allowed(user)
