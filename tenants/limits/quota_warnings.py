"""What an operator should know about a quota that was just set."""

from collections.abc import Iterator
from datetime import datetime

from tenants.limits.formatting import amount_words, time_left
from tenants.limits.report import QuotaLine, report_limits
from tenants.limits.status import ScopeUsage
from tenants.models import Quota


def warnings_of(row: Quota, *, now: datetime) -> Iterator[str]:
    """A sentence for each listed counter that has used more than the quota allows."""
    report = report_limits(row.tenant, now=now, live=None)
    for line in report.quotas:
        if line.origin.row == row and row.hard and not row.shadow:
            yield from (over(line, each, now) for each in line.counted.rows if line.is_over(each))


def over(line: QuotaLine, counted: ScopeUsage, now: datetime) -> str:
    assert line.window is not None
    used = amount_words(counted.used, line.rule.unit)
    left = time_left((line.window.end - now).total_seconds())
    whose = "" if counted.owner == "tenant" else f" by {counted.owner.replace(':', ' ')}"
    return (
        f"This is less than what was used already: {used}{whose}. It blocks new requests until "
        f"{line.window.end:%Y-%m-%d %H:%M} UTC, in {left}."
    )
