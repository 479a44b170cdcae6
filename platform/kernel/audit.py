"""What the audit log hears from no signal: conditional UPDATEs, and things that were used."""

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


def note_use(row: models.Model, *, act: str, told: str) -> None:
    """Note that somebody used `row`, which changed nothing of it: what for, in a few words."""
    from auditlog.models import LogEntry

    LogEntry.objects.log_create(row, action=LogEntry.Action.ACCESS, changes={act: ["", told]})
