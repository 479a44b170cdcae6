"""The choices of this context's fields: the stored value and the label of each."""

from django.db import models


class BusyPolicy(models.TextChoices):
    """The handling of a new run while another run of its conversation is in progress."""

    DEFAULT = "", "default: reject over HTTP, enqueue over WebSocket"
    REJECT = "reject", "reject the new run"
    ENQUEUE = "enqueue", "enqueue the new run"
    INTERRUPT = "interrupt", "cancel the running run and keep its output"
    ROLLBACK = "rollback", "cancel the running run and discard its output"


class ResponseCacheMode(models.TextChoices):
    """The requests of an agent that may be served from the response cache."""

    OFF = "off", "off"
    DETERMINISTIC = "deterministic", "requests with temperature 0"
    ALWAYS = "always", "all requests"


class Overflow(models.TextChoices):
    """The handling of the oldest items when a conversation exceeds the context window."""

    DROP = "drop", "drop the oldest items"
    SUMMARISE = "summarise", "summarize the oldest items"


class RunState(models.TextChoices):
    """The state of a run. The last four are terminal: a run never leaves them."""

    QUEUED = "queued", "queued"
    IN_PROGRESS = "in_progress", "in progress"
    REQUIRES_APPROVAL = "requires_approval", "waiting for approval"
    COMPLETED = "completed", "completed"
    FAILED = "failed", "failed"
    INCOMPLETE = "incomplete", "incomplete"
    CANCELLED = "cancelled", "cancelled"


TERMINAL = (RunState.COMPLETED, RunState.FAILED, RunState.INCOMPLETE, RunState.CANCELLED)
ACTIVE = (RunState.QUEUED, RunState.IN_PROGRESS, RunState.REQUIRES_APPROVAL)


class ItemKind(models.TextChoices):
    """The `type` of a conversation's item, as in Open Responses."""

    MESSAGE = "message", "message"
    REASONING = "reasoning", "reasoning"
    FUNCTION_CALL = "function_call", "tool call"
    FUNCTION_CALL_OUTPUT = "function_call_output", "tool output"
    MCP_CALL = "mcp_call", "tool call by the agent"
    APPROVAL_REQUEST = "tenantry:approval_request", "approval request"
    APPROVAL_RESPONSE = "tenantry:approval_response", "approval response"
    SUMMARY = "tenantry:summary", "summary of earlier items"


class ToolKind(models.TextChoices):
    """The kind of a tool; each kind has a handler in `runtime/tools`."""

    HTTP = "http", "HTTP request"
    MCP = "mcp", "MCP server"
    AGENT = "agent", "another agent"
    A2A = "a2a", "agent of others (A2A)"
    BUILTIN = "builtin", "built-in"


class ApprovalState(models.TextChoices):
    """The state of a tool call that needs approval."""

    PENDING = "pending", "pending"
    APPROVED = "approved", "approved"
    DENIED = "denied", "denied"
    EXPIRED = "expired", "expired"


class RolloutState(models.TextChoices):
    """The state of a rollout."""

    RUNNING = "running", "running"
    PROMOTED = "promoted", "promoted"
    STOPPED = "stopped", "stopped"
    ROLLED_BACK = "rolled_back", "rolled back automatically"


class ErasureKind(models.TextChoices):
    """The scope of an erasure."""

    CONVERSATION = "conversation", "a conversation"
    TENANT = "tenant", "all data of a tenant"
    RETENTION = "retention", "data past the retention period"
