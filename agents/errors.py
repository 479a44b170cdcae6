"""The errors of this context.

* Conflict
  x AgentSlugTaken, NothingToPublish, ApprovalResolved
  x RunIsActive, ConversationBusy, IdempotencyMismatch
  x NotResumable        the event log has expired, and a run is never executed twice
  x NotPublished, RolloutRunning, NoRollout, RevisionServed
  x NodeNameTaken, NodeVersionMismatch, NodeIsAlive, GatewayNotDrainable
  x AgentPaused, ScheduleNameTaken, RemoteAgentNameTaken
  x HopLimit            messages between agents have led to too many others
  x DeliveryNotDead
  x ToolOutcomeUnknown  a call that must not be repeated was lost with its worker
* Rejected
  x UnknownTools, InvalidAgentCard
  x UnknownFrame, FrameTooLarge, BinaryFrame
  x SocketTooOld
  x InvalidNode
  x InvalidCron, CronNeverFires, TooManySchedules
  x TooManyReceivers
* Denied
  x OriginNotAllowed
  x NodeTokenUsedUp
* PlatformError
  x NotInstalled        501  an optional extra of the package is missing
* Unauthenticated
  x InvalidTicket, AuthenticationTimeout, InvalidNodeToken
* NotFound
  x PreviousResponseNotFound
  x NoCapableAgent      no agent of the tenant can do a task
* RateLimited
  x TooManyRuns, TooManySockets
  x QueueFull           the tenant has as many runs in the run queue as it may have
  x MessageRateLimit    the tenant has sent as many messages in a minute as it may
* UpstreamError
  x AgentReplyTimeout, ReplyFailed
* Overloaded
  x AgentsUnavailable   PostgreSQL is unavailable and the tenant's agents are not cached
  x Interrupted         the worker stops, and the run did not end in time
  x RunNotStored        PostgreSQL became unavailable during a run that was to be stored
"""

from kernel.errors import (
    Conflict,
    Denied,
    NotFound,
    Overloaded,
    PlatformError,
    RateLimited,
    Rejected,
    Unauthenticated,
    UpstreamError,
)


class NotInstalled(PlatformError):
    """This protocol is not installed here. Ask the operator to install the extra that has it."""

    code = "not_installed"
    status = 501


class AgentSlugTaken(Conflict):
    """This tenant has an agent of that name already. Choose another one."""

    code = "agent_slug_taken"


class NothingToPublish(Conflict):
    """The draft is the same as the published revision. Change it first."""

    code = "nothing_to_publish"


class ApprovalResolved(Conflict):
    """This approval has been resolved already, or its run has ended. Read it again."""

    code = "approval_resolved"


class NotPublished(Conflict):
    """This agent has no published revision. Publish it first."""

    code = "agent_not_published"


class RolloutRunning(Conflict):
    """A rollout of this agent is running. Promote or stop it first."""

    code = "rollout_running"


class NoRollout(Conflict):
    """No rollout of this agent is running."""

    code = "no_rollout"


class RevisionServed(Conflict):
    """This revision is published already. Choose another one to roll out."""

    code = "revision_served"


class InvalidNodeToken(Unauthenticated):
    """This node token is not valid, or is blocked. Create one on the console's page Node tokens."""

    code = "invalid_node_token"


class NodeTokenUsedUp(Denied):
    """This node token has had its maximum number of registrations. Create another one."""

    code = "node_token_used_up"


class InvalidNode(Rejected):
    """A fact that this node announced is not allowed. Correct the option, and start it again."""

    code = "invalid_node"


class NodeNameTaken(Conflict):
    """Another process is registered under this name and alive. Choose another name."""

    code = "node_name_taken"


class NodeVersionMismatch(Conflict):
    """This node is of another version than the database. Start it from the console's version."""

    code = "node_version_mismatch"


class NodeIsAlive(Conflict):
    """Only a node that is down can be removed. Drain this one and stop its process first."""

    code = "node_is_alive"


class GatewayNotDrainable(Conflict):
    """Gateways are not drained from here. Stop the process: it finishes its requests first."""

    code = "gateway_not_drainable"


class AgentPaused(Conflict):
    """This agent is paused. Send the request to another one, or wait until it is resumed."""

    code = "agent_paused"


class ScheduleNameTaken(Conflict):
    """This tenant has a schedule of that name already. Choose another one."""

    code = "schedule_name_taken"


class InvalidCron(Rejected):
    """This is not a cron expression. Write five fields: minute, hour, day, month, day of the week.

    A schedule runs once a minute at most: there is no field for seconds.
    """

    code = "invalid_cron"


class CronNeverFires(Rejected):
    """There is no such day, so the schedule would never run. Check day of the month and month."""

    code = "cron_never_fires"


class TooManySchedules(Rejected):
    """This tenant has the maximum number of schedules. Delete one that is not used any more."""

    code = "too_many_schedules"


class UnknownTools(Rejected):
    """The agent names tools that this tenant does not have."""

    code = "unknown_tools"


class UnknownFrame(Rejected):
    """This type of frame is not supported. See the socket protocol for the supported types."""

    code = "unknown_frame"


class FrameTooLarge(Rejected):
    """This frame is larger than allowed. Send less."""

    code = "frame_too_large"
    status = 413


class BinaryFrame(Rejected):
    """Binary frames are not supported. Send JSON as text."""

    code = "binary_frame"


class SocketTooOld(Rejected):
    """This socket is an hour old and closes. Open a new one and resume its responses."""

    code = "websocket_connection_limit_reached"


class PreviousResponseNotFound(NotFound):
    """There is no such previous response here. Send the earlier items as input."""

    code = "previous_response_not_found"


class NoCapableAgent(NotFound):
    """No agent can do this task. Require fewer capabilities, or give an agent the missing ones."""

    code = "no_capable_agent"


class OriginNotAllowed(Denied):
    """Sockets may not be opened from this site. Ask the operator to allow its origin."""

    code = "origin_not_allowed"


class InvalidTicket(Unauthenticated):
    """This ticket is not valid or has been used. Get a new one for every socket."""

    code = "invalid_ticket"


class AuthenticationTimeout(Unauthenticated):
    """Authentication timed out. Send the `auth` frame first."""

    code = "authentication_timeout"


class TooManySockets(RateLimited):
    """Too many sockets of this tenant are open. Close one, or send more requests over each."""

    code = "too_many_sockets"


class TooManyRuns(RateLimited):
    """Too many responses are queued on this socket. Wait until one has finished."""

    code = "too_many_runs"


class QueueFull(RateLimited):
    """Too many background responses of this tenant are queued. Wait until some have finished."""

    code = "queue_full"


class HopLimit(Conflict):
    """This message follows from too many messages between agents. Answer without sending one."""

    code = "hop_limit"


class MessageRateLimit(RateLimited):
    """This tenant has sent too many messages in the last minute. Wait before you send more."""

    code = "message_rate_limit"


class TooManyReceivers(Rejected):
    """This topic has more subscribers than a message may have receivers. Use several topics."""

    code = "too_many_receivers"


class AgentReplyTimeout(UpstreamError):
    """The agent has not answered in time. The message is still delivered: read it later."""

    code = "reply_timeout"
    status = 504


class ReplyFailed(UpstreamError):
    """The agent could not answer this message. Its delivery has the error."""

    code = "reply_failed"


class DeliveryNotDead(Conflict):
    """Only dead letters can be replayed. Read the delivery again."""

    code = "delivery_not_dead"


class AgentsUnavailable(Overloaded):
    """The agents of this tenant cannot be read right now. Try again shortly."""

    code = "agents_unavailable"


class RunIsActive(Conflict):
    """This response is in progress. Cancel it first, or wait for its end."""

    code = "run_is_active"


class ConversationBusy(Conflict):
    """Another response of this conversation is in progress. Join it, or wait for its end."""

    code = "conversation_busy"


class IdempotencyMismatch(Conflict):
    """This `client_id` was used for another request. Choose a new one for every request."""

    code = "idempotency_mismatch"


class NotResumable(Conflict):
    """The events of this response have expired, and a response is never executed twice."""

    code = "not_resumable"


class Interrupted(Overloaded):
    """The gateway stopped before this response was complete. Send the request again."""

    code = "interrupted"


class ToolOutcomeUnknown(Conflict):
    """The node that executed an approved tool call has failed, and whether the call took effect is
    unknown. It was not repeated. Check its effect, and send the request again.
    """

    code = "tool_outcome_unknown"


class RunNotStored(Overloaded):
    """The response could not be stored. Send the request again."""

    code = "run_not_kept"


class InvalidAgentCard(Rejected):
    """The agent card cannot be used. Check its address, or ask the owner of the agent."""

    code = "invalid_agent_card"


class RemoteAgentNameTaken(Conflict):
    """This tenant has a remote agent of that name already. Choose another one."""

    code = "remote_agent_name_taken"
