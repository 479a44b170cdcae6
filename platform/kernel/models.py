"""The tables behind publishing, and behind counters of processes that cannot be scraped."""

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


class StoredCount(models.Model):
    """One series of a counter that is raised where Prometheus cannot scrape."""

    metric = models.CharField(max_length=100)
    label = models.CharField(max_length=100)
    value = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("metric", "label"), name="stored_count_once"),
        )

    def __str__(self) -> str:
        return f"{self.metric} {self.label}: {self.value}"
