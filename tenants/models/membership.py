"""People: users of the console, and what each may do for which tenant."""

from django.contrib.auth.models import AbstractUser
from django.db import models

from tenants.scoping import TenantManager, TenantOwned


class User(AbstractUser):
    """A person who signs in. Operators are superusers; everybody else acts through memberships."""

    class Meta(AbstractUser.Meta):
        pass


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
        constraints = (
            models.UniqueConstraint(fields=("tenant", "user"), name="membership_once_per_tenant"),
        )

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"
