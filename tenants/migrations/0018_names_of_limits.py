"""Fields of limits and plans get the names of their subject, and a kind of request that never
existed goes.

Gateways of the version before read limits by the old columns while they are replaced one after the
other, so these stay readable as generated columns. The next version drops them.
"""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

RENAMED = {
    "planratelimit": {"door": "request_kind"},
    "planquota": {"door": "request_kind", "when_redis_is_away": "on_redis_outage"},
    "ratelimit": {"door": "request_kind"},
    "quota": {"door": "request_kind", "when_redis_is_away": "on_redis_outage"},
    "plan": {"longest_answer": "default_max_completion_tokens"},
}
TYPES = {
    "door": "varchar(20)",
    "when_redis_is_away": "varchar(12)",
    "longest_answer": "integer",
}
ONCE = {
    "planratelimit": (
        "plan_rate_limit_once",
        ("plan", "per", "route", "request_kind", "shadow"),
        "This plan has a rate limit for the same requests already.",
    ),
    "planquota": (
        "plan_quota_once",
        ("plan", "per", "route", "request_kind", "shadow", "unit", "period"),
        "This plan has a quota of this unit and period for the same requests already.",
    ),
    "ratelimit": (
        "rate_limit_once",
        ("tenant", "per", "route", "request_kind", "shadow", "api_key", "member"),
        "There is a rate limit for the same requests already.",
    ),
    "quota": (
        "quota_once",
        *(
            (
                *("tenant", "per", "route", "request_kind", "shadow"),
                *("unit", "period", "api_key", "member"),
            ),
            "There is a quota of this unit and period for the same requests already.",
        ),
    ),
}
ORDERING = {
    "planratelimit": ("per", "route", "request_kind"),
    "planquota": ("per", "route", "request_kind", "unit", "period"),
    "ratelimit": ("per", "route", "request_kind", "pk"),
    "quota": ("per", "route", "request_kind", "unit", "period", "pk"),
}
VERBOSE = {
    "planratelimit": ("rate limit of a plan", "rate limits of plans"),
    "planquota": ("quota of a plan", "quotas of plans"),
}


def delete_limits_of_batches(apps, schema_editor):
    """No request is of this kind, so these limits have never counted anything."""
    for model in ("planratelimit", "planquota", "ratelimit", "quota"):
        apps.get_model("tenants", model)._base_manager.filter(door="batches").delete()


def old_column(model, old, new):
    table = f"tenants_{model}"
    return migrations.RunSQL(
        f"ALTER TABLE {table} ADD COLUMN {old} {TYPES[old]} GENERATED ALWAYS AS ({new}) STORED",
        f"ALTER TABLE {table} DROP COLUMN {old}",
    )


def constraint_of(model):
    name, fields, message = ONCE[model]
    nulls = {} if model.startswith("plan") else {"nulls_distinct": False}
    return models.UniqueConstraint(
        fields=fields, name=name, violation_error_message=message, **nulls
    )


def renames():
    """PostgreSQL renames a column in its constraints by itself, Django's state does not."""
    for model, names in RENAMED.items():
        if model in ONCE:
            yield migrations.SeparateDatabaseAndState(
                state_operations=[migrations.RemoveConstraint(model, ONCE[model][0])]
            )
        for old, new in names.items():
            yield migrations.RenameField(model, old, new)
            yield old_column(model, old, new)
        if model in ONCE:
            yield migrations.SeparateDatabaseAndState(
                state_operations=[migrations.AddConstraint(model, constraint_of(model))]
            )


def options():
    for model, ordering in ORDERING.items():
        verbose = dict(
            zip(("verbose_name", "verbose_name_plural"), VERBOSE.get(model, ()), strict=False)
        )
        yield migrations.AlterModelOptions(model, options={"ordering": ordering, **verbose})


class Migration(migrations.Migration):
    dependencies = [("tenants", "0017_indexes_of_large_lists")]

    operations = [
        migrations.RunPython(delete_limits_of_batches, migrations.RunPython.noop),
        *renames(),
        *options(),
        migrations.AlterField(
            model_name='alertrecipient',
            name='on_reset',
            field=models.BooleanField(default=False, help_text='Also notify when a new window of a quota begins.', verbose_name='notify of resets'),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='name',
            field=models.CharField(help_text='Where the key is used, so that you can recognize it.', max_length=100),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='noted_expiry',
            field=models.DateTimeField(editable=False, help_text='The expiry that was published to the gateways.', null=True),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='warned_of',
            field=models.DateTimeField(editable=False, help_text='The expiry of which recipients were notified.', null=True),
        ),
        migrations.AlterField(
            model_name='notice',
            name='event_id',
            field=models.CharField(help_text='The same in every delivery attempt.', max_length=40),
        ),
        migrations.AlterField(
            model_name='plan',
            name='default_max_completion_tokens',
            field=models.PositiveIntegerField(default=4096, help_text='Completion tokens of a request without a maximum, where a quota counts them.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000)]),
        ),
        migrations.AlterField(
            model_name='planquota',
            name='hold',
            field=models.CharField(choices=[('full', 'Full: reserves the maximum completion, never exceeds'), ('extend', 'Extend: reserves a typical completion and more as it grows')], default='full', max_length=10),
        ),
        migrations.AlterField(
            model_name='planquota',
            name='limit',
            field=models.PositiveBigIntegerField(help_text='Maximum usage in each window, in the unit.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000000000000)]),
        ),
        migrations.AlterField(
            model_name='planquota',
            name='on_redis_outage',
            field=models.CharField(choices=[('open_capped', 'Open: admit requests up to the outage cap'), ('closed', 'Closed: refuse requests with 503')], default='open_capped', max_length=12, verbose_name='when Redis is unavailable'),
        ),
        migrations.AlterField(
            model_name='planquota',
            name='outage_cap',
            field=models.PositiveBigIntegerField(blank=True, help_text='Maximum usage while Redis is unavailable. Empty: 10 % of the limit; 0: none.', null=True, validators=[django.core.validators.MaxValueValidator(1000000000000000)]),
        ),
        migrations.AlterField(
            model_name='planquota',
            name='request_kind',
            field=models.CharField(blank=True, choices=[('', 'All requests'), ('chat', 'Chat'), ('embeddings', 'Embeddings')], default='', max_length=20),
        ),
        migrations.AlterField(
            model_name='planquota',
            name='roll_over',
            field=models.PositiveSmallIntegerField(default=0, help_text='Maximum share of the limit that an unused rest carries into the next window.', validators=[django.core.validators.MaxValueValidator(100)], verbose_name='rolls over (%)'),
        ),
        migrations.AlterField(
            model_name='planquota',
            name='route',
            field=models.CharField(blank=True, help_text='Only this model route. Empty: all routes together.', max_length=100),
        ),
        migrations.AlterField(
            model_name='planquota',
            name='shadow',
            field=models.BooleanField(default=False, help_text='Counts and reports without refusing. Does not override enforced limits.', verbose_name='shadow mode'),
        ),
        migrations.AlterField(
            model_name='planquota',
            name='start_hour',
            field=models.PositiveSmallIntegerField(default=0, help_text='Hour of the day, 0 to 23.', validators=[django.core.validators.MaxValueValidator(23)], verbose_name='begins at'),
        ),
        migrations.AlterField(
            model_name='planratelimit',
            name='concurrency',
            field=models.PositiveIntegerField(blank=True, help_text='Maximum requests that run at the same time.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)]),
        ),
        migrations.AlterField(
            model_name='planratelimit',
            name='request_burst',
            field=models.PositiveIntegerField(blank=True, help_text='Maximum requests at once. Empty: those of one minute.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000)]),
        ),
        migrations.AlterField(
            model_name='planratelimit',
            name='request_kind',
            field=models.CharField(blank=True, choices=[('', 'All requests'), ('chat', 'Chat'), ('embeddings', 'Embeddings')], default='', max_length=20),
        ),
        migrations.AlterField(
            model_name='planratelimit',
            name='route',
            field=models.CharField(blank=True, help_text='Only this model route. Empty: all routes together.', max_length=100),
        ),
        migrations.AlterField(
            model_name='planratelimit',
            name='shadow',
            field=models.BooleanField(default=False, help_text='Counts and reports without refusing. Does not override enforced limits.', verbose_name='shadow mode'),
        ),
        migrations.AlterField(
            model_name='planratelimit',
            name='token_burst',
            field=models.PositiveBigIntegerField(blank=True, help_text='Maximum tokens at once. Empty: those of one minute.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000000)]),
        ),
        migrations.AlterField(
            model_name='quota',
            name='hold',
            field=models.CharField(choices=[('full', 'Full: reserves the maximum completion, never exceeds'), ('extend', 'Extend: reserves a typical completion and more as it grows')], default='full', max_length=10),
        ),
        migrations.AlterField(
            model_name='quota',
            name='limit',
            field=models.PositiveBigIntegerField(help_text='Maximum usage in each window, in the unit.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000000000000)]),
        ),
        migrations.AlterField(
            model_name='quota',
            name='on_redis_outage',
            field=models.CharField(choices=[('open_capped', 'Open: admit requests up to the outage cap'), ('closed', 'Closed: refuse requests with 503')], default='open_capped', max_length=12, verbose_name='when Redis is unavailable'),
        ),
        migrations.AlterField(
            model_name='quota',
            name='outage_cap',
            field=models.PositiveBigIntegerField(blank=True, help_text='Maximum usage while Redis is unavailable. Empty: 10 % of the limit; 0: none.', null=True, validators=[django.core.validators.MaxValueValidator(1000000000000000)]),
        ),
        migrations.AlterField(
            model_name='quota',
            name='request_kind',
            field=models.CharField(blank=True, choices=[('', 'All requests'), ('chat', 'Chat'), ('embeddings', 'Embeddings')], default='', max_length=20),
        ),
        migrations.AlterField(
            model_name='quota',
            name='roll_over',
            field=models.PositiveSmallIntegerField(default=0, help_text='Maximum share of the limit that an unused rest carries into the next window.', validators=[django.core.validators.MaxValueValidator(100)], verbose_name='rolls over (%)'),
        ),
        migrations.AlterField(
            model_name='quota',
            name='route',
            field=models.CharField(blank=True, help_text='Only this model route. Empty: all routes together.', max_length=100),
        ),
        migrations.AlterField(
            model_name='quota',
            name='shadow',
            field=models.BooleanField(default=False, help_text='Counts and reports without refusing. Does not override enforced limits.', verbose_name='shadow mode'),
        ),
        migrations.AlterField(
            model_name='quota',
            name='start_hour',
            field=models.PositiveSmallIntegerField(default=0, help_text='Hour of the day, 0 to 23.', validators=[django.core.validators.MaxValueValidator(23)], verbose_name='begins at'),
        ),
        migrations.AlterField(
            model_name='quotatopup',
            name='key',
            field=models.CharField(blank=True, help_text='Idempotency key of the client: the same key grants once.', max_length=100),
        ),
        migrations.AlterField(
            model_name='quotausage',
            name='carried',
            field=models.BigIntegerField(db_default=0, help_text='The part of `used` from before the quota existed, summed from whole hours.'),
        ),
        migrations.AlterField(
            model_name='quotawindow',
            name='rolled_over_at',
            field=models.DateTimeField(help_text='When the roll-over into the next window was settled.', null=True),
        ),
        migrations.AlterField(
            model_name='quotawindow',
            name='used',
            field=models.BigIntegerField(default=0, help_text='Sum of all counters when the window was closed.'),
        ),
        migrations.AlterField(
            model_name='ratelimit',
            name='concurrency',
            field=models.PositiveIntegerField(blank=True, help_text='Maximum requests that run at the same time.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)]),
        ),
        migrations.AlterField(
            model_name='ratelimit',
            name='request_burst',
            field=models.PositiveIntegerField(blank=True, help_text='Maximum requests at once. Empty: those of one minute.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000)]),
        ),
        migrations.AlterField(
            model_name='ratelimit',
            name='request_kind',
            field=models.CharField(blank=True, choices=[('', 'All requests'), ('chat', 'Chat'), ('embeddings', 'Embeddings')], default='', max_length=20),
        ),
        migrations.AlterField(
            model_name='ratelimit',
            name='route',
            field=models.CharField(blank=True, help_text='Only this model route. Empty: all routes together.', max_length=100),
        ),
        migrations.AlterField(
            model_name='ratelimit',
            name='shadow',
            field=models.BooleanField(default=False, help_text='Counts and reports without refusing. Does not override enforced limits.', verbose_name='shadow mode'),
        ),
        migrations.AlterField(
            model_name='ratelimit',
            name='token_burst',
            field=models.PositiveBigIntegerField(blank=True, help_text='Maximum tokens at once. Empty: those of one minute.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000000000)]),
        ),
        migrations.AlterField(
            model_name='tenant',
            name='retention_days',
            field=models.PositiveIntegerField(blank=True, help_text='Conversations without a new message for so many days are erased. Empty: never.', null=True, validators=[django.core.validators.MinValueValidator(1)]),
        ),
        migrations.AlterField(
            model_name='usageevent',
            name='charges',
            field=models.JSONField(default=list, help_text='The quota windows that count this entry.'),
        ),
        migrations.AlterField(
            model_name='usageevent',
            name='decision',
            field=models.JSONField(default=dict, help_text='The routing decision.'),
        ),
        migrations.AlterField(
            model_name='usagehour',
            name='requests',
            field=models.BigIntegerField(default=0, help_text='Without corrections.'),
        ),
        migrations.AlterField(
            model_name='user',
            name='default_tenant',
            field=models.ForeignKey(blank=True, editable=False, help_text='The tenant of management API calls that name none. Only the user changes it.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='tenants.tenant'),
        ),
    ]
