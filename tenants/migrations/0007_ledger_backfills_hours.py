"""Hours of what was used before they were kept."""

from django.db import migrations

BACKFILL = """
INSERT INTO tenants_usagehour (
    tenant_id, hour, api_key_id, member_id, agent, route, door,
    requests, failed, prompt_tokens, completion_tokens, cached_tokens, cost_micro
)
SELECT
    tenant_id, date_trunc('hour', started_at, 'UTC'),
    coalesce(api_key_id, 0), coalesce(member_id, 0), agent, route, door,
    count(*) FILTER (WHERE kind <> 'correction'),
    count(*) FILTER (WHERE kind <> 'correction' AND status = 'failed'),
    sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(cost_micro)
FROM tenants_usageevent
GROUP BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT (tenant_id, hour, api_key_id, member_id, agent, route, door) DO UPDATE SET
    requests = EXCLUDED.requests,
    failed = EXCLUDED.failed,
    prompt_tokens = EXCLUDED.prompt_tokens,
    completion_tokens = EXCLUDED.completion_tokens,
    cached_tokens = EXCLUDED.cached_tokens,
    cost_micro = EXCLUDED.cost_micro
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0006_ledger_indexes")]
    operations = [migrations.RunSQL(BACKFILL, migrations.RunSQL.noop)]
