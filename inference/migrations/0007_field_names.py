"""Columns, outcomes and stored JSON of scaling and of breakers get the names of their fields."""

import django.contrib.postgres.fields
import django.core.validators
import inference.models.pool
from django.db import migrations, models


DECISIONS = """
UPDATE inference_scalingdecision SET
    outcome = CASE outcome WHEN 'kept' THEN 'unchanged' ELSE outcome END,
    signal_results = (
        SELECT COALESCE(jsonb_agg(
            CASE jsonb_typeof(result) WHEN 'object' THEN
                (result - 'words' - 'wanted') || jsonb_build_object(
                    'message', result -> 'words', 'target', result -> 'wanted'
                )
            ELSE result END
            ORDER BY place
        ), '[]')
        FROM jsonb_array_elements(signal_results) WITH ORDINALITY AS results (result, place)
    ),
    inputs = (
        SELECT COALESCE(jsonb_object_agg(kind,
            CASE jsonb_typeof(reading) WHEN 'object' THEN
                (reading - 'telling' - 'is_least') || jsonb_build_object(
                    'reporting', reading -> 'telling', 'is_lower_bound', reading -> 'is_least'
                )
            ELSE reading END
        ), '{}')
        FROM jsonb_each(inputs) AS readings (kind, reading)
    )
"""
STATES = """
UPDATE inference_scalingstate SET status = (
    SELECT COALESCE(jsonb_object_agg(
        CASE name
            WHEN 'least' THEN 'min_replicas'
            WHEN 'most' THEN 'max_replicas'
            WHEN 'held_by' THEN 'limited_by'
            ELSE name
        END, fact
    ), '{}')
    FROM jsonb_each(status) AS facts (name, fact)
)
"""


class Migration(migrations.Migration):
    dependencies = [("inference", "0006_registration")]

    operations = [
        migrations.RenameField("modelendpoint", "forced", "breaker_override"),
        # Gateways of the version before read it while they are replaced. The next version drops it.
        migrations.RunSQL(
            "ALTER TABLE inference_modelendpoint ADD COLUMN forced varchar(10) "
            "GENERATED ALWAYS AS (breaker_override) STORED",
            "ALTER TABLE inference_modelendpoint DROP COLUMN forced",
        ),
        migrations.RenameField("poolsample", "least", "min_replicas"),
        migrations.RenameField("poolsample", "most", "max_replicas"),
        migrations.RenameField("scalingstate", "memory", "history"),
        migrations.RenameField("scalingstate", "shown", "status"),
        migrations.RenameField("scalingdecision", "held_by", "limited_by"),
        migrations.RenameField("scalingdecision", "formulas", "signal_results"),
        migrations.AlterField(
            model_name='modelendpoint',
            name='breaker_override',
            field=models.CharField(blank=True, choices=[('', 'automatic'), ('open', 'open: gets no requests'), ('closed', 'closed: gets requests even if they fail')], max_length=10, verbose_name='breaker'),
        ),
        migrations.AlterField(
            model_name='modelendpoint',
            name='capabilities',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), blank=True, default=list, help_text='For example tools or vision, separated by commas.', size=20),
        ),
        migrations.AlterField(
            model_name='modelendpoint',
            name='machine',
            field=models.CharField(blank=True, editable=False, help_text='The machine from which it registered.', max_length=100),
        ),
        migrations.AlterField(
            model_name='modelendpoint',
            name='max_concurrency',
            field=models.PositiveIntegerField(default=1000, help_text='Maximum number of requests that run here at the same time.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100000)]),
        ),
        migrations.AlterField(
            model_name='modelendpoint',
            name='probe_note',
            field=models.CharField(blank=True, editable=False, help_text='Result of the last probe.', max_length=200),
        ),
        migrations.AlterField(
            model_name='modelendpoint',
            name='probe_streak',
            field=models.SmallIntegerField(default=0, editable=False, help_text='Successful probes in a row; failed ones are negative.'),
        ),
        migrations.AlterField(
            model_name='modelendpoint',
            name='registered',
            field=models.BooleanField(default=False, editable=False, help_text='Registered itself, and expires without heartbeats.'),
        ),
        migrations.AlterField(
            model_name='modelendpoint',
            name='weight',
            field=models.PositiveSmallIntegerField(default=1, help_text='Share of the requests, for the weighted strategies.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)]),
        ),
        migrations.AlterField(
            model_name='modelendpoint',
            name='zone',
            field=models.CharField(blank=True, help_text='Name of the location. It has no effect on routing.', max_length=50),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='completion_probe_seconds',
            field=models.FloatField(blank=True, help_text='Seconds between two probes that request one token. Empty: no such probes.', null=True, validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(3600)]),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='eject_after',
            field=models.PositiveSmallIntegerField(default=5, help_text='Failed requests in a row after which an endpoint is ejected.', validators=[django.core.validators.MinValueValidator(1)]),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='eject_seconds',
            field=models.FloatField(default=30, help_text='Seconds of an ejection, multiplied by the number of recent ejections.', validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(3600)]),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='engine_networks',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50, validators=[inference.models.pool.validate_network]), blank=True, default=list, help_text='Networks from which engines may register, separated by commas; engines then register by address, not by name. Empty: all networks that are not public.', size=None),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='hedge_after',
            field=models.FloatField(blank=True, help_text='Seconds without a token until the request is also sent to another endpoint. Empty: never.', null=True, validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(3600)]),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='max_in_flight',
            field=models.PositiveIntegerField(blank=True, help_text='Maximum number of requests that run in the pool. Empty: the sum of its endpoints.', null=True, validators=[django.core.validators.MinValueValidator(1)]),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='max_registered_endpoints',
            field=models.PositiveSmallIntegerField(default=64, help_text='Maximum number of engines that are registered with the join tokens of the pool.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000)]),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='probe_fall',
            field=models.PositiveSmallIntegerField(default=3, help_text='Failed probes in a row after which an endpoint is unhealthy.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)]),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='probe_path',
            field=models.CharField(choices=[('/health', '/health: vLLM, llama.cpp and most others'), ('/healthz', '/healthz'), ('/ready', '/ready'), ('/readyz', '/readyz'), ('/ping', '/ping'), ('/v1/models', '/v1/models: for engines without a health path')], default='/health', help_text='The path that health probes request.', max_length=100),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='probe_rise',
            field=models.PositiveSmallIntegerField(default=2, help_text='Successful probes in a row after which an endpoint is ready again.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)]),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='probe_seconds',
            field=models.FloatField(default=10, help_text='Seconds between two probes of an endpoint.', validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(3600)]),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='queue_length',
            field=models.PositiveIntegerField(default=200, help_text='Maximum number of requests that wait for a free endpoint. 0: none.', validators=[django.core.validators.MaxValueValidator(100000)]),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='queue_seconds',
            field=models.FloatField(default=30, help_text='Seconds that a request may wait before it is refused.', validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(3600)]),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='sends_priority',
            field=models.BooleanField(default=False, help_text="Send vLLM's priority with each request, for engines that run with --scheduling-policy priority."),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='slow_start_seconds',
            field=models.FloatField(default=0, help_text='Seconds until a new endpoint gets its full share of requests. 0: at once.', validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(3600)]),
        ),
        migrations.AlterField(
            model_name='modelpool',
            name='strategy',
            field=models.CharField(choices=[('least_requests', 'Least requests'), ('round_robin', 'Round robin'), ('weighted_round_robin', 'Weighted round robin'), ('random', 'Random'), ('two_choices', 'Power of two choices'), ('weighted_least_requests', 'Weighted least requests'), ('lowest_latency', 'Lowest latency (time to first token)'), ('consistent_hash', 'Consistent hash (of the conversation or the API key)'), ('prefix_affinity', 'Prefix affinity (long prompts go to the endpoint that cached them)'), ('queue_aware', 'Queue length and KV cache usage, as the engines report them')], default='least_requests', max_length=30),
        ),
        migrations.AlterField(
            model_name='modelroute',
            name='context_length',
            field=models.PositiveIntegerField(default=8192, help_text='Maximum tokens of the prompt and the completion together.', validators=[django.core.validators.MinValueValidator(1)]),
        ),
        migrations.AlterField(
            model_name='modelroute',
            name='pool_weight',
            field=models.PositiveSmallIntegerField(default=1, help_text='Relative to the weights of the pools that share its requests.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)], verbose_name="weight of the route's own pool"),
        ),
        migrations.AlterField(
            model_name='poolsample',
            name='at',
            field=models.DateTimeField(help_text='Start of the interval.'),
        ),
        migrations.AlterField(
            model_name='poolsample',
            name='replicas',
            field=models.FloatField(help_text='Replicas, including those that are starting.'),
        ),
        migrations.AlterField(
            model_name='routetarget',
            name='order',
            field=models.PositiveSmallIntegerField(default=0, help_text='For a fallback: the lowest is tried first.'),
        ),
        migrations.AlterField(
            model_name='routetarget',
            name='role',
            field=models.CharField(choices=[('share', 'Share: gets a share of the requests'), ('fallback', 'Fallback: gets requests that no other pool can serve')], default='fallback', max_length=10),
        ),
        migrations.AlterField(
            model_name='routetarget',
            name='weight',
            field=models.PositiveSmallIntegerField(default=1, help_text="For a share: its weight, relative to the route's own pool and the other shares.", validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)]),
        ),
        migrations.AlterField(
            model_name='scalingdecision',
            name='desired',
            field=models.PositiveIntegerField(help_text='Replicas after windows, limits and bounds.'),
        ),
        migrations.AlterField(
            model_name='scalingdecision',
            name='note',
            field=models.CharField(blank=True, help_text='Message of the actuator.', max_length=300),
        ),
        migrations.AlterField(
            model_name='scalingdecision',
            name='outcome',
            field=models.CharField(choices=[('unchanged', 'nothing to change'), ('recommended', 'recommended'), ('pending', 'in progress'), ('applied', 'applied'), ('failed', 'failed')], max_length=12),
        ),
        migrations.AlterField(
            model_name='scalingdecision',
            name='proposed',
            field=models.PositiveIntegerField(help_text='Replicas by the signals alone.'),
        ),
        migrations.AlterField(
            model_name='scalingdecision',
            name='replicas',
            field=models.PositiveIntegerField(help_text='Replicas at the time of the decision.'),
        ),
        migrations.AlterField(
            model_name='scalingpolicy',
            name='actuator',
            field=models.CharField(choices=[('none', 'none: people follow the recommendations'), ('process', 'process: engines on one machine'), ('kubernetes', 'Kubernetes: the scale of a Deployment, StatefulSet or similar resource'), ('hpa', "HPA: Kubernetes' autoscaler applies this policy")], default='none', max_length=12),
        ),
        migrations.AlterField(
            model_name='scalingpolicy',
            name='algorithm',
            field=models.CharField(choices=[('target_tracking', 'Target tracking: keeps each signal at its target per replica'), ('thresholds', 'Thresholds: scale out if any signal is above, scale in if all are below'), ('step', 'Doubling: double if any signal is above, halve if all are below')], default='target_tracking', max_length=20),
        ),
        migrations.AlterField(
            model_name='scalingpolicy',
            name='down_select',
            field=models.CharField(choices=[('max', 'the limit that allows the largest change'), ('min', 'the limit that allows the smallest change'), ('disabled', 'none: no change in this direction')], default='max', max_length=10),
        ),
        migrations.AlterField(
            model_name='scalingpolicy',
            name='idle_seconds',
            field=models.PositiveIntegerField(blank=True, help_text='Seconds without a request after which the pool scales to zero. Empty: never.', null=True, validators=[django.core.validators.MinValueValidator(60), django.core.validators.MaxValueValidator(604800)]),
        ),
        migrations.AlterField(
            model_name='scalingpolicy',
            name='mode',
            field=models.CharField(choices=[('off', 'off: only records samples of the pool'), ('recommend', 'recommend: shows how many replicas there should be'), ('apply', 'apply: starts and stops replicas')], default='recommend', max_length=10),
        ),
        migrations.AlterField(
            model_name='scalingpolicy',
            name='replica_cost',
            field=models.FloatField(default=0, help_text='Cost of a replica per hour, for rehearsals.', validators=[django.core.validators.MinValueValidator(0)]),
        ),
        migrations.AlterField(
            model_name='scalingpolicy',
            name='step_replicas',
            field=models.PositiveIntegerField(default=1, help_text='Replicas that a threshold adds or removes.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)]),
        ),
        migrations.AlterField(
            model_name='scalingpolicy',
            name='tolerance',
            field=models.FloatField(default=0.1, help_text='Relative difference between a signal and its target that causes no change.', validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(0.9)]),
        ),
        migrations.AlterField(
            model_name='scalingpolicy',
            name='up_select',
            field=models.CharField(choices=[('max', 'the limit that allows the largest change'), ('min', 'the limit that allows the smallest change'), ('disabled', 'none: no change in this direction')], default='max', max_length=10),
        ),
        migrations.AlterField(
            model_name='scalingschedule',
            name='ends',
            field=models.TimeField(help_text='A time at or before the start is on the next day.'),
        ),
        migrations.AlterField(
            model_name='scalingschedule',
            name='weekdays',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(validators=[django.core.validators.MaxValueValidator(6)]), help_text='Days on which the schedule starts; 0 is Monday.', size=7),
        ),
        migrations.AlterField(
            model_name='scalingschedule',
            name='zone',
            field=models.CharField(default='UTC', help_text='Time zone, for example Europe/Berlin.', max_length=60),
        ),
        migrations.AlterField(
            model_name='scalingsignal',
            name='down',
            field=models.FloatField(blank=True, help_text='For the other algorithms: scale in below this value.', null=True),
        ),
        migrations.AlterField(
            model_name='scalingsignal',
            name='query',
            field=models.CharField(blank=True, help_text='PromQL for CPU, memory and GPU. It returns one number.', max_length=1000),
        ),
        migrations.AlterField(
            model_name='scalingsignal',
            name='target',
            field=models.FloatField(blank=True, help_text='For target tracking: the value per replica.', null=True),
        ),
        migrations.AlterField(
            model_name='scalingsignal',
            name='up',
            field=models.FloatField(blank=True, help_text='For the other algorithms: scale out above this value.', null=True),
        ),
        migrations.RunSQL(DECISIONS, migrations.RunSQL.noop),
        migrations.RunSQL(STATES, migrations.RunSQL.noop),
    ]
