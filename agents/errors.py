"""What can go wrong in this context.

* Conflict
  x AgentSlugTaken, NothingToPublish, ApprovalResolved
  x RunIsActive, ConversationBusy, IdempotencyMismatch
  x NotResumable        the event log is gone, and a run is never made twice
  x NotPublished, RolloutRunning, NoRollout, RevisionServed
* Rejected
  x UnknownTools
  x UnknownFrame, FrameTooLarge, BinaryFrame
  x SocketTooOld
* Denied
  x OriginNotAllowed
* Unauthenticated
  x InvalidTicket, AuthenticationTimeout
* NotFound
  x PreviousResponseNotFound
* RateLimited
  x TooManyRuns, TooManySockets
* Overloaded
  x AgentsUnavailable   PostgreSQL is away and the tenant's agents are not known here yet
  x Interrupted         the worker stops, and the run did not end in time
  x RunNotKept          PostgreSQL went away in the middle of a run that was to be stored
"""

from kernel.errors import (
    Conflict,
    Denied,
    NotFound,
    Overloaded,
    RateLimited,
    Rejected,
    Unauthenticated,
)


class AgentSlugTaken(Conflict):
    """This tenant has an agent of that name already. Choose another one."""

    code = "agent_slug_taken"


class NothingToPublish(Conflict):
    """The draft is the same as the published revision. Change it first."""

    code = "nothing_to_publish"


class ApprovalResolved(Conflict):
    """Somebody has decided this already, or its run has ended. Read it again."""

    code = "approval_resolved"


class NotPublished(Conflict):
    """This agent serves nothing yet. Publish it first."""

    code = "agent_not_published"


class RolloutRunning(Conflict):
    """A rollout of this agent is running. Promote or stop it first."""

    code = "rollout_running"


class NoRollout(Conflict):
    """No rollout of this agent is running."""

    code = "no_rollout"


class RevisionServed(Conflict):
    """This revision serves everybody already. Choose another one to roll out."""

    code = "revision_served"


class UnknownTools(Rejected):
    """The agent names tools that this tenant does not have."""

    code = "unknown_tools"


class UnknownFrame(Rejected):
    """This frame's type is not known. See the socket protocol for those that are."""

    code = "unknown_frame"


class FrameTooLarge(Rejected):
    """This frame is larger than allowed. Send less."""

    code = "frame_too_large"
    status = 413


class BinaryFrame(Rejected):
    """Binary frames are not understood here. Send JSON as text."""

    code = "binary_frame"


class SocketTooOld(Rejected):
    """This socket is an hour old and ends. Open a new one; responses go on, and can be resumed."""

    code = "websocket_connection_limit_reached"


class PreviousResponseNotFound(NotFound):
    """There is no such previous response here. Send what was said before as input."""

    code = "previous_response_not_found"


class OriginNotAllowed(Denied):
    """Sockets may not be opened from this site. Ask the operator to allow its origin."""

    code = "origin_not_allowed"


class InvalidTicket(Unauthenticated):
    """This ticket is not valid, or was used already. Get a new one for every socket."""

    code = "invalid_ticket"


class AuthenticationTimeout(Unauthenticated):
    """No authentication came in time. Send it in the first frame."""

    code = "authentication_timeout"


class TooManySockets(RateLimited):
    """Too many sockets of this tenant are open here. Close one, or send more over each."""

    code = "too_many_sockets"


class TooManyRuns(RateLimited):
    """Too many responses wait on this socket. Let one finish first."""

    code = "too_many_runs"


class AgentsUnavailable(Overloaded):
    """The agents of this tenant cannot be read right now. Try again shortly."""

    code = "agents_unavailable"


class RunIsActive(Conflict):
    """This response is still being made. Cancel it first, or wait for its end."""

    code = "run_is_active"


class ConversationBusy(Conflict):
    """Another response of this conversation is being made. Join it, or wait for its end."""

    code = "conversation_busy"


class IdempotencyMismatch(Conflict):
    """This `client_id` was used for another request. Choose a new one for every request."""

    code = "idempotency_mismatch"


class NotResumable(Conflict):
    """The events of this response are not kept any more, and it is never made a second time."""

    code = "not_resumable"


class Interrupted(Overloaded):
    """The gateway had to stop before this response was done. Ask again."""

    code = "interrupted"


class RunNotKept(Overloaded):
    """The response was to be stored and could not be. Ask again."""

    code = "run_not_kept"
