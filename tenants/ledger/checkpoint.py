"""How far the ledger was summed up, so that reconciliation does not read a month each time.

Rows get their numbers before they are committed, so a row may become visible below others that were
seen before. A row is summed up only when every transaction has ended that could still write below
its number: the last number is noted together with the transactions that write the ledger at that
moment, and the sums are moved on to it when all of them have ended. A row's number is drawn under
its table's lock, so no writer is missed; a snapshot's transaction numbers would miss one that got
its own later than the newest that has ended.
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
FORGET = """
    DELETE FROM tenants_chargedsum
    WHERE split_part("window", '-', 2)::bigint <= extract(epoch FROM %(kept_from)s::timestamptz)
"""
MARK = f"""
    UPDATE tenants_ledgercheckpoint SET through_id = %s,
        next_id = (SELECT coalesce(max(id), 0) FROM tenants_usageevent),
        writers = ({WRITERS})
"""  # noqa: S608 - put together from constants
"""One statement: locks are read after its snapshot, which tells the last row, was taken."""
KEPT = timedelta(days=2)
"""How long sums of windows are kept that are over: longer than clocks are apart."""


def move_on(cursor: CursorWrapper, *, now: datetime) -> int:
    """Sum up what became certain since the last call. Returns the last row that is summed up.

    Called in a transaction, under the lock of reconciliation.
    """
    cursor.execute(READ)
    through_id, next_id, is_awaited = cursor.fetchone()
    if is_awaited:
        return int(through_id)
    if next_id > through_id:
        asked = {"through_id": through_id, "next_id": next_id, "kept_from": now - KEPT}
        cursor.execute(ADD_SUMS, asked)
        cursor.execute(FORGET, asked)
        through_id = next_id
    cursor.execute(MARK, [through_id])
    return int(through_id)
