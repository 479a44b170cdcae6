"""What migrations 0001 to 0012 make, for a new database: in one step, because each takes its time."""

import agents.models.agent
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import kernel.secrets
from django.conf import settings
from django.db import migrations, models

FORBID = """
CREATE TRIGGER revisions_are_immutable BEFORE UPDATE ON agents_agentrevision
    FOR EACH ROW EXECUTE FUNCTION refuse_update();
"""
ALLOW = "DROP TRIGGER revisions_are_immutable ON agents_agentrevision;"


class Migration(migrations.Migration):

    initial = True

    replaces = [
        ('agents', '0001_initial'),
        ('agents', '0002_initial'),
        ('agents', '0003_revisions_are_immutable'),
        ('agents', '0004_runs'),
        ('agents', '0005_client_ids'),
        ('agents', '0006_erasure_receipts'),
        ('agents', '0007_waiting_runs'),
        ('agents', '0008_waiting_approvals'),
        ('agents', '0009_reasoning_and_mcp_calls'),
        ('agents', '0010_reasoning_tokens'),
        ('agents', '0011_names_of_the_console'),
        ('agents', '0012_indexes_of_large_lists'),
    ]

    dependencies = [
        ('inference', '0001_squashed_0006_registration'),
        ('tenants', '0001_squashed_0017_indexes_of_large_lists'),
    ]

    operations = [
        migrations.CreateModel(
            name='Agent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('instructions', models.TextField(blank=True, help_text='What the model is told before every conversation.', max_length=100000)),
                ('parameters', models.JSONField(blank=True, default=dict, help_text='Defaults of generation as JSON, for example {"temperature": 0.2}.', validators=[agents.models.agent.validate_parameters])),
                ('variables', models.JSONField(blank=True, default=dict, help_text='Names used as {{name}} in the instructions, with the text each has by default.')),
                ('tools', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), blank=True, default=list, help_text="Names of this tenant's tools that the model may call.", size=None)),
                ('max_steps', models.PositiveSmallIntegerField(default=8, help_text='Times the model is asked in one run.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)])),
                ('max_tool_calls', models.PositiveSmallIntegerField(default=16, help_text='In one run.', validators=[django.core.validators.MaxValueValidator(1000)])),
                ('max_run_seconds', models.PositiveIntegerField(default=600, help_text='After which a run is ended as incomplete.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(86400)])),
                ('max_run_tokens', models.PositiveIntegerField(blank=True, help_text='Prompt and answers of all steps together. Empty: as the quotas allow.', null=True)),
                ('busy_policy', models.CharField(blank=True, choices=[('', 'as the door does: sockets enqueue, REST refuses'), ('reject', 'refuse it'), ('enqueue', 'let it wait for its turn'), ('interrupt', 'cancel the running one, keep what it said'), ('rollback', 'cancel the running one, forget what it said')], default='', help_text='A message that comes while an answer of the same conversation is running.', max_length=10)),
                ('response_cache', models.CharField(choices=[('off', 'off'), ('deterministic', 'where the temperature is 0'), ('always', 'always: this agent is declared safe for it')], default='off', max_length=15)),
                ('cache_seconds', models.PositiveIntegerField(default=3600, help_text='For which an answer may be given again.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(2592000)])),
                ('overflow', models.CharField(choices=[('drop', 'leave it out'), ('summarise', 'let the model sum it up')], default='drop', help_text='The beginning of a conversation that does not fit the context any more.', max_length=10)),
                ('slug', models.SlugField(help_text='Tenants write this as the model.')),
                ('name', models.CharField(max_length=200)),
                ('description', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('changed_at', models.DateTimeField(auto_now=True)),
                ('route', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inference.modelroute')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
            ],
            options={
                'ordering': ('tenant', 'slug'),
                'constraints': [models.UniqueConstraint(fields=('tenant', 'slug'), name='agent_once_per_tenant')],
            },
        ),
        migrations.CreateModel(
            name='Conversation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.CharField(max_length=40, unique=True)),
                ('agent', models.CharField(blank=True, help_text='The slug of the agent it was begun with.', max_length=50)),
                ('revision', models.PositiveIntegerField(help_text='Of that agent: a conversation stays with it during a rollout.', null=True)),
                ('metadata', models.JSONField(blank=True, default=dict)),
                ('next_position', models.PositiveBigIntegerField(default=0)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('changed_at', models.DateTimeField(auto_now=True)),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
            ],
            options={
                'ordering': ('-changed_at',),
                'indexes': [models.Index(fields=['tenant', '-changed_at'], name='conversation_recent'), models.Index(fields=['-changed_at', '-id'], name='conversation_by_change'), models.Index(condition=models.Q(('agent', ''), _negated=True), fields=['agent', '-changed_at'], name='conversation_by_agent')],
            },
        ),
        migrations.CreateModel(
            name='ErasureReceipt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.CharField(max_length=40, unique=True)),
                ('kind', models.CharField(choices=[('conversation', 'a conversation'), ('tenant', 'everything of a tenant'), ('retention', 'what was older than the tenant keeps')], max_length=12)),
                ('target', models.CharField(help_text='The id of what was erased, or the tenant.', max_length=50)),
                ('requested_by', models.CharField(max_length=200)),
                ('counts', models.JSONField(default=dict, help_text='How many of each kind are gone.')),
                ('rest', models.JSONField(default=dict, help_text='Ids under which Redis may still hold something; emptied then.')),
                ('erased_at', models.DateTimeField(auto_now_add=True)),
                ('finished_at', models.DateTimeField(help_text='Empty as long as Redis may still hold something of it.', null=True)),
                ('tenant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'verbose_name': 'erasure',
                'ordering': ('-erased_at',),
                'indexes': [models.Index(fields=['tenant', '-erased_at'], name='receipt_recent'), models.Index(condition=models.Q(('finished_at', None)), fields=['erased_at'], name='receipt_open')],
            },
        ),
        migrations.CreateModel(
            name='Tool',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64, validators=[django.core.validators.RegexValidator('\\A[A-Za-z0-9_-]{1,64}\\Z', 'Letters, digits, - and _ only: the model calls the tool so.')])),
                ('kind', models.CharField(choices=[('http', 'HTTP request'), ('mcp', 'MCP server'), ('agent', 'another agent'), ('builtin', 'built in')], max_length=10)),
                ('description', models.TextField(help_text='What the model reads about it.', max_length=4000)),
                ('schema', models.JSONField(blank=True, default=dict, help_text='JSON schema of the arguments: an object.')),
                ('settings', models.JSONField(blank=True, default=dict, help_text='As its kind needs: an address, a server, an agent.')),
                ('credential', kernel.secrets.EncryptedTextField(blank=True, default='', help_text='Sent along with each call. Write-only.')),
                ('timeout_seconds', models.PositiveSmallIntegerField(default=20, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(600)])),
                ('needs_approval', models.BooleanField(default=False, help_text='A person must allow each call before it is made.')),
                ('enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('changed_at', models.DateTimeField(auto_now=True)),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
            ],
            options={
                'ordering': ('tenant', 'name'),
                'constraints': [models.UniqueConstraint(fields=('tenant', 'name'), name='tool_once_per_tenant')],
            },
        ),
        migrations.CreateModel(
            name='AgentRevision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('instructions', models.TextField(blank=True, help_text='What the model is told before every conversation.', max_length=100000)),
                ('parameters', models.JSONField(blank=True, default=dict, help_text='Defaults of generation as JSON, for example {"temperature": 0.2}.', validators=[agents.models.agent.validate_parameters])),
                ('variables', models.JSONField(blank=True, default=dict, help_text='Names used as {{name}} in the instructions, with the text each has by default.')),
                ('tools', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), blank=True, default=list, help_text="Names of this tenant's tools that the model may call.", size=None)),
                ('max_steps', models.PositiveSmallIntegerField(default=8, help_text='Times the model is asked in one run.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)])),
                ('max_tool_calls', models.PositiveSmallIntegerField(default=16, help_text='In one run.', validators=[django.core.validators.MaxValueValidator(1000)])),
                ('max_run_seconds', models.PositiveIntegerField(default=600, help_text='After which a run is ended as incomplete.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(86400)])),
                ('max_run_tokens', models.PositiveIntegerField(blank=True, help_text='Prompt and answers of all steps together. Empty: as the quotas allow.', null=True)),
                ('busy_policy', models.CharField(blank=True, choices=[('', 'as the door does: sockets enqueue, REST refuses'), ('reject', 'refuse it'), ('enqueue', 'let it wait for its turn'), ('interrupt', 'cancel the running one, keep what it said'), ('rollback', 'cancel the running one, forget what it said')], default='', help_text='A message that comes while an answer of the same conversation is running.', max_length=10)),
                ('response_cache', models.CharField(choices=[('off', 'off'), ('deterministic', 'where the temperature is 0'), ('always', 'always: this agent is declared safe for it')], default='off', max_length=15)),
                ('cache_seconds', models.PositiveIntegerField(default=3600, help_text='For which an answer may be given again.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(2592000)])),
                ('overflow', models.CharField(choices=[('drop', 'leave it out'), ('summarise', 'let the model sum it up')], default='drop', help_text='The beginning of a conversation that does not fit the context any more.', max_length=10)),
                ('number', models.PositiveIntegerField()),
                ('note', models.CharField(blank=True, help_text='What changed, and why.', max_length=200)),
                ('published_at', models.DateTimeField(auto_now_add=True)),
                ('agent', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='revisions', to='agents.agent')),
                ('published_by', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('route', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inference.modelroute')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
            ],
            options={
                'verbose_name': 'revision',
                'ordering': ('agent', '-number'),
                'constraints': [models.UniqueConstraint(fields=('agent', 'number'), name='revision_number_once')],
            },
        ),
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.CharField(max_length=40, unique=True)),
                ('door', models.CharField(max_length=40)),
                ('model', models.CharField(help_text='As the client wrote it.', max_length=200)),
                ('agent', models.CharField(blank=True, max_length=50)),
                ('agent_revision', models.PositiveIntegerField(null=True)),
                ('route', models.CharField(blank=True, max_length=100)),
                ('api_key_id', models.BigIntegerField(null=True)),
                ('member_id', models.BigIntegerField(null=True)),
                ('client_id', models.CharField(blank=True, help_text="The client's own name: once per conversation or key.", max_length=128)),
                ('request', models.JSONField(default=dict, help_text='The settings that a response echoes.')),
                ('background', models.BooleanField(default=False)),
                ('store', models.BooleanField(default=True)),
                ('state', models.CharField(choices=[('queued', 'queued'), ('in_progress', 'in progress'), ('requires_approval', 'waits for an approval'), ('completed', 'completed'), ('failed', 'failed'), ('incomplete', 'incomplete'), ('cancelled', 'cancelled')], default='queued', max_length=20)),
                ('error', models.JSONField(null=True)),
                ('incomplete_reason', models.CharField(blank=True, max_length=40)),
                ('prompt_tokens', models.PositiveBigIntegerField(default=0)),
                ('cached_tokens', models.PositiveBigIntegerField(default=0)),
                ('completion_tokens', models.PositiveBigIntegerField(default=0)),
                ('reasoning_tokens', models.PositiveBigIntegerField(db_default=0, default=0)),
                ('steps', models.PositiveIntegerField(default=0)),
                ('tool_calls', models.PositiveIntegerField(default=0)),
                ('cache_hit', models.BooleanField(default=False)),
                ('checkpoint', models.TextField(blank=True, help_text='What it has come to, as JSON; emptied when its end is kept.')),
                ('worker', models.CharField(blank=True, max_length=100)),
                ('lease_until', models.DateTimeField(null=True)),
                ('cancel_requested_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('started_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('conversation', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='runs', to='agents.conversation')),
                ('previous', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='agents.run')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
            ],
            options={
                'ordering': ('-created_at',),
                'indexes': [models.Index(fields=['tenant', '-created_at'], name='run_recent'), models.Index(condition=models.Q(('state__in', ('queued', 'in_progress', 'requires_approval'))), fields=['lease_until'], name='run_leases'), models.Index(condition=models.Q(('agent', ''), _negated=True), fields=['agent', '-id'], name='run_by_agent'), models.Index(condition=models.Q(('state', 'completed'), _negated=True), fields=['state', '-id'], name='run_not_completed'), models.Index(condition=models.Q(('state', 'requires_approval')), fields=['id'], name='run_waiting')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ('in_progress', 'requires_approval'))), fields=('conversation',), name='one_running_run_per_conversation'), models.UniqueConstraint(condition=models.Q(('client_id', ''), _negated=True), fields=('conversation', 'client_id'), name='client_id_once_per_conversation'), models.UniqueConstraint(condition=models.Q(('conversation', None), models.Q(('client_id', ''), _negated=True)), fields=('tenant', 'api_key_id', 'client_id'), name='client_id_once_per_key')],
            },
        ),
        migrations.CreateModel(
            name='Approval',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.CharField(max_length=40, unique=True)),
                ('call_id', models.CharField(max_length=100)),
                ('tool', models.CharField(max_length=64)),
                ('arguments', models.JSONField()),
                ('state', models.CharField(choices=[('pending', 'pending'), ('approved', 'approved'), ('denied', 'denied'), ('expired', 'expired')], default='pending', max_length=10)),
                ('resolved_by', models.CharField(blank=True, max_length=200)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('resolved_at', models.DateTimeField(null=True)),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='approvals', to='agents.run')),
            ],
            options={
                'ordering': ('-created_at',),
                'indexes': [models.Index(condition=models.Q(('state', 'pending')), fields=['created_at'], name='approval_waiting'), models.Index(models.OrderBy(models.Case(models.When(state='pending', then=models.Value(0)), default=models.Value(1))), models.OrderBy(models.F('created_at'), descending=True), models.OrderBy(models.F('id'), descending=True), name='approval_inbox')],
                'constraints': [models.UniqueConstraint(fields=('run', 'call_id'), name='approval_once_per_call')],
            },
        ),
        migrations.CreateModel(
            name='Item',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.CharField(max_length=40, unique=True)),
                ('is_input', models.BooleanField(default=False, help_text='Brought by the client.')),
                ('position', models.PositiveBigIntegerField()),
                ('kind', models.CharField(choices=[('message', 'message'), ('reasoning', 'reasoning'), ('function_call', 'tool call'), ('function_call_output', 'tool result'), ('mcp_call', 'tool call of the agent'), ('tenantry:approval_request', 'approval asked for'), ('tenantry:approval_response', 'approval given or refused'), ('tenantry:summary', 'summary of what came before')], max_length=30)),
                ('body', models.JSONField(help_text='The item as Open Responses writes it, without its id.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('conversation', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='items', to='agents.conversation')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
                ('run', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='items', to='agents.run')),
            ],
            options={
                'ordering': ('position',),
                'indexes': [models.Index(fields=['conversation', 'position'], name='item_order'), models.Index(fields=['run', 'position'], name='item_order_of_run')],
            },
        ),
        migrations.CreateModel(
            name='Rollout',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('share', models.PositiveSmallIntegerField(help_text='Per cent of conversations; each stays with what it began with.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(99)])),
                ('state', models.CharField(choices=[('running', 'running'), ('promoted', 'promoted: it serves all'), ('stopped', 'stopped by an operator'), ('rolled_back', 'rolled back by itself')], default='running', editable=False, max_length=12)),
                ('least_runs', models.PositiveIntegerField(default=50, help_text='Of each revision, before they are compared.')),
                ('most_errors', models.PositiveSmallIntegerField(default=5, help_text='Points of per cent by which more of its runs may fail.', validators=[django.core.validators.MaxValueValidator(100)])),
                ('most_latency', models.PositiveSmallIntegerField(default=50, help_text='Per cent by which its runs may take longer, at the 95th percentile.')),
                ('reason', models.CharField(blank=True, editable=False, max_length=300)),
                ('started_at', models.DateTimeField(auto_now_add=True)),
                ('ended_at', models.DateTimeField(editable=False, null=True)),
                ('agent', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rollouts', to='agents.agent')),
                ('revision', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='agents.agentrevision')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
            ],
            options={
                'ordering': ('-started_at',),
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'running')), fields=('agent',), name='one_running_rollout_per_agent')],
            },
        ),
        migrations.AddField(
            model_name='agent',
            name='published',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='agents.agentrevision', verbose_name='published revision'),
        ),
        migrations.RunSQL(FORBID, ALLOW),
    ]
