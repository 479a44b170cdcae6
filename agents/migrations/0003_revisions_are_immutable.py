"""A published revision refuses to be rewritten, whoever asks."""

from django.db import migrations

FORBID = """
CREATE TRIGGER revisions_are_immutable BEFORE UPDATE ON agents_agentrevision
    FOR EACH ROW EXECUTE FUNCTION refuse_update();
"""
ALLOW = "DROP TRIGGER revisions_are_immutable ON agents_agentrevision;"


class Migration(migrations.Migration):
    dependencies = [("agents", "0002_initial"), ("tenants", "0002_usage_is_append_only")]
    operations = [migrations.RunSQL(FORBID, ALLOW)]
