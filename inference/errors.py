"""The error tree of this context.

* NotFound
  x ModelNotFound
* Unauthenticated
  x InvalidJoinToken
* Rejected
  x AddressNotAllowed, ModelMismatch, TargetNotAllowed, ContextLengthExceeded, PolicyRefused
* Conflict
  x NameTaken, AddressTaken, HostTaken, ConfirmationNeeded, PoolFull
* UpstreamError              502
  x UpstreamTimeout          504
  x UpstreamBroken           502  the stream or body was incomplete or invalid
  x ActuatorFailed           502  the replicas of a pool could not be read or changed
* Overloaded
  x NoEndpointAvailable
  x Starting                   the pool is scaled to zero or starting
  x UpstreamRateLimited    429  the rate limit of the engine itself is reached
  x FleetUnreadable          Redis is unavailable, so the live state cannot be read
"""

from kernel.errors import (
    Conflict,
    NotFound,
    Overloaded,
    Rejected,
    Unauthenticated,
    UpstreamError,
)


class ModelNotFound(NotFound):
    """There is no such model, or this key may not use it. `GET /v1/models` lists what it may."""

    code = "model_not_found"


class InvalidJoinToken(Unauthenticated):
    """This join token is not valid for this pool. Make a new one on the pool's page."""

    code = "invalid_join_token"


class AddressNotAllowed(Rejected):
    """This address may not be an endpoint."""

    code = "address_not_allowed"


class ModelMismatch(Rejected):
    """The engine serves another model than the route."""

    code = "model_mismatch"


class TargetNotAllowed(Rejected):
    """This pool cannot serve this route."""

    code = "target_not_allowed"


class ContextLengthExceeded(Rejected):
    """The input is longer than the model's context. Shorten it or ask for fewer tokens."""

    code = "context_length_exceeded"


class PolicyRefused(Rejected):
    """This scaling policy is invalid."""

    code = "scaling_policy_refused"


class ConfirmationNeeded(Conflict):
    """This removes replicas at once. Confirm the change."""

    code = "confirmation_needed"


class NameTaken(Conflict):
    """This name is taken. Choose another one."""

    code = "name_taken"


class AddressTaken(Conflict):
    """Another engine is registered at this address. Give this one an address of its own."""

    code = "address_taken"


class HostTaken(Conflict):
    """Another machine runs the replicas of this pool. Use another pool for this machine."""

    code = "scale_host_taken"


class UpstreamTimeout(UpstreamError):
    """The model did not respond in time. Try again, or send a smaller request."""

    code = "upstream_timeout"
    status = 504


class UpstreamBroken(UpstreamError):
    """The model stopped before the end of its response. Try again."""

    code = "upstream_broken"


class ActuatorFailed(UpstreamError):
    """The replicas of this pool could not be changed. They stay as they are."""

    code = "actuator_failed"


class NoEndpointAvailable(Overloaded):
    """No server of this model is available right now. Try again shortly."""

    code = "no_endpoint_available"


class UpstreamRateLimited(Overloaded):
    """The rate limit of the model's server is reached. Try again when Retry-After says."""

    code = "upstream_rate_limited"
    status = 429
    kind = "rate_limit_error"


class Starting(Overloaded):
    """No server of this model runs right now; one is being started. Try again shortly."""

    code = "starting"


class FleetUnreadable(Overloaded):
    """The state of the fleet cannot be read right now. Try again shortly."""

    code = "fleet_unreadable"


class PoolFull(Conflict):
    """This pool has its maximum number of registered engines. Raise the limit in its settings."""

    code = "pool_full"
