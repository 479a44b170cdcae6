"""Indexes for lists of runs and conversations over all tenants."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # CREATE INDEX CONCURRENTLY cannot run inside a transaction.
    atomic = False

    dependencies = [("agents", "0011_names_of_the_console")]

    operations = [
        AddIndexConcurrently(
            "conversation",
            models.Index(fields=["-changed_at", "-id"], name="conversation_by_change"),
        ),
        AddIndexConcurrently(
            "conversation",
            models.Index(
                condition=models.Q(("agent", ""), _negated=True),
                fields=["agent", "-changed_at"],
                name="conversation_by_agent",
            ),
        ),
        AddIndexConcurrently(
            "run",
            models.Index(
                condition=models.Q(("agent", ""), _negated=True),
                fields=["agent", "-id"],
                name="run_by_agent",
            ),
        ),
        AddIndexConcurrently(
            "run",
            models.Index(
                condition=models.Q(("state", "completed"), _negated=True),
                fields=["state", "-id"],
                name="run_not_completed",
            ),
        ),
    ]
