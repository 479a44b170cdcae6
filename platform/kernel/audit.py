"""What the audit log hears from no signal: conditional UPDATEs, and things that were used."""

from collections.abc import Sequence

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


def note_transitions(
    rows: Sequence[models.Model], *, field: str, before: object, after: object
) -> None:
    """As `note_transition` without a person, for many rows of one table in one statement."""
    from auditlog.models import LogEntry
    from django.contrib.contenttypes.models import ContentType

    LogEntry.objects.bulk_create(
        LogEntry(
            content_type=ContentType.objects.get_for_model(row),
            object_pk=str(row.pk),
            object_id=row.pk,
            object_repr=str(row),
            action=LogEntry.Action.UPDATE,
            changes={field: [str(before), str(after)]},
        )
        for row in rows
    )


def note_use(row: models.Model, *, act: str, detail: str) -> None:
    """Note that somebody used `row`, which changed nothing of it: what for, in a few words."""
    from auditlog.models import LogEntry

    LogEntry.objects.log_create(row, action=LogEntry.Action.ACCESS, changes={act: ["", detail]})
