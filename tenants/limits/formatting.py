"""Formatting of limits for lists, pages and messages."""

from collections.abc import Iterable, Mapping

from kernel.admin.formatting import currency_words, separated
from tenants.admission.limits.rules import REQUEST_KIND_PART, RateRule, is_shadow
from tenants.models.limit_rules import QuotaLimitRule, RateLimitRule
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
    """Format an amount with its unit: `2,000,000 tokens`, `cost of 12.50`."""
    if unit == "cost":
        return f"cost of {number_words(amount, unit)}"
    return f"{number_words(amount, unit)} {unit if amount != 1 else unit[:-1]}"


def number_words(amount: int, unit: str) -> str:
    """Format an amount: `2,000,000`; cost in the currency unit: `12.50`, `0.000045`."""
    return currency_words(amount) if unit == "cost" else separated(amount)


def period_words(period: str, every: int = 1) -> str:
    """Format a period: `a month`, or `every 3 days`."""
    if period in PERIODS:
        return PERIODS[period]
    return f"every {every} {period}" if every != 1 else f"every {period[:-1]}"


def quota_words(*, limit: int, unit: str, period: str, every: int = 1) -> str:
    """Format a quota: `2,000,000 tokens a month`."""
    return f"{amount_words(limit, unit)} {period_words(period, every)}"


def rate_words(
    *,
    requests_per_minute: int | None = None,
    request_burst: int | None = None,
    tokens_per_minute: int | None = None,
    token_burst: int | None = None,
    concurrency: int | None = None,
) -> str:
    """Format a rate limit: `600 requests a minute (100 at once), 20 running at the same time`."""
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


def reach_words(*, per: str, route: str = "", request_kind: str = "", owner: str = "") -> str:
    """Format the requests that a limit counts: `each key, route tiny, chat`; empty for all."""
    parts = (owner or EACH[per], f"route {route}" if route else "", request_kind)
    return ", ".join(part for part in parts if part)


def describe_rate(rule: RateLimitRule | RateRule) -> str:
    """Format a rate limit in one line: `600 requests a minute [each key]`."""
    words = rate_words(
        requests_per_minute=rule.requests_per_minute,
        request_burst=rule.request_burst,
        tokens_per_minute=rule.tokens_per_minute,
        token_burst=rule.token_burst,
        concurrency=rule.concurrency,
    )
    return with_reach(
        words, reach_words(per=rule.per, route=rule.route, request_kind=rule.request_kind)
    )


def describe_quota(rule: QuotaLimitRule) -> str:
    """Format a quota in one line: `2,000,000 tokens a month [route tiny]`."""
    words = quota_words(limit=rule.limit, unit=rule.unit, period=rule.period, every=rule.every)
    return with_reach(
        words, reach_words(per=rule.per, route=rule.route, request_kind=rule.request_kind)
    )


def with_reach(words: str, reach: str) -> str:
    """Append the counted requests to a limit: `600 requests a minute [each key, route tiny]`."""
    return f"{words} [{reach}]" if reach else words


def counter_words(counter: str, names: Mapping[str, str] = NO_NAMES) -> str:
    """Format a counter: `tokens [key 12, route tiny]`; `names` are labels of owners."""
    scope, _, unit = counter.rpartition("|")
    return with_reach(unit, scope_words(scope, names))


def slot_words(slot: str, names: Mapping[str, str] = NO_NAMES) -> str:
    """Format the quota of a slot: `tokens, month [key 12]`; `names` are labels of owners."""
    scope, unit, period = slot.rsplit("|", 2)
    return with_reach(f"{unit}, {period}", scope_words(scope, names))


def scope_words(scope: str, names: Mapping[str, str] = NO_NAMES) -> str:
    """Format `key:12|route=tiny` as `key 12, route tiny`; empty for the whole tenant."""
    owner, *parts = scope.split("|")
    owner_label = "" if owner == "tenant" else names.get(owner) or owner.replace(":", " ")
    filters = (IN_SHADOW_MODE if is_shadow(part) else filter_words(part) for part in parts)
    return ", ".join(part for part in (owner_label, *filters) if part)


def filter_words(part: str) -> str:
    """Format a filter: `route tiny`; a kind of request without its label: `chat`."""
    name, _, value = part.partition("=")
    return value if name == REQUEST_KIND_PART else f"{name} {value}"


def window_words(window: str) -> str:
    """Format a window in UTC: `2026-11-01 00:00 to 2026-12-01 00:00`."""
    opened = window_of_id(window)
    return f"{opened.start:%Y-%m-%d %H:%M} to {opened.end:%Y-%m-%d %H:%M}"


def joined(words: Iterable[str]) -> str:
    """Join several limits to one line."""
    return " · ".join(words)


def time_left(seconds: float) -> str:
    """Format a duration in its two largest units: `3 h 12 min`, `2 d 4 h`, `40 s`."""
    left = max(0, int(seconds))
    sizes = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts = []
    for name, size in sizes:
        count, left = divmod(left, size)
        parts.append((count, name))
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    displayed = [part for part in parts[first : first + 2] if part[0]] or [parts[-1]]
    return " ".join(f"{count} {name}" for count, name in displayed)
