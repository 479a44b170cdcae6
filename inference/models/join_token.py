"""Join tokens: what an engine shows when it registers. Each opens one pool."""

from django.db import models


class JoinToken(models.Model):
    """A secret that was shown once and lets engines join one pool."""

    name = models.CharField(max_length=100)
    pool = models.ForeignKey(
        "inference.ModelPool", on_delete=models.CASCADE, related_name="join_tokens"
    )
    public_id = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.BinaryField(max_length=32, editable=False)
    pepper = models.CharField(max_length=8, editable=False)
    blocked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.name} (tnj_{self.public_id}…)"
