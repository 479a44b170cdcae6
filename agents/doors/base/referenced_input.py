"""The input of a response. References to stored items are replaced by the items."""

from collections.abc import Sequence

from agents.runtime.context.input_items import ItemReference, read_input, under_new_id
from agents.schema.items import Item
from agents.schema.json_types import Json
from agents.schema.run_store import RunStore
from kernel.errors import NotFound


async def read_whole_input(
    value: str | Sequence[Json], *, tenant_id: int, runs: RunStore
) -> tuple[Item, ...]:
    """Return the items that a client sent or referred to.

    Raises InvalidParameter, and NotFound for an item that is missing or of another tenant.
    """
    items = read_input(value)
    wanted = [item.id for item in items if isinstance(item, ItemReference)]
    stored = await runs.load_items(tenant_id, wanted) if wanted else {}
    found: list[Item] = []
    for item in items:
        if not isinstance(item, ItemReference):
            found.append(item)
        elif item.id in stored:
            found.append(under_new_id(stored[item.id]))
        else:
            raise NotFound(
                f"{item.place}: there is no stored item {item.id[:100]!r} here. "
                "Send the item itself.",
                param=f"{item.place}.id",
            )
    return tuple(found)
