"""The fixed words of this context, as the tables store them."""

from django.db import models


class BusyPolicy(models.TextChoices):
    """What happens to a new run of a conversation in which one is running."""

    DOOR = "", "as the door does: sockets enqueue, REST refuses"
    REJECT = "reject", "refuse it"
    ENQUEUE = "enqueue", "let it wait for its turn"
    INTERRUPT = "interrupt", "cancel the running one, keep what it said"
    ROLLBACK = "rollback", "cancel the running one, forget what it said"


class ResponseCache(models.TextChoices):
    """Whether a question that was answered before may get the same answer."""

    OFF = "off", "off"
    DETERMINISTIC = "deterministic", "where the temperature is 0"
    ALWAYS = "always", "always: this agent is declared safe for it"


class Overflow(models.TextChoices):
    """What becomes of a conversation's beginning when it does not fit the context any more."""

    DROP = "drop", "leave it out"
    SUMMARISE = "summarise", "let the model sum it up"


class RunState(models.TextChoices):
    """Of a run. The last four are terminal: nothing follows them."""

    QUEUED = "queued", "queued"
    IN_PROGRESS = "in_progress", "in progress"
    REQUIRES_APPROVAL = "requires_approval", "waits for an approval"
    COMPLETED = "completed", "completed"
    FAILED = "failed", "failed"
    INCOMPLETE = "incomplete", "incomplete"
    CANCELLED = "cancelled", "cancelled"


TERMINAL = (RunState.COMPLETED, RunState.FAILED, RunState.INCOMPLETE, RunState.CANCELLED)
ACTIVE = (RunState.QUEUED, RunState.IN_PROGRESS, RunState.REQUIRES_APPROVAL)


class ItemKind(models.TextChoices):
    """Of an item of a conversation, as Open Responses calls it."""

    MESSAGE = "message", "message"
    REASONING = "reasoning", "reasoning"
    FUNCTION_CALL = "function_call", "tool call"
    FUNCTION_CALL_OUTPUT = "function_call_output", "tool result"
    MCP_CALL = "mcp_call", "tool call of the agent"
    APPROVAL_REQUEST = "tenantry:approval_request", "approval asked for"
    APPROVAL_RESPONSE = "tenantry:approval_response", "approval given or refused"
    SUMMARY = "tenantry:summary", "summary of what came before"


class ToolKind(models.TextChoices):
    """How a tool is carried out; each has a folder under `runtime/tools`."""

    HTTP = "http", "HTTP request"
    MCP = "mcp", "MCP server"
    AGENT = "agent", "another agent"
    BUILTIN = "builtin", "built in"


class ApprovalState(models.TextChoices):
    """Of a tool call that a person must allow."""

    PENDING = "pending", "pending"
    APPROVED = "approved", "approved"
    DENIED = "denied", "denied"
    EXPIRED = "expired", "expired"


class RolloutState(models.TextChoices):
    """Of a revision that serves a share of conversations."""

    RUNNING = "running", "running"
    PROMOTED = "promoted", "promoted: it serves all"
    STOPPED = "stopped", "stopped by an operator"
    ROLLED_BACK = "rolled_back", "rolled back by itself"


class ErasureKind(models.TextChoices):
    """What was asked to be erased."""

    CONVERSATION = "conversation", "a conversation"
    TENANT = "tenant", "everything of a tenant"
    RETENTION = "retention", "what was older than the tenant keeps"
