"""Warnings for an operator who has saved a quota."""

from collections.abc import Iterator
from datetime import datetime

from tenants.limits.formatting import amount_words, time_left
from tenants.limits.report import QuotaReport, report_limits
from tenants.limits.status import ScopeUsage
from tenants.models import Quota


def warnings_of(row: Quota, *, now: datetime) -> Iterator[str]:
    """Yield a message for each listed counter whose usage has reached the quota."""
    report = report_limits(row.tenant, now=now, live=None)
    for line in report.quotas:
        if line.origin.row == row and row.hard and not row.shadow:
            yield from (
                warning_text(line, each, now) for each in line.counted.rows if line.is_over(each)
            )


def warning_text(line: QuotaReport, counted: ScopeUsage, now: datetime) -> str:
    assert line.window is not None
    used = amount_words(counted.used, line.rule.unit)
    left = time_left((line.window.end - now).total_seconds())
    by_owner = "" if counted.owner == "tenant" else f" by {counted.owner.replace(':', ' ')}"
    return (
        f"The usage has reached this limit already: {used}{by_owner}. New requests are refused "
        f"until {line.window.end:%Y-%m-%d %H:%M} UTC, in {left}."
    )
