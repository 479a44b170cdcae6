"""Notifications for recipients. A row is stored until delivery, so that a crash loses none."""

from datetime import datetime, timedelta

from django.db import models

from tenants.scoping import TenantManager, TenantOwned

MAX_TRIES = 8
"""Maximum number of delivery attempts; the last one is about two hours after the first."""
FIRST_PAUSE = timedelta(minutes=1)


class NoticeQuerySet(models.QuerySet["Notice"]):
    def due(self, *, now: datetime) -> "NoticeQuerySet":
        """Return the notices whose delivery is due."""
        return self.filter(ended_at=None, next_try_at__lte=now)

    def claim(self, *, notice_id: int, now: datetime) -> bool:
        """Claim the next delivery attempt. Return False if another process has it, or none is due.

        The attempt after it is due after a pause, which doubles each time.
        """
        row = self.due(now=now).filter(pk=notice_id).first()
        if row is None:
            return False
        mine = self.filter(pk=notice_id, ended_at=None, tries=row.tries)
        pause = FIRST_PAUSE * 2**row.tries
        return mine.update(tries=row.tries + 1, next_try_at=now + pause) == 1

    def end(self, *, notice_id: int, now: datetime) -> bool:
        """Mark the notice as delivered, or as dropped after the last attempt."""
        return self.filter(pk=notice_id, ended_at=None).update(ended_at=now) == 1


NoticeManager = TenantManager.from_queryset(NoticeQuerySet)


class Notice(TenantOwned):
    """One event for one recipient."""

    recipient = models.ForeignKey(
        "tenants.AlertRecipient", on_delete=models.CASCADE, related_name="+"
    )
    event_id = models.CharField(max_length=40, help_text="The same in every delivery attempt.")
    body = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    next_try_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    ended_at = models.DateTimeField(null=True, help_text="Delivered, or given up.")

    objects = NoticeManager()

    class Meta:
        ordering = ("-created_at", "-pk")
        indexes = (
            models.Index(
                fields=("next_try_at",), condition=models.Q(ended_at=None), name="notice_due"
            ),
        )

    def __str__(self) -> str:
        return f"{self.event_id} to {self.recipient}"
