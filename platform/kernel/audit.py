"""Transitions in the audit log: a conditional UPDATE sends no signal that could be heard."""

from django.db import models


def note_transition(
    row: models.Model, *, field: str, before: object, after: object, reason: str = ""
) -> None:
    """Note that `field` of `row` went from `before` to `after`, in the running transaction.

    A `reason` is noted beside it, as a change from nothing.
    """
    # The gateway, which also loads services, has no audit log: it changes nothing.
    from auditlog.models import LogEntry

    changes = {field: [str(before), str(after)], **({"reason": ["", reason]} if reason else {})}
    LogEntry.objects.log_create(row, action=LogEntry.Action.UPDATE, changes=changes)
