"""Users, and their roles in tenants."""

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from tenants.operator_tokens import end_tokens
from tenants.scoping import TenantManager, TenantOwned


class User(AbstractUser):
    """A person who signs in. Operators are superusers; other users have rights by memberships."""

    default_tenant = models.ForeignKey(
        "tenants.Tenant",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        help_text="Tenant of management API calls without `?tenant=`. Only the user changes it.",
    )

    class Meta(AbstractUser.Meta):
        pass

    def set_unusable_password(self) -> None:
        super().set_unusable_password()
        self._lost_password = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the user; revoke their tokens if the password changes."""
        # Django sets `_password` for a new password, but not for a new hash of the same one.
        changes = self.pk and (
            getattr(self, "_password", None) is not None or getattr(self, "_lost_password", False)
        )
        with transaction.atomic():
            super().save(*args, **kwargs)
            if changes:
                end_tokens(self)
        self._lost_password = False


class Membership(TenantOwned):
    """One user's role in one tenant."""

    class Role(models.TextChoices):
        ADMIN = "admin", "Admin: manages members, keys and agents"
        DEVELOPER = "developer", "Developer: manages keys and agents"
        VIEWER = "viewer", "Viewer: reads"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.VIEWER)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantManager["Membership"]()

    class Meta:
        ordering = ("tenant", "user")
        verbose_name = "member"
        constraints = (
            models.UniqueConstraint(fields=("tenant", "user"), name="membership_once_per_tenant"),
        )

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class Invitation(TenantOwned):
    """A role that a tenant offers to the user with a name. It gives no rights until accepted."""

    username = models.CharField("user name", max_length=150)
    user = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, editable=False, related_name="+"
    )
    """The user with this name when the invitation was created, if any. Hidden from tenants."""
    role = models.CharField(max_length=10, choices=Membership.Role, default=Membership.Role.VIEWER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    declined_at = models.DateTimeField(null=True, editable=False)
    """Hidden from tenants, because it would reveal that the user exists."""

    objects = TenantManager["Invitation"]()

    class Meta:
        ordering = ("tenant", "username")
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "username"), name="invitation_once_per_tenant"
            ),
        )
        indexes = (
            models.Index(fields=("username",), name="invitation_by_username"),
            models.Index(fields=("user",), name="invitation_by_user", condition=~Q(user=None)),
        )

    def __str__(self) -> str:
        return f"{self.username} ({self.role})"
