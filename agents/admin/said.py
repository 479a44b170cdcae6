"""What is shown of items on the pages of conversations and runs."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from agents.models import Item
from agents.transcript import Said, transcript_of

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


def said(row: Item) -> Said:
    return Said(
        kind=row.kind,
        public_id=row.public_id,
        run=row.run.public_id if row.run else "",
        body=row.body,
        created_at=row.created_at,
    )
