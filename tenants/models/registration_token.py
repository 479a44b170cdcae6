"""The columns of the tokens with which processes of the platform register."""

from django.db import models


class RegistrationToken(models.Model):
    """A secret with which processes register. Only its digest is stored."""

    name = models.CharField(max_length=100)
    public_id = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.BinaryField(max_length=32, editable=False)
    pepper = models.CharField(max_length=8, editable=False)
    blocked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ("-created_at",)
