"""What can go wrong in this context.

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
  x KeysUnavailable    PostgreSQL is away and the key is not known here yet
  x LimitsUnknown      PostgreSQL is away and the tenant's limits are not known here yet
  x LimitsUnavailable  Redis is away and a quota says that nothing runs without it
  x CountersUnreadable Redis is away, so a page or a job cannot see or set the live counters
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
    """This API key may not be used for that. Use a key with the scope, or have it added."""

    code = "scope_missing"


class IpNotAllowed(Denied):
    """This API key may not be used from your address."""

    code = "ip_not_allowed"


class RoleTooLow(Denied):
    """Your role in this tenant does not allow that. Ask one of its admins."""

    code = "role_too_low"


class KeyRestricted(Denied):
    """Somebody with a higher role has blocked or limited this API key. Ask them to change it."""

    code = "key_restricted"


class SlugTaken(Conflict):
    """This short name is taken. Choose another one."""

    code = "slug_taken"


class KeyNotActive(Conflict):
    """This API key is blocked or has expired, so nothing can take its place. Make a new key."""

    code = "api_key_not_active"


class PlanInUse(Conflict):
    """Tenants are on this plan. Give them another one first."""

    code = "plan_in_use"


class LimitExists(Conflict):
    """There is a limit for the same requests already. Change that one."""

    code = "limit_exists"


class TopUpDiffers(Conflict):
    """Under this key something else was granted before. Use a new key for a new top-up."""

    code = "top_up_differs"


class WindowOver(Conflict):
    """This window is over. Grant the top-up in the one that runs now."""

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
    """The quota is used up. It resets when Retry-After says; or have it raised."""

    code = "quota_exhausted"
    sdk_code = "insufficient_quota"
    kind = "insufficient_quota"

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [*super().headers(), (b"x-should-retry", b"false")]


class LockedOut(RateLimited):
    """Too many wrong passwords for this name from your address. Wait until Retry-After."""

    code = "locked_out"


class LimitsUnknown(Overloaded):
    """The limits of this tenant cannot be read right now. Try again shortly."""

    code = "limits_unknown"


class LimitsUnavailable(Overloaded):
    """The limits cannot be checked right now. Try again shortly."""

    code = "limits_unavailable"


class CountersUnreadable(Overloaded):
    """The live counters cannot be read right now. What is in the ledger is not affected."""

    code = "counters_unreadable"
