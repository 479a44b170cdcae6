"""The errors of this context.

* Unauthenticated
  x InvalidApiKey, ExpiredApiKey, RevokedApiKey
* Denied
  x TenantSuspended, ScopeNotGranted, IpNotAllowed, RoleTooLow, KeyRestricted
* Conflict
  x SlugTaken, KeyNotActive
  x PlanInUse, LimitExists, TopUpDiffers, WindowOver, TooManyInvitations
* RateLimited
  x RequestsPerMinute, TokensPerMinute, TooManyAtOnce, QuotaExhausted, LockedOut
* Overloaded
  x KeysUnavailable    PostgreSQL is unavailable, and the key is not cached
  x LimitsUnknown      PostgreSQL is unavailable and the tenant's limits are not cached
  x LimitsUnavailable  Redis is unavailable and a quota is closed during an outage
  x CountersUnreadable Redis is unavailable, so the live counters cannot be read or set
"""

from kernel.errors import Conflict, Denied, Overloaded, RateLimited, Unauthenticated


class InvalidApiKey(Unauthenticated):
    """This is not a valid API key. Check that it was copied whole."""

    code = "invalid_api_key"


class ExpiredApiKey(Unauthenticated):
    """This API key has expired. Use a new one."""

    code = "expired_api_key"


class RevokedApiKey(Unauthenticated):
    """This API key is blocked. Use another one, or ask your administrator."""

    code = "revoked_api_key"


class TenantSuspended(Denied):
    """This tenant is suspended. Contact the operator of this service."""

    code = "tenant_suspended"


class ScopeNotGranted(Denied):
    """This API key lacks the required scope. Add the scope, or use another key."""

    code = "scope_missing"


class IpNotAllowed(Denied):
    """This API key may not be used from your address."""

    code = "ip_not_allowed"


class RoleTooLow(Denied):
    """Your role in this tenant does not allow that. Ask one of its admins."""

    code = "role_too_low"


class KeyRestricted(Denied):
    """A user with a higher role has blocked or restricted this API key. Ask them to change it."""

    code = "key_restricted"


class SlugTaken(Conflict):
    """This short name is taken. Choose another one."""

    code = "slug_taken"


class KeyNotActive(Conflict):
    """This API key is blocked or has expired, so it cannot be rotated. Create a new key."""

    code = "api_key_not_active"


class PlanInUse(Conflict):
    """Tenants are on this plan. Assign another plan to them first."""

    code = "plan_in_use"


class LimitExists(Conflict):
    """There is a limit for the same requests already. Change that one."""

    code = "limit_exists"


class TopUpDiffers(Conflict):
    """This key was used for another top-up. Use a new key for a new top-up."""

    code = "top_up_differs"


class WindowOver(Conflict):
    """This window has ended. Grant the top-up in the current window."""

    code = "window_over"


class TooManyInvitations(Conflict):
    """This tenant has too many open invitations. Withdraw those that are no longer needed."""

    code = "too_many_invitations"


class KeysUnavailable(Overloaded):
    """The API key cannot be checked right now. Try again shortly."""

    code = "keys_unavailable"


class RequestsPerMinute(RateLimited):
    """Too many requests in a short time. Wait as long as Retry-After says."""

    code = "requests_per_minute"
    sdk_code = "rate_limit_exceeded"


class TokensPerMinute(RateLimited):
    """Too many tokens in a short time. Wait as long as Retry-After says."""

    code = "tokens_per_minute"
    sdk_code = "rate_limit_exceeded"


class TooManyAtOnce(RateLimited):
    """Too many requests at the same time. Wait until one of them has ended."""

    code = "concurrency"
    sdk_code = "rate_limit_exceeded"


class QuotaExhausted(RateLimited):
    """The quota is used up. Wait as long as Retry-After says, or request a higher quota."""

    code = "quota_exhausted"
    sdk_code = "insufficient_quota"
    kind = "insufficient_quota"

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [*super().headers(), (b"x-should-retry", b"false")]


class LockedOut(RateLimited):
    """Too many wrong passwords for this name from your address. Wait until Retry-After ends."""

    code = "locked_out"


class LimitsUnknown(Overloaded):
    """The limits of this tenant cannot be read right now. Try again shortly."""

    code = "limits_unknown"


class LimitsUnavailable(Overloaded):
    """The limits cannot be checked right now. Try again shortly."""

    code = "limits_unavailable"


class CountersUnreadable(Overloaded):
    """The live counters cannot be read right now. The ledger is not affected."""

    code = "counters_unreadable"
