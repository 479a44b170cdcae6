"""Correction rows, which add differences to rows of the ledger, because those never change."""

from collections import Counter
from collections.abc import Iterable

from msgspec.structs import replace

from tenants.admission.usage.records import Charge, UsageRecord
from tenants.admission.usage.writer import RecordRefused


def correct(*, abandoned: UsageRecord, final: UsageRecord) -> UsageRecord:
    """Return the row whose sum with `abandoned`, which is in the ledger, is `final`.

    It counts for the hour, key, member and agent of the abandoned row.
    """
    return replace(
        final,
        kind="correction",
        tenant_id=abandoned.tenant_id,
        api_key_id=abandoned.api_key_id,
        member_id=abandoned.member_id,
        door=abandoned.door,
        agent=abandoned.agent,
        agent_revision=abandoned.agent_revision,
        route=abandoned.route,
        started_at=abandoned.started_at,
        prompt_tokens=final.prompt_tokens - abandoned.prompt_tokens,
        completion_tokens=final.completion_tokens - abandoned.completion_tokens,
        cached_tokens=final.cached_tokens - abandoned.cached_tokens,
        cost_micro=final.cost_micro - abandoned.cost_micro,
        charges=difference(final.charges, abandoned.charges),
    )


def difference(wanted: Iterable[Charge], charged: Iterable[Charge]) -> tuple[Charge, ...]:
    """Return the charges to add to `charged`. Zeros stay, so that their counters are reported."""
    amounts: Counter[tuple[str, str]] = Counter()
    for charge in wanted:
        amounts[charge.counter, charge.window] += charge.amount
    for charge in charged:
        amounts[charge.counter, charge.window] -= charge.amount
    return tuple(
        Charge(counter=counter, window=window, amount=amount)
        for (counter, window), amount in sorted(amounts.items())
    )


def ensure_chargeable(records: Iterable[UsageRecord]) -> None:
    """Raise RecordRefused for a negative charge outside a correction, which would free quota."""
    for record in records:
        if record.kind != "correction" and any(charge.amount < 0 for charge in record.charges):
            raise RecordRefused(f"a charge of {record.request_id} is negative")
