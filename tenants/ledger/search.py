"""Search of the ledger by the id of a request."""

import re

from tenants.models import UsageEvent

Kind = UsageEvent.Kind
MAX_REQUESTS = 20
MAX_ROWS = 200
MAX_ID_CHARS = 128
MAX_ROW_ID = 2**63 - 1


def find_rows(text: str) -> list[UsageEvent]:
    """Return the rows of requests with an id of the platform or of the client, the newest first.

    A client may use an id more than once. Runs at most three queries, each with an index.
    """
    text = text.strip()
    if not text or len(text) > MAX_ID_CHARS or "\0" in text:
        return []
    events = UsageEvent.objects.select_related("tenant", "api_key", "member__user")
    ours = list(events.filter(request_id=text).order_by("-pk")[:MAX_ROWS])
    if ours:
        return ours
    named = UsageEvent.objects.filter(client_request_id=text).order_by("-started_at", "-pk")
    ids = list(dict.fromkeys(named.values_list("request_id", flat=True)[:MAX_REQUESTS]))
    if not ids:
        return []
    return list(events.filter(request_id__in=ids).order_by("-started_at", "-pk")[:MAX_ROWS])


def find_event(text: str) -> UsageEvent | None:
    """Return the last request with an id of the platform or client, or a row by its primary key.

    Sets `corrections` of the row; without any for a row found by its primary key.
    """
    rows = find_rows(text)
    if not rows:
        return find_row(text)
    event = next((row for row in rows if row.kind != Kind.CORRECTION), rows[0])
    event.corrections = [  # type: ignore[attr-defined]
        row for row in rows if row.kind == Kind.CORRECTION and row.request_id == event.request_id
    ]
    return event


def find_row(text: str) -> UsageEvent | None:
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > MAX_ROW_ID:
        return None
    row = UsageEvent.objects.select_related("tenant").filter(pk=int(text)).first()
    if row is not None:
        row.corrections = []  # type: ignore[attr-defined]
    return row
