"""Help texts in plain technical English. Changes no column."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import tenants.models.api_key
import tenants.models.limit_rules
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tenants', '0018_names_of_limits'),
    ]

    operations = [
        migrations.AlterField(
            model_name='alertrecipient',
            name='on_reset',
            field=models.BooleanField(default=False, help_text='Also notify when a quota resets.', verbose_name='notify of resets'),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='allowed_models',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, default=list, help_text='Routes and agents that the key may use, comma-separated. Empty: all.', size=None),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='allowed_networks',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50, validators=[tenants.models.api_key.validate_network]), blank=True, default=list, help_text='Client addresses or networks to accept, comma-separated. Empty: any.', size=None),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='blocked_by',
            field=models.PositiveSmallIntegerField(choices=[(1, 'developer'), (2, 'admin'), (3, 'operator')], editable=False, help_text='Rank of the user who blocked it; a lower rank cannot unblock it.', null=True),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='bounds',
            field=models.JSONField(editable=False, help_text='Bounds of the key, each with the rank that set it; lower ranks cannot widen them. Empty: not recorded, because the key is older.', null=True),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='lineage',
            field=models.BigIntegerField(editable=False, help_text='First key of the chain of rotations, by whose id limits count all its keys. Empty: the key itself.', null=True),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='name',
            field=models.CharField(help_text='A name that identifies the key, such as where it is used.', max_length=100),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='noted_expiry',
            field=models.DateTimeField(editable=False, help_text='Expiry that was published to the gateways.', null=True),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('chat', 'Chat: completions, responses and sockets'), ('embeddings', 'Embeddings'), ('models', 'Models: list the models of the key')], max_length=20), blank=True, default=tenants.models.api_key.every_scope, size=None),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='warned_of',
            field=models.DateTimeField(editable=False, help_text='Expiry of which recipients were notified.', null=True),
        ),
        migrations.AlterField(
            model_name='plan',
            name='default_max_completion_tokens',
            field=models.PositiveIntegerField(default=4096, help_text='Maximum completion tokens of requests that set none, if a quota counts tokens.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000)]),
        ),
        migrations.AlterField(
            model_name='plan',
            name='weight',
            field=models.PositiveSmallIntegerField(default=1, help_text='Relative share of busy engines for the tenants of this plan.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)]),
        ),
        migrations.AlterField(
            model_name='planquota',
            name='hard',
            field=models.BooleanField(default=True, help_text='Refuse requests that exceed the quota. Otherwise only warn.'),
        ),
        migrations.AlterField(
            model_name='planquota',
            name='per',
            field=models.CharField(choices=[('tenant', 'Tenant: all requests together'), ('key', 'Key: each API key by itself'), ('member', 'Member: each member by itself')], default='tenant', help_text='Owner of each counter.', max_length=10, verbose_name='counts'),
        ),
        migrations.AlterField(
            model_name='planquota',
            name='period',
            field=models.CharField(choices=[('hour', 'Hour'), ('day', 'Day'), ('week', 'ISO week (from Monday)'), ('month', 'Month'), ('quarter', 'Quarter'), ('days', 'Every N days from a date'), ('months', 'Every N months from a date')], default='month', max_length=10, verbose_name='resets every'),
        ),
        migrations.AlterField(
            model_name='planquota',
            name='roll_over',
            field=models.PositiveSmallIntegerField(default=0, help_text='Maximum unused share of the limit that is added to the next window.', validators=[django.core.validators.MaxValueValidator(100)], verbose_name='rolls over (%)'),
        ),
        migrations.AlterField(
            model_name='planratelimit',
            name='per',
            field=models.CharField(choices=[('tenant', 'Tenant: all requests together'), ('key', 'Key: each API key by itself'), ('member', 'Member: each member by itself')], default='tenant', help_text='Owner of each counter.', max_length=10, verbose_name='counts'),
        ),
        migrations.AlterField(
            model_name='planratelimit',
            name='request_burst',
            field=models.PositiveIntegerField(blank=True, help_text='Maximum requests at once. Empty: requests per minute.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000)]),
        ),
        migrations.AlterField(
            model_name='planratelimit',
            name='token_burst',
            field=models.PositiveBigIntegerField(blank=True, help_text='Maximum tokens at once. Empty: tokens per minute.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000000)]),
        ),
        migrations.AlterField(
            model_name='quota',
            name='api_key',
            field=models.ForeignKey(blank=True, help_text='Only this key. Empty: every key.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.apikey', verbose_name='API key'),
        ),
        migrations.AlterField(
            model_name='quota',
            name='hard',
            field=models.BooleanField(default=True, help_text='Refuse requests that exceed the quota. Otherwise only warn.'),
        ),
        migrations.AlterField(
            model_name='quota',
            name='member',
            field=models.ForeignKey(blank=True, help_text='Only this member. Empty: every member.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.membership'),
        ),
        migrations.AlterField(
            model_name='quota',
            name='per',
            field=models.CharField(choices=[('tenant', 'Tenant: all requests together'), ('key', 'Key: each API key by itself'), ('member', 'Member: each member by itself')], default='tenant', help_text='Owner of each counter.', max_length=10, verbose_name='counts'),
        ),
        migrations.AlterField(
            model_name='quota',
            name='period',
            field=models.CharField(choices=[('hour', 'Hour'), ('day', 'Day'), ('week', 'ISO week (from Monday)'), ('month', 'Month'), ('quarter', 'Quarter'), ('days', 'Every N days from a date'), ('months', 'Every N months from a date')], default='month', max_length=10, verbose_name='resets every'),
        ),
        migrations.AlterField(
            model_name='quota',
            name='roll_over',
            field=models.PositiveSmallIntegerField(default=0, help_text='Maximum unused share of the limit that is added to the next window.', validators=[django.core.validators.MaxValueValidator(100)], verbose_name='rolls over (%)'),
        ),
        migrations.AlterField(
            model_name='quotatopup',
            name='key',
            field=models.CharField(blank=True, help_text='Idempotency key of the client. Repeated requests with it grant once.', max_length=100),
        ),
        migrations.AlterField(
            model_name='quotausage',
            name='carried',
            field=models.BigIntegerField(db_default=0, help_text='Part of `used` from before the quota existed, a sum of full hours.'),
        ),
        migrations.AlterField(
            model_name='quotawindow',
            name='rolled_over_at',
            field=models.DateTimeField(help_text='Time of the roll-over into the next window.', null=True),
        ),
        migrations.AlterField(
            model_name='ratelimit',
            name='api_key',
            field=models.ForeignKey(blank=True, help_text='Only this key. Empty: every key.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.apikey', verbose_name='API key'),
        ),
        migrations.AlterField(
            model_name='ratelimit',
            name='member',
            field=models.ForeignKey(blank=True, help_text='Only this member. Empty: every member.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tenants.membership'),
        ),
        migrations.AlterField(
            model_name='ratelimit',
            name='per',
            field=models.CharField(choices=[('tenant', 'Tenant: all requests together'), ('key', 'Key: each API key by itself'), ('member', 'Member: each member by itself')], default='tenant', help_text='Owner of each counter.', max_length=10, verbose_name='counts'),
        ),
        migrations.AlterField(
            model_name='ratelimit',
            name='request_burst',
            field=models.PositiveIntegerField(blank=True, help_text='Maximum requests at once. Empty: requests per minute.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000)]),
        ),
        migrations.AlterField(
            model_name='ratelimit',
            name='token_burst',
            field=models.PositiveBigIntegerField(blank=True, help_text='Maximum tokens at once. Empty: tokens per minute.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000000)]),
        ),
        migrations.AlterField(
            model_name='tenant',
            name='plan',
            field=models.ForeignKey(blank=True, help_text="Its limits apply unless the tenant has its own. Empty: only the tenant's own.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name='tenants', to='tenants.plan'),
        ),
        migrations.AlterField(
            model_name='tenant',
            name='retention_days',
            field=models.PositiveIntegerField(blank=True, help_text='Days after the last message until a conversation is erased. Empty: never.', null=True, validators=[django.core.validators.MinValueValidator(1)]),
        ),
        migrations.AlterField(
            model_name='tenant',
            name='time_zone',
            field=models.CharField(default='UTC', help_text='IANA name. Days of quotas and reports begin at midnight in this zone.', max_length=50, validators=[tenants.models.limit_rules.validate_time_zone]),
        ),
        migrations.AlterField(
            model_name='user',
            name='default_tenant',
            field=models.ForeignKey(blank=True, editable=False, help_text='Tenant of management API calls without `?tenant=`. Only the user changes it.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='tenants.tenant'),
        ),
    ]
