"""From the limits of a tenant to the checks of one kind of request. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from tenants.admission.limits.checks import MILLION, Checks, QuotaCheck, ScopeCheck
from tenants.admission.limits.field_names import window_field
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
    """Whose request, to which route, of which kind, and at what price: what checks depend on."""

    tenant_id: int
    key_id: int
    lineage_id: int | None = None
    """The key as which limits count this one; None: as itself."""
    member_id: int | None
    route: str
    door: str
    price: Price
    free: bool = False
    """Whether it takes no tokens, so that only requests are counted."""

    def owner(self, rule: Rule) -> str | None:
        """As whom this caller is counted by `rule`; None if the rule does not concern it."""
        if (rule.route and rule.route != self.route) or (rule.door and rule.door != self.door):
            return None
        if rule.per == "tenant":
            return "tenant"
        mine, only = self.member_id, rule.member_id
        if rule.per == "key":
            mine, only = self.lineage_id or self.key_id, rule.key_id
        return f"{rule.per}:{mine}" if mine is not None and only in {None, mine} else None


def checks_for(limits: TenantLimits, caller: Caller, *, now: float) -> Checks:
    """Everything that a request of `caller` must pass. `now`: seconds since 1970."""
    moment = datetime.fromtimestamp(now, UTC)
    rates = dict(applicable(limits.rates, caller))
    if caller.free:
        rates = {scope: without_tokens(rule) for scope, rule in rates.items()}
    quotas: dict[str, dict[str, QuotaCheck]] = {}
    for scope, rule in applicable(limits.quotas, caller):
        window = window_at(moment, rule.calendar, pinned=rule.pinned)
        check = quota_check(rule, scope, window, caller.price)
        if caller.free:
            check = untouched(check)
        known = quotas.setdefault(scope, {})
        # Calendars of two kinds may agree on a window, which then is one counter: the tighter.
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


def untouched(check: QuotaCheck) -> QuotaCheck:
    """For a request without tokens: a quota of tokens or cost stays in sight, but counts nothing
    and refuses nothing. It is not left out, because a scope's counters live as long as its quotas.
    """
    if check.unit == "requests":
        return check
    return msgspec.structs.replace(
        check, hard=False, per_request=0, per_prompt=0, per_cached=0, per_completion=0
    )


def without_tokens(rule: RateRule) -> RateRule:
    return msgspec.structs.replace(rule, tokens_per_minute=None, token_burst=None)


def applicable(rules: Iterable[AnyRule], caller: Caller) -> list[tuple[str, AnyRule]]:
    """The rules that concern the caller, with their scope; of one slot only the most special."""
    found: dict[tuple[str, object, object], AnyRule] = {}
    for rule in rules:
        owner = caller.owner(rule)
        if owner is None:
            continue
        slot = (rule.scope(owner), *kind_of(rule))
        if slot not in found or is_special(rule):
            found[slot] = rule
    return [(slot[0], chosen) for slot, chosen in found.items()]


def tighter(check: QuotaCheck, other: QuotaCheck | None) -> QuotaCheck:
    """The hard one, then the one with the smaller limit."""
    return min(filter(None, (check, other)), key=lambda each: (not each.hard, each.limit))


def kind_of(rule: Rule) -> tuple[object, object]:
    if isinstance(rule, QuotaRule):
        return rule.unit, rule.calendar.period
    return None, None


def is_special(rule: Rule) -> bool:
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
    """Microseconds between two requests, rounded up: never more than were allowed."""
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
        outage_cap=0 if rule.when_redis_is_away == "closed" else cap,
        full_hold=rule.hold == "full",
    )
