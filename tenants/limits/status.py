"""The usage of the scopes of a rule: totals from PostgreSQL, and live numbers from Redis.

A counter that is missing in Redis is not zero: its total is the one of PostgreSQL.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Count, QuerySet
from django.db.models import Window as Over

from tenants.admission.limits.rules import QuotaRule, RateRule, counter_name
from tenants.counters.state import LiveScope
from tenants.counters.view import LiveView
from tenants.models import QuotaUsage
from tenants.windows import Window

MINUTE_US = 60_000_000
MAX_LISTED_SCOPES = 10
"""Maximum number of keys or members that a page lists for a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeUsage:
    """The usage of one scope."""

    owner: str
    """`tenant`, `key:12` or `member:3`."""
    counter: str = ""
    used: int = 0
    held: int | None = None
    """None if Redis is unavailable."""
    granted: int = 0
    carried: int = 0
    """The part of `used` from before the quota existed, a sum of full hours."""
    running: int | None = None
    requests_left: int | None = None
    """Requests that would be admitted now at once; None if unlimited or unknown."""
    tokens_left: int | None = None

    @property
    def total(self) -> int:
        return self.used + (self.held or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopScopes:
    """The scopes with the highest numbers; `more` is the number of the others."""

    rows: tuple[ScopeUsage, ...] = ()
    more: int = 0


NO_SCOPES = TopScopes()


class Owners:
    """The scopes that a rule counts. `apart` are ids of keys or members with an override."""

    def __init__(self, rule: RateRule | QuotaRule, *, apart: Collection[int] = ()) -> None:
        single = rule.key_id or rule.member_id
        self.apart = {f"{rule.per}:{each}" for each in apart}
        self.only = "tenant" if rule.per == "tenant" else f"{rule.per}:{single}" if single else ""
        self.rest = rule.scope("")
        self.pattern = rf"({rule.per}:[0-9]+){re.escape(self.rest)}"

    def of(self, scope: str) -> str:
        """Return the owner of a scope that the rule counts; else empty."""
        if self.only:
            return self.only if scope == self.only + self.rest else ""
        found = re.fullmatch(self.pattern, scope)
        return found[1] if found and found[1] not in self.apart else ""

    def apart_counters(self, unit: str) -> list[str]:
        return [f"{owner}{self.rest}|{unit}" for owner in self.apart]


def running_of(rule: RateRule, live: LiveView | None, *, apart: Collection[int] = ()) -> TopScopes:
    """Return the running requests by scope, the highest first; None while Redis is unavailable."""
    owners = Owners(rule, apart=apart)
    if live is None:
        return TopScopes(rows=(ScopeUsage(owner=owners.only),) if owners.only else ())
    found = [
        rate_status(rule, owner, scope, live.now_us)
        for scope in live.scopes.values()
        if (owner := owners.of(scope.scope))
    ]
    if owners.only and not found:
        nothing = LiveScope(scope="", running=0, request_tat_us=None, token_tat_us=None, windows=())
        found = [rate_status(rule, owners.only, nothing, live.now_us)]
    return top_scopes(found, by=lambda row: row.running or 0)


def rate_status(rule: RateRule, owner: str, scope: LiveScope, now_us: int) -> ScopeUsage:
    """Return the usage of a scope against a rate limit."""
    return ScopeUsage(
        owner=owner,
        running=scope.running,
        requests_left=left_at_once(
            rule.requests_per_minute, rule.request_burst, scope.request_tat_us, now_us
        ),
        tokens_left=left_at_once(
            rule.tokens_per_minute, rule.token_burst, scope.token_tat_us, now_us
        ),
    )


def left_at_once(
    per_minute: int | None, burst: int | None, tat_us: int | None, now_us: int
) -> int | None:
    """Return how much GCRA admits now: the burst minus the lead of the theoretical arrival time."""
    if per_minute is None:
        return None
    ahead_us = max(0, (tat_us or 0) - now_us)
    return max(0, (burst or per_minute) - -(-ahead_us * per_minute // MINUTE_US))


def quota_status(
    rule: QuotaRule, window: Window, live: LiveView | None, *, apart: Collection[int] = ()
) -> TopScopes:
    """Return the counters of a quota in a window, the most used first. Needs a tenant scope."""
    owners = Owners(rule, apart=apart)
    stored = stored_counters(rule, window, owners)
    first = list(stored.annotate(rows=Over(Count("pk")))[:MAX_LISTED_SCOPES])
    known = {row.counter: row for row in first}
    names = known.keys() | set(live_counters(rule, window, live, owners))
    if owners.only:
        names |= {counter_name(owners.only + owners.rest, rule.unit)}
    rows = [merged(name, window, known.get(name), live, owners) for name in names]
    left_out = first[0].rows - len(first) if first else 0
    found = top_scopes(rows, by=lambda row: row.total)
    return TopScopes(rows=found.rows, more=found.more + left_out)


def stored_counters(rule: QuotaRule, window: Window, owners: Owners) -> QuerySet[QuotaUsage]:
    rows = QuotaUsage.objects.filter(window=window.id).order_by("-used", "counter")
    if owners.only:
        return rows.filter(counter=counter_name(owners.only + owners.rest, rule.unit))
    mine = rows.filter(counter__regex=rf"^{owners.pattern}\|{rule.unit}$")
    return mine.exclude(counter__in=owners.apart_counters(rule.unit))


def live_counters(
    rule: QuotaRule, window: Window, live: LiveView | None, owners: Owners
) -> Iterator[str]:
    """Yield the names of this quota's counters that Redis has."""
    for counter, its_window in live.counters if live else ():
        scope, _, unit = counter.rpartition("|")
        if its_window == window.id and unit == rule.unit and owners.of(scope):
            yield counter


def merged(
    counter: str, window: Window, stored: QuotaUsage | None, live: LiveView | None, owners: Owners
) -> ScopeUsage:
    """Return the newer total of PostgreSQL and Redis, with the holds from Redis."""
    copy = live.counters.get((counter, window.id)) if live else None
    used, granted, version = (stored.used, stored.granted, stored.version) if stored else (0, 0, 0)
    if copy is not None and copy.used is not None and (copy.version or 0) >= version:
        used, granted = copy.used, copy.granted
    return ScopeUsage(
        owner=owners.of(counter.rpartition("|")[0]),
        counter=counter,
        used=used,
        granted=granted,
        carried=stored.carried if stored else 0,
        held=None if live is None else copy.held if copy else 0,
    )


def top_scopes(rows: Iterable[ScopeUsage], *, by: Callable[[ScopeUsage], int]) -> TopScopes:
    """Return the rows with the highest numbers; equal ones are sorted by owner."""
    ranked = sorted(rows, key=lambda row: (-by(row), row.owner))
    return TopScopes(
        rows=tuple(ranked[:MAX_LISTED_SCOPES]), more=max(0, len(ranked) - MAX_LISTED_SCOPES)
    )
