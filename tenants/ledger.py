"""The ledger's table, written in one statement per batch."""

from collections.abc import Sequence

import msgspec
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, connection

from tenants.admission.ledger import LedgerUnavailable, RecordRefused
from tenants.admission.usage import UsageRecord

COLUMNS = UsageRecord.__struct_fields__

# One parameter, whatever the number of rows: PostgreSQL takes the JSON apart faster than Python
# could put an INSERT together.
APPEND = f"""
    INSERT INTO tenants_usageevent ({", ".join(COLUMNS)})
    SELECT {", ".join(COLUMNS)} FROM jsonb_populate_recordset(NULL::tenants_usageevent, %s)
    ON CONFLICT (request_id, kind) DO NOTHING
"""  # noqa: S608 - only names of our own columns


KEY_USE = """
    UPDATE tenants_apikey SET last_used_at = now()
    WHERE id = ANY(%s) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
"""
"""For people, so a minute's precision is enough."""


def append_usage(records: Sequence[UsageRecord]) -> int:
    """Append records; those that are there already are left alone. Returns how many were new.

    Also notes that their keys were used.

    Raises LedgerUnavailable if PostgreSQL does not answer; whether it wrote is then unknown, and
    appending the same records again is safe. Raises RecordRefused if a record breaks a rule of
    the table; then none of them was written.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(APPEND, [msgspec.json.encode(records).decode()])
            appended = int(cursor.rowcount)
            cursor.execute(KEY_USE, [sorted({r.api_key_id for r in records if r.api_key_id})])
    except (OperationalError, InterfaceError) as error:
        raise LedgerUnavailable from error
    except (DataError, IntegrityError) as error:
        raise RecordRefused(str(error)) from error
    return appended
