"""What migrations 0001 to 0017 make, for a new database: in one step, because each takes its time."""

import django.contrib.auth.models
import django.contrib.auth.validators
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import kernel.secrets
import tenants.models.api_key
import tenants.models.limit_rules
from django.conf import settings
from django.db import migrations, models

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

    initial = True

    replaces = [
        ('tenants', '0001_initial'),
        ('tenants', '0002_usage_is_append_only'),
        ('tenants', '0003_limits_and_quotas'),
        ('tenants', '0004_recipients_and_windows'),
        ('tenants', '0005_notices'),
        ('tenants', '0006_ledger_indexes'),
        ('tenants', '0007_ledger_backfills_hours'),
        ('tenants', '0008_fleet'),
        ('tenants', '0009_retention'),
        ('tenants', '0010_usage_by_revision'),
        ('tenants', '0011_quota_costs_in_the_currency'),
        ('tenants', '0012_shadow_limits'),
        ('tenants', '0013_invitations'),
        ('tenants', '0014_timed_work'),
        ('tenants', '0015_keys_and_counters'),
        ('tenants', '0016_names_of_the_console'),
        ('tenants', '0017_indexes_of_large_lists'),
    ]

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='LedgerCheckpoint',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('through_id', models.BigIntegerField(default=0)),
                ('next_id', models.BigIntegerField(default=0)),
                ('writers', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='ledger_checkpoint_is_one')],
            },
        ),
        migrations.CreateModel(
            name='Plan',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('description', models.TextField(blank=True)),
                ('longest_answer', models.PositiveIntegerField(default=4096, help_text='Tokens of an answer whose request names no limit, where a quota counts them.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000)])),
                ('weight', models.PositiveSmallIntegerField(default=1, help_text="Its tenants' share of busy engines, beside those of other plans.", validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)])),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('username', models.CharField(error_messages={'unique': 'A user with that username already exists.'}, help_text='Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.', max_length=150, unique=True, validators=[django.contrib.auth.validators.UnicodeUsernameValidator()], verbose_name='username')),
                ('first_name', models.CharField(blank=True, max_length=150, verbose_name='first name')),
                ('last_name', models.CharField(blank=True, max_length=150, verbose_name='last name')),
                ('email', models.EmailField(blank=True, max_length=254, verbose_name='email address')),
                ('is_staff', models.BooleanField(default=False, help_text='Designates whether the user can log into this admin site.', verbose_name='staff status')),
                ('is_active', models.BooleanField(default=True, help_text='Designates whether this user should be treated as active. Unselect this instead of deleting accounts.', verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='date joined')),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                'verbose_name': 'user',
                'verbose_name_plural': 'users',
                'abstract': False,
            },
            managers=[
                ('objects', django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name='PlanQuota',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('per', models.CharField(choices=[('tenant', 'Tenant: all requests together'), ('key', 'Key: each API key by itself'), ('member', 'Member: each member by itself')], default='tenant', help_text='What is counted together.', max_length=10, verbose_name='counts')),
                ('route', models.CharField(blank=True, help_text='Only this model route. Empty: all together.', max_length=100)),
                ('door', models.CharField(blank=True, choices=[('', 'All requests'), ('chat', 'Chat'), ('embeddings', 'Embeddings'), ('batches', 'Batches')], default='', max_length=20, verbose_name='requests')),
                ('shadow', models.BooleanField(default=False, help_text='Counts and reports beside the limits that are enforced. Refuses nothing, and takes the place of none of them.', verbose_name='shadow mode')),
                ('unit', models.CharField(choices=[('tokens', 'Tokens'), ('requests', 'Requests'), ('cost', 'Cost (in the currency of the prices)')], default='tokens', max_length=10)),
                ('limit', models.PositiveBigIntegerField(help_text='In the unit, for each window.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000000000000)])),
                ('period', models.CharField(choices=[('hour', 'Hour'), ('day', 'Day'), ('week', 'ISO week (from Monday)'), ('month', 'Month'), ('quarter', 'Quarter'), ('days', 'Every so many days from a date'), ('months', 'Every so many months from a date')], default='month', max_length=10, verbose_name='resets every')),
                ('every', models.PositiveSmallIntegerField(default=1, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(366)], verbose_name='number of days or months')),
                ('anchor', models.DateField(blank=True, help_text='First day of an anchored period.', null=True, verbose_name='counted from')),
                ('start_hour', models.PositiveSmallIntegerField(default=0, help_text="O'clock, 0 to 23.", validators=[django.core.validators.MaxValueValidator(23)], verbose_name='begins at')),
                ('time_zone', models.CharField(blank=True, help_text="IANA name. Empty: the tenant's.", max_length=50, validators=[tenants.models.limit_rules.validate_time_zone])),
                ('hard', models.BooleanField(default=True, help_text='Refuse what exceeds it. Otherwise only warn.')),
                ('alert_at', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)]), blank=True, default=tenants.models.limit_rules.default_thresholds, help_text='Percent of the limit, comma-separated.', size=None, verbose_name='alert at (%)')),
                ('hold', models.CharField(choices=[('full', 'Full hold: reserves the longest answer, never exceeds'), ('extend', 'Extend: reserves a typical answer and more as it grows')], default='full', max_length=10)),
                ('when_redis_is_away', models.CharField(choices=[('open_capped', 'Serve on, up to the outage cap'), ('closed', 'Refuse (503) until it is back')], default='open_capped', max_length=12, verbose_name='when Redis is away')),
                ('outage_cap', models.PositiveBigIntegerField(blank=True, help_text='The most that is served while Redis is away. Empty: a tenth of the limit; 0: nothing.', null=True, validators=[django.core.validators.MaxValueValidator(1000000000000000)])),
                ('roll_over', models.PositiveSmallIntegerField(default=0, help_text='At most this share of the limit is carried into the next window, if unused.', validators=[django.core.validators.MaxValueValidator(100)], verbose_name='rolls over (%)')),
                ('plan', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='quotas', to='tenants.plan')),
            ],
            options={
                'verbose_name': 'quota of a plan',
                'verbose_name_plural': 'quotas of plans',
                'ordering': ('per', 'route', 'door', 'unit', 'period'),
                'constraints': [models.UniqueConstraint(fields=('plan', 'per', 'route', 'door', 'shadow', 'unit', 'period'), name='plan_quota_once', violation_error_message='This plan has a quota of this unit and period for the same requests already.')],
            },
        ),
        migrations.CreateModel(
            name='PlanRateLimit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('per', models.CharField(choices=[('tenant', 'Tenant: all requests together'), ('key', 'Key: each API key by itself'), ('member', 'Member: each member by itself')], default='tenant', help_text='What is counted together.', max_length=10, verbose_name='counts')),
                ('route', models.CharField(blank=True, help_text='Only this model route. Empty: all together.', max_length=100)),
                ('door', models.CharField(blank=True, choices=[('', 'All requests'), ('chat', 'Chat'), ('embeddings', 'Embeddings'), ('batches', 'Batches')], default='', max_length=20, verbose_name='requests')),
                ('shadow', models.BooleanField(default=False, help_text='Counts and reports beside the limits that are enforced. Refuses nothing, and takes the place of none of them.', verbose_name='shadow mode')),
                ('requests_per_minute', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000)])),
                ('request_burst', models.PositiveIntegerField(blank=True, help_text="Requests that may come at once. Empty: a whole minute's.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000)])),
                ('tokens_per_minute', models.PositiveBigIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000000)])),
                ('token_burst', models.PositiveBigIntegerField(blank=True, help_text="Tokens that may be used at once. Empty: a whole minute's.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000000)])),
                ('concurrency', models.PositiveIntegerField(blank=True, help_text='Requests that may run at the same time.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)])),
                ('plan', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rate_limits', to='tenants.plan')),
            ],
            options={
                'verbose_name': 'rate limit of a plan',
                'verbose_name_plural': 'rate limits of plans',
                'ordering': ('per', 'route', 'door'),
                'constraints': [models.UniqueConstraint(fields=('plan', 'per', 'route', 'door', 'shadow'), name='plan_rate_limit_once', violation_error_message='This plan has a rate limit for the same requests already.')],
            },
        ),
        migrations.CreateModel(
            name='Tenant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(help_text='Short name in URLs and metrics.', unique=True)),
                ('name', models.CharField(max_length=200)),
                ('status', models.CharField(choices=[('active', 'Active'), ('suspended', 'Suspended')], default='active', max_length=10)),
                ('time_zone', models.CharField(default='UTC', help_text="IANA name. Quotas reset and reports break at this zone's midnight.", max_length=50, validators=[tenants.models.limit_rules.validate_time_zone])),
                ('retention_days', models.PositiveIntegerField(blank=True, help_text='Conversations are erased when nobody wrote to them for so many days. Empty: they are kept.', null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('plan', models.ForeignKey(blank=True, help_text='Its limits apply unless the tenant has its own. Empty: none but its own.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='tenants', to='tenants.plan')),
            ],
            options={
                'ordering': ('slug',),
            },
        ),
        migrations.CreateModel(
            name='AlertRecipient',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('email', 'E-mail'), ('webhook', 'Webhook (signed)')], default='email', max_length=10)),
                ('address', models.CharField(help_text='An e-mail address or an https address.', max_length=500)),
                ('secret', kernel.secrets.EncryptedTextField(blank=True, editable=False)),
                ('enabled', models.BooleanField(default=True)),
                ('on_reset', models.BooleanField(default=False, help_text="Also whenever a quota's new window begins.", verbose_name='told of resets')),
                ('last_delivered_at', models.DateTimeField(editable=False, null=True)),
                ('last_error', models.CharField(blank=True, editable=False, max_length=300)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
            ],
            options={
                'ordering': ('kind', 'address'),
            },
        ),
        migrations.CreateModel(
            name='ChargedSum',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('counter', models.CharField(max_length=300)),
                ('window', models.CharField(max_length=40)),
                ('amount', models.BigIntegerField()),
                ('tenant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('tenant', 'counter', 'window'), name='charged_sum_once')],
            },
        ),
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('username', models.CharField(max_length=150, verbose_name='user name')),
                ('role', models.CharField(choices=[('admin', 'Admin: manages members, keys and agents'), ('developer', 'Developer: manages keys and agents'), ('viewer', 'Viewer: reads')], default='viewer', max_length=10)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('expires_at', models.DateTimeField()),
                ('declined_at', models.DateTimeField(editable=False, null=True)),
                ('user', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
            ],
            options={
                'ordering': ('tenant', 'username'),
                'indexes': [models.Index(fields=['username'], name='invitation_by_username'), models.Index(condition=models.Q(('user', None), _negated=True), fields=['user'], name='invitation_by_user')],
                'constraints': [models.UniqueConstraint(fields=('tenant', 'username'), name='invitation_once_per_tenant')],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('admin', 'Admin: manages members, keys and agents'), ('developer', 'Developer: manages keys and agents'), ('viewer', 'Viewer: reads')], default='viewer', max_length=10)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
            ],
            options={
                'verbose_name': 'member',
                'ordering': ('tenant', 'user'),
                'constraints': [models.UniqueConstraint(fields=('tenant', 'user'), name='membership_once_per_tenant')],
            },
        ),
        migrations.CreateModel(
            name='QuotaAlert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('counter', models.CharField(max_length=300)),
                ('window', models.CharField(max_length=40)),
                ('threshold', models.PositiveSmallIntegerField(help_text='Percent of the limit.')),
                ('used', models.BigIntegerField()),
                ('limit', models.BigIntegerField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('tenant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'verbose_name': 'alert sent',
                'verbose_name_plural': 'alerts sent',
                'ordering': ('-created_at', '-pk'),
                'constraints': [models.UniqueConstraint(fields=('tenant', 'counter', 'window', 'threshold', 'limit'), name='quota_alert_once')],
            },
        ),
        migrations.CreateModel(
            name='QuotaTopUp',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('counter', models.CharField(max_length=300)),
                ('window', models.CharField(max_length=40)),
                ('amount', models.PositiveBigIntegerField(help_text='In the unit.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000000000000)])),
                ('reason', models.CharField(max_length=200)),
                ('key', models.CharField(blank=True, help_text="The client's own: granting it twice grants once.", max_length=100)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('granted_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('tenant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'verbose_name': 'top-up',
                'ordering': ('-created_at', '-pk'),
                'constraints': [models.UniqueConstraint(condition=models.Q(('key', ''), _negated=True), fields=('tenant', 'key'), name='quota_top_up_once')],
            },
        ),
        migrations.CreateModel(
            name='QuotaUsage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('counter', models.CharField(max_length=300)),
                ('window', models.CharField(help_text='Start and end in seconds since 1970.', max_length=40)),
                ('ends_at', models.DateTimeField()),
                ('used', models.BigIntegerField(default=0)),
                ('granted', models.BigIntegerField(default=0, help_text='Top-ups and roll-over.')),
                ('carried', models.BigIntegerField(db_default=0, help_text='Of what was used: added up from whole hours, because it came before the quota.')),
                ('version', models.BigIntegerField(default=0)),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'ordering': ('counter', 'window'),
                'indexes': [models.Index(fields=['ends_at'], name='quota_usage_by_end')],
                'constraints': [models.UniqueConstraint(fields=('tenant', 'window', 'counter'), name='quota_usage_of_window_once')],
            },
        ),
        migrations.CreateModel(
            name='QuotaWindow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slot', models.CharField(max_length=300)),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('time_zone', models.CharField(max_length=50)),
                ('limit', models.BigIntegerField()),
                ('used', models.BigIntegerField(default=0, help_text='Of all counters together, at the close.')),
                ('closed_at', models.DateTimeField(null=True)),
                ('rolled_over_at', models.DateTimeField(help_text='When it was settled what goes over into the next window.', null=True)),
                ('tenant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'ordering': ('-starts_at', 'slot'),
                'indexes': [models.Index(condition=models.Q(('closed_at', None)), fields=['ends_at'], name='quota_window_open'), models.Index(condition=models.Q(('closed_at', None)), fields=['tenant', 'slot'], name='quota_window_running'), models.Index(condition=models.Q(('rolled_over_at', None)), fields=['ends_at'], name='quota_window_to_roll_over')],
                'constraints': [models.UniqueConstraint(fields=('tenant', 'slot', 'starts_at'), name='quota_window_once'), models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='quota_window_has_length')],
            },
        ),
        migrations.CreateModel(
            name='TenantLook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('job', models.CharField(max_length=50)),
                ('looked_at', models.DateTimeField()),
                ('tenant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('job', 'tenant'), name='tenant_look_once')],
            },
        ),
        migrations.CreateModel(
            name='UsageHour',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hour', models.DateTimeField()),
                ('api_key_id', models.BigIntegerField(default=0)),
                ('member_id', models.BigIntegerField(default=0)),
                ('agent', models.CharField(blank=True, max_length=50)),
                ('route', models.CharField(max_length=100)),
                ('door', models.CharField(max_length=30)),
                ('requests', models.BigIntegerField(default=0, help_text='Corrections are none.')),
                ('failed', models.BigIntegerField(default=0)),
                ('prompt_tokens', models.BigIntegerField(default=0)),
                ('completion_tokens', models.BigIntegerField(default=0)),
                ('cached_tokens', models.BigIntegerField(default=0)),
                ('cost_micro', models.BigIntegerField(default=0)),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'verbose_name': 'hour of usage',
                'verbose_name_plural': 'usage',
                'ordering': ('-hour',),
                'indexes': [models.Index(fields=['hour'], name='usage_hour_by_hour')],
                'constraints': [models.UniqueConstraint(fields=('tenant', 'hour', 'api_key_id', 'member_id', 'agent', 'route', 'door'), name='usage_hour_once')],
            },
        ),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Where it is used, so that you know it again.', max_length=100)),
                ('public_id', models.CharField(editable=False, max_length=12, unique=True)),
                ('prefix', models.CharField(editable=False, max_length=20)),
                ('digest', models.BinaryField(max_length=32)),
                ('pepper', models.CharField(editable=False, max_length=8)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('chat', 'Chat: completions, responses and sockets'), ('embeddings', 'Embeddings'), ('models', 'Models: list what the key may use')], max_length=20), blank=True, default=tenants.models.api_key.every_scope, size=None)),
                ('allowed_models', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, default=list, help_text='Routes and agents it may be used for, comma-separated. Empty: all.', size=None)),
                ('allowed_networks', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50, validators=[tenants.models.api_key.validate_network]), blank=True, default=list, help_text='Addresses or networks it may be used from, comma-separated. Empty: anywhere.', size=None)),
                ('expires_at', models.DateTimeField(blank=True, help_text='Empty: never.', null=True)),
                ('blocked_at', models.DateTimeField(editable=False, null=True)),
                ('blocked_by', models.PositiveSmallIntegerField(choices=[(1, 'developer'), (2, 'admin'), (3, 'operator')], editable=False, help_text='Only this rank or a higher one unblocks it.', null=True)),
                ('bounds', models.JSONField(editable=False, help_text='What it was limited to, and by which rank: lower ones cannot widen that. Empty: not recorded, because the key is older.', null=True)),
                ('warned_of', models.DateTimeField(editable=False, help_text='The expiry that was announced.', null=True)),
                ('noted_expiry', models.DateTimeField(editable=False, help_text='The expiry that was told to the gateways.', null=True)),
                ('last_used_at', models.DateTimeField(editable=False, null=True)),
                ('lineage', models.BigIntegerField(editable=False, help_text='The first of the keys that replaced each other. Limits count them as that one. Empty: the key itself.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('replaces', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='replaced_by', to='tenants.apikey')),
                ('member', models.ForeignKey(blank=True, help_text='Usage is also counted for this member.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='api_keys', to='tenants.membership')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
            ],
            options={
                'verbose_name': 'API key',
                'ordering': ('-created_at', '-pk'),
                'indexes': [models.Index(fields=['tenant', '-created_at'], name='apikey_by_tenant'), models.Index(fields=['name'], name='apikey_by_name', opclasses=('varchar_pattern_ops',)), models.Index(fields=['-created_at', '-id'], name='apikey_by_time'), models.Index(condition=models.Q(('lineage', None), _negated=True), fields=['lineage'], name='apikey_by_lineage')],
            },
        ),
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_id', models.CharField(help_text='The same in every try.', max_length=40)),
                ('body', models.JSONField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('next_try_at', models.DateTimeField()),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('ended_at', models.DateTimeField(help_text='Delivered, or given up.', null=True)),
                ('recipient', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.alertrecipient')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
            ],
            options={
                'ordering': ('-created_at', '-pk'),
                'indexes': [models.Index(condition=models.Q(('ended_at', None)), fields=['next_try_at'], name='notice_due')],
            },
        ),
        migrations.CreateModel(
            name='Quota',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('per', models.CharField(choices=[('tenant', 'Tenant: all requests together'), ('key', 'Key: each API key by itself'), ('member', 'Member: each member by itself')], default='tenant', help_text='What is counted together.', max_length=10, verbose_name='counts')),
                ('route', models.CharField(blank=True, help_text='Only this model route. Empty: all together.', max_length=100)),
                ('door', models.CharField(blank=True, choices=[('', 'All requests'), ('chat', 'Chat'), ('embeddings', 'Embeddings'), ('batches', 'Batches')], default='', max_length=20, verbose_name='requests')),
                ('shadow', models.BooleanField(default=False, help_text='Counts and reports beside the limits that are enforced. Refuses nothing, and takes the place of none of them.', verbose_name='shadow mode')),
                ('unit', models.CharField(choices=[('tokens', 'Tokens'), ('requests', 'Requests'), ('cost', 'Cost (in the currency of the prices)')], default='tokens', max_length=10)),
                ('limit', models.PositiveBigIntegerField(help_text='In the unit, for each window.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000000000000)])),
                ('period', models.CharField(choices=[('hour', 'Hour'), ('day', 'Day'), ('week', 'ISO week (from Monday)'), ('month', 'Month'), ('quarter', 'Quarter'), ('days', 'Every so many days from a date'), ('months', 'Every so many months from a date')], default='month', max_length=10, verbose_name='resets every')),
                ('every', models.PositiveSmallIntegerField(default=1, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(366)], verbose_name='number of days or months')),
                ('anchor', models.DateField(blank=True, help_text='First day of an anchored period.', null=True, verbose_name='counted from')),
                ('start_hour', models.PositiveSmallIntegerField(default=0, help_text="O'clock, 0 to 23.", validators=[django.core.validators.MaxValueValidator(23)], verbose_name='begins at')),
                ('time_zone', models.CharField(blank=True, help_text="IANA name. Empty: the tenant's.", max_length=50, validators=[tenants.models.limit_rules.validate_time_zone])),
                ('hard', models.BooleanField(default=True, help_text='Refuse what exceeds it. Otherwise only warn.')),
                ('alert_at', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)]), blank=True, default=tenants.models.limit_rules.default_thresholds, help_text='Percent of the limit, comma-separated.', size=None, verbose_name='alert at (%)')),
                ('hold', models.CharField(choices=[('full', 'Full hold: reserves the longest answer, never exceeds'), ('extend', 'Extend: reserves a typical answer and more as it grows')], default='full', max_length=10)),
                ('when_redis_is_away', models.CharField(choices=[('open_capped', 'Serve on, up to the outage cap'), ('closed', 'Refuse (503) until it is back')], default='open_capped', max_length=12, verbose_name='when Redis is away')),
                ('outage_cap', models.PositiveBigIntegerField(blank=True, help_text='The most that is served while Redis is away. Empty: a tenth of the limit; 0: nothing.', null=True, validators=[django.core.validators.MaxValueValidator(1000000000000000)])),
                ('roll_over', models.PositiveSmallIntegerField(default=0, help_text='At most this share of the limit is carried into the next window, if unused.', validators=[django.core.validators.MaxValueValidator(100)], verbose_name='rolls over (%)')),
                ('api_key', models.ForeignKey(blank=True, help_text='Only this key. Empty: every key alike.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.apikey', verbose_name='API key')),
                ('member', models.ForeignKey(blank=True, help_text='Only this member. Empty: every member alike.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.membership')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
            ],
            options={
                'ordering': ('per', 'route', 'door', 'unit', 'period', 'pk'),
                'constraints': [models.UniqueConstraint(fields=('tenant', 'per', 'route', 'door', 'shadow', 'unit', 'period', 'api_key', 'member'), name='quota_once', nulls_distinct=False, violation_error_message='There is a quota of this unit and period for the same requests already.')],
            },
        ),
        migrations.CreateModel(
            name='RateLimit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('per', models.CharField(choices=[('tenant', 'Tenant: all requests together'), ('key', 'Key: each API key by itself'), ('member', 'Member: each member by itself')], default='tenant', help_text='What is counted together.', max_length=10, verbose_name='counts')),
                ('route', models.CharField(blank=True, help_text='Only this model route. Empty: all together.', max_length=100)),
                ('door', models.CharField(blank=True, choices=[('', 'All requests'), ('chat', 'Chat'), ('embeddings', 'Embeddings'), ('batches', 'Batches')], default='', max_length=20, verbose_name='requests')),
                ('shadow', models.BooleanField(default=False, help_text='Counts and reports beside the limits that are enforced. Refuses nothing, and takes the place of none of them.', verbose_name='shadow mode')),
                ('requests_per_minute', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000)])),
                ('request_burst', models.PositiveIntegerField(blank=True, help_text="Requests that may come at once. Empty: a whole minute's.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000)])),
                ('tokens_per_minute', models.PositiveBigIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000000)])),
                ('token_burst', models.PositiveBigIntegerField(blank=True, help_text="Tokens that may be used at once. Empty: a whole minute's.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000000)])),
                ('concurrency', models.PositiveIntegerField(blank=True, help_text='Requests that may run at the same time.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)])),
                ('api_key', models.ForeignKey(blank=True, help_text='Only this key. Empty: every key alike.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.apikey', verbose_name='API key')),
                ('member', models.ForeignKey(blank=True, help_text='Only this member. Empty: every member alike.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.membership')),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.tenant', verbose_name='tenant')),
            ],
            options={
                'ordering': ('per', 'route', 'door', 'pk'),
                'constraints': [models.UniqueConstraint(fields=('tenant', 'per', 'route', 'door', 'shadow', 'api_key', 'member'), name='rate_limit_once', nulls_distinct=False, violation_error_message='There is a rate limit for the same requests already.')],
            },
        ),
        migrations.CreateModel(
            name='UsageEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('request_id', models.CharField(max_length=40)),
                ('client_request_id', models.CharField(blank=True, max_length=128)),
                ('kind', models.CharField(choices=[('final', 'Final'), ('abandoned', 'abandoned: the worker died'), ('correction', 'Correction')], max_length=10)),
                ('door', models.CharField(max_length=30)),
                ('agent', models.CharField(blank=True, max_length=50)),
                ('agent_revision', models.PositiveIntegerField(null=True)),
                ('route', models.CharField(max_length=100)),
                ('pool', models.CharField(blank=True, max_length=100)),
                ('endpoint', models.CharField(blank=True, max_length=40)),
                ('prompt_tokens', models.BigIntegerField()),
                ('completion_tokens', models.BigIntegerField()),
                ('cached_tokens', models.BigIntegerField(default=0)),
                ('cost_micro', models.BigIntegerField(default=0, help_text='Millionths of the currency unit.', verbose_name='cost (µ)')),
                ('estimated', models.BooleanField(default=False, help_text='The engine reported no usage.')),
                ('status', models.CharField(choices=[('completed', 'Completed'), ('client_left', 'client left'), ('cancelled', 'Cancelled'), ('failed', 'Failed')], max_length=12)),
                ('error_code', models.CharField(blank=True, max_length=40)),
                ('ttft_ms', models.FloatField(null=True, verbose_name='TTFT (ms)')),
                ('duration_ms', models.FloatField(verbose_name='duration (ms)')),
                ('started_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField()),
                ('decision', models.JSONField(default=dict, help_text='Why and where it was routed.')),
                ('charges', models.JSONField(default=list, help_text='Which quota windows it counts in.')),
                ('api_key', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.apikey', verbose_name='API key')),
                ('member', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.membership')),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'verbose_name': 'ledger entry',
                'verbose_name_plural': 'ledger',
                'ordering': ('-started_at', '-pk'),
                'indexes': [models.Index(fields=['tenant', '-started_at'], name='usage_by_tenant'), models.Index(fields=['-started_at'], name='usage_by_time'), models.Index(fields=['api_key', '-started_at'], name='usage_by_key'), models.Index(fields=['route', '-started_at'], name='usage_by_route'), models.Index(fields=['door', '-started_at'], name='usage_by_door'), models.Index(condition=models.Q(('status', 'completed'), _negated=True), fields=['status', '-started_at'], name='usage_by_failure'), models.Index(condition=models.Q(('kind', 'final'), _negated=True), fields=['kind', '-started_at'], name='usage_by_kind'), models.Index(condition=models.Q(('agent', ''), _negated=True), fields=['agent', 'tenant', 'agent_revision', '-started_at'], name='usage_by_agent'), models.Index(condition=models.Q(('client_request_id', ''), _negated=True), fields=['client_request_id'], name='usage_by_client_id')],
                'constraints': [models.UniqueConstraint(fields=('request_id', 'kind'), name='usage_counted_once'), models.UniqueConstraint(condition=models.Q(('kind', 'correction'), _negated=True), fields=('request_id',), name='usage_final_or_abandoned'), models.CheckConstraint(condition=models.Q(('kind', 'correction'), models.Q(('cached_tokens__gte', 0), ('completion_tokens__gte', 0), ('cost_micro__gte', 0), ('prompt_tokens__gte', 0)), _connector='OR'), name='usage_is_not_negative')],
            },
        ),
        migrations.AddField(
            model_name='user',
            name='default_tenant',
            field=models.ForeignKey(blank=True, editable=False, help_text='Meant by calls of the management API that name no tenant. Only the person changes it.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='tenants.tenant'),
        ),
        migrations.RunSQL(FORBID, ALLOW),
    ]
