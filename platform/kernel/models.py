"""The table behind publishing: which topics changed, in the order of their commits."""

from django.db import models


class Publication(models.Model):
    """The latest revision of one topic. Revisions are numbered across all topics."""

    topic = models.CharField(max_length=100, primary_key=True)
    revision = models.BigIntegerField(unique=True)
    published_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "publication"

    def __str__(self) -> str:
        return f"{self.topic} @ {self.revision}"
