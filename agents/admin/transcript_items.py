"""The transcript on the pages of conversations and runs."""

from typing import Any

import msgspec
from django.db.models import QuerySet
from django.http import HttpRequest

from agents.conversations.transcript import TranscriptEntry, TranscriptItem, transcript_of
from agents.models import Item, Run
from agents.models.choices import RunState
from agents.schema.checkpoint import load_checkpoint
from agents.schema.items import kind_of

ITEMS_PER_PAGE = 100


def transcript_page(rows: QuerySet[Item], request: HttpRequest) -> dict[str, Any]:
    """Return the newest items, or those before the position `?before=`, in ascending order."""
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < len(str(2**63)):
        rows = rows.filter(position__lt=int(before))
    newest = list(rows.select_related("run").order_by("-position")[: ITEMS_PER_PAGE + 1])
    page = newest[:ITEMS_PER_PAGE][::-1]
    return {
        "entries": transcript_of([transcript_item(row) for row in page]),
        "earlier": page[0].position if len(newest) > ITEMS_PER_PAGE else None,
        "is_earlier": bool(before),
    }


def items_of_run(run: Run, request: HttpRequest) -> dict[str, Any]:
    """Return the transcript of a run. Until it is approved, only its checkpoint has its items."""
    if run.state == RunState.REQUIRES_APPROVAL:
        return {"entries": paused_entries(run), "earlier": None, "is_earlier": False}
    return transcript_page(Item.objects.filter(run=run), request)


def paused_entries(run: Run) -> list[TranscriptEntry]:
    """Return the transcript of a checkpoint. Empty if another version has written it."""
    checkpoint = load_checkpoint(run.checkpoint)
    if checkpoint is None:
        return []
    return transcript_of(
        [
            TranscriptItem(
                kind=kind_of(item),
                public_id=item.id,
                run=run.public_id,
                body=msgspec.to_builtins(item),
                created_at=run.created_at,
            )
            for item in (*checkpoint.run_request.input, *checkpoint.items)
        ]
    )


def transcript_item(row: Item) -> TranscriptItem:
    return TranscriptItem(
        kind=row.kind,
        public_id=row.public_id,
        run=row.run.public_id if row.run else "",
        body=row.body,
        # Input has the time of the request, not the time at which the run ended and was stored.
        created_at=row.run.created_at if row.run and row.is_input else row.created_at,
    )
