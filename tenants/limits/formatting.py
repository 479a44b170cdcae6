"""Limits in words, as lists, pages and messages say them."""

from collections.abc import Iterable, Mapping

from kernel.admin.formatting import currency_words, separated
from tenants.admission.limits.rules import RateRule, is_shadow
from tenants.models.limit_rules import QuotaRule, RateLimitRule
from tenants.windows import window_of_id

PERIODS = {
    "hour": "an hour",
    "day": "a day",
    "week": "a week",
    "month": "a month",
    "quarter": "a quarter",
}
NO_NAMES: Mapping[str, str] = {}
IN_SHADOW_MODE = "in shadow mode"
EACH = {"tenant": "", "key": "each key", "member": "each member"}


def amount_words(amount: int, unit: str) -> str:
    """`2,000,000 tokens`, `cost of 12.50`"""
    if unit == "cost":
        return f"cost of {number_words(amount, unit)}"
    return f"{number_words(amount, unit)} {unit if amount != 1 else unit[:-1]}"


def number_words(amount: int, unit: str) -> str:
    """`2,000,000`; cost in the currency unit: `12.50`, `0.000045`."""
    return currency_words(amount) if unit == "cost" else separated(amount)


def period_words(period: str, every: int = 1) -> str:
    """`a month`, or `every 3 days`."""
    if period in PERIODS:
        return PERIODS[period]
    return f"every {every} {period}" if every != 1 else f"every {period[:-1]}"


def quota_words(*, limit: int, unit: str, period: str, every: int = 1) -> str:
    """`2,000,000 tokens a month`"""
    return f"{amount_words(limit, unit)} {period_words(period, every)}"


def rate_words(
    *,
    requests_per_minute: int | None = None,
    request_burst: int | None = None,
    tokens_per_minute: int | None = None,
    token_burst: int | None = None,
    concurrency: int | None = None,
) -> str:
    """`600 requests a minute (100 at once), 20 running at the same time`"""
    parts = (
        speed_words(requests_per_minute, "requests", request_burst),
        speed_words(tokens_per_minute, "tokens", token_burst),
        f"{separated(concurrency)} running at the same time" if concurrency else "",
    )
    return ", ".join(part for part in parts if part)


def speed_words(per_minute: int | None, unit: str, burst: int | None) -> str:
    if per_minute is None:
        return ""
    at_once = f" ({separated(burst)} at once)" if burst else ""
    return f"{separated(per_minute)} {unit} a minute{at_once}"


def reach_words(*, per: str, route: str = "", door: str = "", whose: str = "") -> str:
    """For which requests a limit is: `each key, route tiny, chat`; empty if for all together."""
    parts = (whose or EACH[per], f"route {route}" if route else "", door)
    return ", ".join(part for part in parts if part)


def describe_rate(rule: RateLimitRule | RateRule) -> str:
    """A rate limit in one line: `600 requests a minute [each key]`."""
    words = rate_words(
        requests_per_minute=rule.requests_per_minute,
        request_burst=rule.request_burst,
        tokens_per_minute=rule.tokens_per_minute,
        token_burst=rule.token_burst,
        concurrency=rule.concurrency,
    )
    return with_reach(words, reach_words(per=rule.per, route=rule.route, door=rule.door))


def describe_quota(rule: QuotaRule) -> str:
    """A quota in one line: `2,000,000 tokens a month [route tiny]`."""
    words = quota_words(limit=rule.limit, unit=rule.unit, period=rule.period, every=rule.every)
    return with_reach(words, reach_words(per=rule.per, route=rule.route, door=rule.door))


def with_reach(words: str, reach: str) -> str:
    """`600 requests a minute [each key, route tiny]`"""
    return f"{words} [{reach}]" if reach else words


def counter_words(counter: str, names: Mapping[str, str] = NO_NAMES) -> str:
    """What a counter counts: `tokens [key 12, route tiny]`, owners by their `names`."""
    scope, _, unit = counter.rpartition("|")
    return with_reach(unit, scope_words(scope, names))


def slot_words(slot: str, names: Mapping[str, str] = NO_NAMES) -> str:
    """Which quota a slot is: `tokens, month [key 12]`, owners by their `names`."""
    scope, unit, period = slot.rsplit("|", 2)
    return with_reach(f"{unit}, {period}", scope_words(scope, names))


def scope_words(scope: str, names: Mapping[str, str] = NO_NAMES) -> str:
    """`key:12|route=tiny` as `key 12, route tiny`; empty for the whole tenant."""
    owner, *parts = scope.split("|")
    whose = "" if owner == "tenant" else names.get(owner) or owner.replace(":", " ")
    filters = (IN_SHADOW_MODE if is_shadow(part) else part.replace("=", " ") for part in parts)
    return ", ".join(part for part in (whose, *filters) if part)


def window_words(window: str) -> str:
    """`2026-11-01 00:00 to 2026-12-01 00:00`, in UTC."""
    opened = window_of_id(window)
    return f"{opened.start:%Y-%m-%d %H:%M} to {opened.end:%Y-%m-%d %H:%M}"


def joined(words: Iterable[str]) -> str:
    """Several limits on one line."""
    return " · ".join(words)


def time_left(seconds: float) -> str:
    """`3 h 12 min`, `2 d 4 h`, `40 s`: the two largest units."""
    left = max(0, int(seconds))
    sizes = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts = []
    for name, size in sizes:
        count, left = divmod(left, size)
        parts.append((count, name))
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    shown = [part for part in parts[first : first + 2] if part[0]] or [parts[-1]]
    return " ".join(f"{count} {name}" for count, name in shown)
