"""What can go wrong in this context.

* Conflict
  x AgentSlugTaken, NothingToPublish
  x NotPublished, RolloutRunning, NoRollout, RevisionServed
* Rejected
  x UnknownTools
  x UnknownFrame, FrameTooLarge, BinaryFrame
* Denied
  x OriginNotAllowed
* Unauthenticated
  x InvalidTicket, AuthenticationTimeout
* RateLimited
  x TooManyRuns
* Overloaded
  x AgentsUnavailable   PostgreSQL is away and the tenant's agents are not known here yet
"""

from kernel.errors import (
    Conflict,
    Denied,
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


class OriginNotAllowed(Denied):
    """Sockets may not be opened from this site. Ask the operator to allow its origin."""

    code = "origin_not_allowed"


class InvalidTicket(Unauthenticated):
    """This ticket is not valid, or was used already. Get a new one for every socket."""

    code = "invalid_ticket"


class AuthenticationTimeout(Unauthenticated):
    """No authentication came in time. Send it in the first frame."""

    code = "authentication_timeout"


class TooManyRuns(RateLimited):
    """Too many responses wait on this socket. Let one finish first."""

    code = "too_many_runs"


class AgentsUnavailable(Overloaded):
    """The agents of this tenant cannot be read right now. Try again shortly."""

    code = "agents_unavailable"
