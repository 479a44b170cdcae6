"""The ledger refuses to be rewritten, whoever asks."""

from django.db import migrations

FORBID = """
CREATE FUNCTION refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: rows are never changed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER usage_is_append_only BEFORE UPDATE ON tenants_usageevent
    FOR EACH ROW EXECUTE FUNCTION refuse_update();
"""
ALLOW = """
DROP TRIGGER usage_is_append_only ON tenants_usageevent;
DROP FUNCTION refuse_update();
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_initial")]
    operations = [migrations.RunSQL(FORBID, ALLOW)]
