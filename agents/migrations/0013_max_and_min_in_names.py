"""Thresholds of rollouts get names with bounds and units; labels use the words of the field.

Gateways of the version before read rollouts by the old columns while they are replaced one after
the other, so these stay readable as generated columns. The next version drops them.
"""

import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models

import agents.models.agent
import kernel.secrets

RENAMED = (
    ("least_runs", "min_runs", "integer"),
    ("most_errors", "max_error_rate_increase_points", "smallint"),
    ("most_latency", "max_latency_increase_percent", "smallint"),
)


def renames():
    for old, new, kind in RENAMED:
        yield migrations.RenameField("rollout", old, new)
        yield migrations.RunSQL(
            f"ALTER TABLE agents_rollout ADD COLUMN {old} {kind} "
            f"GENERATED ALWAYS AS ({new}) STORED",
            f"ALTER TABLE agents_rollout DROP COLUMN {old}",
        )


class Migration(migrations.Migration):
    dependencies = [("agents", "0012_indexes_of_large_lists")]

    operations = [
        *renames(),
        migrations.AlterField(
            model_name="agent",
            name="busy_policy",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "default: reject over HTTP, enqueue over WebSocket"),
                    ("reject", "reject the new run"),
                    ("enqueue", "enqueue the new run"),
                    ("interrupt", "cancel the running run and keep its output"),
                    ("rollback", "cancel the running run and discard its output"),
                ],
                default="",
                help_text="What happens to a new run while another run of its conversation is in progress.",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="agent",
            name="cache_seconds",
            field=models.PositiveIntegerField(
                default=3600,
                help_text="Seconds for which a response stays in the response cache.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(2592000),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="agent",
            name="instructions",
            field=models.TextField(
                blank=True, help_text="The system message of every conversation.", max_length=100000
            ),
        ),
        migrations.AlterField(
            model_name="agent",
            name="max_run_seconds",
            field=models.PositiveIntegerField(
                default=600,
                help_text="Seconds after which a run ends as incomplete.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(86400),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="agent",
            name="max_run_tokens",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Maximum prompt and completion tokens of all model calls of a run. Empty: only quotas limit them.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="agent",
            name="max_steps",
            field=models.PositiveSmallIntegerField(
                default=8,
                help_text="Maximum number of model calls in one run.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(100),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="agent",
            name="max_tool_calls",
            field=models.PositiveSmallIntegerField(
                default=16,
                help_text="Maximum number of tool calls in one run.",
                validators=[django.core.validators.MaxValueValidator(1000)],
            ),
        ),
        migrations.AlterField(
            model_name="agent",
            name="overflow",
            field=models.CharField(
                choices=[
                    ("drop", "drop the oldest items"),
                    ("summarise", "summarize the oldest items"),
                ],
                default="drop",
                help_text="What happens to the oldest items if a conversation exceeds the context window.",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="agent",
            name="parameters",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text='Default sampling parameters as JSON, for example {"temperature": 0.2}.',
                validators=[agents.models.agent.validate_parameters],
            ),
        ),
        migrations.AlterField(
            model_name="agent",
            name="response_cache",
            field=models.CharField(
                choices=[
                    ("off", "off"),
                    ("deterministic", "requests with temperature 0"),
                    ("always", "all requests"),
                ],
                default="off",
                help_text="Which requests may be served from the response cache.",
                max_length=15,
            ),
        ),
        migrations.AlterField(
            model_name="agent",
            name="slug",
            field=models.SlugField(help_text="Clients send this as `model`."),
        ),
        migrations.AlterField(
            model_name="agent",
            name="tools",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=64),
                blank=True,
                default=list,
                help_text="Names of the tenant's tools that the model may call.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="agent",
            name="variables",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="Variables of the instructions, written as {{name}}, and the default of each.",
            ),
        ),
        migrations.AlterField(
            model_name="agentrevision",
            name="busy_policy",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "default: reject over HTTP, enqueue over WebSocket"),
                    ("reject", "reject the new run"),
                    ("enqueue", "enqueue the new run"),
                    ("interrupt", "cancel the running run and keep its output"),
                    ("rollback", "cancel the running run and discard its output"),
                ],
                default="",
                help_text="What happens to a new run while another run of its conversation is in progress.",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="agentrevision",
            name="cache_seconds",
            field=models.PositiveIntegerField(
                default=3600,
                help_text="Seconds for which a response stays in the response cache.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(2592000),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="agentrevision",
            name="instructions",
            field=models.TextField(
                blank=True, help_text="The system message of every conversation.", max_length=100000
            ),
        ),
        migrations.AlterField(
            model_name="agentrevision",
            name="max_run_seconds",
            field=models.PositiveIntegerField(
                default=600,
                help_text="Seconds after which a run ends as incomplete.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(86400),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="agentrevision",
            name="max_run_tokens",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Maximum prompt and completion tokens of all model calls of a run. Empty: only quotas limit them.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="agentrevision",
            name="max_steps",
            field=models.PositiveSmallIntegerField(
                default=8,
                help_text="Maximum number of model calls in one run.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(100),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="agentrevision",
            name="max_tool_calls",
            field=models.PositiveSmallIntegerField(
                default=16,
                help_text="Maximum number of tool calls in one run.",
                validators=[django.core.validators.MaxValueValidator(1000)],
            ),
        ),
        migrations.AlterField(
            model_name="agentrevision",
            name="overflow",
            field=models.CharField(
                choices=[
                    ("drop", "drop the oldest items"),
                    ("summarise", "summarize the oldest items"),
                ],
                default="drop",
                help_text="What happens to the oldest items if a conversation exceeds the context window.",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="agentrevision",
            name="parameters",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text='Default sampling parameters as JSON, for example {"temperature": 0.2}.',
                validators=[agents.models.agent.validate_parameters],
            ),
        ),
        migrations.AlterField(
            model_name="agentrevision",
            name="response_cache",
            field=models.CharField(
                choices=[
                    ("off", "off"),
                    ("deterministic", "requests with temperature 0"),
                    ("always", "all requests"),
                ],
                default="off",
                help_text="Which requests may be served from the response cache.",
                max_length=15,
            ),
        ),
        migrations.AlterField(
            model_name="agentrevision",
            name="tools",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=64),
                blank=True,
                default=list,
                help_text="Names of the tenant's tools that the model may call.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="agentrevision",
            name="variables",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="Variables of the instructions, written as {{name}}, and the default of each.",
            ),
        ),
        migrations.AlterField(
            model_name="conversation",
            name="agent",
            field=models.CharField(
                blank=True,
                help_text="Slug of the agent that the conversation started with.",
                max_length=50,
            ),
        ),
        migrations.AlterField(
            model_name="conversation",
            name="revision",
            field=models.PositiveIntegerField(
                help_text="Revision of that agent. A conversation keeps it during a rollout.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="erasurereceipt",
            name="counts",
            field=models.JSONField(
                default=dict, help_text="Number of erased objects of each kind."
            ),
        ),
        migrations.AlterField(
            model_name="erasurereceipt",
            name="finished_at",
            field=models.DateTimeField(
                help_text="When Redis was done. Empty while Redis may still have erased data.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="erasurereceipt",
            name="kind",
            field=models.CharField(
                choices=[
                    ("conversation", "a conversation"),
                    ("tenant", "all data of a tenant"),
                    ("retention", "data past the retention period"),
                ],
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="erasurereceipt",
            name="rest",
            field=models.JSONField(
                default=dict,
                help_text="Ids whose data Redis may still have. Emptied when Redis is done.",
            ),
        ),
        migrations.AlterField(
            model_name="erasurereceipt",
            name="target",
            field=models.CharField(
                help_text="Id of the erased conversation, or the tenant.", max_length=50
            ),
        ),
        migrations.AlterField(
            model_name="item",
            name="body",
            field=models.JSONField(
                help_text="The item in the format of Open Responses, without its id."
            ),
        ),
        migrations.AlterField(
            model_name="item",
            name="is_input",
            field=models.BooleanField(default=False, help_text="Whether the client sent the item."),
        ),
        migrations.AlterField(
            model_name="item",
            name="kind",
            field=models.CharField(
                choices=[
                    ("message", "message"),
                    ("reasoning", "reasoning"),
                    ("function_call", "tool call"),
                    ("function_call_output", "tool output"),
                    ("mcp_call", "tool call by the agent"),
                    ("tenantry:approval_request", "approval request"),
                    ("tenantry:approval_response", "approval response"),
                    ("tenantry:summary", "summary of earlier items"),
                ],
                max_length=30,
            ),
        ),
        migrations.AlterField(
            model_name="rollout",
            name="max_error_rate_increase_points",
            field=models.PositiveSmallIntegerField(
                default=5,
                help_text="The candidate is rolled back if its error rate is higher by more than this.",
                validators=[django.core.validators.MaxValueValidator(100)],
                verbose_name="maximum error rate increase (percentage points)",
            ),
        ),
        migrations.AlterField(
            model_name="rollout",
            name="max_latency_increase_percent",
            field=models.PositiveSmallIntegerField(
                default=50,
                help_text="The candidate is rolled back if the 95th percentile of its latency or of its time to first token is higher by more than this.",
                verbose_name="maximum latency increase (%)",
            ),
        ),
        migrations.AlterField(
            model_name="rollout",
            name="min_runs",
            field=models.PositiveIntegerField(
                default=50,
                help_text="Runs that each revision needs before the two are compared.",
                verbose_name="minimum runs",
            ),
        ),
        migrations.AlterField(
            model_name="rollout",
            name="share",
            field=models.PositiveSmallIntegerField(
                help_text="Percentage of conversations. A conversation keeps the revision it started with.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(99),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="rollout",
            name="state",
            field=models.CharField(
                choices=[
                    ("running", "running"),
                    ("promoted", "promoted"),
                    ("stopped", "stopped"),
                    ("rolled_back", "rolled back automatically"),
                ],
                default="running",
                editable=False,
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="run",
            name="checkpoint",
            field=models.TextField(
                blank=True,
                help_text="Checkpoint of the run as JSON. Emptied when the result is stored.",
            ),
        ),
        migrations.AlterField(
            model_name="run",
            name="client_id",
            field=models.CharField(
                blank=True,
                help_text="Idempotency key of the client: unique per conversation or API key.",
                max_length=128,
            ),
        ),
        migrations.AlterField(
            model_name="run",
            name="model",
            field=models.CharField(help_text="The `model` of the request.", max_length=200),
        ),
        migrations.AlterField(
            model_name="run",
            name="request",
            field=models.JSONField(
                default=dict, help_text="Settings of the request that the response object repeats."
            ),
        ),
        migrations.AlterField(
            model_name="run",
            name="state",
            field=models.CharField(
                choices=[
                    ("queued", "queued"),
                    ("in_progress", "in progress"),
                    ("requires_approval", "waiting for approval"),
                    ("completed", "completed"),
                    ("failed", "failed"),
                    ("incomplete", "incomplete"),
                    ("cancelled", "cancelled"),
                ],
                default="queued",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="tool",
            name="credential",
            field=kernel.secrets.EncryptedTextField(
                blank=True, default="", help_text="Sent with each call. Write-only."
            ),
        ),
        migrations.AlterField(
            model_name="tool",
            name="description",
            field=models.TextField(
                help_text="Description of the tool for the model.", max_length=4000
            ),
        ),
        migrations.AlterField(
            model_name="tool",
            name="kind",
            field=models.CharField(
                choices=[
                    ("http", "HTTP request"),
                    ("mcp", "MCP server"),
                    ("agent", "another agent"),
                    ("builtin", "built-in"),
                ],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="tool",
            name="name",
            field=models.CharField(
                max_length=64,
                validators=[
                    django.core.validators.RegexValidator(
                        "\\A[A-Za-z0-9_-]{1,64}\\Z",
                        "Use letters, digits, - and _ only: it is the function's name for the model.",
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="tool",
            name="needs_approval",
            field=models.BooleanField(
                default=False,
                help_text="Whether a person must approve each call before it is executed.",
            ),
        ),
        migrations.AlterField(
            model_name="tool",
            name="schema",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="JSON Schema of the arguments. Its type is object.",
            ),
        ),
        migrations.AlterField(
            model_name="tool",
            name="settings",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="Settings of the tool's kind: a URL, an MCP server or an agent.",
            ),
        ),
    ]
