"""The audit log is searched by the beginning of a name. Its table is a library's."""

from django.db import migrations

NAMES = """
    CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_by_name
    ON auditlog_logentry (upper(object_repr) text_pattern_ops)
"""


class Migration(migrations.Migration):
    # CREATE INDEX CONCURRENTLY cannot run inside a transaction.
    atomic = False

    dependencies = [("kernel", "0002_timed_work"), ("auditlog", "0017_add_actor_email")]

    operations = [
        migrations.RunSQL(NAMES, "DROP INDEX CONCURRENTLY IF EXISTS audit_by_name"),
    ]
