"""The run queue: queued runs without a worker, which agent nodes claim."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # CREATE INDEX CONCURRENTLY cannot run inside a transaction.
    atomic = False

    dependencies = [("agents", "0013_max_and_min_in_names")]

    operations = [
        migrations.AddField(
            "approval",
            "note",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="What the person should know before deciding.",
                max_length=300,
            ),
        ),
        migrations.AddField(
            "run",
            "attempt",
            models.PositiveSmallIntegerField(
                db_default=0, default=0, help_text="How many workers have claimed the run so far."
            ),
        ),
        migrations.AddField(
            "run",
            "deadline",
            models.DateTimeField(
                help_text="Time after which a run that is still queued expires.", null=True
            ),
        ),
        migrations.AddField(
            "run",
            "priority",
            models.SmallIntegerField(
                db_default=0,
                default=0,
                help_text="Of a tenant's queued runs the highest is claimed first.",
            ),
        ),
        migrations.AddField(
            "tool",
            "is_idempotent",
            models.BooleanField(
                db_default=False,
                default=False,
                help_text="Whether a call may be executed again after its agent node failed. "
                "Otherwise a person must approve the repetition.",
            ),
        ),
        migrations.AlterField(
            "run",
            "worker",
            models.CharField(
                blank=True,
                help_text="Empty while the run waits in the run queue.",
                max_length=100,
            ),
        ),
        AddIndexConcurrently(
            "run",
            models.Index(
                condition=models.Q(("state", "queued"), ("worker", "")),
                fields=["tenant", "-priority", "id"],
                name="run_queue",
            ),
        ),
    ]
