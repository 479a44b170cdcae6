"""Indexes for lists over a large installation, and fewer of those that others contain.

None is built under a lock that keeps others from writing. Indexes of single references are dropped
under one, which takes a moment.
"""

import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

NEW_UNIQUE = """
    CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS quota_usage_of_window_once
    ON tenants_quotausage (tenant_id, "window", counter)
"""
# There is a unique index at every moment: writers rely on it, whichever it is.
SWAP = """
    ALTER TABLE tenants_quotausage
        ADD CONSTRAINT quota_usage_of_window_once UNIQUE USING INDEX quota_usage_of_window_once,
        DROP CONSTRAINT quota_usage_once
"""
OLD_UNIQUE = """
    CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS quota_usage_once
    ON tenants_quotausage (tenant_id, counter, "window")
"""
SWAP_BACK = """
    ALTER TABLE tenants_quotausage
        ADD CONSTRAINT quota_usage_once UNIQUE USING INDEX quota_usage_once,
        DROP CONSTRAINT quota_usage_of_window_once
"""


def reference(to, **more):
    return models.ForeignKey(
        to=to,
        on_delete=django.db.models.deletion.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        **more,
    )


class Migration(migrations.Migration):
    # CREATE INDEX CONCURRENTLY cannot run inside a transaction.
    atomic = False

    dependencies = [("tenants", "0016_names_of_the_console")]

    operations = [
        AddIndexConcurrently(
            "apikey", models.Index(fields=["-created_at", "-id"], name="apikey_by_time")
        ),
        AddIndexConcurrently(
            "usageevent", models.Index(fields=["route", "-started_at"], name="usage_by_route")
        ),
        AddIndexConcurrently(
            "usageevent", models.Index(fields=["door", "-started_at"], name="usage_by_door")
        ),
        AddIndexConcurrently(
            "usageevent",
            models.Index(
                condition=models.Q(("agent", ""), _negated=True),
                fields=["agent", "tenant", "agent_revision", "-started_at"],
                name="usage_by_agent",
            ),
        ),
        RemoveIndexConcurrently("usageevent", "usage_by_revision"),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(NEW_UNIQUE, SWAP_BACK),
                migrations.RunSQL(SWAP, OLD_UNIQUE),
            ],
            state_operations=[
                migrations.RemoveConstraint("quotausage", "quota_usage_once"),
                migrations.AddConstraint(
                    "quotausage",
                    models.UniqueConstraint(
                        fields=("tenant", "window", "counter"), name="quota_usage_of_window_once"
                    ),
                ),
            ],
        ),
        migrations.AlterField("quotausage", "tenant", reference("tenants.tenant")),
        migrations.AlterField("usagehour", "tenant", reference("tenants.tenant")),
        migrations.AlterField("usageevent", "tenant", reference("tenants.tenant")),
        migrations.AlterField("usageevent", "member", reference("tenants.membership", null=True)),
        migrations.AlterField(
            "usageevent",
            "api_key",
            reference("tenants.apikey", null=True, verbose_name="API key"),
        ),
    ]
