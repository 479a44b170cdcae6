"""Tables of publishing, of counters that Prometheus cannot scrape, and of the version."""

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
    """One series of a counter of processes that Prometheus cannot scrape."""

    metric = models.CharField(max_length=100)
    label = models.CharField(max_length=100)
    value = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("metric", "label"), name="stored_count_once"),
        )

    def __str__(self) -> str:
        return f"{self.metric} {self.label}: {self.value}"


class DatabaseVersion(models.Model):
    """The version of the platform that last migrated this database. The table has one row."""

    version = models.CharField(max_length=50)
    migrated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.version
