"""Appending of usage records: rows, counters and hours in one transaction per batch."""

from collections.abc import Iterable, Sequence

import msgspec
from django.db import DataError, Error, IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper
from msgspec.structs import replace

from tenants.admission.usage.records import UsageRecord
from tenants.admission.usage.writer import Appended, LedgerUnavailable, RecordRefused
from tenants.ledger.aggregates import add_charges, add_hours, read_counters
from tenants.ledger.batch_sums import NewRow, as_json, counters_of, sum_charges, sum_hours
from tenants.ledger.corrections import correct, ensure_chargeable

COLUMNS = UsageRecord.__struct_fields__

APPEND = f"""
    INSERT INTO tenants_usageevent ({", ".join(COLUMNS)})
    SELECT {", ".join(COLUMNS)} FROM jsonb_populate_recordset(NULL::tenants_usageevent, %s)
    ON CONFLICT DO NOTHING
    RETURNING request_id, kind, date_trunc('hour', started_at, 'UTC')
"""  # noqa: S608 - only names of our own columns

BILLED_AS_ABANDONED = """
    SELECT to_jsonb(event)::text FROM tenants_usageevent AS event
    WHERE request_id = ANY(%s) AND kind = 'abandoned'
"""

KEY_USE = """
    UPDATE tenants_apikey SET last_used_at = now() WHERE id IN (
        SELECT id FROM tenants_apikey
        WHERE id = ANY(%s)
            AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
        FOR NO KEY UPDATE SKIP LOCKED
    )
"""
"""For display only, so it is updated once a minute, and not for keys that are locked."""

decode_row = msgspec.json.Decoder(UsageRecord).decode


def append_usage(records: Sequence[UsageRecord]) -> Appended:
    """Append records and charge them, each once; records that exist already change nothing.

    A final record whose request was billed as abandoned becomes a correction of that row. Sets the
    time of the last use of keys. Returns the number of new rows, and the state of every counter in
    the records.

    Raises LedgerUnavailable if PostgreSQL fails; it may have written the records, so append them
    again. Raises RecordRefused if a record violates a constraint; then none of them was written.
    """
    ensure_chargeable(records)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            return append_within(cursor, records)
    except (DataError, IntegrityError) as error:
        raise RecordRefused(str(error)) from error
    except Error as error:
        # Includes a server that is read-only or not yet migrated: it may accept the records later.
        raise LedgerUnavailable from error


def bill_abandoned(records: Sequence[UsageRecord]) -> Appended:
    """Bill requests whose worker died, by their last known usage.

    A request that has a row already is not billed. Raises the errors of `append_usage`.
    """
    return append_usage([replace(record, kind="abandoned") for record in records])


def append_within(cursor: CursorWrapper, records: Sequence[UsageRecord]) -> Appended:
    """Append a batch in the running transaction. Locks contended rows last."""
    first = without_repeats(records)
    # Corrections come last, because the new ones are found only after the other rows are inserted.
    rows = insert(cursor, [record for record in first if record.kind != "correction"])
    corrections = [record for record in first if record.kind == "correction"]
    corrections += corrections_due(cursor, known=rows, records=first)
    rows += insert(cursor, without_repeats(corrections))
    cursor.execute(KEY_USE, [sorted({r.api_key_id for r in records if r.api_key_id})])
    add_hours(cursor, sum_hours(rows))
    add_charges(cursor, sum_charges(row.record for row in rows))
    states = read_counters(cursor, counters_of([*records, *corrections]))
    return Appended(new=len(rows), states=states)


def without_repeats(records: Iterable[UsageRecord]) -> list[UsageRecord]:
    """Return the first record of each request and kind, sorted, final before abandoned ones."""
    first: dict[tuple[str, bool, str], UsageRecord] = {}
    for record in records:
        first.setdefault((record.request_id, record.kind != "final", record.kind), record)
    return [first[key] for key in sorted(first)]


def insert(cursor: CursorWrapper, records: Sequence[UsageRecord]) -> list[NewRow]:
    """Insert sorted records. Return the rows that are new."""
    if not records:
        return []
    cursor.execute(APPEND, [as_json(records)])
    by_key = {(record.request_id, record.kind): record for record in records}
    return [NewRow(by_key[request_id, kind], hour) for request_id, kind, hour in cursor]


def corrections_due(
    cursor: CursorWrapper, *, known: Iterable[NewRow], records: Iterable[UsageRecord]
) -> list[UsageRecord]:
    """Return corrections of abandoned rows whose requests have a final record now."""
    new = {row.record.request_id for row in known if row.record.kind == "final"}
    late = {r.request_id: r for r in records if r.kind == "final" and r.request_id not in new}
    if not late:
        return []
    cursor.execute(BILLED_AS_ABANDONED, [sorted(late)])
    billed = [decode_row(row) for (row,) in cursor]
    return [correct(abandoned=row, final=late[row.request_id]) for row in billed]
