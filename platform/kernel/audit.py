"""Audit log entries of changes without a model signal: conditional UPDATEs, and uses of rows."""

from collections.abc import Sequence

from django.db import models


def note_transition(
    row: models.Model, *, field: str, before: object, after: object, reason: str = ""
) -> None:
    """Record that `field` of `row` changed from `before` to `after`, in the running transaction.

    A `reason` is recorded beside it, as a change from an empty value.
    """
    # The gateway, which also loads services, has no audit log: it changes nothing.
    from auditlog.models import LogEntry

    changes = {field: [str(before), str(after)], **({"reason": ["", reason]} if reason else {})}
    LogEntry.objects.log_create(row, action=LogEntry.Action.UPDATE, changes=changes)


def note_transitions(
    rows: Sequence[models.Model], *, field: str, before: object, after: object
) -> None:
    """Record the change of many rows of one table in one statement, without an actor."""
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
    """Record a use of `row` that did not change it, with a short description."""
    from auditlog.models import LogEntry

    LogEntry.objects.log_create(row, action=LogEntry.Action.ACCESS, changes={act: ["", detail]})
