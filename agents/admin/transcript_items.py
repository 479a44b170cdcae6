"""What is shown of items on the pages of conversations and runs."""

from typing import Any

import msgspec
from django.db.models import QuerySet
from django.http import HttpRequest

from agents.conversations.transcript import Entry, TranscriptItem, transcript_of
from agents.models import Item, Run
from agents.models.choices import RunState
from agents.runtime.pausing.checkpoint import load_checkpoint
from agents.schema.items import kind_of

ON_A_PAGE = 100


def shown_items(rows: QuerySet[Item], request: HttpRequest) -> dict[str, Any]:
    """The newest items, or those before `?before=`, in the order in which they were said."""
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < len(str(2**63)):
        rows = rows.filter(position__lt=int(before))
    newest = list(rows.select_related("run").order_by("-position")[: ON_A_PAGE + 1])
    page = newest[:ON_A_PAGE][::-1]
    return {
        "entries": transcript_of([said(row) for row in page]),
        "earlier": page[0].position if len(newest) > ON_A_PAGE else None,
        "is_earlier": bool(before),
    }


def items_of_run(run: Run, request: HttpRequest) -> dict[str, Any]:
    """What was said in a run. While it waits for a person, its items are in its checkpoint only."""
    if run.state == RunState.REQUIRES_APPROVAL:
        return {"entries": paused_entries(run), "earlier": None, "is_earlier": False}
    return shown_items(Item.objects.filter(run=run), request)


def paused_entries(run: Run) -> list[Entry]:
    """Everything up to the calls that wait; empty if another version wrote the checkpoint."""
    kept = load_checkpoint(run.checkpoint)
    if kept is None:
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
            for item in (*kept.create.input, *kept.items)
        ]
    )


def said(row: Item) -> TranscriptItem:
    return TranscriptItem(
        kind=row.kind,
        public_id=row.public_id,
        run=row.run.public_id if row.run else "",
        body=row.body,
        # What the client brought was said when it asked, not when the run ended and was stored.
        created_at=row.run.created_at if row.run and row.is_input else row.created_at,
    )
