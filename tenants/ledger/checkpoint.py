"""A checkpoint of the sums of the ledger, so that reconciliation reads only newer rows.

A row gets its id before it is committed, so it may become visible after rows with higher ids. The
sums therefore include a row only when every transaction that could still add a lower id has ended:
the highest id is stored together with the transactions that are writing the ledger, and the sums
advance to it after all of them have ended. A writer draws ids while it holds a lock of the table,
so `pg_locks` lists every writer; the transaction ids of a snapshot would miss a writer that got its
id after the newest one that has ended.
"""

from datetime import datetime, timedelta

from django.db.backends.utils import CursorWrapper

WRITERS = """
    SELECT coalesce(array_agg(virtualtransaction), '{}') FROM pg_locks
    WHERE relation = 'tenants_usageevent'::regclass AND mode = 'RowExclusiveLock' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
READ = f"""
    INSERT INTO tenants_ledgercheckpoint AS there (id, through_id, next_id, writers)
    VALUES (1, 0, 0, '{{}}') ON CONFLICT (id) DO UPDATE SET through_id = there.through_id
    RETURNING through_id, next_id, writers && ({WRITERS})
"""  # noqa: S608 - put together from constants
ADD_SUMS = """
    INSERT INTO tenants_chargedsum AS summed (tenant_id, counter, "window", amount)
    SELECT event.tenant_id, charge.counter, charge."window", sum(charge.amount)::bigint
    FROM tenants_usageevent AS event,
        jsonb_to_recordset(event.charges) AS charge (counter text, "window" text, amount bigint)
    WHERE event.id > %(through_id)s AND event.id <= %(next_id)s
        AND split_part(charge."window", '-', 2)::bigint
            > extract(epoch FROM %(kept_from)s::timestamptz)
    GROUP BY 1, 2, 3
    ON CONFLICT (tenant_id, counter, "window")
        DO UPDATE SET amount = summed.amount + EXCLUDED.amount
"""
DELETE_OLD_SUMS = """
    DELETE FROM tenants_chargedsum
    WHERE split_part("window", '-', 2)::bigint <= extract(epoch FROM %(kept_from)s::timestamptz)
"""
SET_CHECKPOINT = f"""
    UPDATE tenants_ledgercheckpoint SET through_id = %s,
        next_id = (SELECT coalesce(max(id), 0) FROM tenants_usageevent),
        writers = ({WRITERS})
"""  # noqa: S608 - put together from constants
"""A single statement, because the locks must be read after the snapshot of the highest id."""
SUMS_RETENTION = timedelta(days=2)
"""Retention of the sums of ended windows; longer than any difference between clocks."""


def advance(cursor: CursorWrapper, *, now: datetime) -> int:
    """Sum up the rows that were committed since the last call. Return the id of the last one.

    Needs a transaction that holds the lock of reconciliation.
    """
    cursor.execute(READ)
    through_id, next_id, is_awaited = cursor.fetchone()
    if is_awaited:
        return int(through_id)
    if next_id > through_id:
        parameters = {
            "through_id": through_id,
            "next_id": next_id,
            "kept_from": now - SUMS_RETENTION,
        }
        cursor.execute(ADD_SUMS, parameters)
        cursor.execute(DELETE_OLD_SUMS, parameters)
        through_id = next_id
    cursor.execute(SET_CHECKPOINT, [through_id])
    return int(through_id)
