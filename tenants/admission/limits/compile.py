"""Computation of the checks of one kind of request from the limits of a tenant. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from tenants.admission.limits.checks import MILLION, Checks, QuotaCheck, ScopeCheck
from tenants.admission.limits.counter_state import window_field
from tenants.admission.limits.price import Price
from tenants.admission.limits.rules import (
    QuotaRule,
    RateRule,
    Rule,
    TenantLimits,
    counter_name,
)
from tenants.windows import Window, window_at

MINUTE_US = 60 * MILLION
FOREVER = float("inf")

AnyRule = TypeVar("AnyRule", bound=Rule)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The values on which checks depend: owner, route, kind and price of a request."""

    tenant_id: int
    key_id: int
    lineage_id: int | None = None
    """Id of the first key of the chain of rotations, by which limits count; None for this key."""
    member_id: int | None
    route: str
    request_kind: str
    price: Price
    free: bool = False
    """Whether the request uses no tokens, so that only limits of requests count it."""

    def owner(self, rule: Rule) -> str | None:
        """Return the owner for which `rule` counts this caller; None if it does not apply."""
        if (rule.route and rule.route != self.route) or (
            rule.request_kind and rule.request_kind != self.request_kind
        ):
            return None
        if rule.per == "tenant":
            return "tenant"
        mine, only = self.member_id, rule.member_id
        if rule.per == "key":
            mine, only = self.lineage_id or self.key_id, rule.key_id
        return f"{rule.per}:{mine}" if mine is not None and only in {None, mine} else None


def checks_for(limits: TenantLimits, caller: Caller, *, now: float) -> Checks:
    """Return the checks of a request of `caller`. `now` is in seconds since 1970."""
    moment = datetime.fromtimestamp(now, UTC)
    rates = dict(applicable(limits.rates, caller))
    if caller.free:
        rates = {scope: without_tokens(rule) for scope, rule in rates.items()}
    quotas: dict[str, dict[str, QuotaCheck]] = {}
    for scope, rule in applicable(limits.quotas, caller):
        window = window_at(moment, rule.calendar, pinned=rule.pinned)
        check = quota_check(rule, scope, window, caller.price)
        if caller.free:
            check = without_amounts(check)
        known = quotas.setdefault(scope, {})
        # Two periods may have the same window and therefore one counter: keep the tighter check.
        known[check.field] = tighter(check, known.get(check.field))
    scopes = tuple(
        scope_check(scope, rates.get(scope), tuple(quotas.get(scope, {}).values()))
        for scope in sorted({*rates, *quotas}, key=narrowest_first)
    )
    ends = [float(check.end) for scope in scopes for check in scope.quotas]
    return Checks(
        tenant_id=caller.tenant_id,
        key_id=caller.key_id,
        scopes=scopes,
        packed=msgspec.msgpack.encode(scopes),
        valid_until=min(ends, default=FOREVER),
    )


def without_amounts(check: QuotaCheck) -> QuotaCheck:
    """Return the check of a request without tokens: quotas of tokens and cost refuse nothing.

    The check is kept, because the counters of a scope expire with its quotas.
    """
    if check.unit == "requests":
        return check
    return msgspec.structs.replace(
        check, hard=False, per_request=0, per_prompt=0, per_cached=0, per_completion=0
    )


def without_tokens(rule: RateRule) -> RateRule:
    return msgspec.structs.replace(rule, tokens_per_minute=None, token_burst=None)


def applicable(rules: Iterable[AnyRule], caller: Caller) -> list[tuple[str, AnyRule]]:
    """Return the rules that apply to the caller, with scopes; overrides replace plan rules."""
    found: dict[tuple[str, object, object], AnyRule] = {}
    for rule in rules:
        owner = caller.owner(rule)
        if owner is None:
            continue
        slot = (rule.scope(owner), *kind_of(rule))
        if slot not in found or is_override(rule):
            found[slot] = rule
    return [(slot[0], chosen) for slot, chosen in found.items()]


def tighter(check: QuotaCheck, other: QuotaCheck | None) -> QuotaCheck:
    """Return the hard check of two, else the one with the smaller limit."""
    return min(filter(None, (check, other)), key=lambda each: (not each.hard, each.limit))


def kind_of(rule: Rule) -> tuple[object, object]:
    if isinstance(rule, QuotaRule):
        return rule.unit, rule.calendar.period
    return None, None


def is_override(rule: Rule) -> bool:
    return rule.key_id is not None or rule.member_id is not None


def narrowest_first(scope: str) -> tuple[int, str]:
    kinds = ("key", "member", "tenant")
    return next(i for i, kind in enumerate(kinds) if scope.startswith(kind)), scope


def scope_check(scope: str, rule: RateRule | None, quotas: Sequence[QuotaCheck]) -> ScopeCheck:
    if rule is None:
        rule = RateRule(per="tenant", source="")
    request_us = interval(rule.requests_per_minute)
    token_us = MINUTE_US / rule.tokens_per_minute if rule.tokens_per_minute else 0.0
    request_burst = rule.request_burst or rule.requests_per_minute or 0
    token_burst = rule.token_burst or rule.tokens_per_minute or 0
    return ScopeCheck(
        scope=scope,
        request_us=request_us,
        request_burst_us=request_us * request_burst,
        token_us=token_us,
        token_burst_us=round(token_us * token_burst),
        concurrency=rule.concurrency or 0,
        enforced=not rule.shadow,
        quotas=tuple(quotas),
    )


def interval(per_minute: int | None) -> int:
    """Return the microseconds between two requests, rounded up, so that no rate is exceeded."""
    return -(-MINUTE_US // per_minute) if per_minute else 0


def quota_check(rule: QuotaRule, scope: str, window: Window, price: Price) -> QuotaCheck:
    per_request, per_prompt, per_cached, per_completion = {
        "tokens": (0, MILLION, MILLION, MILLION),
        "requests": (MILLION, 0, 0, 0),
        "cost": (0, price.prompt, price.cached, price.completion),
    }[rule.unit]
    cap = max(1, rule.limit // 10) if rule.outage_cap is None else rule.outage_cap
    return QuotaCheck(
        field=window_field(rule.unit, window.id),
        start=int(window.start.timestamp()),
        end=int(window.end.timestamp()),
        limit=rule.limit,
        hard=rule.hard and not rule.shadow,
        per_request=per_request,
        per_prompt=per_prompt,
        per_completion=per_completion,
        unit=rule.unit,
        counter=counter_name(scope, rule.unit),
        window=window.id,
        per_cached=per_cached,
        outage_cap=0 if rule.on_redis_outage == "closed" else cap,
        full_hold=rule.hold == "full",
    )
