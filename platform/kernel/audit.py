"""Transitions in the audit log: a conditional UPDATE sends no signal that could be heard."""

from django.db import models


def note_transition(row: models.Model, *, field: str, before: object, after: object) -> None:
    """Note that `field` of `row` went from `before` to `after`, in the running transaction."""
    # The gateway, which also loads services, has no audit log: it changes nothing.
    from auditlog.models import LogEntry

    LogEntry.objects.log_create(
        row, action=LogEntry.Action.UPDATE, changes={field: [str(before), str(after)]}
    )
