"""How far the ledger was summed up, so that reconciliation does not read a month each time.

Rows get their numbers before they are committed, so a row may become visible below others that were
seen before. A row is summed up only when every transaction has ended that could still write at or
below its number: the last number is noted together with the first transaction that is not yet
begun, and the sums are moved on to it when the oldest running transaction is not an earlier one.
"""

from datetime import datetime, timedelta

from django.db.backends.utils import CursorWrapper

READ = """
    INSERT INTO tenants_ledgercheckpoint AS there (id, through_id, next_id, next_xid)
    VALUES (1, 0, 0, 0) ON CONFLICT (id) DO UPDATE SET through_id = there.through_id
    RETURNING through_id, next_id, next_xid,
        pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
        pg_snapshot_xmax(pg_current_snapshot())::text::bigint
"""
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
MARK = """
    UPDATE tenants_ledgercheckpoint SET through_id = %s,
        next_id = (SELECT coalesce(max(id), 0) FROM tenants_usageevent),
        next_xid = pg_snapshot_xmax(pg_current_snapshot())::text::bigint
"""
"""One statement, so that the row and the transaction are of one snapshot."""
KEPT = timedelta(days=2)
"""How long sums of windows are kept that are over: longer than clocks are apart."""


def move_on(cursor: CursorWrapper, *, now: datetime) -> int:
    """Sum up what became certain since the last call. Returns the last row that is summed up.

    Called in a transaction, under the lock of reconciliation.
    """
    cursor.execute(READ)
    through_id, next_id, next_xid, oldest_running, first_unbegun = cursor.fetchone()
    # A number that is not reached yet is of another server, of which this one is a copy.
    is_certain = oldest_running >= next_xid or first_unbegun < next_xid
    if is_certain and next_id > through_id:
        asked = {"through_id": through_id, "next_id": next_id, "kept_from": now - KEPT}
        cursor.execute(ADD_SUMS, asked)
        cursor.execute(FORGET, asked)
        through_id = next_id
    if is_certain:
        cursor.execute(MARK, [through_id])
    return int(through_id)
